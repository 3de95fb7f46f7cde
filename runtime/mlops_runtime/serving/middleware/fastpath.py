"""A fast path for predictions without Flask, which takes longer for a request than the model.

Valid requests with JSON records and a JSON response are processed here, with the reader of the Flask route.
All others are passed to Flask: other formats, requests with keys, and those with faults.
"""

import logging
from collections.abc import Iterable
from io import BytesIO
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

from werkzeug.exceptions import InternalServerError

from mlops_runtime.contract import Contract
from mlops_runtime.serving.api.predictions import Predict
from mlops_runtime.serving.api.problems import InvalidRequestError, problem_response
from mlops_runtime.serving.api.record_keys import KEY
from mlops_runtime.serving.api.records import RecordReader, all_valid, is_list
from mlops_runtime.serving.telemetry.logs import RECORDS_KEY, REQUEST_ID_KEY

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

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
        try:
            read = reader.read_json(body)
            records = all_valid(read.results)
            if read.keys is not None:
                environ["wsgi.input"] = BytesIO(body)
                return application(environ, start_response)
            predictions = predict(records)
        except InvalidRequestError:
            environ["wsgi.input"] = BytesIO(body)
            return application(environ, start_response)
        except Exception:
            # Flask handles exceptions of a route in the same way.
            fields = {"request_id": environ.get(REQUEST_ID_KEY)}
            logger.exception("Exception on %s [POST]", PATH, extra={"fields": fields})
            return problem_response(InternalServerError())(environ, start_response)
        environ[RECORDS_KEY] = len(records)
        if is_list(body):
            content = contract.predictions_adapter.dump_json(predictions)
        else:
            content = predictions[0].model_dump_json().encode()
        start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(content)))])
        return [content]

    return answer


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
