"""The contract of the project: what its fields have in common, whatever they are."""

import json
from typing import Any

import pytest
from hypothesis import find, given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from {{cookiecutter.__package}}_model.datamodel import TARGET, TASK, Prediction, Record
from {{cookiecutter.__package}}_model.features import FEATURES, FIELDS, LABELS
from {{cookiecutter.__package}}_model.fields import (
    FieldSpec,
    Kind,
    LabelPrediction,
    Task,
    ValuePrediction,
)

SCHEMA = Record.model_json_schema(by_alias=True)
EXAMPLE: dict[str, Any] = json.loads(find(st.from_type(Record), lambda _: True).model_dump_json())

OTHER_TYPES = [pytest.param(value, id=name) for name, value in {
    "list": [1], "object": {"value": 1}, "string-that-is-none": "\u2400 none of them",
}.items()]  # fmt: skip
"""What no field holds; but a category and a text hold any string."""

fields = pytest.mark.parametrize("field", FIELDS, ids=[field.attribute for field in FIELDS])


def refused(changes: dict[str, Any]) -> tuple[tuple[int | str, ...], str]:
    """Return place and type of the one error of a record with these changes."""
    with pytest.raises(ValidationError) as caught:
        Record.model_validate_json(json.dumps(EXAMPLE | changes))
    (error,) = caught.value.errors()
    return error["loc"], error["type"]


def test_features_are_the_fields_of_the_schema_and_not_the_target() -> None:
    assert tuple(SCHEMA["properties"]) == FEATURES
    assert TARGET not in FEATURES


def test_the_task_is_that_of_the_prediction() -> None:
    expected = {Task.BINARY: LabelPrediction, Task.MULTICLASS: LabelPrediction, Task.REGRESSION: ValuePrediction}
    assert issubclass(Prediction, expected[TASK])
    assert (len(LABELS) == 2, len(LABELS) > 2, not LABELS) == (
        TASK is Task.BINARY, TASK is Task.MULTICLASS, TASK is Task.REGRESSION,
    )  # fmt: skip


@fields
def test_every_field_explains_itself(field: FieldSpec) -> None:
    assert field.description


@given(record=st.from_type(Record))
def test_a_record_survives_json(record: Record) -> None:
    assert Record.model_validate_json(record.model_dump_json()) == record
    assert tuple(json.loads(record.model_dump_json())) == FEATURES


@fields
@pytest.mark.parametrize("value", OTHER_TYPES)
def test_a_value_of_another_type_is_refused_by_the_name_of_its_field(field: FieldSpec, value: object) -> None:
    if isinstance(value, str) and field.kind in (Kind.CATEGORY, Kind.TEXT):
        assert Record.model_validate_json(json.dumps(EXAMPLE | {field.name: value}))
    else:
        place, _ = refused({field.name: value})
        assert place[0] == field.name


@fields
def test_a_value_may_be_missing_where_the_contract_allows_it(field: FieldSpec) -> None:
    without = {name: value for name, value in EXAMPLE.items() if name != field.name}
    if field.optional:
        assert Record.model_validate_json(json.dumps(without)) == Record.model_validate_json(
            json.dumps(without | {field.name: None})
        )
    else:
        place, _ = refused({field.name: None})
        assert place == (field.name,)
        with pytest.raises(ValidationError, match="Field required"):
            Record.model_validate_json(json.dumps(without))


@fields
def test_numbers_end_at_the_bounds_of_the_contract(field: FieldSpec) -> None:
    for bound, beyond, kind in ((field.minimum, -1, "greater_than_equal"), (field.maximum, 1, "less_than_equal")):
        if bound is not None:
            assert Record.model_validate_json(json.dumps(EXAMPLE | {field.name: bound}))
            assert refused({field.name: bound + beyond * max(1, abs(bound))}) == ((field.name,), kind)


def test_an_unknown_field_is_refused() -> None:
    assert refused({"\u2400": 1}) == (("\u2400",), "extra_forbidden")


def test_a_record_does_not_change() -> None:
    record = Record.model_validate_json(json.dumps(EXAMPLE))
    with pytest.raises(ValidationError, match="frozen"):
        setattr(record, FIELDS[0].attribute, None)


def test_a_prediction_is_one_of_the_contract() -> None:
    adapter = TypeAdapter(Prediction)
    for label in LABELS:
        assert adapter.validate_python({"label": label, "probability": 1, "probabilities": {label: 1}})
    with pytest.raises(ValidationError):
        adapter.validate_python({"label": "\u2400", "value": "\u2400"})
