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
from mlops_runtime.profiling.user_edits import InvalidContractError
from mlops_runtime.tables.source import Source

Import = Callable[[str], ModuleType]

TEMPLATE = Path(__file__).parents[4]
PYPROJECT = TEMPLATE / "{{cookiecutter.project_slug}}" / "pyproject.toml"


def column(name: str, kind: str, **attributes: object) -> Column:
    defaults = {"rows": 100, "missing": 0, "distinct": 5, "optional": False, "most_common": (("a", 60), ("b", 40))}
    if kind in ("number", "integer"):
        defaults |= {"low": 0.0, "high": 9.0, "quartiles": (1.0, 4.0), "expected": (0.0, 10.0), "most_common": ()}
    return Column(name=name, kind=kind, **(defaults | attributes))  # type: ignore[arg-type]


def profile_of(
    columns: Sequence[Column], labels: Sequence[str] = (), target: str = "target", left_out: Sequence[str] = ()
) -> Profile:
    path = Path("orders.csv")
    return Profile(
        path=path,
        source=Source(path, "utf-8", ",", ".", (*(column.name for column in columns), target), 100, False),
        rows=100,
        sampled=False,
        target=target,
        task="regression" if not labels else "binary" if len(labels) == 2 else "multiclass",
        reason="requested",
        labels=tuple(labels),
        columns=tuple(columns),
        excluded=tuple((name, "it is an identifier") for name in left_out),
        warnings=(),
    )


EVERY_KIND = (
    column("Weight (kg)", "number", minimum=0.0, expected=(0.0, 41.5)),
    column("Items", "integer", optional=True, missing=4),
    column("Express", "boolean"),
    column("Size", "choice", most_common=(("small", 60), ("large", 40))),
    column("City", "category", optional=True),
    column("Remark", "text", mean_words=12.4, max_length=300),
    column("Ordered", "date", date_format="%d/%m/%Y", low="2020-01-02", high="2020-12-30"),
    column("Packed", "datetime", optional=True, low="2020-01-02", high="2020-12-30"),
    column("At", "time", low="00:00", high="23:59"),
    column("Rating", "integer", minimum=1.0, maximum=5.0, expected=None),
)


def test_a_regression_contract_is_rendered() -> None:
    names = {"Weight (kg)", "Size", "City", "Ordered"}
    text = render(profile_of([each for each in EVERY_KIND if each.name in names], target="Price paid"))
    assert (
        text
        == '''"""The contract: the fields of a record and of a prediction.

Training, validation, OpenAPI, the form, drift detection and test data derive from this module.
`make datamodel` compares it with the table.
"""

from datetime import date
from enum import StrEnum
from typing import Annotated

from mlops_runtime.contract import Category, Contract, DateFormat, ExpectedRange, RecordModel, Task, ValuePrediction
from pydantic import Field

TASK = Task.REGRESSION

TARGET = "Price paid"
"""Column of the training table with the value."""


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
    """The predicted value and its prediction interval."""


CONTRACT = Contract(Record, Prediction, TASK, TARGET)
'''
    )


def test_field_specs_equal_the_columns_of_the_profile(import_contract: Import) -> None:
    # when
    contract = import_contract(render(profile_of(EVERY_KIND)))
    specs = {spec.name: spec for spec in field_specs(contract.Record)}
    # then
    for each in EVERY_KIND:
        spec = specs[each.name]
        assert (spec.kind, spec.optional, spec.date_format) == (Kind(each.kind), each.optional, each.date_format)
        assert (spec.minimum, spec.maximum, spec.expected) == (each.minimum, each.maximum, each.expected)
    assert specs["Size"].choices == ("large", "small")
    assert all(isinstance(spec, FieldSpec) and spec.description.startswith("In the table: ") for spec in specs.values())


def test_a_record_is_validated_from_cells(import_contract: Import) -> None:
    contract = import_contract(render(profile_of(EVERY_KIND)))
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
    ("labels", "task", "word"),
    [(("no", "yes"), Task.BINARY, "more"), (("a", "b", "c"), Task.MULTICLASS, "most")],
    ids=["binary", "multiclass"],
)
def test_labels_are_the_values_of_a_prediction(
    labels: tuple[str, ...], task: Task, word: str, import_contract: Import
) -> None:
    contract = import_contract(render(profile_of([EVERY_KIND[0]], labels)))
    field = contract.Prediction.model_fields["label"]
    assert contract.TASK is task
    assert tuple(contract.Label) == labels
    assert (field.annotation, field.description) == (contract.Label, f"The {word} probable label")


