from dataclasses import replace
from typing import Any

import pytest

from mlops_runtime.dashboard import ClientError, Input, inputs_of
from mlops_runtime.model import Predictor
from mlops_runtime.serving import create_app


def document_of(name: str, schema: dict[str, Any], value: Any) -> dict[str, Any]:
    """Return the parts of an OpenAPI document that describe a record of one field, which has this value."""
    content = {
        "schema": {"oneOf": [{"$ref": "#/components/schemas/Record"}, {"type": "array"}]},
        "examples": {"one": {"value": {name: value}}},
    }
    schemas = {
        "Record": {"properties": {name: schema, "target": {"description": "Ignored"}}},
        "Size": {"enum": ["large", "small"], "type": "string"},
        "Only": {"const": "large", "type": "string"},
    }
    operation = {"requestBody": {"content": {"application/json": content}}}
    return {"paths": {"/v1/explanations": {"post": operation}}, "components": {"schemas": schemas}}


FIELD = Input("a", "number", "", optional=False, value=None)
OR_NULL = {"type": "null"}


@pytest.mark.parametrize(
    ("schema", "value", "expected"),
    [
        pytest.param(
            {"type": "number", "minimum": 0, "x-expected-range": [-3, 41.5]}, 6.5,
            replace(FIELD, value=6.5, low=0.0, high=41.5, step=0.5), id="an expected range within limits",
        ),
        pytest.param({"type": "number"}, 2.5, replace(FIELD, value=2.5), id="no range"),
        pytest.param(
            {"anyOf": [{"type": "number", "multipleOf": 1, "minimum": 1, "maximum": 10}, OR_NULL]}, None,
            replace(FIELD, kind="integer", optional=True, low=1, high=10, step=1), id="integer or missing",
        ),
        pytest.param(
            {"type": "number", "x-expected-range": [0, 1]}, 30,
            replace(FIELD, value=30, low=0.0, high=30.0, step=0.5), id="a value outside the range",
        ),
        pytest.param({"type": "number", "minimum": 3, "maximum": 3}, 3, replace(FIELD, value=3), id="one value"),
        pytest.param(
            {"anyOf": [{"$ref": "#/components/schemas/Size"}, OR_NULL]}, "small",
            replace(FIELD, kind="choice", optional=True, value="small", choices=["large", "small"]), id="choice",
        ),
        pytest.param(
            {"$ref": "#/components/schemas/Only"}, "large",
            replace(FIELD, kind="choice", value="large", choices=["large"]), id="one choice",
        ),
        pytest.param({"type": "boolean"}, True, replace(FIELD, kind="boolean", value=True), id="boolean"),
        pytest.param(
            {"type": "string", "format": "date"}, "2021-05-04",
            replace(FIELD, kind="date", value="2021-05-04"), id="date",
        ),
        pytest.param(
            {"type": "string", "description": "A word"}, "x",
            replace(FIELD, kind="text", value="x", description="A word"), id="text",
        ),
    ],
)  # fmt: skip
def test_an_input_follows_from_the_schema(schema: dict[str, Any], value: Any, expected: Input) -> None:
    assert inputs_of(document_of("a", schema, value)) == [expected]


def test_each_field_of_a_service_has_an_input(each_predictor: Predictor) -> None:
    document = create_app(each_predictor, title="Fate").test_client().get("/openapi.json").get_json()

    inputs = inputs_of(document)

    assert [field.name for field in inputs] == list(each_predictor.contract.features)
    assert {field.kind for field in inputs} == {"number", "integer", "boolean", "choice", "date", "text"}


def test_a_service_that_explains_nothing_is_said() -> None:
    with pytest.raises(ClientError, match="explains no predictions"):
        inputs_of({"paths": {"/v1/predictions": {}}})
