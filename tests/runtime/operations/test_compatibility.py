"""Pairs of contracts: what breaks old callers is said, and nothing else."""

import subprocess
import sys
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, replace
from datetime import date
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st
from pydantic import Field, create_model

from mlops_runtime.contract import Contract, Integer, Kind, RecordModel, Task, contract_json
from mlops_runtime.operations import compatibility
from mlops_runtime.operations.compatibility import breaking_changes
from mlops_runtime.testing import synthetic
from mlops_runtime.testing.strategies import valid_records

ORDERS = contract_json(synthetic.CONTRACTS[Task.BINARY])


def field(contract: dict[str, Any], name: str) -> dict[str, Any]:
    (found,) = (field for field in contract["fields"] if field["name"] == name)
    return found


def changed(change: Callable[[dict[str, Any]], Any]) -> dict[str, Any]:
    """Return the contract of orders after a change in place."""
    contract = deepcopy(ORDERS)
    change(contract)
    return contract


def without(name: str) -> Callable[[dict[str, Any]], Any]:
    return lambda contract: contract["fields"].remove(field(contract, name))


def updated(name: str, **changes: Any) -> Callable[[dict[str, Any]], Any]:
    return lambda contract: field(contract, name).update(changes)


def with_limits(name: str, **limits: Any) -> Callable[[dict[str, Any]], Any]:
    return lambda contract: field(contract, name)["limits"].update(limits)


def test_a_column_that_is_no_longer_left_out_is_told() -> None:
    old = ORDERS | {"left_out": ["id", "Items"]}

    assert breaking_changes(old, ORDERS) == [
        "column `id`: left out before, unknown now; requests with it get status 422"
    ]


def with_field(*, required: bool) -> Callable[[dict[str, Any]], Any]:
    new = {"name": "Age", "kind": "number", "required": required, "nullable": False, "choices": [], "limits": {}}
    return lambda contract: contract["fields"].append(new)


@pytest.mark.parametrize(
    ("change", "sentences"),
    [
        pytest.param(without("Items"), ["field `Items`: removed; requests with it get status 422"], id="field removed"),
        pytest.param(
            lambda contract: (without("Items")(contract), contract["left_out"].append("Items")), [], id="field left out"
        ),
        pytest.param(
            with_field(required=True),
            ["field `Age`: new and required; requests without it get status 422"],
            id="required field",
        ),
        pytest.param(
            updated("Items", required=True),
            ["field `Items`: required now; requests without it get status 422"],
            id="optional field required",
        ),
        pytest.param(
            updated("Items", nullable=False),
            ["field `Items`: must not be null any more; requests with null get status 422"],
            id="null refused",
        ),
        pytest.param(
            updated("Margin %", kind="integer"),
            ["field `Margin %`: number before, integer now; requests with a value that is no integer get status 422"],
            id="another kind",
        ),
        pytest.param(
            updated("Size", choices=["large"]),
            [
                "field `Size`: without the choice `medium, or so`; requests with it get status 422",
                "field `Size`: without the choice `small`; requests with it get status 422",
            ],
            id="choices removed",
        ),
        pytest.param(
            with_limits("Weight (kg)", minimum=1, maximum=999.5),
            [
                "field `Weight (kg)`: maximum 1000 before, 999.5 now; requests that break it get status 422",
                "field `Weight (kg)`: minimum 0 before, 1 now; requests that break it get status 422",
            ],
            id="narrower limits",
        ),
        pytest.param(
            with_limits("Margin %", minimum=0),
            ["field `Margin %`: minimum none before, 0 now; requests that break it get status 422"],
            id="new limit",
        ),
        pytest.param(
            with_limits("Remark", maxLength=100),
            ["field `Remark`: maxLength 20000 before, 100 now; requests that break it get status 422"],
            id="shorter text",
        ),
        pytest.param(
            with_limits("Courier", pattern="^[a-z]+$"),
            ["field `Courier`: pattern none before, ^[a-z]+$ now; requests that break it get status 422"],
            id="pattern",
        ),
        pytest.param(
            lambda contract: contract["labels"].append("lost"),
            ["label `lost`: new; responses can have it"],
            id="new label",
        ),
        pytest.param(
            lambda contract: contract["labels"].remove("kept"),
            ["label `kept`: removed; no response has it"],
            id="label removed",
        ),
        pytest.param(
            lambda contract: contract.update(task="multiclass"),
            ["task: `binary` before, `multiclass` now; predictions have another meaning"],
            id="task",
        ),
        pytest.param(
            lambda contract: contract.update(target="Refund"),
            ["target: `Fate` before, `Refund` now; predictions have another meaning"],
            id="target",
        ),
    ],
)
def test_a_change_that_breaks_callers_is_said(change: Callable[[dict[str, Any]], Any], sentences: list[str]) -> None:
    assert sorted(breaking_changes(ORDERS, changed(change))) == sentences


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda _: None, id="nothing"),
        pytest.param(lambda contract: contract["fields"].reverse(), id="order of the fields"),
        pytest.param(lambda contract: contract["labels"].reverse(), id="order of the labels"),
        pytest.param(with_field(required=False), id="optional field"),
        pytest.param(updated("Express", required=False, nullable=True), id="required field optional"),
        pytest.param(updated("Size", choices=["huge", "large", "medium, or so", "small"]), id="new choice"),
        pytest.param(with_limits("Weight (kg)", minimum=-1, maximum=2000), id="wider limits"),
        pytest.param(updated("Weight (kg)", limits={}), id="limits removed"),
        pytest.param(with_limits("Courier", maxLength=300), id="longer category"),
        pytest.param(updated("Items", kind="number"), id="numbers instead of integers"),
        pytest.param(
            updated("Size", kind="category", choices=[], limits={"minLength": 1, "maxLength": 200}),
            id="any category instead of choices",
        ),
    ],
)
def test_a_change_that_breaks_nobody_is_not_said(change: Callable[[dict[str, Any]], Any]) -> None:
    assert breaking_changes(ORDERS, changed(change)) == []


