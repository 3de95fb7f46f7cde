"""Start the service, ask it for one prediction, show question and answer, stop the service."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from operations.golden import ServiceError, fetch, golden_records

from {{cookiecutter.__package}}_model.metadata import ArtefactError

SERVICE = ("-m", "webservice")
"""What Python runs to serve."""

START_TIMEOUT = 30.0
"""Seconds that the service may take to become ready."""


def free_port() -> int:
    """Return a port of this machine that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def local_service() -> Iterator[str]:
    """Yield the URL of a service that runs for as long as the block does.

    Raises:
        ServiceError: if it does not become ready.
    """
    port = free_port()
    environment = os.environ | {"HOST": "127.0.0.1", "PORT": str(port), "LOG_LEVEL": "error"}
    url = f"http://127.0.0.1:{port}"
    with subprocess.Popen([sys.executable, *SERVICE], env=environment) as process:
        try:
            wait_until_ready(url, process)
            yield url
        finally:
            process.send_signal(signal.SIGTERM)


def wait_until_ready(url: str, process: subprocess.Popen[bytes]) -> None:
    """Wait until the service is ready.

    Raises:
        ServiceError: if the process ends first, or time runs out.
    """
    deadline = time.monotonic() + START_TIMEOUT
    while True:
        try:
            fetch(f"{url}/readyz")
        except ServiceError as error:
            if process.poll() is not None:
                raise ServiceError(f"the service stopped with exit status {process.returncode}") from error
            if time.monotonic() > deadline:
                raise ServiceError(f"the service was not ready after {START_TIMEOUT:g} s: {error}") from error
            time.sleep(0.05)
        else:
            return


def without_point(value: Any) -> Any:
    """Return a whole number as a person writes it, and anything else as it is."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def main() -> int:
    """Show one prediction; return the exit status."""
    try:
        surest = max(golden_records(), key=lambda golden: golden.prediction.probability)
        record = {name: without_point(value) for name, value in surest.record.model_dump().items()}
        with local_service() as url:
            prediction = json.loads(fetch(f"{url}/v1/predictions", record))
    except (ServiceError, ArtefactError) as error:
        print(f"predict: {error}", file=sys.stderr)
        return 1
    print("POST /v1/predictions", json.dumps(record, indent=2), "200 OK", json.dumps(prediction, indent=2), sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
