from typing import Any

import pytest

from webservice.fields import FIELDS, record_fields

from {{cookiecutter.__package}}_model.datamodel import FEATURES, Record


def test_the_fields_are_those_of_the_contract() -> None:
    assert tuple(field.name for field in FIELDS) == FEATURES
    assert [field.required for field in FIELDS] == [field.is_required() for field in Record.model_fields.values()]
    assert [field.description for field in FIELDS] == [field.description for field in Record.model_fields.values()]


@pytest.mark.parametrize(
    ("schema", "bounds", "allowed"),
    [
        pytest.param(
            {"minimum": 1, "maximum": 10, "multipleOf": 1}, "from 1 to 10", "a whole number from 1 to 10", id="whole"
        ),
        pytest.param({"minimum": 0.5, "maximum": 2}, "from 0.5 to 2", "a number from 0.5 to 2", id="any-number"),
        pytest.param({"minimum": 0}, "of at least 0", "a number of at least 0", id="least"),
        pytest.param({"maximum": 9}, "of at most 9", "a number of at most 9", id="most"),
        pytest.param({"multipleOf": 0.5}, "", "a number in steps of 0.5", id="steps"),
        pytest.param({}, "", "a number", id="no-bounds"),
    ],
)
def test_what_a_field_takes_is_said_in_words(schema: dict[str, Any], bounds: str, allowed: str) -> None:
    # Given a field that must be given, and one that may be null
    number = {"type": "number"} | schema
    properties = {"a_b": number, "c": {"anyOf": [number, {"type": "null"}]}}

    # When the fields are read from the schema
    given, optional = record_fields({"properties": properties, "required": ["a_b"]})

    # Then their words tell what they take
    assert (given.label, given.required, given.nullable) == ("a b", True, False)
    assert (optional.required, optional.nullable) == (False, True)
    assert given.bounds == optional.bounds == bounds
    assert given.allowed == given.range == allowed
    assert optional.allowed == f"{allowed}, or null"
