"""The access log: request ids, default headers, one log line and one measurement for each response.

It is one layer for all of that: a layer takes a twentieth of the time that a prediction takes.
"""

import random
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from mlops_runtime.serving.drain import CLOSE, Marker
from mlops_runtime.serving.middleware.headers import missing_in
from mlops_runtime.serving.routes import OTHER, ROUTE_KEY, route_of
from mlops_runtime.serving.telemetry.log_output import STANDARD_OUTPUT
from mlops_runtime.serving.telemetry.logs import (
    CALLER_KEY,
    RECORDS_KEY,
    REQUEST_ID,
    REQUEST_ID_HEADER,
    REQUEST_ID_KEY,
    SERVER_ERROR,
    Answered,
    line_level,
    logger,
)

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

STARTED_KEY = "mlops_runtime.started"
"""Key of the WSGI environment with the time at which the request arrived, as `time.perf_counter` gives it."""

Observe = Callable[[str, str, int, float], None]
"""Measures a response: route, method, status and duration in seconds."""


def logged(application: "WSGIApplication", marker: Marker, observe: Observe) -> "WSGIApplication":
    """Return the application with what every response has.

    That is a request id, the default headers, `Connection: close` while the service drains, a line in
    the log, and a measurement.
    """

    def answer(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        started = environ.get(STARTED_KEY) or time.perf_counter()
        given = environ.get("HTTP_X_REQUEST_ID")
        request_id = given if given and REQUEST_ID.fullmatch(given) else f"{random.getrandbits(64):016x}"
        environ[REQUEST_ID_KEY] = request_id
        status = SERVER_ERROR

        def start(line: str, headers: list[tuple[str, str]], *exc_info: Any) -> Any:
            nonlocal status
            status = int(line[:3])
            headers += missing_in(headers)
            headers.append((REQUEST_ID_HEADER, request_id))
            if marker.exists():
                headers.append(CLOSE)
            return start_response(line, headers, *exc_info)

        body = application(environ, start)
        seconds = time.perf_counter() - started
        path, method = environ["PATH_INFO"], environ["REQUEST_METHOD"]
        route = route_of(path).path
        observe(environ.get(ROUTE_KEY, OTHER) if route == OTHER else route, method, status, seconds)
        # A response below the log level takes no place in the queue of lines to write.
        if logger.isEnabledFor(line_level(path, status)):
            caller, records = environ.get(CALLER_KEY), environ.get(RECORDS_KEY)
            STANDARD_OUTPUT.write(Answered(time.time(), path, method, status, seconds, request_id, caller, records))
        return body

    return answer
