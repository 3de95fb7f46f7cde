"""A service that answers what a test tells it to: how a wrong one looks from outside."""

from collections.abc import Iterator
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Protocol

import pytest

Answers = dict[str, tuple[int, bytes]]


class ServiceThatAnswers(Protocol):
    """Starts a service that gives status and body by path, to who shows the key if there is one; returns its URL."""

    def __call__(self, answers: Answers, key: str = "") -> str: ...


@pytest.fixture
def service_that_answers() -> Iterator[ServiceThatAnswers]:
    """Return the function that starts such a service."""
    with ExitStack() as running:

        def start(answers: Answers, key: str = "") -> str:
            class Handler(BaseHTTPRequestHandler):
                def do_GET(self) -> None:
                    self.rfile.read(int(self.headers.get("Content-Length", 0)))
                    shown = self.headers.get("Authorization", "")
                    status, body = answers[self.path] if shown == (key and f"Bearer {key}") else (401, b"")
                    self.send_response(status)
                    self.send_header("Content-Length", str(len(body)))
                    self.end_headers()
                    self.wfile.write(body)

                def do_POST(self) -> None:
                    self.do_GET()

                def log_message(self, *_: object) -> None:
                    pass

            server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
            running.callback(server.server_close)
            running.callback(server.shutdown)
            Thread(target=server.serve_forever, daemon=True).start()
            return f"http://127.0.0.1:{server.server_port}"

        yield start
