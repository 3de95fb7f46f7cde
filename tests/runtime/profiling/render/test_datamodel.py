"""The contract of a profile, rendered as Python."""

import re
import subprocess
import sys
import tomllib
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import date, time
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mlops_runtime.contract.fields import FieldSpec, Kind, Task, field_specs
from mlops_runtime.profiling.columns import Column
from mlops_runtime.profiling.profile import Profile, profile
from mlops_runtime.profiling.render.datamodel import render
from mlops_runtime.profiling.user_edits import ExistingError
from mlops_runtime.tables.source import Source

Import = Callable[[str], ModuleType]

TEMPLATE = Path(__file__).parents[4]
PYPROJECT = TEMPLATE / "{{cookiecutter.project_slug}}" / "pyproject.toml"


def column(name: str, kind: str, **known: object) -> Column:
    defaults = {"rows": 100, "missing": 0, "distinct": 5, "optional": False, "common": (("a", 60), ("b", 40))}
    if kind in ("number", "integer"):
        defaults |= {"low": 0.0, "high": 9.0, "quartiles": (1.0, 4.0), "expected": (0.0, 10.0), "common": ()}
    return Column(name=name, kind=kind, **(defaults | known))  # type: ignore[arg-type]


def made_of(columns: Sequence[Column], labels: Sequence[str] = (), target: str = "target") -> Profile:
    path = Path("orders.csv")
    return Profile(
        path=path,
        source=Source(path, "utf-8", ",", ".", (*(column.name for column in columns), target), 100, False),
        rows=100,
        sampled=False,
        target=target,
        task="regression" if not labels else "binary" if len(labels) == 2 else "multiclass",
        reason="asked",
        labels=tuple(labels),
        columns=tuple(columns),
        left_out=(),
        warnings=(),
    )


EVERY_KIND = (
    column("Weight (kg)", "number", minimum=0.0, expected=(0.0, 41.5)),
    column("Items", "integer", optional=True, missing=4),
    column("Express", "boolean"),
    column("Size", "choice", common=(("small", 60), ("large", 40))),
    column("City", "category", optional=True),
    column("Remark", "text", words=12.4, longest=300),
    column("Ordered", "date", date_format="%d/%m/%Y", low="2020-01-02", high="2020-12-30"),
    column("Packed", "datetime", optional=True, low="2020-01-02", high="2020-12-30"),
    column("At", "time", low="00:00", high="23:59"),
    column("Rating", "integer", minimum=1.0, maximum=5.0, expected=None),
)


def test_the_contract_of_a_regression_reads_like_this() -> None:
    kept = {"Weight (kg)", "Size", "City", "Ordered"}
    text = render(made_of([each for each in EVERY_KIND if each.name in kept], target="Price paid"))
    assert (
        text
        == '''"""The contract: the columns of a record, and what a prediction says.

This module is the only place that knows the columns. Training, validation, OpenAPI, the form,
drift and test data follow from it. `make datamodel` compares it with the table.
"""

from datetime import date
from enum import StrEnum
from typing import Annotated

from mlops_runtime.contract import Category, Contract, DateFormat, ExpectedRange, RecordModel, Task, ValuePrediction
from pydantic import Field

TASK = Task.REGRESSION

TARGET = "Price paid"
"""Column of the training table that holds the value."""


class Size(StrEnum):
    """Values of Size."""

    LARGE = "large"
    SMALL = "small"


class Record(RecordModel):
    """A record of orders.csv."""

    weight_kg: Annotated[float, ExpectedRange(0, 41.5)] = Field(
        alias="Weight (kg)",
        ge=0,
        description="In the table: 0 to 9, half of them 1 to 4",
    )
    size: Size = Field(
        alias="Size",
        description="In the table: most often small (60 %), large (40 %); 5 distinct values",
    )
    city: Category | None = Field(
        default=None,
        alias="City",
        description="In the table: most often a (60 %), b (40 %); 5 distinct values",
    )
    ordered: Annotated[date, DateFormat("%d/%m/%Y")] = Field(
        alias="Ordered",
        description="In the table: 2020-01-02 to 2020-12-30",
    )


class Prediction(ValuePrediction):
    """The predicted value, with its prediction interval."""


CONTRACT = Contract(Record, Prediction, TASK, TARGET)
'''
    )


def test_the_contract_package_understands_each_field(import_contract: Import) -> None:
    # when
    contract = import_contract(render(made_of(EVERY_KIND)))
    specs = {spec.name: spec for spec in field_specs(contract.Record)}
    # then
    for each in EVERY_KIND:
        spec = specs[each.name]
        assert (spec.kind, spec.optional, spec.date_format) == (Kind(each.kind), each.optional, each.date_format)
        assert (spec.minimum, spec.maximum, spec.expected) == (each.minimum, each.maximum, each.expected)
    assert specs["Size"].choices == ("large", "small")
    assert all(isinstance(spec, FieldSpec) and spec.description.startswith("In the table: ") for spec in specs.values())


