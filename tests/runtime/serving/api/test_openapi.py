import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from pydantic import BaseModel, TypeAdapter
from pydantic.json_schema import models_json_schema

from mlops_runtime.contract.features import FEATURES, FIELDS
from mlops_runtime.model.golden import agrees
from mlops_runtime.model.predictor import Predictor
from mlops_runtime.serving.api.negotiation import FORMATS
from mlops_runtime.serving.api.openapi import REFERENCES, SCHEMAS, Schemas, openapi
from mlops_runtime.serving.api.problems import Problem
from mlops_runtime.serving.settings import Settings
from tests.runtime.serving.conftest import Parcel

NOT_FOR_PROGRAMS = {"page", "docs", "static", "report"}


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
    targets = {f"#/components/{kind}/{name}" for kind, parts in document["components"].items() for name in parts}

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
        ranges = [part["x-expected-range"] for part in objects(properties[field.name]) if "x-expected-range" in part]
        assert ranges == ([list(field.expected)] if field.expected else [])


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


@pytest.mark.parametrize("media_type", ["application/x-ndjson", "text/csv"])
def test_the_examples_of_other_formats_ask_the_same(
    document: dict[str, Any], client: FlaskClient, media_type: str
) -> None:
    # Given the list of records in JSON, and in another format
    operation = document["paths"]["/v1/predictions"]["post"]
    plain, other = (
        operation["requestBody"]["content"][name]["examples"]["list"]["value"]
        for name in ("application/json", media_type)
    )

    # When both are asked for an answer in JSON
    headers = {"Accept": "application/json"}
    response = client.post("/v1/predictions", data=other, content_type=media_type, headers=headers)

    # Then they get the same
    assert response.get_json() == client.post("/v1/predictions", json=plain).get_json()


def test_every_format_is_described(document: dict[str, Any]) -> None:
    operation = document["paths"]["/v1/predictions"]["post"]

    assert tuple(operation["requestBody"]["content"]) == FORMATS
    assert tuple(operation["responses"]["200"]["content"]) == FORMATS


def test_problems_are_described(document: dict[str, Any]) -> None:
    responses = document["paths"]["/v1/predictions"]["post"]["responses"]

    assert set(responses) == {"200", "400", "406", "408", "413", "415", "422", "503"}
    for status in set(responses) - {"200"}:
        assert set(responses[status]["content"]) == {"application/problem+json"}
    assert set(schema_of(document, Problem)["properties"]) == set(Problem.model_fields)


def test_the_limits_are_described(document: dict[str, Any], settings: Settings) -> None:
    operation = document["paths"]["/v1/predictions"]["post"]

    _, many = operation["requestBody"]["content"]["application/json"]["schema"]["oneOf"]
    assert many["maxItems"] == settings.max_records
    assert str(settings.max_content_length) in operation["description"]


@pytest.mark.parametrize("path", ["/v1/predictions", "/version", "/openapi.json"])
def test_keys_and_rates_are_described_where_there_are_some(
    predictor: Predictor, settings: Settings, tmp_path: Path, path: str
) -> None:
    # Given a service that wants keys and limits rates
    strict = settings.model_copy(update={"api_keys": tmp_path, "rate_limit": 10})

    # When it describes itself
    document, free = (openapi(predictor.golden_records, one) for one in (strict, settings))

    # Then it tells so, and another one does not
    (operation,), (of_free,) = document["paths"][path].values(), free["paths"][path].values()
    assert set(operation["responses"]) - set(of_free["responses"]) == {"401", "429"}
    assert document["security"] == [{"bearer": []}, {"basic": []}]
    assert "security" not in free


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_the_cluster_needs_no_key(predictor: Predictor, settings: Settings, tmp_path: Path, path: str) -> None:
    document = openapi(predictor.golden_records, settings.model_copy(update={"api_keys": tmp_path}))

    assert document["paths"][path]["get"]["security"] == []
    assert "401" not in document["paths"][path]["get"]["responses"]


def test_a_date_is_described_as_programs_know_it() -> None:
    _, definitions = models_json_schema([(Parcel, "validation")], schema_generator=Schemas)
    properties = definitions["$defs"]["Parcel"]["properties"]

    assert properties["ordered"]["format"] == "date"
    # These formats want an offset, which the contract does not
    assert "format" not in properties["paid"]["anyOf"][0]


def test_a_document_that_the_caller_has_is_not_sent_again(client: FlaskClient) -> None:
    response = client.get("/openapi.json")

    again = client.get("/openapi.json", headers={"If-None-Match": response.headers["ETag"]})
    assert (again.status_code, again.data) == (304, b"")


def test_the_document_holds_nothing_that_json_cannot(client: FlaskClient) -> None:
    def refuse(constant: str) -> None:
        pytest.fail(f"the document holds {constant}")

    json.loads(client.get("/openapi.json").data, parse_constant=refuse)


def test_classes_of_one_name_are_told_apart(document: dict[str, Any]) -> None:
    # Whatever the contract calls its classes, each of these has a schema of its own
    names = [reference["$ref"] for reference in REFERENCES.values()]

    assert len(names) == len(set(names))
    assert {name.removeprefix(SCHEMAS) for name in names} <= set(document["components"]["schemas"])
