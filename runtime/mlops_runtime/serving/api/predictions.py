"""Predictions: records in, labels with probabilities or values with intervals out."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from flask import Blueprint, Response, request

from mlops_runtime.contract import Contract, RecordModel
from mlops_runtime.serving.api.faults import RecordFaults
from mlops_runtime.serving.api.negotiation import LENIENT, Format, Terms, terms_of
from mlops_runtime.serving.api.prediction_writer import PredictionWriter, refused
from mlops_runtime.serving.api.records import RecordReader, all_valid, is_list
from mlops_runtime.serving.telemetry.logs import RECORDS_KEY

Predict = Callable[[Sequence[RecordModel]], list[Any]]
"""Returns the predictions of valid records, at least one."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The response to a request for predictions.

    Attributes:
        content: in the format that the caller wants.
        media_type: of the content.
        records: number of records that were predicted.
        lenient: whether faulty records were described in their places.
    """

    content: bytes
    media_type: str
    records: int
    lenient: bool


class PredictionApi:
    """Answers requests for predictions in every format."""

    def __init__(self, contract: Contract, predict: Predict, max_records: int) -> None:
        self._reader = RecordReader(contract, max_records)
        self._writer = PredictionWriter(contract)
        self._predict = predict

    def answer(self, body: bytes, terms: Terms) -> Answer:
        """Return the predictions for the records of a body, in their order.

        Args:
            body: of a request.
            terms: formats of request and response, and what happens to faulty records. A record of JSON
                that is not in a list is refused if it is faulty, whatever the terms.

        Raises:
            InvalidRequestError: if the body cannot be read, or a record is faulty and the terms are not lenient.
        """
        many = terms.sent is not Format.JSON or is_list(body)
        lenient = terms.lenient and many
        results = self._reader.read(body, terms.sent)
        if lenient:
            records = [result for result in results if not isinstance(result, RecordFaults)]
        else:
            records = all_valid(results)
        predictions = iter(self._predict(records) if records else [])
        outcomes = [refused(result) if isinstance(result, RecordFaults) else next(predictions) for result in results]
        return Answer(
            content=self._writer.write(outcomes, terms.wanted, many=many, errors=lenient),
            media_type="text/csv; charset=utf-8" if terms.wanted is Format.CSV else terms.wanted,
            records=len(records),
            lenient=lenient,
        )


def blueprint(contract: Contract, predict: Predict, max_records: int) -> Blueprint:
    """Return the blueprint that answers with predictions.

    Args:
        contract: of the records and predictions.
        predict: a function of valid records, at least one.
        max_records: number of records that a request may have.
    """
    routes = Blueprint("predictions", __name__)
    api = PredictionApi(contract, predict, max_records)

    @routes.post("/v1/predictions")
    def predictions() -> Response:
        answer = api.answer(request.get_data(cache=False), terms_of(request.headers))
        request.environ[RECORDS_KEY] = answer.records
        response = Response(answer.content, content_type=answer.media_type)
        if answer.lenient:
            response.headers.add("Preference-Applied", LENIENT)
        return response

    return routes
