"""The OpenAPI 3.1 document, generated from the contract, the settings and the routes."""

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache, lru_cache
from typing import Any

from flask import Blueprint, Flask, Response, current_app
from pydantic import BaseModel, Field
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaMode, JsonSchemaValue, models_json_schema
from pydantic_core.core_schema import StringSchema
from werkzeug.routing import Rule

from mlops_runtime.contract.fields import DATE_PATTERNS
from mlops_runtime.model import BasePredictor, GoldenRecord, Metadata, Predictor
from mlops_runtime.number_format import MAX_INTEGER_LENGTH
from mlops_runtime.serving.api import explanations, problems
from mlops_runtime.serving.api.negotiation import FORMATS, LENIENT, Format
from mlops_runtime.serving.api.operation import Operation, operation_of
from mlops_runtime.serving.api.prediction_writer import PredictionWriter, RefusedRecord, csv_text
from mlops_runtime.serving.api.problems import FieldError, Problem
from mlops_runtime.serving.api.record_keys import KEY, MAX_KEY_LENGTH
from mlops_runtime.serving.caching import Constant
from mlops_runtime.serving.links import link
from mlops_runtime.serving.project_routes import check_routes
from mlops_runtime.serving.routes import route_of
from mlops_runtime.serving.settings import Settings
from mlops_runtime.serving.telemetry.logs import REQUEST_ID, REQUEST_ID_HEADER
from mlops_runtime.serving.ui.shapley import MAX_PARTS

Part = dict[str, Any]
"""A part of an OpenAPI document."""

SCHEMAS = "#/components/schemas/"
HEADERS = "#/components/headers/"
TEXT = "text/plain"
OPENMETRICS = "application/openmetrics-text"
MAX_PREFIXES = 8
"""Number of path prefixes whose documents are kept."""
MAX_EXAMPLES = 3
"""Golden records in the example of a list."""
METHODS_WITH_BODY = frozenset({"post", "put", "patch"})
PARAMETER = re.compile(r"<(?:(?P<converter>\w+)(?:\([^>]*\))?:)?(?P<name>\w+)>")
PARAMETER_TYPES = {"int": "integer", "float": "number"}

ETAG = "ETag"
RETRY_AFTER = "Retry-After"
COMPONENT_HEADERS: Mapping[str, Part] = {
    REQUEST_ID_HEADER: {
        "description": "The id of the request, given by its caller or else made for it; the log has it too",
        "schema": {"type": "string", "pattern": f"^{REQUEST_ID.pattern}$"},
    },
    ETAG: {
        "description": "A hash of the content: send it back as If-None-Match",
        "schema": {"type": "string", "pattern": '^"[0-9a-f]{32}"$'},
    },
    RETRY_AFTER: {
        "description": "Seconds after which to try again",
        "schema": {"type": "string", "pattern": "^[0-9]+$"},
    },
    "Preference-Applied": {
        "description": "The preference that was applied",
        "schema": {"type": "string", "const": LENIENT},
    },
    "WWW-Authenticate": {"description": "How to send a key", "schema": {"type": "string"}},
}
REQUEST_ID_PARAMETER = {
    "name": REQUEST_ID_HEADER,
    "in": "header",
    "description": "An id for the request, which is written to the log; one in another form is replaced",
    "schema": {"type": "string"},
}
IF_NONE_MATCH = {
    "name": "If-None-Match",
    "in": "header",
    "description": "The ETag of the response that the caller has",
    "schema": {"type": "string"},
}
PREFER = {
    "name": "Prefer",
    "in": "header",
    "description": f"`{LENIENT}` (RFC 7240): each faulty record of a list gets the reason in its place, and the others "
    "are predicted. Without it one faulty record fails the request. Other preferences are ignored.",
    "schema": {"type": "string"},
    "examples": {"lenient": {"summary": "Describe faulty records in their places", "value": LENIENT}},
}

IGNORED = "Ignored: a column of the training table without influence on the prediction"
KEY_SCHEMA: Part = {"type": ["string", "number", "boolean", "null"], "maxLength": MAX_KEY_LENGTH}
KEY_PARAMETER = {
    "name": KEY,
    "in": "query",
    "description": f"Name of a column whose value comes back as `{KEY}` beside each prediction: text of at most "
    f"{MAX_KEY_LENGTH} characters, a number, true, false or null. A record without it gets null. Unless it is a field, "
    "the column has no influence on the prediction.",
    "schema": {"type": "string"},
}
TABLE_VALUES = (
    "The schema has the form that programs should send. The rows of the training table are accepted as well, as they "
    "are: its other columns are ignored; texts are stripped, and cut to the greatest length; numbers and dates may be "
    "texts in the notation of the table; truth values may be the `x-words` of the schema or 1 and 0, in any case; "
    "and the words that mean a missing value in the table, and NaN, mean null."
)

