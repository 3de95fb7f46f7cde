"""The short way to a prediction: what Flask does for each request takes longer than what the model does.

A plain request, JSON in and JSON out, is answered here by the functions that the Flask route uses
too. Everything else goes on to Flask, with its body put back: other formats, and all errors.
"""

from collections.abc import Iterable
from io import BytesIO
from typing import TYPE_CHECKING, Annotated

from pydantic import Field, TypeAdapter

from mlops_runtime.serving.api.formats import is_list, predictions_adapter, refuse_repeated_names
from mlops_runtime.serving.api.predictions import Predict
from mlops_runtime.serving.telemetry.logs import RECORDS_KEY

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

PATH = "/v1/predictions"
PLAIN_TYPES = frozenset({"application/json", "application/json; charset=utf-8", "application/json;charset=utf-8"})
PLAIN_ACCEPTS = frozenset({"*/*", "application/json"})


def shortened(application: "WSGIApplication", predict: Predict, max_records: int) -> "WSGIApplication":
    """Return the application with a short way for plain requests that are valid.

    Args:
        application: answers all others.
        predict: as the Flask route does it.
        max_records: that a list may have.
    """
    record_adapter = TypeAdapter(Record)
    records_adapter = TypeAdapter(Annotated[list[Record], Field(min_length=1, max_length=max_records)])

    def answer(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        if not plain(environ):
            return application(environ, start_response)
        body = environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
        many = is_list(body)
        try:
            records = records_adapter.validate_json(body) if many else [record_adapter.validate_json(body)]
            refuse_repeated_names(body, records, many=many)
            predictions = predict(records)
        except Exception:
            # Flask comes to the same end, logs what nobody expected, and tells the caller.
            environ["wsgi.input"] = BytesIO(body)
            return application(environ, start_response)
        environ[RECORDS_KEY] = len(records)
        content = predictions_adapter.dump_json(predictions) if many else predictions[0].model_dump_json().encode()
        start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(content)))])
        return [content]

    return answer


def plain(environ: "WSGIEnvironment") -> bool:
    """Return whether a request asks for predictions in JSON for records in JSON, and for nothing special."""
    return (
        environ["PATH_INFO"] == PATH
        and environ["REQUEST_METHOD"] == "POST"
        and environ.get("CONTENT_TYPE", "").lower() in PLAIN_TYPES
        and environ.get("HTTP_ACCEPT", "*/*") in PLAIN_ACCEPTS
        and "HTTP_PREFER" not in environ
        and "HTTP_CONTENT_ENCODING" not in environ
        and environ.get("CONTENT_LENGTH", "").isdecimal()
    )
