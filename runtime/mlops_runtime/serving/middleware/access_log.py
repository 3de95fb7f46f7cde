"""The access log: adds a request id and default headers to each response, logs it and measures it.

One middleware does all of this: each further one would cost a twentieth of the time of a prediction.
"""

import random
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from mlops_runtime.serving.drain import CLOSE, Marker
from mlops_runtime.serving.middleware.cors import Cors
from mlops_runtime.serving.middleware.headers import missing_headers
from mlops_runtime.serving.routes import OTHER, ROUTE_KEY, route_of
from mlops_runtime.serving.telemetry.log_output import STANDARD_OUTPUT
from mlops_runtime.serving.telemetry.logs import (
    CALLER_KEY,
    RECORDS_KEY,
    REQUEST_ID,
    REQUEST_ID_HEADER,
    REQUEST_ID_KEY,
    AccessLogEntry,
    line_level,
    logger,
)

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

STARTED_KEY = "mlops_runtime.started"
"""Key of the WSGI environment with the arrival time of the request, from `time.perf_counter`."""

Observe = Callable[[str, str, int, float], None]
"""Records a response in the metrics: route, method, status, duration in seconds."""


def with_access_log(
    application: "WSGIApplication", marker: Marker, observe: Observe, cors: Cors | None = None
) -> "WSGIApplication":
    """Return the application with an access log.

    Each response gets a request id, the default headers, those for other origins, and `Connection: close` while the
    service drains.
    It is logged in one line, and measured by `observe`.
    """

    def answer(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        started = environ.get(STARTED_KEY) or time.perf_counter()
        given = environ.get("HTTP_X_REQUEST_ID")
        request_id = given if given and REQUEST_ID.fullmatch(given) else f"{random.getrandbits(64):016x}"
        environ[REQUEST_ID_KEY] = request_id

        def start(line: str, headers: list[tuple[str, str]], *exc_info: Any) -> Any:
            headers += missing_headers(headers)
            headers.append((REQUEST_ID_HEADER, request_id))
            if cors is not None:
                headers += cors.headers(environ)
            if marker.exists():
                headers.append(CLOSE)
            log(environ, int(line[:3]), time.perf_counter() - started)
            return start_response(line, headers, *exc_info)

        return application(environ, start)

    def log(environ: "WSGIEnvironment", status: int, seconds: float) -> None:
        path, method = environ["PATH_INFO"], environ["REQUEST_METHOD"]
        route = route_of(path).path
        observe(environ.get(ROUTE_KEY, OTHER) if route == OTHER else route, method, status, seconds)
        # A response below the log level is not queued.
        if logger.isEnabledFor(line_level(path, status)):
            request_id, caller, records = environ[REQUEST_ID_KEY], environ.get(CALLER_KEY), environ.get(RECORDS_KEY)
            STANDARD_OUTPUT.write(
                AccessLogEntry(time.time(), path, method, status, seconds, request_id, caller, records)
            )

    return answer