EDITED = '''"""Shipped orders."""

from enum import StrEnum

TARGET = "target"
"""Result of the delivery."""


class Box(StrEnum):
    """Size of the box."""

    BIG = "large"


class Record(RecordModel):
    """One order.

    Recorded by the shop.
    """

    kilos: float = Field(
        alias="Weight (kg)",
        description=(
            "Weight of the parcel including the box, with a description that is too long for a single line of the"
            " contract and continues on a second one"
        ),
    )
    box: Box = Field(alias="Size", description="In the table: an earlier description")
    gone: float = Field(alias="Gone", description="Description of a removed column")


class Label(StrEnum):
    """State of the delivery."""

    BROKEN = "no"


class Prediction(LabelPrediction):
    """Prediction for the shop."""

    label: Label = Field(description="Most probable state")
'''


def test_edits_are_kept(import_contract: Import) -> None:
    # when
    text = render(profile_of([EVERY_KIND[0], EVERY_KIND[3], EVERY_KIND[4]], ["no", "yes"]), EDITED)
    contract = import_contract(text)
    specs = {spec.attribute: spec for spec in field_specs(contract.Record)}
    # then
    assert list(specs) == ["kilos", "box", "city"]
    assert contract.__doc__ == "Shipped orders."
    assert contract.Record.__doc__ == "One order.\n\n    Recorded by the shop.\n    "
    assert contract.Box.__doc__ == "Size of the box."
    assert contract.Label.__doc__ == "State of the delivery."
    assert contract.Prediction.__doc__ == "Prediction for the shop."
    assert '"""Result of the delivery."""' in text
    assert specs["kilos"].description.startswith("Weight of the parcel")
    assert contract.Prediction.model_fields["label"].description == "Most probable state"
    assert {member.name: member.value for member in contract.Box} == {"BIG": "large", "SMALL": "small"}
    assert {member.name: member.value for member in contract.Label} == {"BROKEN": "no", "YES": "yes"}


def test_generated_parts_are_rendered_again(import_contract: Import) -> None:
    contract = import_contract(render(profile_of([EVERY_KIND[0], EVERY_KIND[3]]), EDITED))
    size = contract.Record.model_fields["box"]
    assert size.description == "In the table: most often small (60 %), large (40 %); 5 distinct values"
    assert "gone" not in contract.Record.model_fields


def test_rendering_is_idempotent() -> None:
    for existing in (None, EDITED):
        text = render(profile_of(EVERY_KIND, ["no", "yes"]), existing)
        assert render(profile_of(EVERY_KIND, ["no", "yes"]), text) == text


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        pytest.param(("no", "yes"), ("yes", "no"), id="yes-and-no"),
        pytest.param(("N", "Y", "y"), ("Y", "N"), id="letters-of-two-cases"),
        pytest.param(("f", "t"), ("t", "f"), id="t-and-f"),
        pytest.param(("FALSE", "TRUE"), ("true", "false"), id="true-and-false"),
    ],
)
def test_a_truth_value_keeps_the_words_of_the_table(
    import_contract: Import, words: Sequence[str], expected: tuple[str, str]
) -> None:
    # Given a boolean column with these values, the most common first
    express = column("Express", "boolean", most_common=tuple((word, 9 - rank) for rank, word in enumerate(words)))

    # When the contract is rendered
    (spec,) = field_specs(import_contract(render(profile_of([express]))).Record)

    # Then it has the words for true and false
    assert (spec.words.true, spec.words.false) == expected


@pytest.mark.parametrize(
    "left_out", [("id",), ("id", "constant"), tuple(f"column {n} " + "x" * 30 for n in range(9))], ids=len
)
def test_columns_without_a_field_are_left_out(
    tmp_path: Path, import_contract: Import, left_out: tuple[str, ...]
) -> None:
    # Given a profile with columns that profiling excludes
    text = render(profile_of(EVERY_KIND, left_out=left_out))
    (tmp_path / "contracts").mkdir()
    (tmp_path / "contracts" / "contract.py").write_text(text, encoding="utf-8")

    # Then the contract lists them, as ruff formats it
    assert import_contract(text).CONTRACT.left_out == left_out
    assert run_ruff("format", tmp_path / "contracts") == ""


