"""A fast path for predictions without Flask, which takes longer for a request than the model.

Valid requests with JSON records and a JSON response are processed here, with the reader of the Flask route.
All others are passed to Flask: other formats, requests with keys, and those with faults.
"""

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from io import BytesIO
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

from mlops_runtime.contract import Contract, RecordModel
from mlops_runtime.serving.api.predictions import Predict
from mlops_runtime.serving.api.record_keys import KEY
from mlops_runtime.serving.api.records import RecordReader, all_valid, is_list
from mlops_runtime.serving.middleware.batch import BATCH_KEY, Batch
from mlops_runtime.serving.telemetry.logs import RECORDS_KEY

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment
    from pydantic import BaseModel

PATH = "/v1/predictions"
PLAIN_TYPES = frozenset({"application/json", "application/json; charset=utf-8", "application/json;charset=utf-8"})
PLAIN_ACCEPTS = frozenset({"*/*", "application/json"})

logger = logging.getLogger("webservice")


def with_fast_path(
    application: "WSGIApplication", contract: Contract, predict: Predict, max_records: int, max_content_length: int
) -> "WSGIApplication":
    """Return the application with a fast path for valid requests in plain JSON.

    Args:
        application: processes all other requests.
        contract: of the records and predictions.
        predict: returns the predictions of at least one valid record; the function of the Flask route.
        max_records: maximum number of records in a list.
        max_content_length: maximum number of bytes of a body.
    """
    reader = RecordReader(contract, max_records)

    def answer(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        if not is_plain(environ) or (length := int(environ["CONTENT_LENGTH"])) > max_content_length:
            return application(environ, start_response)
        body = environ["wsgi.input"].read(length)
        environ["wsgi.input"] = BytesIO(body)
        try:
            read = reader.read_json(body)
            records = all_valid(read.results)
        except Exception:  # Flask reads the body again and reports the error
            return application(environ, start_response)
        if read.keys is not None:
            return application(environ, start_response)
        if is_list(body):
            return respond(environ, start_response, len(records), partial(list_content, records))
        batch: Batch = environ.get(BATCH_KEY) or Batch()
        return respond(environ, start_response, 1, partial(record_content, batch, batch.add(records[0])))

    def list_content(records: Sequence[RecordModel]) -> bytes:
        return contract.predictions_adapter.dump_json(predict(records))

    def record_content(batch: Batch, position: int) -> bytes:
        prediction: BaseModel = batch.prediction(position, predict)
        return prediction.model_dump_json().encode()

    def respond(
        environ: "WSGIEnvironment", start_response: "StartResponse", records: int, predicted: Callable[[], bytes]
    ) -> Iterator[bytes]:
        """Predict on the first iteration, when the other requests of a batch have been read."""
        try:
            content = predicted()
        except Exception as error:  # Flask predicts the records of this request alone, or reports the error
            logger.warning("a prediction failed with %s: its request is predicted again alone", type(error).__name__)
            yield from iterate_and_close(application(environ, start_response))
            return
        environ[RECORDS_KEY] = records
        start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(content)))])
        yield content

    return answer


def iterate_and_close(body: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the parts of a response and close it, as a WSGI server does."""
    try:
        yield from body
    finally:
        if hasattr(body, "close"):
            body.close()


def is_plain(environ: "WSGIEnvironment") -> bool:
    """Return whether a request has JSON records, accepts JSON, and needs nothing else from Flask."""
    return (
        environ["PATH_INFO"] == PATH
        and environ["REQUEST_METHOD"] == "POST"
        and environ.get("CONTENT_TYPE", "").lower() in PLAIN_TYPES
        and environ.get("HTTP_ACCEPT", "*/*") in PLAIN_ACCEPTS
        and not _has_key(environ.get("QUERY_STRING", ""))
        and "HTTP_PREFER" not in environ
        and "HTTP_CONTENT_ENCODING" not in environ
        and environ.get("CONTENT_LENGTH", "").isdecimal()
    )


def _has_key(query: str) -> bool:
    return bool(query) and KEY in parse_qs(query, keep_blank_values=True)
