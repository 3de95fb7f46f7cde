import json
import logging
import sys
from typing import Any

import pytest
from flask.testing import FlaskClient

from webservice import logs

REQUESTS = "webservice.requests"


@pytest.fixture(autouse=True)
def everything_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, REQUESTS)


def lines(caplog: pytest.LogCaptureFixture) -> list[dict[str, Any]]:
    """Return the lines that the requests so far left in the log."""
    return [json.loads(logs.JsonFormatter().format(entry)) for entry in caplog.records if entry.name == REQUESTS]


def test_a_prediction_leaves_one_line_without_its_record(
    client: FlaskClient, record: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    # When two records are predicted
    client.post("/v1/predictions", json=[record, record], headers={"X-Request-ID": "abc-1"})

    # Then one line tells of the request
    (line,) = lines(caplog)
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
def test_probes_are_logged_for_those_who_look_closely(
    client: FlaskClient, caplog: pytest.LogCaptureFixture, path: str, level: str
) -> None:
    client.get(path)

    assert [line["level"] for line in lines(caplog)] == [level]


@pytest.mark.parametrize(
    ("status", "level"), [(200, logging.DEBUG), (404, logging.DEBUG), (500, logging.ERROR), (503, logging.WARNING)]
)
def test_a_probe_that_fails_is_no_small_matter(status: int, level: int) -> None:
    assert logs.line_level("/readyz", status) == level


def test_nothing_is_written_below_the_level(client: FlaskClient, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, REQUESTS)

    client.get("/healthz")

    assert lines(caplog) == []


@pytest.mark.parametrize("given", ["a", "0123456789abcdef", "a.b-c_D", "x" * 64])
def test_the_id_of_a_request_is_taken_over(client: FlaskClient, caplog: pytest.LogCaptureFixture, given: str) -> None:
    response = client.get("/", headers={"X-Request-ID": given})

    assert response.headers["X-Request-ID"] == given
    assert lines(caplog)[0]["request_id"] == given


@pytest.mark.parametrize("given", ["", " ", "a b", 'a"b', "é", "x" * 65, "a,b"])
def test_an_id_that_could_do_harm_is_replaced(
    client: FlaskClient, caplog: pytest.LogCaptureFixture, given: str
) -> None:
    response = client.get("/", headers={"X-Request-ID": given})

    made = response.headers["X-Request-ID"]
    assert made != given
    assert logs.REQUEST_ID.fullmatch(made)
    assert lines(caplog)[0]["request_id"] == made


def test_each_request_gets_an_id_of_its_own(client: FlaskClient) -> None:
    assert len({client.get("/healthz").headers["X-Request-ID"] for _ in range(20)}) == 20


@pytest.mark.parametrize(("path", "logged"), [("/ü", "/ü"), ("/%ff", "/�"), ("/a%0ab", "/a\nb")])
def test_any_path_makes_one_line(client: FlaskClient, caplog: pytest.LogCaptureFixture, path: str, logged: str) -> None:
    client.get(path)

    (entry,) = [entry for entry in caplog.records if entry.name == REQUESTS]
    text = logs.JsonFormatter().format(entry)
    assert "\n" not in text
    assert json.loads(text)["path"] == logged


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


def test_a_line_in_the_middle_of_a_request_has_its_id(client: FlaskClient) -> None:
    with client.application.test_request_context(environ_overrides={logs.REQUEST_ID_KEY: "abc"}):
        text = logs.JsonFormatter().format(logging.LogRecord("webservice", logging.INFO, "", 1, "text", (), None))

    assert json.loads(text)["request_id"] == "abc"


def test_the_server_logs_the_same_way() -> None:
    configuration = logs.configuration("warning")

    assert configuration["loggers"]["_granian"] == configuration["loggers"]["webservice"]
    assert configuration["loggers"]["_granian"]["level"] == "WARNING"