VERBATIM_VALUES = (
    "A text is used as it is sent: nothing is stripped, normalised or cut, and no word stands for a missing value. So "
    "positions are those in the text of the request. They count Unicode code points: programs that count UTF-16 units, "
    "such as those in JavaScript, must convert them for texts with emoji. The lines of the training data are accepted "
    "as well, as they are: their annotations are ignored."
)

PREDICTION_ERRORS: Mapping[str, str] = {
    "400": "The body is not in the format that Content-Type and Content-Encoding name",
    "406": "The service writes none of the formats that Accept names",
    "408": "The body did not arrive in time",
    "413": "The body or the list is too long",
    "415": "The service does not read this format or this content encoding",
    "422": "A record breaks the contract",
}
"""Descriptions of the error responses to a request for predictions, by status."""


class Release(BaseModel):
    """The running release and its model."""

    version: str = Field(description="The release of the service")
    model: Metadata


class Status(BaseModel):
    """The status of the process."""

    status: str


class Schemas(GenerateJsonSchema):
    """Generates JSON schemas in which dates have `format: date`."""

    def str_schema(self, schema: StringSchema) -> JsonSchemaValue:
        """Return the schema of a string, which may be a date."""
        made = super().str_schema(schema)
        return made | {"format": "date"} if schema.get("pattern") == DATE_PATTERNS["date"] else made


def blueprint(predictor: BasePredictor, settings: Settings, title: str) -> Blueprint:
    """Return the blueprint that serves the OpenAPI document.

    The document is generated at the first request for it, when all routes are registered.
    """
    routes = Blueprint("description", __name__)

    @cache
    def document() -> Part:
        app: Flask = current_app._get_current_object()  # type: ignore[attr-defined]
        check_routes(app)
        return Description(predictor, settings, title, app).document()

    @lru_cache(maxsize=MAX_PREFIXES)
    def response_for(server: str) -> Constant:
        content = document() | {"servers": [{"url": server}]}
        return Constant(json.dumps(content, ensure_ascii=False), Format.JSON.value)

    @routes.get("/openapi.json")
    def describe() -> Response:
        response = response_for(link("/").rstrip("/")).response()
        if settings.trusted_proxies:
            response.vary.add("X-Forwarded-Prefix")
        return response

    return routes


