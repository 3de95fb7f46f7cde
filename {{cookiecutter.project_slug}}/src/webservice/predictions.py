"""Predictions: records in, labels with probabilities or values with intervals out."""

import json
from collections.abc import Sequence
from typing import Annotated

from flask import Blueprint, Response, request
from pydantic import FailFast, Field, TypeAdapter, ValidationError
from werkzeug.exceptions import RequestEntityTooLarge, UnsupportedMediaType

from webservice.logs import RECORDS_KEY
from webservice.problems import MAX_ERRORS, FieldError, broken_contract, invalid_body, pointer

from {{cookiecutter.__package}}_model.classifier import Classifier
from {{cookiecutter.__package}}_model.datamodel import Prediction, Record

MEDIA_TYPE = "application/json"
JSON_SPACE = b" \t\r\n"
CHUNK = 64 * 1024
DISCARDED_CHUNKS = 256
"""How much of a body that is too long is read, so that its sender gets to read the answer: 16 MiB."""

MANY_FAULTS = 10_000
"""More faults than this are not looked at one by one: a body of a few kilobytes may have hundreds of thousands."""

predictions_adapter = TypeAdapter(list[Prediction])
first_wrong_record_adapter = TypeAdapter(Annotated[list[Record], FailFast()])


def blueprint(classifier: Classifier, max_records: int) -> Blueprint:
    """Return the blueprint that predicts with the classifier."""
    routes = Blueprint("predictions", __name__)
    record_adapter = TypeAdapter(Record)
    records_adapter = TypeAdapter(Annotated[list[Record], Field(min_length=1, max_length=max_records)])

    @routes.post("/v1/predictions")
    def predict() -> Response:
        check_media_type()
        body = read_body()
        many = body.lstrip(JSON_SPACE).startswith(b"[")
        try:
            records = records_adapter.validate_json(body) if many else [record_adapter.validate_json(body)]
        except ValidationError as error:
            raise invalid_body(bounded(error, body), body, max_records) from error
        refuse_repeated_names(body, records, many=many)
        request.environ[RECORDS_KEY] = len(records)
        predictions = classifier.predict(records)
        content = predictions_adapter.dump_json(predictions) if many else predictions[0].model_dump_json()
        return Response(content, mimetype=MEDIA_TYPE)

    return routes


def bounded(error: ValidationError, body: bytes) -> ValidationError:
    """Return the error for a list, or that of its first wrong record alone if it has too many faults to look at."""
    if error.error_count() > MANY_FAULTS:
        try:
            first_wrong_record_adapter.validate_json(body)
        except ValidationError as first:
            return first
    return error


def check_media_type() -> None:
    """Check that the body of the request is plain JSON.

    Raises:
        UnsupportedMediaType: if its headers say that it is something else.
    """
    if request.mimetype != MEDIA_TYPE:
        raise UnsupportedMediaType(f"Send the body as {MEDIA_TYPE}, and say so in the header Content-Type.")
    if request.headers.get("Content-Encoding", "identity") != "identity":
        raise UnsupportedMediaType("Send the body as it is, without a Content-Encoding.")


def read_body() -> bytes:
    """Return the body of the request.

    Raises:
        RequestEntityTooLarge: if it has more bytes than the application takes.
    """
    stream = request.environ["wsgi.input"]
    try:
        body = request.get_data(cache=False)
        # A body that does not say how long it is ends at the limit without a word, even if more follows.
        if request.content_length is None and len(body) == request.max_content_length and stream.read(1):
            raise RequestEntityTooLarge
    except RequestEntityTooLarge:
        # A client that is still sending when the connection closes would not read the answer.
        for _ in range(DISCARDED_CHUNKS):
            if not stream.read(CHUNK):
                break
        raise
    return body


def refuse_repeated_names(body: bytes, records: Sequence[Record], *, many: bool) -> None:
    """Refuse a body with an object that has a name twice: JSON does not say which value counts.

    The parser takes the last one without a word. Each name is followed by a colon, so a body with
    as many colons as the records have fields repeats none, and only another one is read again.

    Raises:
        InvalidRequestError: if a name stands twice.
    """
    if body.count(b":") == sum(len(record.model_fields_set) for record in records):
        return
    objects: list[list[str]] = []
    json.loads(body, object_pairs_hook=lambda pairs: objects.append([name for name, _ in pairs]))
    errors = [
        FieldError(pointer=pointer((index, name) if many else (name,)), field=name, detail="is there more than once")
        for index, names in enumerate(objects)
        for name in dict.fromkeys(names)
        if names.count(name) > 1
    ]
    if errors:
        raise broken_contract(errors[:MAX_ERRORS], len(errors))
