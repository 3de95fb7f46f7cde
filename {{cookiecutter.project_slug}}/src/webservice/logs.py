"""Logs: one JSON object a line on standard output, one line a request, and nothing of what records hold."""

import json
import logging
import re
import secrets
import time
from collections.abc import Iterable
from datetime import UTC, datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from flask import has_request_context, request

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

logger = logging.getLogger("webservice.requests")


class JsonFormatter(logging.Formatter):
    """Makes a JSON object of a log record."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as one line of JSON."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
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
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"json": {"()": "webservice.logs.JsonFormatter"}},
        "handlers": {"stdout": {"class": "logging.StreamHandler", "formatter": "json", "stream": "ext://sys.stdout"}},
        # "_granian" is the logger of the server itself.
        "loggers": {"webservice": here, "_granian": here},
        "root": {"handlers": ["stdout"], "level": "WARNING"},
    }


def logged(application: "WSGIApplication") -> "WSGIApplication":
    """Return the application with an id for each request and a line in the log for each answer."""

    def answer(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        started = time.perf_counter()
        given = environ.get("HTTP_X_REQUEST_ID", "")
        request_id = given if REQUEST_ID.fullmatch(given) else secrets.token_hex(8)
        environ[REQUEST_ID_KEY] = request_id
        status = HTTPStatus.INTERNAL_SERVER_ERROR.value

        def start(line: str, headers: list[tuple[str, str]], *exc_info: Any) -> Any:
            nonlocal status
            status = int(line[:3])
            headers.append((REQUEST_ID_HEADER, request_id))
            return start_response(line, headers, *exc_info)

        body = application(environ, start)
        level = line_level(environ["PATH_INFO"], status)
        if logger.isEnabledFor(level):
            logger.log(level, "request", extra={"fields": request_fields(environ, status, started)})
        return body

    return answer


def request_fields(environ: "WSGIEnvironment", status: int, started: float) -> dict[str, Any]:
    """Return what the log says of a request."""
    fields = {
        "request_id": environ[REQUEST_ID_KEY],
        "method": environ["REQUEST_METHOD"],
        # WSGI hands on the bytes of the path as Latin-1.
        "path": environ["PATH_INFO"].encode("latin-1").decode(errors="replace"),
        "status": status,
        "duration_ms": round((time.perf_counter() - started) * 1000, 3),
    }
    if CALLER_KEY in environ:
        fields["caller"] = environ[CALLER_KEY]
    if RECORDS_KEY in environ:
        fields["records"] = environ[RECORDS_KEY]
    return fields


def line_level(path: str, status: int) -> int:
    """Return the level at which an answer is logged."""
    if status == HTTPStatus.INTERNAL_SERVER_ERROR:
        return logging.ERROR
    if status > HTTPStatus.INTERNAL_SERVER_ERROR:
        return logging.WARNING
    return logging.DEBUG if path in PROBES else logging.INFO
