"""Registries of accounts, on this machine: one with passwords, and one whose limit on pulls is met."""

import base64
import json
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

import pytest

ACCOUNT = "acct"
TOKEN = "a token of the tests"
# Bcrypt hashes: of the token, and of a password that nobody needs to know.
HTPASSWD = f"""{ACCOUNT}:$2y$05$C9LDyNqWVYkgmdGPlTw1TeD9sZtjmaWro0k81ohhPSuuvWvR3Oo9u
00000000-0000-0000-0000-000000000000:$2y$05$C9LDyNqWVYkgmdGPlTw1TeD9sZtjmaWro0k81ohhPSuuvWvR3Oo9u
AWS:$2y$05$C9LDyNqWVYkgmdGPlTw1TeG5QHAP.6eiMFTPTdgYEnZsE6qhX6YQ2
"""
LIMIT = {
    "errors": [
        {
            "code": "TOOMANYREQUESTS",
            "message": "You have reached your pull rate limit. You may increase the limit by authenticating and"
            " upgrading: https://www.docker.com/increase-rate-limit",
        }
    ]
}
MANIFESTS = "application/vnd.docker.distribution.manifest.v2+json, application/vnd.oci.image.manifest.v1+json"


@contextmanager
def registry_of_accounts(folder: Path) -> Iterator[str]:
    """Run a registry with passwords, and yield host and port; skip the test where no program is one."""
    program = shutil.which("docker-registry") or shutil.which("registry")
    if program is None:
        pytest.skip("no registry program: install Debian's docker-registry, or registry of the distribution project")
    (folder / "htpasswd").write_text(HTPASSWD)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    (folder / "config.yml").write_text(
        f"""version: 0.1
storage: {{filesystem: {{rootdirectory: {folder}/images}}}}
http: {{addr: "127.0.0.1:{port}"}}
auth: {{htpasswd: {{realm: tests, path: {folder}/htpasswd}}}}
"""
    )
    address = f"127.0.0.1:{port}"
    with subprocess.Popen(
        [program, "serve", str(folder / "config.yml")], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as server:
        try:
            for _ in range(100):
                try:
                    urlopen(f"http://{address}/v2/", timeout=1).close()
                except HTTPError:
                    break
                except URLError:
                    time.sleep(0.1)
            yield address
        finally:
            server.terminate()


class Limited(BaseHTTPRequestHandler):
    """Answers each request for an image with status 429."""

    def do_GET(self) -> None:
        body = json.dumps({} if self.path == "/v2/" else LIMIT).encode()
        self.send_response(200 if self.path == "/v2/" else 429)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_HEAD = do_POST = do_GET  # noqa: N815

    def log_message(self, *arguments: object) -> None:
        """Log nothing."""


@contextmanager
def limited_registry() -> Iterator[str]:
    """Run a registry whose limit on pulls is met, and yield host and port."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Limited) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def digest_of(address: str, repository: str, tag: str) -> str:
    """Return the digest that a registry has for a tag; empty without one."""
    request = Request(f"http://{address}/v2/{repository}/manifests/{tag}", method="HEAD")
    request.add_header("Accept", MANIFESTS)
    request.add_header("Authorization", f"Basic {base64.b64encode(f'{ACCOUNT}:{TOKEN}'.encode()).decode()}")
    try:
        with urlopen(request, timeout=10) as response:
            return str(response.headers["Docker-Content-Digest"])
    except HTTPError as error:
        if error.code != 404:
            raise
        return ""
