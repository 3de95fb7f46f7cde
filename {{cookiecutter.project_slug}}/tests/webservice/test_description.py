from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from pydantic import TypeAdapter

from webservice.problems import Problem
from webservice.settings import Settings

from {{cookiecutter.__package}}_model.datamodel import FEATURES, Prediction, Record

NOT_FOR_PROGRAMS = {"page", "docs", "static", "description"}


@pytest.fixture(scope="module")
def document(client: FlaskClient) -> dict[str, Any]:
    response = client.get("/openapi.json")
    assert response.content_type == "application/json"
    document: dict[str, Any] = response.get_json()
    return document


def references(part: Any) -> Iterator[str]:
    """Yield each reference within a part of a document."""
    if isinstance(part, dict):
        if "$ref" in part:
            yield part["$ref"]
        for child in part.values():
            yield from references(child)
    elif isinstance(part, list):
        for child in part:
            yield from references(child)


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

    found = set(references(document))
    assert found
    assert found <= targets


def test_the_record_is_that_of_the_contract(document: dict[str, Any]) -> None:
    record = document["components"]["schemas"]["Record"]

    assert tuple(record["properties"]) == FEATURES
    assert record["additionalProperties"] is False
    assert all(field["description"] for field in record["properties"].values())


def test_the_examples_are_what_the_service_answers(document: dict[str, Any], client: FlaskClient) -> None:
    # Given the examples of questions and answers
    operation = document["paths"]["/v1/predictions"]["post"]
    questions = operation["requestBody"]["content"]["application/json"]["examples"]
    answers = operation["responses"]["200"]["content"]["application/json"]["examples"]
    assert questions.keys() == answers.keys()

    for name, question in questions.items():
        # When a question is asked
        TypeAdapter(Record | list[Record]).validate_python(question["value"])
        response = client.post("/v1/predictions", json=question["value"])

        # Then the answer is the one of the example
        predictions = TypeAdapter(Prediction | list[Prediction])
        found, expected = predictions.validate_json(response.data), predictions.validate_python(answers[name]["value"])
        assert [one.label for one in listed(found)] == [one.label for one in listed(expected)]
        assert [one.probability for one in listed(found)] == pytest.approx(
            [one.probability for one in listed(expected)]
        )


def listed(predictions: Prediction | list[Prediction]) -> list[Prediction]:
    return predictions if isinstance(predictions, list) else [predictions]


def test_problems_are_described(document: dict[str, Any]) -> None:
    responses = document["paths"]["/v1/predictions"]["post"]["responses"]

    assert set(responses) == {"200", "400", "413", "415", "422"}
    for status in set(responses) - {"200"}:
        assert set(responses[status]["content"]) == {"application/problem+json"}
    assert set(document["components"]["schemas"]["Problem"]["properties"]) == set(Problem.model_fields)


def test_the_limits_are_described(document: dict[str, Any], settings: Settings) -> None:
    operation = document["paths"]["/v1/predictions"]["post"]

    _, many = operation["requestBody"]["content"]["application/json"]["schema"]["oneOf"]
    assert many["maxItems"] == settings.max_records
    assert str(settings.max_content_length) in operation["description"]
