"""Cross-origin resource sharing (Fetch standard): which other sites may call the service from a browser.

Credentials that a browser keeps, such as the password of `Authorization: Basic`, are never shared: a page of another
origin has to send a key of its own.
"""

import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from mlops_runtime.serving.routes import DEFAULT, route_of
from mlops_runtime.serving.settings import ANY_ORIGIN
from mlops_runtime.serving.telemetry.logs import REQUEST_ID_HEADER

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

MAX_AGE = 3600
"""Seconds for which a browser may keep the answer to a preflight request."""
REQUEST_HEADERS = ("Authorization", "Content-Type", "Content-Encoding", "If-None-Match", "Prefer", REQUEST_ID_HEADER)
"""Headers that the routes of the runtime read; those that a route of a project reads are allowed when asked for."""
RESPONSE_HEADERS = "Content-Disposition, ETag, Preference-Applied, Retry-After, WWW-Authenticate, " + REQUEST_ID_HEADER
PROJECT_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
"""Methods that a route of a project may have."""
NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}")
"""Name of a header (RFC 9110, 5.1)."""
VARY = ("Vary", "Origin")

Headers = list[tuple[str, str]]


class Cors:
    """The headers for callers of other origins."""

    def __init__(self, origins: Sequence[str]) -> None:
        """Store the origins.

        Args:
            origins: allowed ones, as browsers send them in the header Origin; `*` allows all.
        """
        self._any = ANY_ORIGIN in origins
        self._origins = frozenset(origins)

    def allows(self, environ: "WSGIEnvironment") -> bool:
        """Return whether a request comes from an allowed origin."""
        origin = environ.get("HTTP_ORIGIN")
        return origin is not None and (self._any or origin in self._origins)

    def headers(self, environ: "WSGIEnvironment") -> Headers:
        """Return the headers that the response to a request needs, whatever its status."""
        vary = [] if self._any else [VARY]
        if not self.allows(environ):
            return vary
        origin = ANY_ORIGIN if self._any else environ["HTTP_ORIGIN"]
        return [
            *vary,
            ("Access-Control-Allow-Origin", origin),
            ("Access-Control-Expose-Headers", RESPONSE_HEADERS),
        ]


def with_preflight(application: "WSGIApplication", cors: Cors) -> "WSGIApplication":
    """Return the application, with answers to the preflight requests of allowed origins, which carry no API key."""

    def answer(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        if (
            environ["REQUEST_METHOD"] != "OPTIONS"
            or "HTTP_ACCESS_CONTROL_REQUEST_METHOD" not in environ
            or not cors.allows(environ)
        ):
            return application(environ, start_response)
        start_response("204 No Content", preflight_headers(environ))
        return []

    return answer


def preflight_headers(environ: "WSGIEnvironment") -> Headers:
    """Return the headers that say what a browser may send to the path of a request."""
    route = route_of(environ["PATH_INFO"])
    methods = PROJECT_METHODS if route is DEFAULT else route.methods
    asked = [name.strip() for name in environ.get("HTTP_ACCESS_CONTROL_REQUEST_HEADERS", "").split(",")]
    known = {name.lower() for name in REQUEST_HEADERS}
    others = [name for name in asked if NAME.fullmatch(name) and name.lower() not in known]
    return [
        ("Access-Control-Allow-Methods", ", ".join(methods)),
        ("Access-Control-Allow-Headers", ", ".join((*REQUEST_HEADERS, *others))),
        ("Access-Control-Max-Age", str(MAX_AGE)),
    ]