class Description:
    """Generates the OpenAPI document of an application."""

    def __init__(self, predictor: BasePredictor, settings: Settings, title: str, app: Flask | None = None) -> None:
        """Collect the types to describe.

        Args:
            predictor: whose contract and golden records are described.
            settings: of the service.
            title: of the document.
            app: with the routes of the project that have the decorator `operation`.
        """
        self._contract = predictor.contract
        # A prediction of another kind has no contributions.
        self._explanation = (
            explanations.explanation_type(predictor.contract) if isinstance(predictor, Predictor) else None
        )
        self._golden_records = predictor.golden_records
        self._settings = settings
        self._title = title
        self._own = list(_project_operations(app)) if app else []
        responses: list[type[BaseModel]] = [RefusedRecord, Problem, FieldError, Release, Status]
        responses += [self._contract.prediction, *([self._explanation] if self._explanation else [])]
        modes: dict[tuple[type[BaseModel], JsonSchemaMode], None] = {
            (self._contract.record, "validation"): None,
            **{(each, "serialization"): None for each in responses},
        }
        for _, _, own in self._own:
            modes |= {(own.request, "validation"): None} if own.request else {}
            modes |= {(own.response, "serialization"): None} if own.response else {}
        # pydantic gives longer names to types that share a name.
        self.references, definitions = models_json_schema(
            list(modes), ref_template=SCHEMAS + "{model}", schema_generator=Schemas
        )
        self.schemas = definitions["$defs"]
        self._add_ignored_columns()
        self._add_keys()

    def _schema(self, described: type[BaseModel], mode: JsonSchemaMode = "serialization") -> Part:
        schema: Part = self.schemas[self.reference(described, mode)["$ref"].removeprefix(SCHEMAS)]
        return schema

    def _add_ignored_columns(self) -> None:
        """Add the columns that a record may have and that are ignored."""
        contract = self._contract
        properties = self._schema(contract.record, "validation")["properties"]
        properties |= {name: {"description": IGNORED} for name in (*contract.left_out, contract.target)}
        if contract.key is not None:
            properties[contract.key] = KEY_SCHEMA | {"description": "Comes back as `key` beside the prediction"}

    def _add_keys(self) -> None:
        """Add the key that a prediction, an explanation, or the error in its place, has."""
        for described in (self._contract.prediction, self._explanation, RefusedRecord):
            if described is not None:
                key = KEY_SCHEMA | {"description": "Key of the record, if asked for"}
                self._schema(described)["properties"][KEY] = key

    def document(self) -> Part:
        """Return the document; its examples are golden records."""
        release, document_schema = self.reference(Release), {"type": "object"}
        operations: list[tuple[str, str, Part]] = [
            ("/v1/predictions", "post", self._predictions()),
            *([(explanations.PATH, "post", self._explain(self._explanation))] if self._explanation else []),
            ("/healthz", "get", self._probe("alive", "Does the process run?")),
            ("/readyz", "get", self._probe("ready", "Should this process get requests?")),
            ("/version", "get", self._constant("version", "The release and its model", release)),
            ("/openapi.json", "get", self._constant("description", "This document", document_schema)),
            ("/metrics", "get", self._metrics()),
            *((rule.rule, method, self._project_route(rule, method, own)) for rule, method, own in self._own),
        ]
        paths: Part = {}
        for path, method, operation in operations:
            operation["parameters"].append(REQUEST_ID_PARAMETER)
            operation["responses"] |= self._error_responses(path) | operation["responses"]
            if route_of(path).public:
                operation["security"] = []
            paths.setdefault(PARAMETER.sub(r"{\g<name>}", path), {})[method] = operation
        document: Part = {
            "openapi": "3.1.0",
            "info": {
                "title": self._title,
                "description": self._contract.description,
                "version": self._settings.version,
            },
            "paths": paths,
            "components": {"schemas": self.schemas, "headers": COMPONENT_HEADERS},
        }
        if self._settings.api_keys:
            document["components"]["securitySchemes"] = {
                "bearer": {"type": "http", "scheme": "bearer", "description": "An API key"},
                "basic": {"type": "http", "scheme": "basic", "description": "An API key as the password of any name"},
            }
            document["security"] = [{"bearer": []}, {"basic": []}]
        return document

    def reference(self, described: type[BaseModel], mode: JsonSchemaMode = "serialization") -> Part:
        """Return a reference to the schema of a type."""
        return self.references[described, mode]

    def _predictions(self) -> Part:
        return self._of_records(
            "predict",
            "Predict one record or a list of records",
            f"{self._formats('Predictions', self._settings.max_records)}\n\n"
            f"{VERBATIM_VALUES if self._contract.verbatim else TABLE_VALUES}\n\n"
            "Nothing of a request is kept: the same records get the same predictions until the next release, and a "
            "request without a response may be sent again.",
            self._settings.max_records,
            _response(
                "The prediction, or a list of them",
                self._prediction_contents([golden.prediction for golden in self._examples(self._settings.max_records)]),
                "Preference-Applied",
            ),
        )

    def _explain(self, explanation: type[BaseModel]) -> Part:
        return self._of_records(
            "explain",
            "Predict one record or a list of records, and explain the predictions",
            "The contributions are Shapley values: they describe the model, not causes. The records are ones to try "
            "values with: they are not counted as predictions in the metrics.\n\n"
            f"{self._formats('Explanations', self._settings.max_explanations)}\n\n{TABLE_VALUES}",
            self._settings.max_explanations,
            _response(
                "The prediction with its explanation, or a list of them",
                self._explanation_contents(self.reference(explanation)),
                "Preference-Applied",
            ),
        )

    def _formats(self, returned: str, max_records: int) -> str:
        """Return the description of the formats and limits of a request for predictions or explanations."""
        return (
            f"Send records as {', '.join(FORMATS)}, and name the format in the header `Content-Type`. "
            f"{returned} come in the format that the header `Accept` names, and else in that of the records. They are "
            f"in the order of the records. A request may have at most {max_records} records, and the body at most "
            f"{self._settings.max_content_length} bytes. With `Content-Encoding: gzip`, this is the limit of the "
            "unpacked body."
        )

    def _examples(self, max_records: int) -> Sequence[GoldenRecord[Any, Any]]:
        """Return golden records for the example of a list that may have this number of records."""
        return self._golden_records[: min(MAX_EXAMPLES, max_records)]

    def _of_records(self, name: str, summary: str, description: str, max_records: int, response: Part) -> Part:
        """Return the description of a route that takes records.

        Args:
            name: id of the operation.
            summary: one line.
            description: details in Markdown.
            max_records: number of records that a request may have.
            response: description of a successful response.
        """
        examples = [_with_integers(golden.record.model_dump(mode="json")) for golden in self._examples(max_records)]
        return {
            "operationId": name,
            "tags": ["predictions"],
            "summary": summary,
            "description": description,
            "parameters": [PREFER, KEY_PARAMETER],
            "requestBody": {"required": True, "content": self._record_contents(examples, max_records)},
            "responses": {
                "200": response,
                **{status: self._problem(problem) for status, problem in PREDICTION_ERRORS.items()},
            },
        }

    def _record_contents(self, records: Sequence[Part], max_records: int) -> Part:
        reference = self.reference(self._contract.record, "validation")
        return _in_formats(
            json_content=_one_or_list(reference, reference, records, maxItems=max_records),
            lines=_text(
                "A record a line, each a JSON object",
                "Lines",
                "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records),
            ),
            table=_text(
                "A table: a header with the names of fields, and a record a row, best in UTF-8 as RFC 4180 has it. "
                "Other delimiters, decimal marks and encodings are detected, as in training. Rows that are empty or "
                "repeat the header are no records. An empty cell is a missing value",
                "A table",
                csv_text(list(records[0]), [list(record.values()) for record in records]),
            ),
            stream="A stream of Arrow, uncompressed, with the names of fields as its columns",
        )

    def _prediction_contents(self, predictions: Sequence[Any]) -> Part:
        plain = [prediction.model_dump(mode="json") for prediction in predictions]
        reference = self.reference(self._contract.prediction)
        writer = PredictionWriter(self._contract)

        def written(wanted: Format) -> str:
            return writer.write(predictions, wanted, many=True, errors=False).decode()

        return _in_formats(
            json_content=_one_or_list(reference, {"anyOf": [reference, self.reference(RefusedRecord)]}, plain),
            lines=_text("A prediction a line, each a JSON object", "Lines", written(Format.NDJSON)),
            table=_text(
                f"A table (RFC 4180): a header, and a prediction a row. {self._contract.prediction.CELLS}".strip(),
                "A table",
                written(Format.CSV),
            ),
            stream="A stream of Arrow",
        )

    def _explanation_contents(self, reference: Part) -> Part:
        shared = (
            f" Above {MAX_PARTS} fields, those with the least effect have no amount of their own: "
            f"`{explanations.OTHERS}` has what they add together"
            if len(self._contract.fields) > MAX_PARTS
            else ""
        )
        return _in_formats(
            json_content=_one_or_list(reference, {"anyOf": [reference, self.reference(RefusedRecord)]}),
            lines=_text("An explanation a line, each a JSON object"),
            table=_text(
                "A table (RFC 4180): a header, and an explanation a row. The columns of the prediction come first, "
                "then `mean`, `output`, and for each field its contribution in the column "
                f"`{explanations.CONTRIBUTION}` with the name of the field.{shared}"
            ),
            stream="A stream of Arrow with the columns of the table",
        )

    def _probe(self, status: str, summary: str) -> Part:
        """Return the description of a probe of the cluster."""
        content = {Format.JSON.value: {"schema": self.reference(Status), "example": {"status": status}}}
        failure = "The process is overloaded, is about to stop, or its model gives wrong predictions"
        return {
            "operationId": status,
            "tags": ["health"],
            "summary": summary,
            "parameters": [],
            "responses": {
                "200": _response(f"The process is {status}", content),
                "503": self._problem(failure, RETRY_AFTER),
            },
        }

    def _constant(self, name: str, summary: str, schema: Part) -> Part:
        """Return the description of a route whose response stays the same until the next release."""
        content = {Format.JSON.value: {"schema": schema}}
        return {
            "operationId": name,
            "tags": ["description"],
            "summary": summary,
            "parameters": [IF_NONE_MATCH],
            "responses": {
                "200": _response("The same content until the next release", content, ETAG),
                "304": _response("The caller has the content already", {}, ETAG),
            },
        }

    def _metrics(self) -> Part:
        content = {kind: {"schema": {"type": "string"}} for kind in (TEXT, OPENMETRICS)}
        description = "The metrics of all processes of this service, in the format that Accept names"
        return {
            "operationId": "metrics",
            "tags": ["health"],
            "summary": "Metrics of requests and predictions, for Prometheus",
            "parameters": [],
            "responses": {"200": _response(description, content)},
        }

    def _project_route(self, rule: Rule, method: str, own: Operation) -> Part:
        """Return the description of a route that the project adds."""
        content = {Format.JSON.value: {"schema": self.reference(own.response)}} if own.response else {}
        described: Part = {
            "operationId": re.sub(r"\W", "_", f"{rule.endpoint}_{method}"),
            "tags": list(own.tags) or ["other"],
            "summary": own.summary,
            "parameters": list(_path_parameters(rule)),
            "responses": {"200": _response("Success", content), "default": self._problem("Any other error")},
        }
        if own.description:
            described["description"] = own.description
        if own.request:
            sent = {Format.JSON.value: {"schema": self.reference(own.request, "validation")}}
            described["requestBody"] = {"required": True, "content": sent}
        if method in METHODS_WITH_BODY:
            faults = {status: PREDICTION_ERRORS[status] for status in ("408", "413")}
            described["responses"] |= {status: self._problem(faults[status]) for status in faults}
        return described

    def _error_responses(self, path: str) -> Part:
        """Return the descriptions of the errors that any request for a path can get, by status."""
        responses = {"503": self._problem("The service is overloaded", RETRY_AFTER)}
        route = route_of(path)
        if self._settings.api_keys and not route.public:
            responses["401"] = self._problem("The request has no valid key", "WWW-Authenticate")
        if self._settings.rate_limit and route.limited:
            responses["429"] = self._problem("The caller sends requests too often", RETRY_AFTER)
        return responses

    def _problem(self, description: str, *names: str) -> Part:
        """Return the description of a response with problem details and these headers."""
        content = {problems.MEDIA_TYPE: {"schema": self.reference(Problem)}}
        return _response(description, content, *names)


