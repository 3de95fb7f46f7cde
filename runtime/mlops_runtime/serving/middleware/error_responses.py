"""Responses, made in advance, to requests that do not reach the application."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from werkzeug import exceptions
from werkzeug.exceptions import BadRequest, HTTPException, RequestTimeout, ServiceUnavailable

from mlops_runtime.serving.api.problems import problem_response

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

RETRY_AFTER = 1
"""Seconds after which to repeat a request that was refused under load."""


def prepared_response(error: HTTPException) -> "WSGIApplication":
    """Return a WSGI application that responds to every request with an error.

    The response is made once, because making it takes as long as a prediction.
    """
    response = problem_response(error)
    status, headers, content = response.status, response.headers.to_wsgi_list(), response.get_data()

    def answer(_: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        start_response(status, list(headers))
        return [content]

    return answer


overloaded = prepared_response(
    ServiceUnavailable("The service has too many requests in work: try again.", retry_after=RETRY_AFTER)
)
body_timeout = prepared_response(RequestTimeout("The body of the request did not arrive in time: send it again."))
incomplete = prepared_response(BadRequest("The body of the request is incomplete: send it again."))
unsupported_transfer_encoding = prepared_response(
    exceptions.NotImplemented("Send the body as it is or in chunks: no other Transfer-Encoding is supported.")
)
