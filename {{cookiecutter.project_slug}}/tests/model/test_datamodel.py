import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from {{cookiecutter.__package}}_model.datamodel import (
    FEATURES,
    TARGET,
    Label,
    Prediction,
    Record,
    feature_matrix,
)

SCHEMA = Record.model_json_schema(by_alias=True)
REQUIRED = SCHEMA["required"]
EXAMPLE = {name: SCHEMA["properties"][name].get("minimum", 1) for name in REQUIRED}


def test_features_are_the_fields_of_the_schema_and_not_the_target() -> None:
    assert tuple(SCHEMA["properties"]) == FEATURES
    assert TARGET not in FEATURES


def test_every_field_explains_itself() -> None:
    assert all(field.description for field in Record.model_fields.values())


@given(record=st.from_type(Record))
def test_a_record_survives_json(record: Record) -> None:
    assert Record.model_validate_json(record.model_dump_json()) == record
    assert tuple(json.loads(record.model_dump_json())) == FEATURES


@given(records=st.lists(st.from_type(Record), max_size=5))
def test_the_matrix_has_a_row_for_each_record_and_nan_where_a_value_is_missing(records: list[Record]) -> None:
    matrix = feature_matrix(records)
    assert matrix.shape == (len(records), len(FEATURES))
    assert matrix.dtype == np.float64
    for row, record in zip(matrix.tolist(), records, strict=True):
        values = record.model_dump(by_alias=True)
        assert [None if math.isnan(value) else value for value in row] == [values[name] for name in FEATURES]


@pytest.mark.parametrize("name", REQUIRED)
@pytest.mark.parametrize(
    ("value", "kind"),
    [
        pytest.param(True, "float_type", id="boolean"),
        pytest.param("5", "float_type", id="string"),
        pytest.param(None, "float_type", id="null"),
        pytest.param([1], "float_type", id="list"),
        pytest.param(math.nan, "finite_number", id="nan"),
        pytest.param(math.inf, "finite_number", id="infinite"),
        pytest.param(1e300, "less_than_equal", id="too-high"),
        pytest.param(-1e300, "greater_than_equal", id="too-low"),
    ],
)
def test_a_value_outside_the_contract_is_refused_by_the_name_of_its_field(name: str, value: object, kind: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Record.model_validate(EXAMPLE | {name: value})
    (error,) = caught.value.errors()
    assert (error["loc"], error["type"]) == ((name,), kind)


@pytest.mark.parametrize("name", REQUIRED)
def test_a_required_field_may_not_be_left_out(name: str) -> None:
    with pytest.raises(ValidationError, match="Field required"):
        Record.model_validate({key: value for key, value in EXAMPLE.items() if key != name})


def test_an_optional_field_may_be_left_out() -> None:
    record = Record.model_validate(EXAMPLE)
    assert np.isnan(feature_matrix([record])).sum() == len(FEATURES) - len(REQUIRED)


def test_an_unknown_field_is_refused() -> None:
    with pytest.raises(ValidationError, match="Extra inputs"):
        Record.model_validate(EXAMPLE | {"unknown": 1})


def test_a_record_does_not_change() -> None:
    record = Record.model_validate(EXAMPLE)
    with pytest.raises(ValidationError, match="frozen"):
        setattr(record, next(iter(Record.model_fields)), 2.0)


@pytest.mark.parametrize("probability", [-0.1, 1.1])
def test_a_probability_is_from_0_to_1(probability: float) -> None:
    with pytest.raises(ValidationError):
        Prediction(label=next(iter(Label)), probability=probability)
