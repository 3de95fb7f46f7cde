"""Predictions: records in, labels with probabilities or values with intervals out."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from flask import Blueprint, Response, request
from werkzeug.exceptions import RequestEntityTooLarge

from webservice import formats
from webservice.formats import all_valid, is_list, read_records, refused, write_predictions
from webservice.logs import RECORDS_KEY
from webservice.negotiation import LENIENT, Format, Terms, terms_of
from webservice.problems import InvalidRequestError

from {{cookiecutter.__package}}_model.datamodel import Prediction, Record

MEDIA_TYPE = "application/json"
JSON_SPACE = formats.JSON_SPACE
CHUNK = 64 * 1024
DISCARDED_CHUNKS = 256
"""How much of a body that is too long is read, so that its sender gets to read the answer: 16 MiB."""

predictions_adapter = formats.predictions_adapter
refuse_repeated_names = formats.refuse_repeated_names

Predict = Callable[[Sequence[Record]], list[Prediction]]


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to a request for predictions.

    Attributes:
        content: in the format that was wanted.
        media_type: of the content.
        records: that have been predicted.
        refused: records that have a reason instead of a prediction.
        lenient: whether the request was handled leniently.
    """

    content: bytes
    media_type: str
    records: int
    refused: int
    lenient: bool


def blueprint(predict: Predict, max_records: int) -> Blueprint:
    """Return the blueprint that answers with predictions."""
    routes = Blueprint("predictions", __name__)

    @routes.post("/v1/predictions")
    def predicted() -> Response:
        terms = terms_of(request.headers)
        answer = answer_to(read_body(), terms, predict, max_records)
        request.environ[RECORDS_KEY] = answer.records
        response = Response(answer.content, content_type=answer.media_type)
        if answer.lenient:
            response.headers.add("Preference-Applied", LENIENT)
        return response

    return routes


def answer_to(body: bytes, terms: Terms, predict: Predict, max_records: int) -> Answer:
    """Return the predictions for the records that a body holds, in their order.

    Args:
        body: of a request.
        terms: formats of the request and of the answer, and what becomes of faulty records. A record
            of JSON that is not in a list is refused when it is faulty, whatever the terms.
        predict: a function of valid records, at least one.
        max_records: that the body may hold.

    Raises:
        InvalidRequestError: if the body cannot be read, or a record is faulty and the terms are not lenient.
    """
    many = terms.sent is not Format.JSON or is_list(body)
    lenient = terms.lenient and many
    found = read_records(body, terms.sent, max_records)
    records = [one for one in found if isinstance(one, Record)] if lenient else all_valid(found)
    predictions = iter(predict(records) if records else [])
    outcomes = [refused(one) if isinstance(one, InvalidRequestError) else next(predictions) for one in found]
    return Answer(
        content=write_predictions(outcomes, terms.wanted, many=many, errors=lenient),
        media_type="text/csv; charset=utf-8" if terms.wanted is Format.CSV else terms.wanted,
        records=len(records),
        refused=len(found) - len(records),
        lenient=lenient,
    )


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
