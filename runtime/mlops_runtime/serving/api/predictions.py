"""Predictions: records in, labels with probabilities or values with intervals out."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from flask import Blueprint, Response, request

from mlops_runtime.serving.api.formats import all_valid, is_list, read_records, refused, write_predictions
from mlops_runtime.serving.api.negotiation import LENIENT, Format, Terms, terms_of
from mlops_runtime.serving.api.problems import InvalidRequestError
from mlops_runtime.serving.telemetry.logs import RECORDS_KEY

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
        answer = answer_to(request.get_data(cache=False), terms, predict, max_records)
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
