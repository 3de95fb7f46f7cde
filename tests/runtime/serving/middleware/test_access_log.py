import json
import logging
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from werkzeug.exceptions import NotFound
from werkzeug.test import Client

from mlops_runtime.serving.drain import Marker
from mlops_runtime.serving.middleware import access_log as envelope
from mlops_runtime.serving.middleware.access_log import enveloped
from mlops_runtime.serving.telemetry.logs import CALLER_KEY, RECORDS_KEY, REQUEST_ID_KEY
from tests.runtime.serving.conftest import request_log


@pytest.fixture
def marker(tmp_path: Path) -> Marker:
    return Marker(tmp_path / "draining")


def test_an_answer_carries_what_every_answer_has(marker: Marker) -> None:
    # Given an application that answers with a type alone, while the service drains
    marker.put()
    client = Client(enveloped(NotFound(), marker, lambda *_: None))

    # When it is asked
    response = client.get("/", headers={"X-Request-ID": "abc-1"})

    # Then the answer has the id, what a browser should know, and the last word
    assert response.headers["X-Request-ID"] == "abc-1"
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert response.headers["Connection"] == "close"


def test_what_the_application_knows_is_in_the_line(marker: Marker, log: StringIO) -> None:
    # Given an application that knows who asks, and for how many records
    def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        environ |= {CALLER_KEY: 'team "A"', RECORDS_KEY: 3}
        start_response("200 OK", [("X-Seen", environ[REQUEST_ID_KEY])])
        return []

    response = Client(enveloped(application, marker, lambda *_: None)).get("/version")

    line = json.loads(log.getvalue())
    assert (line["caller"], line["records"]) == ('team "A"', 3)
    assert line["request_id"] == response.headers["X-Seen"] == response.headers["X-Request-ID"]


def test_what_is_not_logged_takes_no_place_among_the_lines(marker: Marker, monkeypatch: pytest.MonkeyPatch) -> None:
    # Given a log whose reader stalls, at a level that leaves ordinary answers out
    written: list[object] = []
    with request_log(logging.ERROR):
        monkeypatch.setattr(envelope.STANDARD_OUTPUT, "write", written.append)

        Client(enveloped(NotFound(), marker, lambda *_: None)).get("/version")

    assert written == []


def test_each_answer_is_noted(marker: Marker) -> None:
    noted: list[tuple[str, str, int]] = []

    def observe(path: str, method: str, status: int, seconds: float) -> None:
        assert seconds > 0
        noted.append((path, method, status))

    client = Client(enveloped(NotFound(), marker, observe))
    client.put("/a")
    client.get("/healthz")

    assert noted == [("/a", "PUT", 404), ("/healthz", "GET", 404)]
