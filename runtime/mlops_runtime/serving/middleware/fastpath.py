"""A shorter path to a prediction: what Flask does for a request takes longer than what the model does.

A plain request, JSON in and JSON out, is answered here with the reader that the Flask route uses too.
Everything else goes on to Flask with its body put back: other formats, and requests with faults.
"""

import logging
from collections.abc import Iterable
from io import BytesIO
from typing import TYPE_CHECKING

from werkzeug.exceptions import InternalServerError

from mlops_runtime.contract import Contract
from mlops_runtime.serving.api.predictions import Predict
from mlops_runtime.serving.api.problems import InvalidRequestError, problem_response
from mlops_runtime.serving.api.records import RecordReader, is_list
from mlops_runtime.serving.telemetry.logs import RECORDS_KEY, REQUEST_ID_KEY

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

PATH = "/v1/predictions"
PLAIN_TYPES = frozenset({"application/json", "application/json; charset=utf-8", "application/json;charset=utf-8"})
PLAIN_ACCEPTS = frozenset({"*/*", "application/json"})

logger = logging.getLogger("webservice")


def shortened(
    application: "WSGIApplication", contract: Contract, predict: Predict, max_records: int, max_content_length: int
) -> "WSGIApplication":
    """Return the application with a shorter path for plain requests that are valid.

    Args:
        application: answers all other requests.
        contract: of the records and predictions.
        predict: a function of valid records, at least one; the same as for the Flask route.
        max_records: number of records that a list may have.
        max_content_length: number of bytes that a body may have.
    """
    reader = RecordReader(contract, max_records)

    def answer(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        if not plain(environ) or (length := int(environ["CONTENT_LENGTH"])) > max_content_length:
            return application(environ, start_response)
        body = environ["wsgi.input"].read(length)
        try:
            records = reader.read_valid_json(body)
            predictions = predict(records)
        except InvalidRequestError:
            environ["wsgi.input"] = BytesIO(body)
            return application(environ, start_response)
        except Exception:
            # Flask does the same for what goes wrong in a route.
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


def plain(environ: "WSGIEnvironment") -> bool:
    """Return whether a request asks for predictions in JSON for records in JSON, and for nothing else."""
    return (
        environ["PATH_INFO"] == PATH
        and environ["REQUEST_METHOD"] == "POST"
        and environ.get("CONTENT_TYPE", "").lower() in PLAIN_TYPES
        and environ.get("HTTP_ACCEPT", "*/*") in PLAIN_ACCEPTS
        and "HTTP_PREFER" not in environ
        and "HTTP_CONTENT_ENCODING" not in environ
        and environ.get("CONTENT_LENGTH", "").isdecimal()
    )
