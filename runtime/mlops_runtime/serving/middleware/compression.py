"""Bodies with `Content-Encoding: gzip`, which are unpacked within the limits for plain bodies."""

import zlib
from collections.abc import Iterable
from gzip import BadGzipFile, GzipFile
from http import HTTPStatus
from io import BytesIO
from typing import TYPE_CHECKING

from flask import Response
from werkzeug.exceptions import BadRequest, HTTPException, UnsupportedMediaType

from mlops_runtime.serving.api.problems import InvalidRequestError, problem_response
from mlops_runtime.serving.routes import route_of
from mlops_runtime.serving.settings import Settings

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

ENCODING_KEY = "HTTP_CONTENT_ENCODING"
GZIP = frozenset({"gzip", "x-gzip"})
"""Names of the encoding (RFC 9110, 8.4.1.3)."""
LENGTH_BYTES = 4
"""Bytes at the end of a gzip file with its unpacked length, modulo 2^32 (RFC 1952)."""


def unsupported_encoding() -> Response:
    """Return the response to a body with another encoding, which names the supported one (RFC 9110, 15.5.16)."""
    detail = "Send the body with `Content-Encoding: gzip`, or as it is without a Content-Encoding."
    response = problem_response(UnsupportedMediaType(detail))
    response.headers["Accept-Encoding"] = "gzip"
    return response


def with_unpacked_body(application: "WSGIApplication", settings: Settings) -> "WSGIApplication":
    """Return the application, which gets the unpacked bodies of requests with `Content-Encoding: gzip`."""

    def answer(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        encoding = environ.get(ENCODING_KEY, "identity").strip().lower()
        length = environ.get("CONTENT_LENGTH", "")
        if encoding == "identity" or not length.isdecimal() or length == "0":
            return application(environ, start_response)
        if encoding not in GZIP:
            return unsupported_encoding()(environ, start_response)
        limit = settings.max_body_length(table=route_of(environ["PATH_INFO"]).table)
        try:
            # The server passes no body that is too long, but its length.
            if int(length) > limit:
                raise too_long(limit)
            body = unpacked(environ["wsgi.input"].read(int(length)), limit)
        except HTTPException as error:
            return problem_response(error)(environ, start_response)
        del environ[ENCODING_KEY]
        environ["CONTENT_LENGTH"] = str(len(body))
        environ["wsgi.input"] = BytesIO(body)
        return application(environ, start_response)

    return answer


def unpacked(body: bytes, limit: int) -> bytes:
    """Return the content of a gzip file, which may have several members.

    Args:
        body: the file.
        limit: maximum length of the content; hardly more than that is unpacked.

    Raises:
        BadRequest: if the file is damaged.
        InvalidRequestError: if the content is too long.
    """
    try:
        with GzipFile(fileobj=BytesIO(body)) as file:
            content = file.read(limit + 1)
    except EOFError as error:
        raise BadRequest("The gzip file in the body is incomplete: send it again.") from error
    except (BadGzipFile, zlib.error) as error:
        raise BadRequest("The body is no valid gzip file, as its Content-Encoding says: send it again.") from error
    if len(content) > limit:
        raise too_long(limit)
    return content


def too_long(limit: int) -> InvalidRequestError:
    """Return the error for a body that is too long when it is unpacked."""
    return InvalidRequestError(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        f"The body may have at most {limit:,} bytes when it is unpacked: send it in several parts.",
    )


def declared_length(body: bytes) -> int:
    """Return the unpacked length that a gzip file declares at its end, which may be wrong."""
    return int.from_bytes(body[-LENGTH_BYTES:], "little")
