"""Logs: JSON lines on standard output, without values of records."""

import json
import logging
import re
from datetime import UTC, datetime
from functools import lru_cache
from http import HTTPStatus
from typing import Any, NamedTuple

from flask import has_request_context, request

from mlops_runtime.serving.routes import route_of

REQUEST_ID_HEADER = "X-Request-ID"
REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
"""Request ids that are accepted from a caller; others could forge a header or a log line."""

# Keys of the WSGI environment.
REQUEST_ID_KEY = "webservice.request_id"
RECORDS_KEY = "webservice.records"
CALLER_KEY = "webservice.caller"

SERVER_ERROR = HTTPStatus.INTERNAL_SERVER_ERROR.value

REQUESTS = "webservice.requests"
logger = logging.getLogger(REQUESTS)

# The parts of a line that depend on the level only.
BEGINNING = '{"time": "'
LEVELS = {
    level: f'", "level": "{logging.getLevelName(level).lower()}", "logger": "{REQUESTS}", '
    '"message": "request", "request_id": "'
    for level in (logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR)
}


class AccessLogEntry(NamedTuple):
    """An entry in the queue of the access log, which the writing thread converts to a line.

    Attributes:
        moment: time in seconds since 1970.
        path: of the request.
        method: of the request.
        status: of the response.
        seconds: from the request to the response.
        request_id: of the request.
        caller: name of the API key, or None.
        records: number of predicted records, or None.
    """

    moment: float
    path: str
    method: str
    status: int
    seconds: float
    request_id: str
    caller: str | None = None
    records: int | None = None

    def __str__(self) -> str:
        """Return the log line, with its line feed.

        It has the format of `JsonFormatter`, which takes ten times as long, about the time of a prediction.
        """
        level = line_level(self.path, self.status)
        caller = "" if self.caller is None else f', "caller": {json.dumps(self.caller)}'
        records = "" if self.records is None else f', "records": {self.records}'
        return (
            f'{BEGINNING}{timestamp_of(int(self.moment * 1000))}{LEVELS[level]}{self.request_id}", '
            f'"method": {quoted(self.method)}, "path": {quoted(self.path)}, '
            f'"status": {self.status}, "duration_ms": {self.seconds * 1000:.3f}{caller}{records}'
            "}\n"
        )


class JsonFormatter(logging.Formatter):
    """Formats log records as JSON."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as one line of JSON."""
        line: dict[str, Any] = {
            "time": timestamp_of(int(record.created * 1000)),
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


class ServerFilter(logging.Filter):
    """Drops the last line of granian, which says no more than the one before."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether the record is written."""
        return "see ya" not in record.getMessage()


def configuration(level: str) -> dict[str, Any]:
    """Return the configuration of logging for a level, for `logging.config.dictConfig`."""
    here = {"handlers": ["stdout"], "level": level.upper(), "propagate": False}
    stdout = {
        "class": "logging.StreamHandler",
        "formatter": "json",
        "stream": "ext://mlops_runtime.serving.telemetry.log_output.STANDARD_OUTPUT",
    }
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"json": {"()": "mlops_runtime.serving.telemetry.logs.JsonFormatter"}},
        "handlers": {"stdout": stdout},
        "filters": {"server": {"()": "mlops_runtime.serving.telemetry.logs.ServerFilter"}},
        # "_granian" is the logger of the server itself.
        "loggers": {"webservice": here, "_granian": here | {"filters": ["server"]}},
        "root": {"handlers": ["stdout"], "level": "WARNING"},
    }


def timestamp_of(milliseconds: int) -> str:
    """Return a time in milliseconds since 1970 as date and time in UTC (ISO 8601)."""
    return f"{utc_second(milliseconds // 1000)}.{milliseconds % 1000:03d}+00:00"


@lru_cache(maxsize=2)
def utc_second(seconds: int) -> str:
    """Return a time in seconds since 1970 as date and time in UTC, without the offset."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")


@lru_cache(maxsize=64)
def quoted(text: str) -> str:
    """Return a text of the WSGI environment (bytes decoded as Latin-1) as a JSON string."""
    # A character outside Latin-1 must not end the writing thread.
    return json.dumps(text.encode("latin-1", "replace").decode(errors="replace"))


def line_level(path: str, status: int) -> int:
    """Return the log level of a response."""
    if status == SERVER_ERROR:
        return logging.ERROR
    if status > SERVER_ERROR:
        return logging.WARNING
    return logging.INFO if route_of(path).logged else logging.DEBUG