def test_a_record_is_made_from_cells(import_contract: Import) -> None:
    contract = import_contract(render(made_of(EVERY_KIND)))
    record = contract.Record.model_validate_strings(
        {
            "Weight (kg)": "1.5",
            "Express": "true",
            "Size": "large",
            "Remark": "none",
            "Ordered": "2020-01-05",
            "At": "10:30",
            "Rating": "5.0",
        }
    )
    assert (record.weight_kg, record.items, record.express, record.size) == (1.5, None, True, "large")
    assert (record.ordered, record.at, record.rating) == (date(2020, 1, 5), time(10, 30), 5)


@pytest.mark.parametrize(
    ("labels", "task", "which"),
    [(("no", "yes"), Task.BINARY, "more"), (("a", "b", "c"), Task.MULTICLASS, "most")],
    ids=["binary", "multiclass"],
)
def test_labels_are_the_values_of_a_prediction(
    labels: tuple[str, ...], task: Task, which: str, import_contract: Import
) -> None:
    contract = import_contract(render(made_of([EVERY_KIND[0]], labels)))
    field = contract.Prediction.model_fields["label"]
    assert contract.TASK is task
    assert tuple(contract.Label) == labels
    assert (field.annotation, field.description) == (contract.Label, f"The {which} probable label")


HAND_WRITTEN = '''"""What we ship."""

from enum import StrEnum

TARGET = "target"
"""What came of it."""


class Box(StrEnum):
    """The box it went into."""

    BIG = "large"


class Record(RecordModel):
    """One order.

    As the shop wrote it down.
    """

    kilos: float = Field(
        alias="Weight (kg)",
        description=(
            "Weighed with its box, which takes so many words to say that they do not fit on one line of the contract,"
            " and need a second one"
        ),
    )
    box: Box = Field(alias="Size", description="In the table: long ago")
    gone: float = Field(alias="Gone", description="No column any more")


class Label(StrEnum):
    """How it ended."""

    BROKEN = "no"


class Prediction(LabelPrediction):
    """What we tell the shop."""

    label: Label = Field(description="How it is likely to end")
'''


def test_what_people_wrote_is_kept(import_contract: Import) -> None:
    # when
    text = render(made_of([EVERY_KIND[0], EVERY_KIND[3], EVERY_KIND[4]], ["no", "yes"]), HAND_WRITTEN)
    contract = import_contract(text)
    specs = {spec.attribute: spec for spec in field_specs(contract.Record)}
    # then
    assert list(specs) == ["kilos", "box", "city"]
    assert contract.__doc__ == "What we ship."
    assert contract.Record.__doc__ == "One order.\n\n    As the shop wrote it down.\n    "
    assert contract.Box.__doc__ == "The box it went into."
    assert contract.Label.__doc__ == "How it ended."
    assert contract.Prediction.__doc__ == "What we tell the shop."
    assert '"""What came of it."""' in text
    assert specs["kilos"].description.startswith("Weighed with its box")
    assert contract.Prediction.model_fields["label"].description == "How it is likely to end"
    assert {member.name: member.value for member in contract.Box} == {"BIG": "large", "SMALL": "small"}
    assert {member.name: member.value for member in contract.Label} == {"BROKEN": "no", "YES": "yes"}


def test_what_is_generated_follows_the_table(import_contract: Import) -> None:
    contract = import_contract(render(made_of([EVERY_KIND[0], EVERY_KIND[3]]), HAND_WRITTEN))
    size = contract.Record.model_fields["box"]
    assert size.description == "In the table: most often small (60 %), large (40 %); 5 distinct values"
    assert "gone" not in contract.Record.model_fields


def test_rendering_twice_changes_nothing() -> None:
    for existing in (None, HAND_WRITTEN):
        text = render(made_of(EVERY_KIND, ["no", "yes"]), existing)
        assert render(made_of(EVERY_KIND, ["no", "yes"]), text) == text


def test_a_new_name_is_not_one_that_is_kept(import_contract: Import) -> None:
    # given: a column that would be called what another one is called already
    columns = [column("kilos", "number"), EVERY_KIND[0], column("Box", "choice"), EVERY_KIND[3]]
    contract = import_contract(render(made_of(columns), HAND_WRITTEN))
    assert list(contract.Record.model_fields) == ["kilos_2", "kilos", "box_2", "box"]
    assert (contract.Box2("a"), contract.Box("large")) == ("a", "large")