def _project_operations(app: Flask) -> Iterator[tuple[Rule, str, Operation]]:
    """Yield rule, method in lower case and description of each route with the decorator `operation`."""
    for rule in app.url_map.iter_rules():
        view: Callable[..., Any] | None = app.view_functions.get(rule.endpoint)
        if view and (own := operation_of(view)):
            for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"}):
                yield rule, method.lower(), own


def _path_parameters(rule: Rule) -> Iterator[Part]:
    for match in PARAMETER.finditer(rule.rule):
        kind = PARAMETER_TYPES.get(match["converter"], "string")
        yield {"name": match["name"], "in": "path", "required": True, "schema": {"type": kind}}


def _in_formats(*, json_content: Part, lines: Part, table: Part, stream: str) -> Part:
    """Return the descriptions of content by media type, for the supported formats."""
    contents = {
        Format.JSON: json_content,
        Format.NDJSON: lines,
        Format.CSV: table,
        Format.ARROW: {"schema": {"type": "string", "format": "binary", "description": stream}},
    }
    return {each.value: contents[each] for each in FORMATS}


def _one_or_list(reference: Part, item: Part, examples: Sequence[Any] = (), **limits: int) -> Part:
    """Return the description of JSON that holds one object or a list of them."""
    schema = {"oneOf": [reference, {"type": "array", "items": item, "minItems": 1, **limits}]}
    if not examples:
        return {"schema": schema}
    return {
        "schema": schema,
        "examples": {
            "one": {"summary": "One", "value": examples[0]},
            "list": {"summary": "A list", "value": examples},
        },
    }


def _text(description: str, summary: str = "", example: str = "") -> Part:
    """Return the description of content that is text, with an example if there is one."""
    schema = {"type": "string", "minLength": 1, "description": description}
    return {"schema": schema} | ({"examples": {"list": {"summary": summary, "value": example}}} if example else {})


def _response(description: str, content: Part, *headers: str) -> Part:
    """Return the description of a response with this content, if it has any, and these headers."""
    names = (REQUEST_ID_HEADER, *headers)
    described: Part = {"description": description, "headers": {name: {"$ref": HEADERS + name} for name in names}}
    return described | ({"content": content} if content else {})


def _with_integers(record: Part) -> Part:
    """Return a JSON record with 5 instead of 5.0, as people write it."""

    def converted(value: Any) -> Any:
        integral = isinstance(value, float) and value.is_integer() and abs(value) < MAX_INTEGER_LENGTH
        return int(value) if integral else value

    return {name: converted(value) for name, value in record.items()}
