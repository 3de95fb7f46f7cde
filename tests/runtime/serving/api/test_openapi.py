import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from openapi_spec_validator import validate
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from mlops_runtime.contract import Contract
from mlops_runtime.model import Predictor, agrees
from mlops_runtime.serving import create_app, operation
from mlops_runtime.serving.api.negotiation import FORMATS
from mlops_runtime.serving.api.openapi import SCHEMAS, Description, Schemas
from mlops_runtime.serving.api.problems import Problem
from mlops_runtime.serving.settings import Settings
from tests.runtime.serving.conftest import TITLE, Parcel

NOT_FOR_PROGRAMS = {"page", "docs", "static", "report"}
RECORD_ROUTES = ["/v1/predictions", "/v1/explanations"]
"""Routes that take records."""


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
    """Return the schema of a type."""
    schema: dict[str, Any] = document["components"]["schemas"][described.__name__]
    return schema


def document_of(predictor: Predictor, settings: Settings) -> dict[str, Any]:
    """Return the document of a service with these settings."""
    return Description(predictor, settings, TITLE).document()


def test_the_document_has_title_and_version_of_the_service(document: dict[str, Any], settings: Settings) -> None:
    assert document["openapi"].startswith("3.1.")
    assert document["info"]["version"] == settings.version
    assert document["info"]["title"] == TITLE


def test_every_route_for_programs_is_described(document: dict[str, Any], app: Flask) -> None:
    routes = {
        (rule.rule, method.lower())
        for rule in app.url_map.iter_rules()
        if rule.endpoint.split(".")[0] not in NOT_FOR_PROGRAMS
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }

    assert {(path, method) for path, methods in document["paths"].items() for method in methods} == routes


def test_every_reference_resolves(document: dict[str, Any]) -> None:
    targets = {f"#/components/{kind}/{name}" for kind, parts in document["components"].items() for name in parts}

    references = {part["$ref"] for part in objects(document) if "$ref" in part}
    assert references
    assert references <= targets


def test_the_record_schema_matches_the_contract(document: dict[str, Any], contract: Contract) -> None:
    record = schema_of(document, contract.record)

    assert tuple(record["properties"]) == (*contract.features, contract.target)
    assert record["additionalProperties"] is False
    assert [record["properties"][field.name]["description"] for field in contract.fields] == [
        field.description for field in contract.fields
    ]


def test_an_expected_range_is_described(document: dict[str, Any], contract: Contract) -> None:
    properties = schema_of(document, contract.record)["properties"]

    for field in contract.fields:
        ranges = [part["x-expected-range"] for part in objects(properties[field.name]) if "x-expected-range" in part]
        assert ranges == ([list(field.expected)] if field.expected else [])


def test_the_service_gives_the_predictions_of_the_examples(each_predictor: Predictor, each_client: FlaskClient) -> None:
    # Given the examples of requests and responses
    document = each_client.get("/openapi.json").get_json()
    operation = document["paths"]["/v1/predictions"]["post"]
    requests = operation["requestBody"]["content"]["application/json"]["examples"]
    responses = operation["responses"]["200"]["content"]["application/json"]["examples"]
    assert requests.keys() == responses.keys()

    for name, sent in requests.items():
        # When the request is sent
        response = each_client.post("/v1/predictions", json=sent["value"]).get_json()

        # Then its predictions are those of the example
        read = each_predictor.contract.prediction.model_validate
        predictions, expected = listed(response), listed(responses[name]["value"])
        assert len(predictions) == len(expected)
        assert all(agrees(read(left), read(right)) for left, right in zip(predictions, expected, strict=True))


def listed(predictions: dict[str, Any] | list[dict[str, Any]]) -> list[dict[str, Any]]:
    return predictions if isinstance(predictions, list) else [predictions]


@pytest.mark.parametrize("path", RECORD_ROUTES)
@pytest.mark.parametrize("media_type", ["application/x-ndjson", "text/csv"])
def test_the_examples_of_other_formats_hold_the_same_records(
    document: dict[str, Any], client: FlaskClient, path: str, media_type: str
) -> None:
    # Given the list of records in JSON, and in another format
    operation = document["paths"][path]["post"]
    plain, other = (
        operation["requestBody"]["content"][name]["examples"]["list"]["value"]
        for name in ("application/json", media_type)
    )

    # When both are sent with a response in JSON
    headers = {"Accept": "application/json"}
    response = client.post(path, data=other, content_type=media_type, headers=headers)

    # Then they get the same response
    assert response.status_code == 200
    assert response.get_json() == client.post(path, json=plain).get_json()


