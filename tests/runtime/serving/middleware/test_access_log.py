import json
import logging
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from werkzeug.exceptions import NotFound
from werkzeug.test import Client

from mlops_runtime.serving.drain import Marker
from mlops_runtime.serving.middleware import access_log
from mlops_runtime.serving.middleware.access_log import with_access_log
from mlops_runtime.serving.routes import ROUTE_KEY
from mlops_runtime.serving.telemetry.logs import CALLER_KEY, RECORDS_KEY, REQUEST_ID_KEY
from tests.runtime.serving.conftest import request_log


@pytest.fixture
def marker(tmp_path: Path) -> Marker:
    return Marker(tmp_path / "draining")


def test_a_response_has_an_id_and_default_headers(marker: Marker) -> None:
    # Given an application that sets a content type alone, while the service drains
    marker.create()
    client = Client(with_access_log(NotFound(), marker, lambda *_: None))

    # When it is called
    response = client.get("/", headers={"X-Request-ID": "abc-1"})

    # Then the response has the id, the default headers, and closes the connection
    assert response.headers["X-Request-ID"] == "abc-1"
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert response.headers["Connection"] == "close"


def test_the_line_has_the_caller_and_the_number_of_records(marker: Marker, log: StringIO) -> None:
    # Given an application that knows the caller and the number of records
    def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        environ |= {CALLER_KEY: 'team "A"', RECORDS_KEY: 3}
        start_response("200 OK", [("X-Seen", environ[REQUEST_ID_KEY])])
        return []

    response = Client(with_access_log(application, marker, lambda *_: None)).get("/version")

    line = json.loads(log.getvalue())
    assert (line["caller"], line["records"]) == ('team "A"', 3)
    assert line["request_id"] == response.headers["X-Seen"] == response.headers["X-Request-ID"]


def test_a_response_below_the_log_level_is_not_queued(marker: Marker, monkeypatch: pytest.MonkeyPatch) -> None:
    # Given a log level above that of ordinary responses
    written: list[object] = []
    with request_log(logging.ERROR):
        monkeypatch.setattr(access_log.STANDARD_OUTPUT, "write", written.append)

        Client(with_access_log(NotFound(), marker, lambda *_: None)).get("/version")

    assert written == []


@pytest.mark.parametrize(
    ("path", "rule", "route"),
    [
        pytest.param("/healthz", None, "/healthz", id="route"),
        pytest.param("/static/page.css", "/static/<path:filename>", "/static/", id="folder"),
        pytest.param("/customers/7", "/customers/<id>", "/customers/<id>", id="route of a project"),
        pytest.param("/unknown", None, "other", id="no route"),
    ],
)
def test_each_response_is_measured_under_its_route(marker: Marker, path: str, rule: str | None, route: str) -> None:
    # Given an application whose router matched a rule, or none
    measured: list[tuple[str, str, int]] = []

    def observe(route: str, method: str, status: int, seconds: float) -> None:
        assert seconds > 0
        measured.append((route, method, status))

    def application(environ: dict[str, Any], start_response: Any) -> Any:
        if rule:
            environ[ROUTE_KEY] = rule
        return NotFound()(environ, start_response)

    Client(with_access_log(application, marker, observe)).put(path)

    assert measured == [(route, "PUT", 404)]
