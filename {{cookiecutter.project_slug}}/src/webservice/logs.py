"""Logs: one JSON object a line on standard output, one line a request, and nothing of what records hold."""

import json
import logging
import random
import re
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from functools import lru_cache
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from flask import has_request_context, request

from webservice.output import STANDARD_OUTPUT

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

REQUEST_ID_HEADER = "X-Request-ID"
REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
"""What is taken over from a caller as the id of a request; anything else might forge a header or a line."""
PROBES = frozenset({"/healthz", "/readyz"})
"""Paths that the cluster asks every few seconds: their successes are logged at level debug."""

# What a request knows of itself, in its WSGI environment.
REQUEST_ID_KEY = "webservice.request_id"
RECORDS_KEY = "webservice.records"
CALLER_KEY = "webservice.caller"

SERVER_ERROR = HTTPStatus.INTERNAL_SERVER_ERROR.value

REQUESTS = "webservice.requests"
logger = logging.getLogger(REQUESTS)

# What each line has in common with others.
BEGINNING = '{"time": "'
LEVELS = {
    level: f'", "level": "{logging.getLevelName(level).lower()}", "logger": "{REQUESTS}", '
    '"message": "request", "request_id": "'
    for level in (logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR)
}

Observe = Callable[[str, str, int, float], None]
"""What takes note of each answer: its path, method, status and duration in seconds."""


class JsonFormatter(logging.Formatter):
    """Makes a JSON object of a log record."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as one line of JSON."""
        line: dict[str, Any] = {
            "time": moment_of(int(record.created * 1000)),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if has_request_context():
            line["request_id"] = request.environ.get(REQUEST_ID_KEY)
        line |= getattr(record, "fields", {})
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line)


def configuration(level: str) -> dict[str, Any]:
    """Return the logging configuration for a level, as `logging.config.dictConfig` takes it."""
    here = {"handlers": ["stdout"], "level": level.upper(), "propagate": False}
    stdout = {
        "class": "logging.StreamHandler",
        "formatter": "json",
        "stream": "ext://webservice.output.STANDARD_OUTPUT",
    }
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"json": {"()": "webservice.logs.JsonFormatter"}},
        "handlers": {"stdout": stdout},
        # "_granian" is the logger of the server itself.
        "loggers": {"webservice": here, "_granian": here},
        "root": {"handlers": ["stdout"], "level": "WARNING"},
    }


def logged(application: "WSGIApplication", observe: Observe) -> "WSGIApplication":
    """Return the application with an id for each request, a line in the log for each answer, and a note of it."""

    def answer(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        started = time.perf_counter()
        given = environ.get("HTTP_X_REQUEST_ID")
        request_id = given if given and REQUEST_ID.fullmatch(given) else f"{random.getrandbits(64):016x}"
        environ[REQUEST_ID_KEY] = request_id
        status = SERVER_ERROR

        def start(line: str, headers: list[tuple[str, str]], *exc_info: Any) -> Any:
            nonlocal status
            status = int(line[:3])
            headers.append((REQUEST_ID_HEADER, request_id))
            return start_response(line, headers, *exc_info)

        body = application(environ, start)
        seconds = time.perf_counter() - started
        path = environ["PATH_INFO"]
        observe(path, environ["REQUEST_METHOD"], status, seconds)
        level = line_level(path, status)
        if logger.isEnabledFor(level):
            STANDARD_OUTPUT.write(line_of(environ, status, seconds, level))
        return body

    return answer


@lru_cache(maxsize=2)
def moment_of(milliseconds: int) -> str:
    """Return the date and time of a moment, in milliseconds since 1970, as ISO 8601 has it in UTC."""
    return datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat(timespec="milliseconds")


@lru_cache(maxsize=64)
def quoted(text: str) -> str:
    """Return a text of the WSGI environment, which hands on bytes as Latin-1, as JSON has it."""
    return json.dumps(text.encode("latin-1").decode(errors="replace"))


def line_of(environ: "WSGIEnvironment", status: int, seconds: float, level: int) -> str:
    """Return the line in the log for an answer.

    It has the form of `JsonFormatter`, which takes ten times as long: as long as the model.
    """
    caller = f', "caller": {json.dumps(environ[CALLER_KEY])}' if CALLER_KEY in environ else ""
    records = f', "records": {environ[RECORDS_KEY]}' if RECORDS_KEY in environ else ""
    return (
        f'{BEGINNING}{moment_of(int(time.time() * 1000))}{LEVELS[level]}{environ[REQUEST_ID_KEY]}", '
        f'"method": {quoted(environ["REQUEST_METHOD"])}, "path": {quoted(environ["PATH_INFO"])}, '
        f'"status": {status}, "duration_ms": {seconds * 1000:.3f}{caller}{records}'
        "}\n"
    )


def line_level(path: str, status: int) -> int:
    """Return the level at which an answer is logged."""
    if status == SERVER_ERROR:
        return logging.ERROR
    if status > SERVER_ERROR:
        return logging.WARNING
    return logging.DEBUG if path in PROBES else logging.INFO
