"""Converts the RSGI scope of granian to a WSGI environment (PEP 3333)."""

import sys
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from mlops_runtime.serving.middleware.access_log import STARTED_KEY

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

_CONSTANT: dict[str, Any] = {
    "SCRIPT_NAME": "",
    "SERVER_PROTOCOL": "HTTP/1.1",
    "wsgi.version": (1, 0),
    "wsgi.errors": sys.stderr,
    "wsgi.multithread": True,
    "wsgi.multiprocess": True,
    "wsgi.run_once": False,
}


def environ_of(scope: Any, started: float) -> "WSGIEnvironment":
    """Return the WSGI environment of a request, without its body.

    Args:
        scope: RSGI scope.
        started: arrival time, from `time.perf_counter`.
    """
    path: str = scope.path
    client, _, port = scope.client.rpartition(":")
    server, _, server_port = scope.server.rpartition(":")
    environ = {
        **_CONSTANT,
        "REQUEST_METHOD": scope.method,
        # WSGI requires the bytes of the path decoded as Latin-1.
        "PATH_INFO": path if path.isascii() else path.encode().decode("latin-1"),
        "QUERY_STRING": scope.query_string,
        "REMOTE_ADDR": client.strip("[]"),
        "REMOTE_PORT": port,
        "SERVER_NAME": server.strip("[]"),
        "SERVER_PORT": server_port,
        "wsgi.url_scheme": scope.scheme,
        STARTED_KEY: started,
    }
    for name, value in scope.headers.items():
        key = key_of(name)
        if key is None:
            continue
        environ[key] = f"{environ[key]}{'; ' if key == 'HTTP_COOKIE' else ','}{value}" if key in environ else value
    return environ


@lru_cache(maxsize=512)
def key_of(name: str) -> str | None:
    """Return the WSGI key of a header; None for a name with an underscore, which equals that of another header."""
    if "_" in name:
        return None
    key = name.upper().replace("-", "_")
    return key if key in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{key}"
