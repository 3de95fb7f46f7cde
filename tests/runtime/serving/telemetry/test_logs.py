import json
import logging
import re
import sys
from datetime import datetime
from io import StringIO
from typing import Any

import pytest
from flask.testing import FlaskClient
from hypothesis import given
from hypothesis import strategies as st

from mlops_runtime.serving.telemetry import logs
from mlops_runtime.serving.telemetry.logs import AccessLogEntry
from tests.runtime.serving.conftest import request_log

REQUESTS = "webservice.requests"


def lines(log: StringIO) -> list[dict[str, Any]]:
    """Return the lines of the log so far."""
    return [json.loads(line) for line in log.getvalue().splitlines()]


def test_a_prediction_is_logged_in_one_line_without_its_record(
    client: FlaskClient, record: dict[str, Any], log: StringIO
) -> None:
    # When two records are predicted
    client.post("/v1/predictions", json=[record, record], headers={"X-Request-ID": "abc-1"})

    # Then the request has one line
    (line,) = lines(log)
    duration = line.pop("duration_ms")
    assert 0 < duration < 10_000
    assert line.pop("time").endswith("+00:00")
    assert line == {
        "level": "info",
        "logger": REQUESTS,
        "message": "request",
        "request_id": "abc-1",
        "method": "POST",
        "path": "/v1/predictions",
        "status": 200,
        "records": 2,
    }


@pytest.mark.parametrize(
    ("path", "level"),
    [("/", "info"), ("/unknown", "info"), ("/healthz", "debug"), ("/readyz", "debug"), ("/version", "info")],
)
def test_successful_probes_are_logged_at_level_debug(client: FlaskClient, log: StringIO, path: str, level: str) -> None:
    client.get(path)

    assert [line["level"] for line in lines(log)] == [level]


@pytest.mark.parametrize(
    ("status", "level"), [(200, logging.DEBUG), (404, logging.DEBUG), (500, logging.ERROR), (503, logging.WARNING)]
)
def test_failed_probes_are_logged_by_status(status: int, level: int) -> None:
    assert logs.line_level("/readyz", status) == level


def test_responses_below_the_log_level_are_not_logged(client: FlaskClient) -> None:
    with request_log(logging.INFO) as log:
        client.get("/healthz")

    assert lines(log) == []


@pytest.mark.parametrize("given", ["a", "0123456789abcdef", "a.b-c_D", "x" * 64])
def test_a_valid_request_id_is_kept(client: FlaskClient, log: StringIO, given: str) -> None:
    response = client.get("/", headers={"X-Request-ID": given})

    assert response.headers["X-Request-ID"] == given
    assert lines(log)[0]["request_id"] == given


@pytest.mark.parametrize("given", ["", " ", "a b", 'a"b', "é", "x" * 65, "a,b"])
def test_an_unsafe_request_id_is_replaced(client: FlaskClient, log: StringIO, given: str) -> None:
    response = client.get("/", headers={"X-Request-ID": given})

    made = response.headers["X-Request-ID"]
    assert made != given
    assert logs.REQUEST_ID.fullmatch(made)
    assert lines(log)[0]["request_id"] == made


def test_request_ids_are_unique(client: FlaskClient) -> None:
    assert len({client.get("/healthz").headers["X-Request-ID"] for _ in range(20)}) == 20


@pytest.mark.parametrize(("path", "logged"), [("/ü", "/ü"), ("/%ff", "/�"), ("/a%0ab", "/a\nb")])
def test_any_path_is_logged_in_one_line(client: FlaskClient, log: StringIO, path: str, logged: str) -> None:
    client.get(path)

    (line,) = lines(log)
    assert line["path"] == logged


# Texts that a WSGI server may pass: bytes decoded as Latin-1.
raw_texts = st.text(st.characters(codec="latin-1"))


