"""Prepared responses to requests that the application never sees."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from werkzeug import exceptions
from werkzeug.exceptions import BadRequest, HTTPException, RequestTimeout, ServiceUnavailable

from mlops_runtime.serving.api.problems import problem_response

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

RETRY_AFTER = 1
"""Seconds after which a request that was refused under load may be sent again."""


def prepared(error: HTTPException) -> "WSGIApplication":
    """Return an application that answers every request with an error.

    The response is made once: under load, making one takes as long as a prediction.
    """
    response = problem_response(error)
    status, headers, content = response.status, response.headers.to_wsgi_list(), response.get_data()

    def answer(_: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        start_response(status, list(headers))
        return [content]

    return answer


overloaded = prepared(
    ServiceUnavailable("The service has too many requests in work: try again.", retry_after=RETRY_AFTER)
)
late = prepared(RequestTimeout("The body of the request did not arrive in time: send it again."))
incomplete = prepared(BadRequest("The body of the request is incomplete: send it again."))
unknown_coding = prepared(
    exceptions.NotImplemented("Send the body as it is or in chunks: no other Transfer-Encoding is supported.")
)
