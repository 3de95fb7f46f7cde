"""What all tests share: the table, one artefact trained for real, and records that are valid by the contract."""

import csv
import math
import os
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, timezone
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st

from profiling.cells import canonicalizer
from profiling.source import Source, open_source
from tests import orders
from trainer.__main__ import main

from {{cookiecutter.__package}}_model import datamodel, fields
from {{cookiecutter.__package}}_model.classifier import Classifier
from {{cookiecutter.__package}}_model.features import FIELDS, LABELS
from {{cookiecutter.__package}}_model.fields import FieldSpec, Kind, Task

PROJECT = Path(__file__).parents[1]

MOST_CELLS = 20_000
"""Cells of the table that the tests train on: of a larger one they take some rows."""
FEWEST_ROWS = 200
LABEL_ROWS = 2
"""Rows that each label has at least."""

MOST_DRAWN = 30
"""Fields of a record that have any value, rather than a plain one."""

NO_FLOOR = "skill=-1e9"
"""A floor that every model reaches: what the user's table can teach is not tested here."""

# A busy machine is no reason for a test to fail.
settings.register_profile("project", deadline=None)
settings.load_profile("project")


def valid_numbers(field: FieldSpec) -> st.SearchStrategy[float]:
    """Return a strategy for the numbers that a field allows, those that are usual and the extreme ones."""
    low, high = field.minimum, field.maximum
    if field.kind is Kind.WHOLE:
        bounds = (int(-1e15 if low is None else low), int(1e15 if high is None else high))
        return st.integers(*bounds).map(float)
    anywhere = st.floats(low, high, allow_nan=False, allow_infinity=False)
    if not field.usual:
        return anywhere
    least, most = field.usual
    least, most = max(least, least if low is None else low), min(most, most if high is None else high)
    return st.floats(least, most) | anywhere


def valid_values(field: FieldSpec) -> st.SearchStrategy[Any]:
    """Return a strategy for the values that a field allows."""
    values: st.SearchStrategy[Any]
    match field.kind:
        case Kind.NUMBER | Kind.WHOLE:
            values = valid_numbers(field)
        case Kind.FLAG:
            values = st.booleans()
        case Kind.CHOICE:
            values = st.sampled_from(field.choices)
        case Kind.CATEGORY | Kind.TEXT:
            values = st.text(st.characters(codec="utf-8"), min_size=1, max_size=min(field.longest or 40, 40))
        case Kind.DATE:
            values = st.dates()
        case Kind.DATETIME:
            offsets = st.integers(-23, 23).map(lambda hours: timezone(timedelta(hours=hours)))
            values = st.datetimes(timezones=st.none() | offsets)
        case Kind.TIME:
            values = st.times()
    return values | st.none() if field.optional else values


def plain_value(field: FieldSpec) -> Any:
    """Return a value that a field allows: none, where it may be missing."""
    if field.optional:
        return None
    match field.kind:
        case Kind.NUMBER | Kind.WHOLE:
            low, high = field.minimum, field.maximum
            return float(min(max(0.0, 0.0 if low is None else math.ceil(low)), math.inf if high is None else high))
        case Kind.FLAG:
            return False
        case Kind.CHOICE:
            return field.choices[0]
        case Kind.CATEGORY | Kind.TEXT:
            return "word"
        case Kind.DATE:
            return date(2000, 1, 1)
        case Kind.DATETIME:
            return datetime(2000, 1, 1)  # noqa: DTZ001 - tables seldom say where they were written
        case Kind.TIME:
            return time(12)


@st.composite
def valid_records(draw: Callable[[st.SearchStrategy[Any]], Any], record: type[fields.RecordModel]) -> Any:
    """Return a strategy for the records that a contract allows, missing values among them.

    Of a wide contract some fields at a time are drawn: more would be more than Hypothesis takes.
    """
    specs = fields.field_specs(record)
    drawn = set(specs) if len(specs) <= MOST_DRAWN else draw(st.sets(st.sampled_from(specs), max_size=MOST_DRAWN))
    return record.model_validate(
        {spec.name: draw(valid_values(spec)) if spec in drawn else plain_value(spec) for spec in specs}
    )


# So that tests write `from_type(Record)` and import nothing from here.
for contract in (datamodel.Record, orders.Order):
    st.register_type_strategy(contract, valid_records(contract))


@dataclass(frozen=True)
class Run:
    """What one run of the trainer made."""

    artefact: Path
    report: Path
    metrics: Path


