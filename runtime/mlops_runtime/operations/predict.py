"""Start the service, request one prediction, print request and response, stop the service."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any

from mlops_runtime.model.artefact import ArtefactError
from mlops_runtime.model.golden import AnyGoldenRecord, GoldenRecords
from mlops_runtime.operations.golden import ServiceError, fetch
from mlops_runtime.operations.project import project_artefact

SERVICE = ("-m", "webservice")
"""Arguments of Python that start the service."""

MAX_SHOWN = 20
"""Fields of a record, and probabilities of a prediction, that are printed."""

START_TIMEOUT = 30.0
"""Seconds that the service may take to become ready."""


def free_port() -> int:
    """Return a port of this machine on which nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def local_service(environment: Mapping[str, str] = MappingProxyType({})) -> Iterator[str]:
    """Yield the URL of a service that runs while the block does.

    Args:
        environment: settings of the service.

    Raises:
        ServiceError: if it does not become ready.
    """
    port = free_port()
    # Only this process uses it: it needs no API keys.
    defaults = {"HOST": "127.0.0.1", "PORT": str(port), "LOG_LEVEL": "error", "API_KEYS": ""}
    url = f"http://127.0.0.1:{port}"
    with subprocess.Popen([sys.executable, *SERVICE], env=os.environ | defaults | dict(environment)) as process:
        try:
            wait_until_ready(url, process)
            yield url
        finally:
            process.send_signal(signal.SIGTERM)


def wait_until_ready(url: str, process: subprocess.Popen[bytes]) -> None:
    """Wait until the service is ready.

    Raises:
        ServiceError: if the process ends before, or is not ready in time.
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


def integral(value: Any) -> Any:
    """Return an integral float as an integer, and any other value unchanged."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def shown_record(golden_records: GoldenRecords) -> AnyGoldenRecord:
    """Return the golden record whose prediction is the best example, the first of equally good ones."""
    return max(golden_records, key=lambda golden_record: golden_record.prediction.clarity())


def shortened(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return at most `MAX_SHOWN` values that are not missing, and the number of those left out."""
    if len(values) <= MAX_SHOWN:
        return dict(values)
    known = [name for name, value in values.items() if value is not None][:MAX_SHOWN]
    return {name: values[name] for name in known} | {"…": f"{len(values) - len(known)} more"}


def most_probable(prediction: Mapping[str, Any]) -> dict[str, Any]:
    """Return a prediction with at most `MAX_SHOWN` probabilities, the highest ones."""
    if "probabilities" not in prediction:
        return dict(prediction)
    probabilities = prediction["probabilities"]
    if len(probabilities) > MAX_SHOWN:
        probabilities = dict(sorted(probabilities.items(), key=lambda item: -item[1]))
    return dict(prediction) | {"probabilities": shortened(probabilities)}


def text(value: Any) -> str:
    """Return a value as indented JSON."""
    return json.dumps(value, indent=2, ensure_ascii=False)


def main() -> int:
    """Print one prediction and return the exit status."""
    # The service that was started is stopped.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        values = shown_record(project_artefact().golden_records).record.model_dump(mode="json")
        record = {name: integral(value) for name, value in values.items()}
        with local_service() as url:
            prediction = json.loads(fetch(f"{url}/v1/predictions", record))
    except (ServiceError, ArtefactError) as error:
        print(f"predict: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("predict: stopped, and so is the service", file=sys.stderr)
        return 130
    print("POST /v1/predictions", text(shortened(record)), "200 OK", text(most_probable(prediction)), sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