@pytest.mark.parametrize("existing", ["class Record(:", "a = '\0'"], ids=["syntax", "zero"])
def test_a_contract_that_is_no_python_is_refused(existing: str) -> None:
    with pytest.raises(ExistingError, match="mend it or remove it"):
        render(made_of(EVERY_KIND), existing)


NAMES = st.one_of(
    st.text(min_size=1, max_size=60),
    st.sampled_from(["class", "date", "l", "Label", "model_config", "x" * 300, "表" * 60]),
    st.sampled_from(['"""', "\\", "'\"'", "\n", "ß", "İ"]),
)
RANGE = {"low", "high", "quartiles", "minimum", "maximum", "expected"}
NOT_SAID_OF = {str(kind): RANGE | {"date_format"} for kind in Kind} | {
    "number": {"date_format"},
    "integer": {"date_format"},
    "date": RANGE,
    "datetime": RANGE,
    "time": RANGE,
}
COLUMNS = st.builds(
    column,
    name=NAMES,
    kind=st.sampled_from(sorted(Kind)).map(str),
    optional=st.booleans(),
    minimum=st.sampled_from([None, 0.0, -1.5e-300]),
    common=st.lists(NAMES, min_size=2, max_size=4, unique=True).map(lambda names: tuple((name, 50) for name in names)),
    date_format=st.sampled_from([None, "%d/%m/%Y"]),
).map(lambda drawn: replace(drawn, **dict.fromkeys(NOT_SAID_OF[drawn.kind])))
PROFILES = st.builds(
    made_of,
    columns=st.lists(COLUMNS, min_size=1, max_size=5, unique_by=lambda drawn: drawn.name),
    labels=st.one_of(st.just(()), st.lists(NAMES, min_size=2, max_size=4, unique=True)),
    target=NAMES,
)


def test_whatever_the_names_the_text_is_formatted_typed_and_valid(tmp_path: Path, import_contract: Import) -> None:
    # given: contracts of awkward names and values, each of which can be imported
    folder = tmp_path / "contracts"
    folder.mkdir()

    @given(drawn=PROFILES)
    @settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow], derandomize=True, database=None)
    def write(drawn: Profile) -> None:
        text = render(drawn)
        contract = import_contract(text)
        assert [spec.name for spec in field_specs(contract.Record)] == [each.name for each in drawn.columns]
        assert drawn.target == contract.TARGET
        (folder / f"contract_{len(list(folder.iterdir()))}.py").write_text(text, encoding="utf-8")

    # when
    write()
    # then
    assert run_ruff("check", folder) == ""
    assert run_ruff("format", folder) == ""


def project_config(folder: Path) -> Path:
    """Return the settings of a generated project, written beside the folder."""
    path = folder.with_name("pyproject.toml")
    path.write_text(re.sub(r"{{.*?}}", "some", PYPROJECT.read_text(encoding="utf-8")), encoding="utf-8")
    return path


def run_ruff(command: str, folder: Path) -> str:
    """Return what ruff reports about the contracts, by the rules of a generated project."""
    config = project_config(folder)
    rules = tomllib.loads(config.read_text(encoding="utf-8"))["tool"]["ruff"]["lint"]
    ignored = rules["per-file-ignores"]["src/*/datamodel.py"]
    options = {
        "check": [f"--extend-per-file-ignores=*.py:{code}" for code in ignored],
        "format": ["--check"],
    }[command]
    ruff = [sys.executable, "-m", "ruff", command, "--quiet", "--no-cache", "--config", str(config)]
    result = subprocess.run([*ruff, *options, str(folder)], capture_output=True, text=True, check=False)
    return result.stdout + result.stderr


def test_mypy_takes_each_kind_of_field(tmp_path: Path) -> None:
    # given
    path = tmp_path / "contract.py"
    path.write_text(render(made_of(EVERY_KIND, ["no", "yes"])), encoding="utf-8")
    # when
    command = [sys.executable, "-m", "mypy", "--strict", "--config-file", str(project_config(path)), str(path)]
    environment = {"MYPYPATH": str(TEMPLATE / "runtime")}
    result = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path, env=environment)
    # then
    assert result.returncode == 0, result.stdout + result.stderr


def test_a_profile_that_was_read_is_rendered(write: Callable[[str], Path], import_contract: Import) -> None:
    path = write("size;price\n" + "1,5;2,25\n2,5;3,75\n4;1\n" * 9)
    contract = import_contract(render(profile(path, "price", "regression")))
    assert contract.Record.model_validate_strings({"size": "1.5"}).size == 1.5
