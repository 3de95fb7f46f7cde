"""Starts the service in a separate process.

If SERVICE_URL is set, tests that do not control the process use the service at that address.
"""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit

import pytest

ARTEFACT = "ARTEFACT"
"""Variable with the folder of the artefact."""
COMMAND = (sys.executable, "-m", "tests.runtime.live_service.serve")
START_TIMEOUT = 30.0
STOP_TIMEOUT = 30.0


@dataclass(frozen=True)
class Response:
    """A response of the service."""

    status: int
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True)
class Service:
    """A service at an address."""

    host: str
    port: int

    def connect(self) -> HTTPConnection:
        """Return a connection, to be closed by the caller."""
        return HTTPConnection(self.host, self.port, timeout=10)

    def request(
        self, method: str, path: str, body: bytes | None = None, content_type: str = "application/json"
    ) -> Response:
        """Return the response to a request on a new connection."""
        connection = self.connect()
        try:
            return request_on(connection, method, path, body, content_type)
        finally:
            connection.close()


def request_on(
    connection: HTTPConnection,
    method: str,
    path: str,
    body: bytes | None = None,
    content_type: str = "application/json",
) -> Response:
    """Return the response to a request on an open connection."""
    connection.request(method, path, body, {} if body is None else {"Content-Type": content_type})
    response = connection.getresponse()
    headers = {name.lower(): value for name, value in response.getheaders()}
    return Response(response.status, headers, response.read())


@dataclass(frozen=True)
class OwnService(Service):
    """A service whose process the test controls."""

    process: subprocess.Popen[str]
    environment: dict[str, str]

    def stop(self) -> tuple[int, str]:
        """Stop the service; return its exit status and its log."""
        self.process.terminate()
        log, _ = self.process.communicate(timeout=STOP_TIMEOUT)
        return self.process.returncode, log


StartService = Callable[..., OwnService]


@contextmanager
def running_service(environment: dict[str, str], output: int | IO[str] = subprocess.PIPE) -> Iterator[OwnService]:
    """Yield a service that is ready; its process ends with the block.

    Args:
        environment: settings, and the artefact.
        output: of its log.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    path = os.pathsep.join(entry for entry in sys.path if entry)
    environment = os.environ | {"HOST": "127.0.0.1", "PORT": str(port), "PYTHONPATH": path} | environment
    process = subprocess.Popen(
        COMMAND,
        env=environment,
        stdout=output,
        stderr=subprocess.STDOUT,
        text=True,
        # A new process group, so that all its processes can be killed.
        start_new_session=True,
    )
    service = OwnService("127.0.0.1", port, process, environment)
    try:
        wait_until_ready(service)
        yield service
    finally:
        if process.poll() is None:
            process.terminate()
        try:
            process.communicate(timeout=STOP_TIMEOUT)
        finally:
            # Workers outlive a main process that was killed.
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def wait_until_ready(service: OwnService) -> None:
    """Wait until the service is ready; fail the test if it does not become ready."""
    deadline = time.monotonic() + START_TIMEOUT
    while time.monotonic() < deadline:
        try:
            if service.request("GET", "/readyz").status == 200:
                return
        except OSError:
            if service.process.poll() is not None:
                pytest.fail(f"the service ended with exit status {service.process.returncode}")
        time.sleep(0.05)
    pytest.fail(f"the service was not ready after {START_TIMEOUT:g} s")


@pytest.fixture(scope="session")
def service(artefact: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """The service at SERVICE_URL, or else one that is started for these tests."""
    if url := os.environ.get("SERVICE_URL"):
        address = urlsplit(url)
        yield Service(address.hostname or "127.0.0.1", address.port or 80)
        return
    marker = tmp_path_factory.mktemp("drain") / "draining"
    environment = {ARTEFACT: str(artefact), "DRAIN_MARKER": str(marker), "VERSION": "1.2.3", "LOG_LEVEL": "error"}
    with running_service(environment) as service:
        yield service


@pytest.fixture
def start_service(artefact: Path, tmp_path: Path) -> Iterator[StartService]:
    """A function that starts a service for one test, with settings by keyword."""
    if "SERVICE_URL" in os.environ:
        pytest.skip("SERVICE_URL names a service whose process the test cannot control")
    with ExitStack() as running:

        def start(**settings: str) -> OwnService:
            environment = {ARTEFACT: str(artefact), "DRAIN_MARKER": str(tmp_path / "draining")} | settings
            return running.enter_context(running_service(environment))

        yield start
