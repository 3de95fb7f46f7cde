"""The description of the service for programs: an OpenAPI 3.1 document made from the contract."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from flask import Blueprint, Response
from pydantic import BaseModel, Field
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaMode, JsonSchemaValue, models_json_schema
from pydantic_core.core_schema import StringSchema

from mlops_runtime.contract.fields import DATE_PATTERNS
from mlops_runtime.model.golden import GoldenRecord
from mlops_runtime.model.metadata import Metadata
from mlops_runtime.model.predictor import Predictor
from mlops_runtime.serving import TITLE
from mlops_runtime.serving.api import problems
from mlops_runtime.serving.api.formats import RefusedRecord, csv_text, write_predictions
from mlops_runtime.serving.api.negotiation import FORMATS, LENIENT, Format
from mlops_runtime.serving.api.problems import FieldError, Problem
from mlops_runtime.serving.caching import Constant
from mlops_runtime.serving.settings import Settings
from mlops_runtime.serving.telemetry.logs import REQUEST_ID, REQUEST_ID_HEADER
from mlops_runtime.serving.telemetry.metrics import OPENMETRICS

SCHEMAS = "#/components/schemas/"
HEADERS = "#/components/headers/"
TEXT = "text/plain"
LISTED = 3
"""Golden records in the example of a list."""

ETAG = "ETag"
RETRY_AFTER = "Retry-After"
COMPONENT_HEADERS: Mapping[str, dict[str, Any]] = {
    REQUEST_ID_HEADER: {
        "description": "The id of the request, as its caller gave it or else made for it; the log has it too",
        "schema": {"type": "string", "pattern": f"^{REQUEST_ID.pattern}$"},
    },
    ETAG: {
        "description": "A hash of the content: send it back as If-None-Match",
        "schema": {"type": "string", "pattern": '^"[0-9a-f]{32}"$'},
    },
    RETRY_AFTER: {
        "description": "Seconds after which to come again",
        "schema": {"type": "string", "pattern": "^[0-9]+$"},
    },
    "Preference-Applied": {
        "description": "The preference that was heeded",
        "schema": {"type": "string", "const": LENIENT},
    },
    "WWW-Authenticate": {"description": "How to show a key", "schema": {"type": "string"}},
}
REQUEST_ID_PARAMETER = {
    "name": REQUEST_ID_HEADER,
    "in": "header",
    "description": "An id for the request, to find it again in the log; one of another form is replaced",
    "schema": {"type": "string"},
}
IF_NONE_MATCH = {
    "name": "If-None-Match",
    "in": "header",
    "description": "The ETag of the answer that the caller has",
    "schema": {"type": "string"},
}
PREFER = {
    "name": "Prefer",
    "in": "header",
    "description": f"`{LENIENT}` (RFC 7240): each faulty record of a list gets the reason in its place, and the others "
    "are predicted. Without it one faulty record fails the request. Other preferences are ignored.",
    "schema": {"type": "string"},
    "examples": {"lenient": {"summary": "Tell of faulty records in their places", "value": LENIENT}},
}


class Release(BaseModel):
    """The release that runs, and the model in it."""

    version: str = Field(description="The release of the service")
    model: Metadata


class Status(BaseModel):
    """How the process is."""

    status: str


class Schemas(GenerateJsonSchema):
    """Makes JSON schemas: of a date also by the format that programs know."""

    def str_schema(self, schema: StringSchema) -> JsonSchemaValue:
        """Return the schema of a text, which may stand for a date."""
        found = super().str_schema(schema)
        return found | {"format": "date"} if schema.get("pattern") == DATE_PATTERNS["date"] else found


def schemas() -> tuple[Mapping[type[BaseModel], dict[str, Any]], dict[str, Any]]:
    """Return the references to what goes in and out, by class, and the JSON schemas of it all, by name.

    A class of the contract may be called like one of these: both have longer names then.
    """
    classes: dict[type[BaseModel], JsonSchemaMode] = {
        Record: "validation",
        Prediction: "serialization",
        RefusedRecord: "serialization",
        Problem: "serialization",
        FieldError: "serialization",
        Release: "serialization",
        Status: "serialization",
    }
    references, definitions = models_json_schema(
        list(classes.items()), ref_template=SCHEMAS + "{model}", schema_generator=Schemas
    )
    return {one: references[one, mode] for one, mode in classes.items()}, definitions["$defs"]


REFERENCES, COMPONENTS = schemas()


def blueprint(predictor: Predictor, settings: Settings) -> Blueprint:
    """Return the blueprint that describes the service."""
    routes = Blueprint("description", __name__)
    document = Constant(json.dumps(openapi(predictor.golden_records, settings), ensure_ascii=False), Format.JSON.value)

    @routes.get("/openapi.json")
    def describe() -> Response:
        return document.answer()

    return routes


def openapi(golden_records: tuple[GoldenRecord, ...], settings: Settings) -> dict[str, Any]:
    """Return the OpenAPI document, with golden records as its examples."""
    document: dict[str, Any] = {
        "openapi": "3.1.0",
        "info": {"title": TITLE, "description": Record.__doc__ or "", "version": settings.version},
        "servers": [{"url": "/"}],
        "paths": {
            "/v1/predictions": {"post": predictions_operation(golden_records, settings)},
            "/healthz": {"get": probe_operation("alive", "Does the process run?")},
            "/readyz": {"get": probe_operation("ready", "Should this process get requests?")},
            "/version": {"get": version_operation(settings)},
            "/openapi.json": {"get": description_operation(settings)},
            "/metrics": {"get": metrics_operation(settings)},
        },
        "components": {"schemas": COMPONENTS, "headers": COMPONENT_HEADERS},
    }
    if settings.api_keys:
        document["components"]["securitySchemes"] = {
            "bearer": {"type": "http", "scheme": "bearer", "description": "An API key"},
            "basic": {"type": "http", "scheme": "basic", "description": "An API key as the password of any name"},
        }
        document["security"] = [{"bearer": []}, {"basic": []}]
    return document


def predictions_operation(golden_records: tuple[GoldenRecord, ...], settings: Settings) -> dict[str, Any]:
    """Return the description of the prediction of records."""
    records = [golden.record for golden in golden_records]
    predictions = [golden.prediction for golden in golden_records]
    formats = ", ".join(FORMATS)
    return {
        "operationId": "predict",
        "tags": ["predictions"],
        "summary": "Predict one record or a list of records",
        "description": f"Records come as {formats}, by the header `Content-Type`. Predictions go as any of these, by "
        "the header `Accept`, and else as the records came. A list is answered in its order. It may have at most "
        f"{settings.max_records} records, and the body at most {settings.max_content_length} bytes.\n\n"
        "Nothing is kept of a request: the same records get the same predictions until the next release, and a request "
        "without an answer may be sent again.",
        "parameters": [PREFER, REQUEST_ID_PARAMETER],
        "requestBody": {"required": True, "content": record_contents(records, settings.max_records)},
        "responses": {
            "200": {
                "description": "The prediction, or a list of them",
                "headers": headers(REQUEST_ID_HEADER, "Preference-Applied"),
                "content": prediction_contents(predictions),
            },
            "400": problem("The body is not in the format that Content-Type names"),
            "406": problem("Accept names no format that predictions can have"),
            "408": problem("The body did not come in time"),
            "413": problem("The body or the list is too long"),
            "415": problem("The body is in no format that is read, or has a content encoding"),
            "422": problem("A record breaks the contract"),
            **refusals(settings),
        },
    }


def record_contents(records: Sequence[Record], max_records: int) -> dict[str, Any]:
    """Return the descriptions of records, by their format."""
    plain = [record.model_dump(mode="json") for record in records]
    listed = plain[:LISTED]
    lines = "".join(record.model_dump_json() + "\n" for record in records[:LISTED])
    return in_formats(
        json_content=one_or_list(REFERENCES[Record], REFERENCES[Record], plain, maxItems=max_records),
        lines=text("A record a line, each a JSON object", "Lines", lines),
        table=text(
            "A table in UTF-8 (RFC 4180): a header with the names of fields, and a record a row. An empty cell is a "
            "missing value",
            "A table",
            csv_text(list(listed[0]), [list(record.values()) for record in listed]),
        ),
        stream="A stream of Arrow, uncompressed, with the names of fields as its columns",
    )


def prediction_contents(predictions: Sequence[Prediction]) -> dict[str, Any]:
    """Return the descriptions of predictions, by their format."""
    plain = [prediction.model_dump(mode="json") for prediction in predictions]
    item = {"anyOf": [REFERENCES[Prediction], REFERENCES[RefusedRecord]]}
    listed = predictions[:LISTED]

    def written(wanted: Format) -> str:
        return write_predictions(listed, wanted, many=True, errors=False).decode()

    return in_formats(
        json_content=one_or_list(REFERENCES[Prediction], item, plain),
        lines=text("A prediction a line, each a JSON object", "Lines", written(Format.NDJSON)),
        table=text("A table (RFC 4180): a header, and a prediction a row", "A table", written(Format.CSV)),
        stream="A stream of Arrow",
    )


def in_formats(*, json_content: Any, lines: Any, table: Any, stream: str) -> dict[str, Any]:
    """Return descriptions of content by their formats, those alone that this service speaks."""
    contents = {
        Format.JSON: json_content,
        Format.NDJSON: lines,
        Format.CSV: table,
        Format.ARROW: {"schema": {"type": "string", "format": "binary", "description": stream}},
    }
    return {one.value: contents[one] for one in FORMATS}


def one_or_list(one: dict[str, Any], item: dict[str, Any], examples: list[Any], **limits: int) -> dict[str, Any]:
    """Return the description of JSON that holds one object or a list of them."""
    return {
        "schema": {"oneOf": [one, {"type": "array", "items": item, "minItems": 1, **limits}]},
        "examples": {
            "one": {"summary": "One", "value": examples[0]},
            "list": {"summary": "A list", "value": examples[:LISTED]},
        },
    }


def text(description: str, summary: str, example: str) -> dict[str, Any]:
    """Return the description of content that is text."""
    return {
        "schema": {"type": "string", "minLength": 1, "description": description},
        "examples": {"list": {"summary": summary, "value": example}},
    }


def probe_operation(status: str, summary: str) -> dict[str, Any]:
    """Return the description of a question that the cluster asks. It needs no key."""
    answer = {Format.JSON: {"schema": REFERENCES[Status], "example": {"status": status}}}
    return {
        "operationId": status,
        "tags": ["health"],
        "summary": summary,
        "parameters": [REQUEST_ID_PARAMETER],
        "security": [],
        "responses": {
            "200": {
                "description": f"The process is {status}",
                "headers": headers(REQUEST_ID_HEADER),
                "content": answer,
            },
            "503": problem(
                "The process has too much to do, is about to stop, or its model gives wrong answers", RETRY_AFTER
            ),
        },
    }


def version_operation(settings: Settings) -> dict[str, Any]:
    """Return the description of the question for the release."""
    return constant_operation("version", "Which release runs, with which model?", REFERENCES[Release], settings)


def description_operation(settings: Settings) -> dict[str, Any]:
    """Return the description of the question for this document."""
    return constant_operation("description", "What does the service understand?", {"type": "object"}, settings)


def constant_operation(name: str, summary: str, schema: dict[str, Any], settings: Settings) -> dict[str, Any]:
    """Return the description of a question whose answer is the same until the next release."""
    return {
        "operationId": name,
        "tags": ["description"],
        "summary": summary,
        "parameters": [IF_NONE_MATCH, REQUEST_ID_PARAMETER],
        "responses": {
            "200": {
                "description": "The answer, which is the same until the next release",
                "headers": headers(REQUEST_ID_HEADER, ETAG),
                "content": {Format.JSON: {"schema": schema}},
            },
            "304": {"description": "The caller has the answer already", "headers": headers(REQUEST_ID_HEADER, ETAG)},
            **refusals(settings),
        },
    }


def metrics_operation(settings: Settings) -> dict[str, Any]:
    """Return the description of the question for the metrics. Prometheus asks it at a pace of its own."""
    return {
        "operationId": "metrics",
        "tags": ["health"],
        "summary": "What has been asked and answered, for Prometheus?",
        "parameters": [REQUEST_ID_PARAMETER],
        "responses": {
            "200": {
                "description": "The metrics of all processes of this service, in the format that Accept names",
                "headers": headers(REQUEST_ID_HEADER),
                "content": {kind: {"schema": {"type": "string"}} for kind in (TEXT, OPENMETRICS)},
            },
            **refusals(settings, at_a_rate=False),
        },
    }


def refusals(settings: Settings, *, at_a_rate: bool = True) -> dict[str, Any]:
    """Return the descriptions of the answers to a request that is not looked at, by their status."""
    found = {}
    if settings.api_keys:
        found["401"] = problem("The request shows no key that is known", "WWW-Authenticate")
    if settings.rate_limit and at_a_rate:
        found["429"] = problem("The caller asks too often", RETRY_AFTER)
    found["503"] = problem("The service has too much to do", RETRY_AFTER)
    return found


def problem(description: str, *names: str) -> dict[str, Any]:
    """Return the description of an answer that is a problem, with headers of these names."""
    content = {problems.MEDIA_TYPE: {"schema": REFERENCES[Problem]}}
    return {"description": description, "headers": headers(REQUEST_ID_HEADER, *names), "content": content}


def headers(*names: str) -> dict[str, Any]:
    """Return the descriptions of the headers of an answer."""
    return {name: {"$ref": HEADERS + name} for name in names}
