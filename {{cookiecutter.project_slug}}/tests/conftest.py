"""What all tests share: the table, one artefact trained for real, and records that are valid by the contract."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st

from trainer.__main__ import main

from {{cookiecutter.__package}}_model.classifier import Classifier
from {{cookiecutter.__package}}_model.datamodel import Record

PROJECT = Path(__file__).parents[1]

# A busy machine is no reason for a test to fail.
settings.register_profile("project", deadline=None)
settings.load_profile("project")


def valid_values(schema: dict[str, Any]) -> st.SearchStrategy[float | None]:
    """Return a strategy for the values that the JSON schema of a field allows."""
    if "anyOf" in schema:
        return st.one_of(*(valid_values(alternative) for alternative in schema["anyOf"]))
    if schema["type"] == "null":
        return st.none()
    if "multipleOf" in schema:
        step = schema["multipleOf"]
        steps = st.integers(math.ceil(schema["minimum"] / step), math.floor(schema["maximum"] / step))
        return steps.map(lambda count: float(count * step))
    return st.floats(schema["minimum"], schema["maximum"])


def valid_records() -> st.SearchStrategy[Record]:
    """Return a strategy for the records that the contract allows, missing values among them."""
    properties = Record.model_json_schema(by_alias=True)["properties"]
    fields = {name: valid_values(schema) for name, schema in properties.items()}
    return st.fixed_dictionaries(fields).map(Record.model_validate)


# So that tests write `from_type(Record)` and import nothing from here.
st.register_type_strategy(Record, valid_records())


@dataclass(frozen=True)
class Run:
    """What one run of the trainer made."""

    artefact: Path
    report: Path
    metrics: Path


@pytest.fixture(scope="session")
def data() -> Path:
    (path,) = (PROJECT / "data").glob("*.csv")
    return path


@pytest.fixture(scope="session")
def lock() -> Path:
    return PROJECT / "Pipfile.lock"


@pytest.fixture(scope="session")
def run(data: Path, lock: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Train once, with the settings that `python -m trainer` has by default."""
    folder = tmp_path_factory.mktemp("trained")
    made = Run(folder / "artefact", folder / "report.html", folder / "metrics.json")
    arguments = {
        "--data": data,
        "--lock": lock,
        "--artefact": made.artefact,
        "--report": made.report,
        "--metrics": made.metrics,
        "--version": "1.2.3",
        "--commit": "0" * 40,
    }
    assert main([str(part) for pair in arguments.items() for part in pair]) == 0
    return made


@pytest.fixture(scope="session")
def artefact(run: Run) -> Path:
    """The trained artefact's folder: to read, not to change."""
    return run.artefact


@pytest.fixture(scope="session")
def classifier(artefact: Path) -> Classifier:
    return Classifier.load(artefact)