@pytest.fixture(scope="session")
def whole_data() -> Path:
    """The project's table."""
    told = re.search(r"^DATA \?= (.+)$", (PROJECT / "project.mk").read_text(encoding="utf-8"), re.MULTILINE)
    assert told
    return PROJECT / os.environ.get("DATA", told[1])


@pytest.fixture(scope="session")
def data(whole_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project's table; of a large one a copy of some rows, as the contract takes them."""
    source = open_source(whole_data)
    rows = max(FEWEST_ROWS, MOST_CELLS // len(source.header))
    if source.lines <= rows:
        return whole_data
    path = tmp_path_factory.mktemp("data") / "table.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(source.header)
        writer.writerows(some_rows(source, source.step(rows)))
    return path


def some_rows(source: Source, step: int) -> Iterator[list[str]]:
    """Yield one row out of `step`, and the first rows of each label, as the contract takes them."""
    kinds = {field.name: (field.kind.value, field.written) for field in FIELDS}
    kinds[datamodel.TARGET] = ("choice" if LABELS else "number", None)
    kept_as_it_is = ("choice", None)
    columns = [
        canonicalizer(kind, source.decimal, written)
        for kind, written in (kinds.get(name, kept_as_it_is) for name in source.header)
    ]
    target = source.header.index(datamodel.TARGET)
    labels: Counter[str] = Counter()
    for place, (_, cells) in enumerate(source.rows()):
        if place % step == 0 or (LABELS and labels[cells[target]] < LABEL_ROWS):
            labels[cells[target]] += 1
            yield [canonical(cell) if cell else "" for canonical, cell in zip(columns, cells, strict=True)]


@pytest.fixture(scope="session")
def lock() -> Path:
    return PROJECT / "Pipfile.lock"


@pytest.fixture(scope="session")
def run(data: Path, lock: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Train once on the project's table."""
    folder = tmp_path_factory.mktemp("trained")
    made = Run(folder / "artefact", folder / "report.html", folder / "metrics.json")
    arguments = {
        "--data": data,
        "--lock": lock,
        "--artefact": made.artefact,
        "--report": made.report,
        "--metrics": made.metrics,
        "--floors": NO_FLOOR,
        # One setting is tried, so that no clock decides on the model.
        "--budget": 0,
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


@dataclass(frozen=True)
class OnOrders:
    """Modules of the trainer and the model package, as they are in a project about orders."""

    task: Task
    table: ModuleType
    golden: ModuleType
    training: ModuleType
    command: ModuleType
    metadata: ModuleType
    classifier: ModuleType


@pytest.fixture(scope="session", params=Task)
def on_orders(request: pytest.FixtureRequest) -> OnOrders:
    """The modules that depend on the contract, imported anew for each task with orders as the contract.

    So all of their code is tested in every project, whatever its own contract lacks.
    """
    package = str(datamodel.__package__)

    def bound() -> list[str]:
        """Return the names of the modules that depend on the contract."""
        return [name for name in sys.modules if name.split(".")[0] in ("trainer", package) and name != fields.__name__]

    kept = {name: sys.modules.pop(name) for name in bound()}
    sys.modules[datamodel.__name__] = orders.contract(request.param, datamodel.__name__)
    try:
        # Most of the time of a small run goes into shuffling each field again and again.
        importance = import_module("trainer.importance")
        vars(importance).update(FEWEST_REPEATS=1, MOST_REPEATS=1)
        found = OnOrders(
            request.param,
            *(import_module(f"trainer.{name}") for name in ("table", "golden", "training", "__main__")),
            *(import_module(f"{package}.{name}") for name in ("metadata", "classifier")),
        )
    finally:
        for name in bound():
            del sys.modules[name]
        sys.modules.update(kept)
    return found


@pytest.fixture(scope="session")
def orders_run(on_orders: OnOrders, lock: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Train once on orders."""
    folder = tmp_path_factory.mktemp("orders")
    table = orders.write_table(folder / "orders.csv", orders.rows_of_table(400, on_orders.task))
    made = Run(folder / "artefact", folder / "report.html", folder / "metrics.json")
    on_orders.training.train(
        on_orders.training.Settings(
            data=table,
            artefact=made.artefact,
            report=made.report,
            metrics=made.metrics,
            lock=lock,
            floors={"skill": 0.1},
            seed=0,
            test_share=0.25,
            budget=0,
            version="1.2.3",
            commit="0" * 40,
        )
    )
    return made
