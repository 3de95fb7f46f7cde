import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from typing import Any

import pytest
from pydantic import Field

from mlops_runtime.contract import (
    Category,
    Contract,
    FieldSpec,
    Integer,
    Kind,
    LabelPrediction,
    RecordModel,
    Task,
    ValuePrediction,
    contract_json,
)
from mlops_runtime.contract.contract import _sha256
from mlops_runtime.testing import synthetic as orders

CONTRACT = orders.CONTRACTS[Task.BINARY]


def hash_of(fields: Sequence[FieldSpec]) -> str:
    """Return the hash of the contract with these fields."""
    return _sha256(CONTRACT.task, CONTRACT.target, CONTRACT.labels, fields)


@pytest.mark.parametrize("task", orders.TASKS)
def test_a_contract_has_fields_and_labels(task: Task) -> None:
    contract = orders.CONTRACTS[task]

    assert contract.fields == contract.layout.fields == orders.FIELDS
    assert contract.features == tuple(field.name for field in orders.FIELDS)
    assert contract.labels == orders.LABELS[task]
    assert contract.description == "An order."


@pytest.mark.parametrize(
    ("task", "prediction", "base"),
    [
        pytest.param(Task.REGRESSION, orders.FatePrediction, "ValuePrediction", id="label for regression"),
        pytest.param(Task.BINARY, ValuePrediction, "LabelPrediction", id="value for a label"),
    ],
)
def test_a_prediction_that_does_not_fit_the_task_is_refused(
    task: Task, prediction: type[LabelPrediction] | type[ValuePrediction], base: str
) -> None:
    with pytest.raises(TypeError, match=f"does not fit the task {task}: derive it from {base}"):
        Contract(orders.Order, prediction, task, "target")


def test_a_field_of_an_unsupported_type_is_refused() -> None:
    class Unsupported(RecordModel):
        value: complex

    with pytest.raises(TypeError, match="has the unsupported type"):
        Contract(Unsupported, ValuePrediction, Task.REGRESSION, "target")


def test_columns_left_out_the_key_and_the_target_are_ignored_in_requests() -> None:
    contract = Contract(orders.Order, ValuePrediction, Task.REGRESSION, "price", left_out=("id", "shop"), key="order")

    assert contract.ignored == {"id", "shop", "order", "price"}
    assert contract.sha256 == Contract(orders.Order, ValuePrediction, Task.REGRESSION, "price").sha256


@pytest.mark.parametrize(
    "columns", [pytest.param({"left_out": ("Items",)}, id="left out"), pytest.param({"key": "Items"}, id="key")]
)
def test_a_field_is_neither_left_out_nor_the_key(columns: dict[str, Any]) -> None:
    with pytest.raises(TypeError, match="'Items' is a field"):
        Contract(orders.Order, ValuePrediction, Task.REGRESSION, "price", **columns)


@pytest.mark.parametrize(
    ("changes", "same"),
    [
        pytest.param({}, True, id="nothing"),
        pytest.param({"description": "Other words"}, True, id="description"),
        pytest.param({"expected": (0, 1)}, True, id="expected-range"),
        pytest.param({"minimum": -5.0}, True, id="bound"),
        pytest.param({"name": "Mass"}, False, id="name"),
        pytest.param({"kind": Kind.INTEGER}, False, id="kind"),
        pytest.param({"optional": True}, False, id="optional"),
        pytest.param({"choices": ("a", "b")}, False, id="choices"),
    ],
)
def test_the_hash_covers_what_the_model_depends_on(changes: dict[str, Any], same: bool) -> None:
    changed = (replace(orders.FIELDS[0], **changes), *orders.FIELDS[1:])
    assert (hash_of(changed) == CONTRACT.sha256) is same


def test_the_hash_depends_on_the_order_of_the_fields() -> None:
    assert hash_of(orders.FIELDS[::-1]) != CONTRACT.sha256


class Parcel(RecordModel):
    """Fields with and without limits."""

    weight: float = Field(gt=0, le=30, alias="Weight (kg)")
    pieces: Integer | None = Field(ge=1)
    size: orders.Size | None = None
    sender: Category = Field(default="shop", pattern="^s")
    sent: date | None = None


def test_a_contract_as_json_has_what_callers_depend_on() -> None:
    contract = Contract(Parcel, orders.FatePrediction, Task.BINARY, "fate")

    content = contract_json(contract)

    assert content == json.loads(json.dumps(content))
    assert {name: content[name] for name in ("task", "target", "labels")} == {
        "task": "binary",
        "target": "fate",
        "labels": ["kept", "returned"],
    }
    assert [tuple(field.values()) for field in content["fields"]] == [
        ("Weight (kg)", True, False, "number", [], {"exclusiveMinimum": 0, "maximum": 30}),
        ("pieces", True, True, "integer", [], {"minimum": 1}),
        ("size", False, True, "choice", ["large", "medium, or so", "small"], {}),
        ("sender", False, False, "category", [], {"maxLength": 200, "minLength": 1, "pattern": "^s"}),
        ("sent", False, True, "date", [], {}),
    ]
