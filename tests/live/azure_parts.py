"""What the endpoints of these tests are made of: servers in threads, and proxies."""

import http.client
import socket
import ssl
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Json = dict[str, Any]


class AzureRefusesError(Exception):
    """An error that Resource Manager answers with."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.code = status, code


@dataclass
class Server:
    """A server in a thread."""

    handler: type[BaseHTTPRequestHandler]
    context: ssl.SSLContext | None = None

    def __post_init__(self) -> None:
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), self.handler)
        self.server.daemon_threads = True
        if self.context:
            self.server.socket = self.context.wrap_socket(self.server.socket, server_side=True)
        self.port = self.server.server_port
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def stop(self) -> None:
        self.server.shutdown()
        self.server.server_close()


class Handler(BaseHTTPRequestHandler):
    """Hands each request to `answer`."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def answer(self, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
        raise NotImplementedError

    def handle_any(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        status, headers, content = self.answer(body)
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = handle_any  # noqa: N815

    def log_message(self, *arguments: object) -> None:
        """Log nothing."""


def proxy_to(choose: Callable[[], int | None]) -> type[Handler]:
    """Return a handler that passes requests on to a port of this machine."""

    class Proxy(Handler):
        def answer(self, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
            for _ in range(20):
                port = choose()
                if port is None:
                    break
                connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
                try:
                    headers = {name: value for name, value in self.headers.items() if name.lower() != "connection"}
                    connection.request(self.command, self.path, body, headers | {"Connection": "close"})
                    response = connection.getresponse()
                    content = response.read()
                    hop = ("connection", "content-length", "transfer-encoding", "keep-alive")
                    kept = [(name, value) for name, value in response.getheaders() if name.lower() not in hop]
                    return response.status, kept, content
                except (OSError, http.client.HTTPException):
                    time.sleep(0.05)  # a replica that stops: another one has the request
                finally:
                    connection.close()
            return 503, [], b"no replica answers"

    return Proxy


def free_port() -> int:
    """Return a port of this machine that nothing listens at: those that an engine chooses change at each restart."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def status_of(port: int, path: str) -> int:
    """Return the status with which an instance answers; 0 if it does not."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return 0
    finally:
        connection.close()
