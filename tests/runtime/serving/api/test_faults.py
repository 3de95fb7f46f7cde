import json
from enum import StrEnum
from typing import Any, Self

import pytest
from pydantic import model_validator
from pydantic_core import from_json

from mlops_runtime.contract import Contract, RecordModel, Task, ValuePrediction
from mlops_runtime.serving.api.faults import MAX_EXTRA_COLUMNS, FaultFinder
from mlops_runtime.serving.api.problems import MAX_ERRORS, FieldError
from tests.runtime.serving.conftest import PARCEL_FIELDS, Parcel

PARCEL = {
    "Weight (kg)": 2.5,
    "gift": 0,
    "express": True,
    "size": "small",
    "city": "Bonn",
    "ordered": "2024-12-31",
    'a/b~c <"&ü>': "13:45",
}


CONTRACT = Contract(Parcel, ValuePrediction, Task.REGRESSION, "price")


def faults_of(parcel: Any, contract: Contract = CONTRACT) -> tuple[FieldError, ...]:
    """Return the faults of a parcel."""
    faults = FaultFinder(contract).of_json(from_json(json.dumps(parcel)), (), MAX_ERRORS)
    assert faults.count == len(faults.errors)
    return faults.errors


@pytest.mark.parametrize(
    ("name", "value", "detail"),
    [
        ("Weight (kg)", -1, "must be a number of at least 0, usually 0.5 to 40"),
        ("items", 2.5, "must be a whole number from 1 to 99, or null"),
        ("express", "perhaps", "must be true or false"),
        ("size", "smal", 'must be one of large, small; did you mean "small"?'),
        ("size", "Large", 'must be one of large, small; did you mean "large"?'),
        ("size", "red", "must be one of large, small"),
        ("size", "large" * 1000, "must be one of large, small"),
        ("size", True, "must be one of large, small"),
        ("size", None, "must be one of large, small"),
        ("size", 10**400, "must be one of large, small"),
        ("city", "", "must be text of 1 to 200 characters"),
        ("remark", ["a"], "must be text of 1 to 20000 characters, or null"),
        ("ordered", "31.12.2024", "must be a date such as 2024-12-31"),
        ("paid", "2024-02-30T12:00", "must be a date and time such as 2024-12-31T13:45:00, or null"),
        ('a/b~c <"&ü>', 13, "must be a time such as 13:45:00"),
    ],
)
def test_a_wrong_value_of_any_kind_is_described(name: str, value: object, detail: str) -> None:
    (fault,) = faults_of(PARCEL | {name: value})

    assert (fault.field, fault.detail) == (name, detail)
    assert fault.pointer == "/" + name.replace("~", "~0").replace("/", "~1")


def test_a_missing_field_is_described_as_missing() -> None:
    parcel = {name: value for name, value in PARCEL.items() if name != "size"}

    (fault,) = faults_of(parcel)

    assert (fault.pointer, fault.detail) == ("/size", "is missing; it must be one of large, small")


@pytest.mark.parametrize(
    ("name", "question"), [("weight (kg)", '; did you mean "Weight (kg)"? The fields are'), ("x", "; the fields are")]
)
def test_the_nearest_field_is_suggested_for_an_unknown_one(name: str, question: str) -> None:
    (fault,) = faults_of(PARCEL | {name: 1})

    assert fault.field == name
    assert fault.detail.startswith(f"is not a field of a record{question} Weight (kg), items, ")
    assert fault.detail.endswith(" and 2 more")


class Digit(StrEnum):
    ONE = "1"
    TWO = "2"


class Ticket(RecordModel):
    digit: Digit


@pytest.mark.parametrize("value", [3, float("nan"), True, {}], ids=["another number", "NaN", "boolean", "object"])
def test_no_choice_is_suggested_for_a_value_that_is_no_text(value: object) -> None:
    contract = Contract(Ticket, ValuePrediction, Task.REGRESSION, "price")

    (fault,) = faults_of({"digit": value}, contract)

    assert fault.detail == "must be one of 1, 2"


@pytest.mark.parametrize(
    ("name", "suggestion"), [("Prise", "price"), ("order_ids", "order_id"), ("sise", "size")], ids=str
)
def test_the_nearest_column_is_suggested_for_an_unknown_one(name: str, suggestion: str) -> None:
    contract = Contract(Parcel, ValuePrediction, Task.REGRESSION, "price", left_out=("order_id",))

    (fault,) = faults_of(PARCEL | {"price": "?", "order_id": [1], name: 1}, contract)

    assert (fault.field, f'did you mean "{suggestion}"?' in fault.detail) == (name, True)


def test_faults_are_in_the_order_of_the_fields_and_unknown_fields_are_last() -> None:
    parcel = {"unknown?": 1} | PARCEL | {"gift": "x", "city": ""}
    del parcel["express"]

    assert [fault.field for fault in faults_of(parcel)] == ["gift", "express", "city", "unknown?"]


class Span(RecordModel):
    start: float
    end: float

    @model_validator(mode="after")
    def check_order(self) -> Self:
        if self.start > self.end:
            raise ValueError("the end is before the start")
        return self


def test_a_fault_of_the_record_as_a_whole_has_the_message_of_its_validator() -> None:
    contract = Contract(Span, ValuePrediction, Task.REGRESSION, "price")

    (fault,) = faults_of({"start": 2, "end": 1}, contract)

    assert (fault.pointer, fault.field) == ("", None)
    assert "the end is before the start" in fault.detail


def test_a_header_of_too_many_columns_is_one_fault() -> None:
    names = [str(number) for number in range(len(PARCEL_FIELDS) + len(CONTRACT.ignored) + MAX_EXTRA_COLUMNS + 1)]

    faults = FaultFinder(CONTRACT).of_columns(names)

    assert faults is not None
    (fault,) = faults.errors
    assert f"{len(names)} columns" in fault.detail
