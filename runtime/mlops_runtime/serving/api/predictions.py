"""The route for predictions: it takes records, and returns labels with probabilities or values with intervals."""

from codecs import BOM_UTF8
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from flask import Blueprint, Response, request

from mlops_runtime.contract import Contract, RecordModel
from mlops_runtime.serving.api.faults import RecordFaults
from mlops_runtime.serving.api.negotiation import LENIENT, Format, Negotiation, negotiate
from mlops_runtime.serving.api.prediction_writer import PredictionWriter, refused
from mlops_runtime.serving.api.record_keys import KEY
from mlops_runtime.serving.api.records import RecordReader, all_valid, is_list
from mlops_runtime.serving.telemetry.logs import RECORDS_KEY

Predict = Callable[[Sequence[RecordModel]], list[Any]]
"""Returns the predictions of valid records, at least one."""

CSV_TYPE = "text/csv; charset=utf-8"


@dataclass(frozen=True, slots=True)
class PredictionResponse:
    """The response to a request for predictions.

    Attributes:
        content: in the format of the response.
        media_type: of the content.
        records: number of records that were predicted.
        lenient: whether faulty records got errors of their own.
    """

    content: bytes
    media_type: str
    records: int
    lenient: bool


class PredictionApi:
    """Processes requests for predictions in every format."""

    def __init__(
        self, contract: Contract, predict: Predict, max_records: int, writer: PredictionWriter | None = None
    ) -> None:
        """Create the reader of requests.

        Args:
            contract: of the records and predictions.
            predict: a function of valid records, at least one.
            max_records: number of records that a request may have.
            writer: of what `predict` returns; by default that of predictions.
        """
        self._reader = RecordReader(contract, max_records)
        self._writer = writer or PredictionWriter(contract)
        self._predict = predict

    def respond(self, body: bytes, negotiation: Negotiation) -> PredictionResponse:
        """Return the predictions for the records of a body, in their order.

        Args:
            body: of a request.
            negotiation: formats of request and response, and how faulty records are handled. A single JSON
                record, outside a list, is always refused if it is faulty.

        Raises:
            InvalidRequestError: if the body cannot be read, or a record is faulty and the handling is not lenient.
        """
        if negotiation.request_format in (Format.JSON, Format.NDJSON):
            body = body.removeprefix(BOM_UTF8)
        many = negotiation.request_format is not Format.JSON or is_list(body)
        lenient = negotiation.lenient and many
        reader = self._reader if negotiation.key is None else self._reader.with_key(negotiation.key)
        read = reader.read(body, negotiation.request_format, negotiation.charset)
        results = read.results
        if lenient:
            records = [result for result in results if not isinstance(result, RecordFaults)]
        else:
            records = all_valid(results)
        predictions = iter(self._predict(records) if records else [])
        outcomes = [refused(result) if isinstance(result, RecordFaults) else next(predictions) for result in results]
        return PredictionResponse(
            content=self._writer.write(outcomes, negotiation.response_format, read.keys, many=many, errors=lenient),
            media_type=CSV_TYPE if negotiation.response_format is Format.CSV else negotiation.response_format,
            records=len(records),
            lenient=lenient,
        )


def blueprint(contract: Contract, predict: Predict, max_records: int) -> Blueprint:
    """Return the blueprint of the route for predictions.

    Args:
        contract: of the records and predictions.
        predict: a function of valid records, at least one.
        max_records: number of records that a request may have.
    """
    routes = Blueprint("predictions", __name__)
    api = PredictionApi(contract, predict, max_records)

    @routes.post("/v1/predictions")
    def predictions() -> Response:
        return respond(api)

    return routes


def respond(api: PredictionApi) -> Response:
    """Return the response to the current request.

    Raises:
        HTTPException: if the formats of the request are not supported, or its records are faulty.
    """
    result = api.respond(request.get_data(cache=False), negotiate(request.headers, request.args.get(KEY)))
    request.environ[RECORDS_KEY] = result.records
    response = Response(result.content, content_type=result.media_type)
    if result.lenient:
        response.headers.add("Preference-Applied", LENIENT)
    return response
