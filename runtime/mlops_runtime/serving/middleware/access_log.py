"""The envelope: what each answer carries, and what is noted of it.

It is one layer for all of that: each layer that a request passes takes a twentieth of the time that
its prediction takes.
"""

import random
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from mlops_runtime.serving.drain import LAST_ANSWER, Marker
from mlops_runtime.serving.middleware.headers import missing_in
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

Observe = Callable[[str, str, int, float], None]
"""What takes note of each answer: its path, method, status and duration in seconds."""


def enveloped(application: "WSGIApplication", marker: Marker, observe: Observe) -> "WSGIApplication":
    """Return the application with what every answer has.

    That is an id for each request, the headers that an answer does not bring itself, the last word
    to a client while the marker stands, a line in the log, and a note of the answer.
    """

    def answer(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        started = time.perf_counter()
        given = environ.get("HTTP_X_REQUEST_ID")
        request_id = given if given and REQUEST_ID.fullmatch(given) else f"{random.getrandbits(64):016x}"
        environ[REQUEST_ID_KEY] = request_id
        status = SERVER_ERROR

        def start(line: str, headers: list[tuple[str, str]], *exc_info: Any) -> Any:
            nonlocal status
            status = int(line[:3])
            headers += missing_in(headers)
            headers.append((REQUEST_ID_HEADER, request_id))
            if marker.stands():
                headers.append(LAST_ANSWER)
            return start_response(line, headers, *exc_info)

        body = application(environ, start)
        seconds = time.perf_counter() - started
        path, method = environ["PATH_INFO"], environ["REQUEST_METHOD"]
        observe(path, method, status, seconds)
        # What is no line takes no place among those that wait to be written.
        if logger.isEnabledFor(line_level(path, status)):
            caller, records = environ.get(CALLER_KEY), environ.get(RECORDS_KEY)
            STANDARD_OUTPUT.write(Answered(time.time(), path, method, status, seconds, request_id, caller, records))
        return body

    return answer
