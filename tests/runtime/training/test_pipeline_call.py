"""The call of a pipeline, to a server on this machine."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

import pytest

from mlops_runtime.training.pipeline_call import PipelineError, call_pipeline


class Pipelines(NamedTuple):
    """A service of pipelines: its address, and the calls that it got."""

    url: str
    calls: list[tuple[str, str | None, Any]]


@pytest.fixture
def pipelines() -> Iterator[Pipelines]:
    """A service that refuses calls without a token."""
    calls: list[tuple[str, str | None, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            calls.append((self.path, self.headers["Authorization"], json.loads(body)))
            self.send_response(204 if self.headers["Authorization"] == "Bearer secret" else 401)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield Pipelines(f"http://127.0.0.1:{server.server_port}", calls)
        server.shutdown()


def test_the_version_is_in_the_address_and_in_the_body(pipelines: Pipelines) -> None:
    environment = {
        "PIPELINE_URL": f"{pipelines.url}/runs/${{VERSION}}",
        "PIPELINE_AUTHORIZATION": "Bearer secret",
        "PIPELINE_BODY": '{"ref": "main", "inputs": {"model": "${VERSION}"}, "price": "$5"}',
    }

    assert call_pipeline("retrained-1", environment) == "127.0.0.1"

    body = {"ref": "main", "inputs": {"model": "retrained-1"}, "price": "$5"}
    assert pipelines.calls == [("/runs/retrained-1", "Bearer secret", body)]


def test_without_an_address_nothing_is_called() -> None:
    assert call_pipeline("1.0", {}) == ""


@pytest.mark.parametrize(
    ("url", "message"),
    [
        pytest.param("{url}", "127.0.0.1 did not start the pipeline: it answered with status 401", id="refused"),
        pytest.param("http://127.0.0.1:9", "127.0.0.1 did not start the pipeline: .*refused", id="nobody answers"),
        pytest.param("file:///etc/passwd", "PIPELINE_URL is no address of a pipeline", id="a file"),
        pytest.param("pipelines.example.org/run", "PIPELINE_URL is no address of a pipeline", id="no scheme"),
        pytest.param("http://[", "PIPELINE_URL is no address of a pipeline", id="no address"),
    ],
)
def test_a_call_that_fails_says_why_without_the_token(pipelines: Pipelines, url: str, message: str) -> None:
    environment = {"PIPELINE_URL": url.format(url=pipelines.url), "PIPELINE_AUTHORIZATION": "Bearer another-token"}

    with pytest.raises(PipelineError, match=message) as raised:
        call_pipeline("1.0", environment)

    assert "another-token" not in str(raised.value)


@pytest.mark.parametrize(
    ("path", "authorization"),
    [
        pytest.param("/", "Bearer secret-of-two\nlines", id="header of two lines"),
        pytest.param("/", "Bearer secret-\u2026", id="header that is not Latin-1"),
        pytest.param("/?token=secret of-words", "", id="address with a space"),
        pytest.param("/?token=secret-\u2026", "", id="address that is not ASCII"),
        pytest.param("/\n?token=secret", "", id="address of two lines"),
    ],
)
def test_a_call_that_cannot_be_made_is_refused_without_the_token(
    pipelines: Pipelines, path: str, authorization: str
) -> None:
    environment = {"PIPELINE_URL": f"{pipelines.url}{path}", "PIPELINE_AUTHORIZATION": authorization}

    with pytest.raises(PipelineError, match=r"127\.0\.0\.1 did not start the pipeline: ") as raised:
        call_pipeline("1.0", environment)

    assert "secret" not in str(raised.value)
    assert pipelines.calls == []


def test_a_line_break_at_the_end_of_a_secret_is_left_out(pipelines: Pipelines) -> None:
    environment = {"PIPELINE_URL": f"{pipelines.url}/run\n", "PIPELINE_AUTHORIZATION": "Bearer secret\n"}

    assert call_pipeline("1.0", environment) == "127.0.0.1"

    assert pipelines.calls == [("/run", "Bearer secret", {})]