@pytest.mark.parametrize("path", RECORD_ROUTES)
def test_every_format_is_described(document: dict[str, Any], path: str) -> None:
    operation = document["paths"][path]["post"]

    assert tuple(operation["requestBody"]["content"]) == FORMATS
    assert tuple(operation["responses"]["200"]["content"]) == FORMATS


@pytest.mark.parametrize("path", RECORD_ROUTES)
def test_problems_are_described(document: dict[str, Any], path: str) -> None:
    responses = document["paths"][path]["post"]["responses"]

    assert set(responses) == {"200", "400", "406", "408", "413", "415", "422", "503"}
    for status in set(responses) - {"200"}:
        assert set(responses[status]["content"]) == {"application/problem+json"}
    assert set(schema_of(document, Problem)["properties"]) == set(Problem.model_fields)


@pytest.mark.parametrize(
    ("path", "setting"), [("/v1/predictions", "max_records"), ("/v1/explanations", "max_explanations")]
)
def test_the_limits_are_described(document: dict[str, Any], settings: Settings, path: str, setting: str) -> None:
    operation = document["paths"][path]["post"]

    _, many = operation["requestBody"]["content"]["application/json"]["schema"]["oneOf"]
    assert many["maxItems"] == getattr(settings, setting)
    assert f"at most {getattr(settings, setting)} records" in operation["description"]
    assert str(settings.max_content_length) in operation["description"]


@pytest.mark.parametrize("path", [*RECORD_ROUTES, "/version", "/openapi.json"])
def test_keys_and_rates_are_described_if_the_service_has_them(
    predictor: Predictor, settings: Settings, tmp_path: Path, path: str
) -> None:
    # Given a service that wants keys and limits rates
    strict = settings.model_copy(update={"api_keys": tmp_path, "rate_limit": 10})

    # When it describes itself
    document, free = (document_of(predictor, each) for each in (strict, settings))

    # Then it describes these responses, and another service does not
    (operation,), (of_free,) = document["paths"][path].values(), free["paths"][path].values()
    assert set(operation["responses"]) - set(of_free["responses"]) == {"401", "429"}
    assert document["security"] == [{"bearer": []}, {"basic": []}]
    assert "security" not in free


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_the_cluster_needs_no_key(predictor: Predictor, settings: Settings, tmp_path: Path, path: str) -> None:
    document = document_of(predictor, settings.model_copy(update={"api_keys": tmp_path}))

    assert document["paths"][path]["get"]["security"] == []
    assert "401" not in document["paths"][path]["get"]["responses"]


@pytest.mark.parametrize("path", RECORD_ROUTES)
def test_an_example_of_a_list_is_within_the_limit(predictor: Predictor, settings: Settings, path: str) -> None:
    strict = settings.model_copy(update={"max_records": 2, "max_explanations": 2})

    content = document_of(predictor, strict)["paths"][path]["post"]["requestBody"]["content"]["application/json"]

    assert len(content["examples"]["list"]["value"]) == 2


def test_a_date_has_the_json_schema_format_date() -> None:
    _, definitions = models_json_schema([(Parcel, "validation")], schema_generator=Schemas)
    properties = definitions["$defs"]["Parcel"]["properties"]

    assert properties["ordered"]["format"] == "date"
    # The format date-time requires an offset, which the contract does not
    assert "format" not in properties["paid"]["anyOf"][0]


def test_an_unchanged_document_is_not_sent_again(client: FlaskClient) -> None:
    response = client.get("/openapi.json")

    again = client.get("/openapi.json", headers={"If-None-Match": response.headers["ETag"]})
    assert (again.status_code, again.data) == (304, b"")


def test_the_document_is_strict_json(client: FlaskClient) -> None:
    def refuse(constant: str) -> None:
        pytest.fail(f"the document holds {constant}")

    json.loads(client.get("/openapi.json").data, parse_constant=refuse)


