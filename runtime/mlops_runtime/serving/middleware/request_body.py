"""Bodies of requests: read whole, within their bounds, before the application sees a request."""

from collections.abc import Iterable
from io import BytesIO
from typing import TYPE_CHECKING

from mlops_runtime.serving.middleware.error_responses import closing, late, unknown_coding
from mlops_runtime.serving.middleware.guard import Guard, Wait
from mlops_runtime.serving.settings import Settings

if TYPE_CHECKING:
    from _typeshed.wsgi import InputStream, StartResponse, WSGIApplication, WSGIEnvironment

TABLE = "/table"
PART = 4096
"""Bytes that are read at a time where a client may send them one by one: 0.1 s then, else next to nothing."""
DISCARDED = 16 * 1024 * 1024
"""Bytes of a body too long that are read, so that its sender gets to read the answer."""


def received(application: "WSGIApplication", settings: Settings, guard: Guard) -> "WSGIApplication":
    """Return the application for requests whose body is there, and has a length.

    Of a body that is too long only the length is handed on.
    """

    def answer(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        declared = environ.get("CONTENT_LENGTH")
        if not declared:
            coding = environ.pop("HTTP_TRANSFER_ENCODING", None)
            if coding is None:
                return application(environ, start_response)
            if coding.lower() != "chunked":
                return unknown_coding(environ, closing(start_response))
        stream = environ["wsgi.input"]
        limit = settings.max_table_length if environ["PATH_INFO"] == TABLE else settings.max_content_length
        length = int(declared) if declared else limit + 1
        with guard.receiving() as wait:
            body = b""
            if not declared:
                body = read_parts(stream, length, wait)
            elif length <= limit:
                body = stream.read(length)
            too_long = max(len(body), length if declared else 0) > limit
            if too_long:
                discard(stream, wait)
        if not too_long and (wait.cut_short or (declared and len(body) < length)):
            return late(environ, closing(start_response))
        environ["wsgi.input"] = BytesIO(b"" if too_long else body)
        environ["CONTENT_LENGTH"] = declared or str(len(body))
        return application(environ, closing(start_response) if too_long else start_response)

    return answer


def read_parts(stream: "InputStream", most: int, wait: Wait) -> bytes:
    """Return a body that does not say how long it is, up to so many bytes.

    A client that sends it in the smallest pieces, one after the other, keeps the server at work: the
    guard could end a wait for more, but no reading. So it is looked after each part whether the wait is over.
    """
    parts: list[bytes] = []
    while most and not wait.cut_short and (part := stream.read(min(most, PART))):
        parts.append(part)
        most -= len(part)
    return b"".join(parts)


def discard(stream: "InputStream", wait: Wait) -> None:
    """Read a part of a body that nobody wants: a client that is still sending would not read the answer."""
    for _ in range(DISCARDED // PART):
        # A client that sends all the time does not notice that its wait has been ended.
        if wait.cut_short or not stream.read(PART):
            break
