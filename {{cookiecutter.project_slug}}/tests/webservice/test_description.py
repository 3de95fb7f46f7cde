import json
from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from pydantic import BaseModel, TypeAdapter

from webservice.description import REFERENCES, SCHEMAS
from webservice.problems import Problem
from webservice.settings import Settings

from {{cookiecutter.__package}}_model.classifier import agrees
from {{cookiecutter.__package}}_model.datamodel import Prediction, Record
from {{cookiecutter.__package}}_model.features import FEATURES, FIELDS

NOT_FOR_PROGRAMS = {"page", "docs", "static", "description"}


@pytest.fixture(scope="module")
def document(client: FlaskClient) -> dict[str, Any]:
    response = client.get("/openapi.json")
    assert response.content_type == "application/json"
    document: dict[str, Any] = response.get_json()
    return document


def objects(part: Any) -> Iterator[dict[str, Any]]:
    """Yield each object within a part of a document, the part itself included."""
    if isinstance(part, dict):
        yield part
    for child in part.values() if isinstance(part, dict) else part if isinstance(part, list) else ():
        yield from objects(child)


def schema_of(document: dict[str, Any], described: type[BaseModel]) -> dict[str, Any]:
    """Return the schema of a class, whatever the document calls it."""
    schema: dict[str, Any] = document["components"]["schemas"][REFERENCES[described]["$ref"].removeprefix(SCHEMAS)]
    return schema


def test_the_document_is_of_the_service(document: dict[str, Any], settings: Settings) -> None:
    assert document["openapi"].startswith("3.1.")
    assert document["info"]["version"] == settings.version
    assert document["info"]["title"]


def test_every_address_for_programs_is_described(document: dict[str, Any], app: Flask) -> None:
    addresses = {
        (rule.rule, method.lower())
        for rule in app.url_map.iter_rules()
        if rule.endpoint.split(".")[0] not in NOT_FOR_PROGRAMS
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }

    assert {(path, method) for path, methods in document["paths"].items() for method in methods} == addresses


def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    targets = {f"#/components/schemas/{name}" for name in document["components"]["schemas"]}

    found = {part["$ref"] for part in objects(document) if "$ref" in part}
    assert found
    assert found <= targets


def test_the_record_is_that_of_the_contract(document: dict[str, Any]) -> None:
    record = schema_of(document, Record)

    assert tuple(record["properties"]) == FEATURES
    assert record["additionalProperties"] is False
    assert [field["description"] for field in record["properties"].values()] == [field.description for field in FIELDS]


def test_a_usual_range_is_described(document: dict[str, Any]) -> None:
    properties = schema_of(document, Record)["properties"]

    for field in FIELDS:
        ranges = [part["x-usual-range"] for part in objects(properties[field.name]) if "x-usual-range" in part]
        assert ranges == ([list(field.usual)] if field.usual else [])


def test_the_examples_are_what_the_service_answers(document: dict[str, Any], client: FlaskClient) -> None:
    # Given the examples of questions and answers
    operation = document["paths"]["/v1/predictions"]["post"]
    questions = operation["requestBody"]["content"]["application/json"]["examples"]
    answers = operation["responses"]["200"]["content"]["application/json"]["examples"]
    assert questions.keys() == answers.keys()

    for name, question in questions.items():
        # When a question is asked
        response = client.post("/v1/predictions", json=question["value"])

        # Then the answer is the one of the example
        predictions = TypeAdapter(Prediction | list[Prediction])
        found, expected = predictions.validate_json(response.data), predictions.validate_python(answers[name]["value"])
        assert len(listed(found)) == len(listed(expected))
        assert all(agrees(one, other) for one, other in zip(listed(found), listed(expected), strict=True))


def listed(predictions: Prediction | list[Prediction]) -> list[Prediction]:
    return predictions if isinstance(predictions, list) else [predictions]


def test_problems_are_described(document: dict[str, Any]) -> None:
    responses = document["paths"]["/v1/predictions"]["post"]["responses"]

    assert set(responses) == {"200", "400", "413", "415", "422"}
    for status in set(responses) - {"200"}:
        assert set(responses[status]["content"]) == {"application/problem+json"}
    assert set(schema_of(document, Problem)["properties"]) == set(Problem.model_fields)


def test_the_limits_are_described(document: dict[str, Any], settings: Settings) -> None:
    operation = document["paths"]["/v1/predictions"]["post"]

    _, many = operation["requestBody"]["content"]["application/json"]["schema"]["oneOf"]
    assert many["maxItems"] == settings.max_records
    assert str(settings.max_content_length) in operation["description"]


def test_the_document_holds_nothing_that_json_cannot(client: FlaskClient) -> None:
    def refuse(constant: str) -> None:
        pytest.fail(f"the document holds {constant}")

    json.loads(client.get("/openapi.json").data, parse_constant=refuse)


def test_classes_of_one_name_are_told_apart(document: dict[str, Any]) -> None:
    # Whatever the contract calls its classes, each of these has a schema of its own
    names = [reference["$ref"] for reference in REFERENCES.values()]

    assert len(names) == len(set(names))
    assert {name.removeprefix(SCHEMAS) for name in names} <= set(document["components"]["schemas"])