def test_the_key_is_kept(import_contract: Import) -> None:
    # Given a contract to which a person has added a key
    text = render(profile_of(EVERY_KIND, left_out=["id"])).replace("\n\n\nclass", '\n\nKEY = "id"\n\n\nclass', 1)

    # When it is rendered again
    again = render(profile_of(EVERY_KIND, left_out=["id"]), text)

    # Then it has the key
    assert import_contract(again).CONTRACT.key == "id"
    assert render(profile_of(EVERY_KIND, left_out=["id"]), again) == again


def test_a_new_name_differs_from_existing_ones(import_contract: Import) -> None:
    # given: a column whose name another field has already
    columns = [column("kilos", "number"), EVERY_KIND[0], column("Box", "choice"), EVERY_KIND[3]]
    contract = import_contract(render(profile_of(columns), EDITED))
    assert list(contract.Record.model_fields) == ["kilos_2", "kilos", "box_2", "box"]
    assert (contract.Box2("a"), contract.Box("large")) == ("a", "large")


@pytest.mark.parametrize("existing", ["class Record(:", "a = '\0'"], ids=["syntax", "null-character"])
def test_an_invalid_contract_is_refused(existing: str) -> None:
    with pytest.raises(InvalidContractError, match="correct or remove it"):
        render(profile_of(EVERY_KIND), existing)


NAMES = st.one_of(
    st.text(min_size=1, max_size=60),
    st.sampled_from(["class", "date", "l", "Label", "model_config", "x" * 300, "表" * 60]),
    st.sampled_from(['"""', "\\", "'\"'", "\n", "ß", "İ"]),
)
RANGE = {"low", "high", "quartiles", "minimum", "maximum", "expected"}
ABSENT = {str(kind): RANGE | {"date_format"} for kind in Kind} | {
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
    most_common=st.lists(NAMES, min_size=2, max_size=4, unique=True).map(
        lambda names: tuple((name, 50) for name in names)
    ),
    date_format=st.sampled_from([None, "%d/%m/%Y"]),
).map(lambda drawn: replace(drawn, **dict.fromkeys(ABSENT[drawn.kind])))
PROFILES = st.builds(
    profile_of,
    columns=st.lists(COLUMNS, min_size=1, max_size=5, unique_by=lambda drawn: drawn.name),
    labels=st.one_of(st.just(()), st.lists(NAMES, min_size=2, max_size=4, unique=True)),
    target=NAMES,
    left_out=st.just(()),
)


def test_contracts_of_any_names_are_valid_and_formatted(tmp_path: Path, import_contract: Import) -> None:
    # given: contracts with unusual names and values, each of which can be imported
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
    """Write the configuration of a generated project beside the folder, and return its path."""
    path = folder.with_name("pyproject.toml")
    path.write_text(re.sub(r"{{.*?}}", "some", PYPROJECT.read_text(encoding="utf-8")), encoding="utf-8")
    return path


def run_ruff(command: str, folder: Path) -> str:
    """Return ruff's output for the contracts, with the rules of a generated project."""
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


def test_mypy_accepts_each_kind_of_field(tmp_path: Path) -> None:
    # given
    path = tmp_path / "contract.py"
    path.write_text(render(profile_of(EVERY_KIND, ["no", "yes"])), encoding="utf-8")
    # when
    command = [sys.executable, "-m", "mypy", "--strict", "--config-file", str(project_config(path)), str(path)]
    environment = {"MYPYPATH": str(TEMPLATE / "runtime")}
    result = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path, env=environment)
    # then
    assert result.returncode == 0, result.stdout + result.stderr


def test_the_profile_of_a_table_is_rendered(write: Callable[[str], Path], import_contract: Import) -> None:
    path = write("size;price\n" + "1,5;2,25\n2,5;3,75\n4;1\n" * 9)
    contract = import_contract(render(profile(path, "price", "regression")))
    assert contract.Record.model_validate_strings({"size": "1.5"}).size == 1.5