def test_an_unknown_contract_breaks_nothing() -> None:
    assert breaking_changes({}, ORDERS) == []


def test_labels_instead_of_values_are_said() -> None:
    values = contract_json(synthetic.CONTRACTS[Task.REGRESSION])
    assert breaking_changes(values, ORDERS) == [
        "task: `regression` before, `binary` now; predictions have another meaning",
        "target: `Price paid` before, `Fate` now; predictions have another meaning",
        "label `kept`: new; responses can have it",
        "label `returned`: new; responses can have it",
    ]


def test_the_module_needs_the_standard_library_alone() -> None:
    # given: a Python that has no packages
    runtime = Path(compatibility.__file__).parents[2]
    program = f"import sys; sys.path.insert(0, {str(runtime)!r}); import mlops_runtime.operations.compatibility"
    # then
    subprocess.run([sys.executable, "-I", "-S", "-c", program], check=True)


BASES: dict[Kind, Any] = {
    Kind.NUMBER: float,
    Kind.INTEGER: Integer,
    Kind.BOOLEAN: bool,
    Kind.DATE: date,
}


@dataclass(frozen=True)
class Spec:
    """A field to make: of numbers within limits, strings up to a length, or choices."""

    kind: Kind
    optional: bool
    low: int
    high: int
    choices: tuple[str, ...]

    def definition(self) -> Any:
        """Return the annotation and the default of the field."""
        match self.kind:
            case Kind.NUMBER | Kind.INTEGER:
                type_ = Annotated[BASES[self.kind], Field(ge=self.low, le=self.high)]
            case Kind.CATEGORY | Kind.TEXT:
                type_ = Annotated[str, self.kind, Field(min_length=1, max_length=1 + self.high)]
            case Kind.CHOICE:
                type_ = StrEnum("Choice", list(self.choices))
            case _:
                type_ = BASES[self.kind]
        return (type_ | None, None) if self.optional else type_


KINDS = (Kind.CHOICE, Kind.NUMBER, Kind.INTEGER, Kind.CATEGORY, Kind.TEXT, Kind.DATE)
SPECS = st.builds(
    Spec,
    kind=st.sampled_from(KINDS),
    optional=st.booleans(),
    low=st.integers(-2, 0),
    high=st.integers(1, 3),
    choices=st.sampled_from([("x",), ("x", "y"), ("y", "z"), ("x", "y", "z")]),
)


def contract_of(specs: dict[str, Spec]) -> Contract:
    definitions: Any = {name: spec.definition() for name, spec in specs.items()}
    record = create_model("Record", __base__=RecordModel, **definitions)
    return Contract(record, synthetic.FatePrediction, Task.BINARY, "fate")


@st.composite
def versions(draw: st.DrawFn) -> tuple[Contract, Contract]:
    """Return a contract, and one in which a field differs, is removed or is new."""
    spec = draw(SPECS)
    changes = [
        {"optional": not spec.optional},
        {"kind": draw(st.sampled_from(KINDS))},
        {"low": spec.low + draw(st.sampled_from([-1, 1])), "choices": ("x", "y", "z")},
        {"high": spec.high + draw(st.sampled_from([-1, 1])), "choices": spec.choices[:1]},
    ]
    changed = replace(spec, **draw(st.sampled_from(changes)))
    kept = {"kept": Spec(Kind.BOOLEAN, False, 0, 0, ())}
    there: dict[str, Spec] = {"field": spec}
    before, after = draw(st.sampled_from([(there, {"field": changed})] * 8 + [(there, {}), ({}, there)]))
    return contract_of(kept | before), contract_of(kept | after)


@settings(max_examples=200)
@given(pair=versions(), data=st.data())
def test_what_old_callers_send_is_valid_unless_a_sentence_says_so(
    pair: tuple[Contract, Contract], data: st.DataObject
) -> None:
    # given
    old, new = pair
    records = data.draw(st.lists(valid_records(old.record), min_size=3, max_size=6))
    # when
    changes = breaking_changes(contract_json(old), contract_json(new))
    # then
    event("breaking" if changes else "compatible")
    if not changes:
        for record in records:
            new.record_adapter.validate_json(record.model_dump_json())
            new.record_adapter.validate_json(record.model_dump_json(exclude_none=True))