@given(
    path=raw_texts,
    method=raw_texts,
    request_id=st.from_regex(logs.REQUEST_ID, fullmatch=True),
    status=st.integers(200, 599),
    seconds=st.floats(0, 1e6),
    caller=st.none() | st.text(),
    records=st.none() | st.integers(0, 10**6),
)
def test_an_access_log_entry_has_the_format_of_the_formatter(
    path: str,
    method: str,
    request_id: str,
    status: int,
    seconds: float,
    caller: str | None,
    records: int | None,
) -> None:
    # Given any response
    answered = AccessLogEntry(seconds, path, method, status, seconds, request_id, caller, records)

    # When its line is written
    line = str(answered)

    # Then it is one line, equal to that of the formatter except for the time and the digits of the duration
    fields = {
        "request_id": request_id,
        "method": method.encode("latin-1").decode(errors="replace"),
        "path": path.encode("latin-1").decode(errors="replace"),
        "status": status,
        "duration_ms": 0.0,
    }
    fields |= {key: value for key, value in (("caller", caller), ("records", records)) if value is not None}
    level = logs.line_level(path, status)
    entry = logging.makeLogRecord({"name": REQUESTS, "levelno": level, "levelname": logging.getLevelName(level)})
    entry.msg, entry.fields = "request", fields
    assert without_times(line) == without_times(logs.JsonFormatter().format(entry) + "\n")
    assert line.count("\n") == 1
    assert json.loads(line)["duration_ms"] == pytest.approx(seconds * 1000, abs=1e-3)


def test_a_path_that_is_not_latin_1_is_logged_with_question_marks() -> None:
    line = str(AccessLogEntry(0, "/\u0142\ud800", "GET", 404, 0.001, "abc"))

    assert json.loads(line)["path"] == "/??"


def without_times(line: str) -> str:
    """Return a line with its time and duration replaced by constants."""
    line = re.sub(r'^{"time": "[^"]{23}[+]00:00"', '{"time": "now"', line)
    return re.sub(r'"duration_ms": [0-9.]+', '"duration_ms": 1', line)


@given(milliseconds=st.integers(0, 4 * 10**12))
def test_a_timestamp_is_in_utc(milliseconds: int) -> None:
    timestamp = logs.timestamp_of(milliseconds)

    assert datetime.fromisoformat(timestamp).timestamp() == pytest.approx(milliseconds / 1000, abs=1e-4)
    assert timestamp.endswith("+00:00")


def test_a_traceback_is_part_of_its_line() -> None:
    # Given an exception that was logged
    try:
        raise ValueError("the reason")
    except ValueError:
        entry = logging.LogRecord("webservice", logging.ERROR, "app.py", 1, "failed: %s", ("x",), sys.exc_info())

    # When it is formatted
    text = logs.JsonFormatter().format(entry)

    # Then it is still one line
    assert "\n" not in text
    assert json.loads(text)["message"] == "failed: x"
    assert "ValueError: the reason" in json.loads(text)["traceback"]


def test_a_line_logged_during_a_request_has_its_id(client: FlaskClient) -> None:
    with client.application.test_request_context(environ_overrides={logs.REQUEST_ID_KEY: "abc"}):
        text = logs.JsonFormatter().format(logging.LogRecord("webservice", logging.INFO, "", 1, "text", (), None))

    assert json.loads(text)["request_id"] == "abc"


def test_the_server_uses_the_logging_configuration_of_the_service() -> None:
    configuration = logs.configuration("warning")

    assert configuration["loggers"]["_granian"].items() >= configuration["loggers"]["webservice"].items()
    assert configuration["loggers"]["_granian"]["level"] == "WARNING"


@pytest.mark.parametrize(
    ("message", "written"),
    [
        pytest.param("Granian shutdown completed, see ya!", False, id="farewell"),
        pytest.param("Listening at: http://127.0.0.1:8000", True, id="address"),
    ],
)
def test_the_server_does_not_say_goodbye(message: str, written: bool) -> None:
    record = logging.LogRecord("_granian", logging.INFO, "", 1, message, (), None)

    assert logs.ServerFilter().filter(record) == written
