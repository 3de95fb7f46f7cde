"""A stub of the service with the responses that a test sets."""

from collections.abc import Iterator
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Protocol

import pytest

Responses = dict[str, tuple[int, bytes]]
"""Status and body by path."""


class StubService(Protocol):
    """Starts a stub and returns its URL. With a key, requests without it get status 401."""

    def __call__(self, responses: Responses, key: str = "") -> str: ...


@pytest.fixture
def stub_service() -> Iterator[StubService]:
    """Return the function that starts a stub."""
    with ExitStack() as running:

        def start(responses: Responses, key: str = "") -> str:
            class Handler(BaseHTTPRequestHandler):
                def do_GET(self) -> None:
                    self.rfile.read(int(self.headers.get("Content-Length", 0)))
                    shown = self.headers.get("Authorization", "")
                    status, body = responses[self.path] if shown == (key and f"Bearer {key}") else (401, b"")
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
            Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
            return f"http://127.0.0.1:{server.server_port}"

        yield start
