"""API keys and rate limits of a service with several processes."""

import hashlib
import os
import secrets
import signal
import time
from contextlib import suppress
from pathlib import Path

import pytest

from mlops_runtime.serving.middleware.keys import CHECK_INTERVAL
from tests.runtime.live_service.conftest import OwnService, StartService

WORKERS = "2"
IN_A_ROW = 12
"""Connections, each accepted by any of the workers."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "keys"
    folder.mkdir()
    return folder


def make_key(folder: Path, name: str) -> str:
    key = secrets.token_urlsafe(32)
    (folder / name).write_text(hashlib.sha256(key.encode()).hexdigest())
    return key


def status(service: OwnService, key: str = "", path: str = "/version") -> int:
    """Return the status of the response to a request with a key, on a connection of its own."""
    connection = service.connect()
    try:
        connection.request("GET", path, headers={"Authorization": f"Bearer {key}"} if key else {})
        return connection.getresponse().status
    finally:
        connection.close()


def statuses(service: OwnService, key: str) -> set[int]:
    return {status(service, key) for _ in range(IN_A_ROW)}


def wait_until_all_respond(service: OwnService, key: str, expected: int) -> None:
    deadline = time.monotonic() + 4 * CHECK_INTERVAL
    while True:
        # A worker that was killed takes connections with it.
        with suppress(OSError):
            if statuses(service, key) == {expected}:
                return
        assert time.monotonic() < deadline, f"no {expected} within {4 * CHECK_INTERVAL:g} s"
        time.sleep(0.2)


def test_keys_change_while_every_worker_runs(start_service: StartService, folder: Path) -> None:
    # Given a service with two workers that knows one key
    first = make_key(folder, "first")
    service = start_service(API_KEYS=str(folder), WORKERS=WORKERS, LOG_LEVEL="info")
    assert statuses(service, first) == {200}
    assert statuses(service, "") == {401}
    assert status(service, path="/healthz") == 200

    # When another is added, then both workers accept it
    second = make_key(folder, "second")
    wait_until_all_respond(service, second, 200)

    # When the first one is removed, then both refuse it
    (folder / "first").unlink()
    wait_until_all_respond(service, first, 401)
    assert statuses(service, second) == {200}

    # And no key is in the log
    _, log = service.stop()
    assert '"caller": "second"' in log
    assert first not in log
    assert second not in log


def test_every_worker_accepts_the_operators_key_until_the_service_stops(
    start_service: StartService, folder: Path, tmp_path: Path
) -> None:
    # Given a service with a key that no caller has
    make_key(folder, "lost")
    service = start_service(API_KEYS=str(folder), WORKERS=WORKERS, TMPDIR=str(tmp_path))
    file = tmp_path / f"webservice-{service.port}.key"

    # When the operator reads its key, then every worker accepts it
    key = file.read_text()
    assert file.stat().st_mode & 0o777 == 0o600
    assert statuses(service, key) == {200}

    # And so do the workers that replace others
    children = Path(f"/proc/{service.process.pid}/task/{service.process.pid}/children")
    if children.exists():
        for worker in children.read_text().split():
            os.kill(int(worker), signal.SIGKILL)
        wait_until_all_respond(service, key, 200)

    # And the key is gone with the service
    assert service.stop()[0] == 0
    assert not file.exists()


def test_a_caller_that_exceeds_the_rate_is_refused(start_service: StartService, folder: Path) -> None:
    # Given a service with a limit of ten requests a second for each caller
    one, other = make_key(folder, "one"), make_key(folder, "other")
    service = start_service(API_KEYS=str(folder), RATE_LIMIT="10")

    # When one caller sends requests as fast as it can
    began = time.monotonic()
    responses = [status(service, one) for _ in range(50)]
    seconds = time.monotonic() - began

    # Then it gets predictions at the rate, after an initial burst, and the other caller has its own limit
    assert set(responses) <= {200, 429}
    assert 10 <= responses.count(200) <= 10 + 10 * seconds + 1
    assert status(service, other) == 200
