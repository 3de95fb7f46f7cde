"""A service that answers what a test tells it to: how a wrong one looks from outside."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

Answers = dict[str, tuple[int, bytes]]
ServiceThatAnswers = Callable[[Answers], str]


@pytest.fixture
def service_that_answers() -> Iterator[ServiceThatAnswers]:
    """Return a function that takes status and body by path, and returns the URL of a service that gives them."""
    with ExitStack() as running:

        def start(answers: Answers) -> str:
            class Handler(BaseHTTPRequestHandler):
                def do_GET(self) -> None:
                    self.rfile.read(int(self.headers.get("Content-Length", 0)))
                    status, body = answers[self.path]
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