def test_types_with_the_same_name_have_separate_schemas(predictor: Predictor, settings: Settings) -> None:
    # Given a route whose type has the name of a type of the service
    theirs = type("Problem", (BaseModel,), {"__annotations__": {"size": int}})
    app = create_app(predictor, settings, title=TITLE)
    app.get("/sizes")(operation("Sizes", response=theirs)(lambda: {"size": 1}))

    # When the service is described
    document = app.test_client().get("/openapi.json").get_json()

    # Then the route refers to its own
    content = document["paths"]["/sizes"]["get"]["responses"]["200"]["content"]["application/json"]
    name = content["schema"]["$ref"].removeprefix(SCHEMAS)
    assert list(document["components"]["schemas"][name]["properties"]) == ["size"]
    assert "Problem" not in document["components"]["schemas"]


def test_the_document_is_valid_openapi(each_client: FlaskClient) -> None:
    validate(each_client.get("/openapi.json").get_json())


def test_integral_numbers_of_examples_have_no_decimal_point(
    each_client: FlaskClient, each_predictor: Predictor
) -> None:
    # Given golden records with integral numbers
    listed = [golden.record.model_dump() for golden in each_predictor.golden_records[:3]]
    assert any(isinstance(value, float) and value.is_integer() for record in listed for value in record.values())

    # When the service describes its requests
    document = each_client.get("/openapi.json").get_json()

    # Then no format shows them as 5.0
    content = document["paths"]["/v1/predictions"]["post"]["requestBody"]["content"]
    assert not re.search(r"\b\d+\.0\b", json.dumps([part.get("examples") for part in content.values()]))


# Routes of a project's own.


class Question(BaseModel):
    text: str


class Reply(BaseModel):
    text: str


@pytest.fixture(scope="module")
def own_document(predictor: Predictor, settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The document of a service with routes that were added to the application later."""
    keys = tmp_path_factory.mktemp("keys")
    (keys / "caller").write_text("0" * 64)
    app = create_app(predictor, settings.model_copy(update={"rate_limit": 10.0, "api_keys": keys}), title=TITLE)

    @app.post("/v1/questions/<int:number>/<path:name>")
    @operation("Answer a question", request=Question, response=Reply, tags=["questions"], description="In *detail*.")
    def answer(number: int, name: str) -> dict[str, str]:
        return {"text": f"{number} {name}"}

    @app.route("/v1/ping", methods=["GET", "DELETE"])
    @operation("Ping")
    def ping() -> str:
        return "pong"

    @app.get("/hidden")
    def hidden() -> str:
        return "not described"

    return Description(predictor, app.extensions["mlops_runtime"].settings, TITLE, app).document()


def test_a_route_of_the_project_is_described(own_document: dict[str, Any]) -> None:
    described = own_document["paths"]["/v1/questions/{number}/{name}"]["post"]

    assert (described["summary"], described["description"], described["tags"]) == (
        "Answer a question",
        "In *detail*.",
        ["questions"],
    )
    parameters = {part["name"]: part["schema"]["type"] for part in described["parameters"] if part["in"] == "path"}
    assert parameters == {"number": "integer", "name": "string"}
    json_content = [
        part["content"]["application/json"] for part in (described["requestBody"], described["responses"]["200"])
    ]
    assert [part["schema"]["$ref"] for part in json_content] == [SCHEMAS + "Question", SCHEMAS + "Reply"]


def test_a_route_of_the_project_gets_the_responses_of_every_route(own_document: dict[str, Any]) -> None:
    post = own_document["paths"]["/v1/questions/{number}/{name}"]["post"]["responses"]
    get = own_document["paths"]["/v1/ping"]["get"]["responses"]

    assert set(post) == {"200", "401", "408", "413", "429", "503", "default"}
    assert set(get) == {"200", "401", "429", "503", "default"}


def test_a_route_without_a_description_is_left_out(own_document: dict[str, Any]) -> None:
    assert "/hidden" not in own_document["paths"]
    assert set(own_document["paths"]["/v1/ping"]) == {"get", "delete"}


def test_the_document_with_routes_of_the_project_is_valid_openapi(own_document: dict[str, Any]) -> None:
    validate(own_document)


def test_a_route_added_after_the_application_was_made_is_in_the_document(
    predictor: Predictor, settings: Settings
) -> None:
    app = create_app(predictor, settings, title=TITLE)

    @app.get("/v1/later")
    @operation("Later")
    def later() -> str:
        return ""

    assert "/v1/later" in app.test_client().get("/openapi.json").get_json()["paths"]
