"""Refusals: answers that stand ready for requests that nothing is done for."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from werkzeug import exceptions
from werkzeug.exceptions import HTTPException, RequestTimeout, ServiceUnavailable

from mlops_runtime.serving.api.problems import problem_response

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

RETRY_AFTER = 1
"""Seconds after which a request that came in a rush is worth another try."""


def refusal(error: HTTPException) -> "WSGIApplication":
    """Return an application whose only answer tells of an error.

    It is made once: to make it for each request of a rush would cost as much as a prediction.
    """
    response = problem_response(error)
    status, headers, content = response.status, response.headers.to_wsgi_list(), response.get_data()

    def answer(_: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        start_response(status, list(headers))
        return [content]

    return answer


overloaded = refusal(
    ServiceUnavailable("The service has as much in work as it takes: try again.", retry_after=RETRY_AFTER)
)
late = refusal(RequestTimeout("The body of the request did not come in time: send it again."))
unknown_coding = refusal(
    exceptions.NotImplemented("Send the body as it is or in chunks: no other Transfer-Encoding is known.")
)


def closing(start_response: "StartResponse") -> "StartResponse":
    """Return the beginning of an answer after which the connection is closed, as the rest of a body may still come."""

    def start(status: str, headers: list[tuple[str, str]], *exc_info: Any) -> Any:
        headers.append(("Connection", "close"))
        return start_response(status, headers, *exc_info)

    return start


def closing_unread(environ: "WSGIEnvironment", start_response: "StartResponse") -> "StartResponse":
    """Return the beginning of an answer to a request whose body is not read.

    The server closes the connection then, unless the body has come already: a client that is not told would send
    its next request into a connection that is closed.
    """
    has_body = (environ.get("CONTENT_LENGTH") or "0") != "0" or "HTTP_TRANSFER_ENCODING" in environ
    return closing(start_response) if has_body else start_response
