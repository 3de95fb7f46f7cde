"""Start the service, ask it for one prediction, show question and answer, stop the service."""

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

from mlops_runtime.contract.fields import LabelPrediction
from mlops_runtime.model.artefact import ArtefactError
from mlops_runtime.model.golden import AnyGoldenRecord, GoldenRecords
from mlops_runtime.operations.golden import ServiceError, fetch
from mlops_runtime.operations.project import project_artefact

SERVICE = ("-m", "webservice")
"""What Python runs to serve."""

MAX_SHOWN = 20
"""Fields of a record, and probabilities of a prediction, that are shown."""

START_TIMEOUT = 30.0
"""Seconds that the service may take to become ready."""


def free_port() -> int:
    """Return a port of this machine that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def local_service(environment: Mapping[str, str] = MappingProxyType({})) -> Iterator[str]:
    """Yield the URL of a service that runs for as long as the block does.

    Args:
        environment: settings of the service.

    Raises:
        ServiceError: if it does not become ready.
    """
    port = free_port()
    # It is asked by nobody else: no key is needed.
    own = {"HOST": "127.0.0.1", "PORT": str(port), "LOG_LEVEL": "error", "API_KEYS": ""}
    url = f"http://127.0.0.1:{port}"
    with subprocess.Popen([sys.executable, *SERVICE], env=os.environ | own | dict(environment)) as process:
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


def shown_record(golden: GoldenRecords) -> AnyGoldenRecord:
    """Return the golden record to show: the one with the surest label, or the first one if it has a value."""
    return max(golden, key=lambda one: one.prediction.probability if isinstance(one.prediction, LabelPrediction) else 0)


def few(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return values to read, by name: of many only the first that are known, and how many more there are."""
    if len(values) <= MAX_SHOWN:
        return dict(values)
    known = [name for name, value in values.items() if value is not None][:MAX_SHOWN]
    return {name: values[name] for name in known} | {"…": f"{len(values) - len(known)} more"}


def most_probable(prediction: Mapping[str, Any]) -> dict[str, Any]:
    """Return a prediction to read: of many probabilities only the highest."""
    if "probabilities" not in prediction:
        return dict(prediction)
    probabilities = prediction["probabilities"]
    if len(probabilities) > MAX_SHOWN:
        probabilities = dict(sorted(probabilities.items(), key=lambda one: -one[1]))
    return dict(prediction) | {"probabilities": few(probabilities)}


def text(value: Any) -> str:
    """Return a value as JSON to read."""
    return json.dumps(value, indent=2, ensure_ascii=False)


def main() -> int:
    """Show one prediction; return the exit status."""
    try:
        values = shown_record(project_artefact().golden_records).record.model_dump(mode="json")
        record = {name: without_point(value) for name, value in values.items()}
        with local_service() as url:
            prediction = json.loads(fetch(f"{url}/v1/predictions", record))
    except (ServiceError, ArtefactError) as error:
        print(f"predict: {error}", file=sys.stderr)
        return 1
    print("POST /v1/predictions", text(few(record)), "200 OK", text(most_probable(prediction)), sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
