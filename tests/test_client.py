"""A client that is generated from the service's OpenAPI document."""

import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from tests import tables
from tests.conftest import bake, share_environment
from tests.test_project import make, only_file

START_TIMEOUT = 30.0
MODEL_TABLES: dict[str, tuple[Callable[[Path], Path] | None, str]] = {
    "binary": (None, ""),
    "regression": (tables.orders, "Price paid"),
    "multiclass": (tables.flowers, "Species"),
}


@pytest.fixture(scope="module", params=MODEL_TABLES)
def trained(request: pytest.FixtureRequest, project: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A trained project for each task; the binary one is the project with default answers."""
    table, target = MODEL_TABLES[request.param]
    trained, settings = project, []
    if table is not None:
        folder = tmp_path_factory.mktemp(request.param)
        trained = share_environment(bake(folder, dataset=str(table(folder / "table.csv")), target=target), project)
        settings = ["BUDGET=1"]
    result = make(trained, "train", *settings)
    assert result.returncode == 0, result.stdout + result.stderr
    return trained


@contextmanager
def served(project: Path, folder: Path, **variables: str) -> Iterator[str]:
    """Run the project's service with these environment variables, and yield its address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    settings = {
        "PORT": str(port),
        "PYTHONPATH": f"{project}/src:{project}/vendor",
        "DRAIN_MARKER": str(folder / "draining"),
    }
    command = [str(project / ".venv/bin/python"), "-m", "webservice"]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(command, env=os.environ | settings | variables, stdout=log, stderr=log)
        try:
            address = f"http://127.0.0.1:{port}"
            wait_for(f"{address}/readyz")
            yield address
        finally:
            process.terminate()
            process.wait(timeout=START_TIMEOUT)


def wait_for(url: str) -> None:
    deadline = time.monotonic() + START_TIMEOUT
    while True:
        try:
            with urllib.request.urlopen(url):
                return
        except OSError:
            assert time.monotonic() < deadline, f"{url} does not answer"
            time.sleep(0.1)


def test_a_generated_client_gets_the_golden_predictions(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    golden = json.loads(only_file(trained, "src/*_model/artefact/golden.json").read_text())
    # A different module name for each client, because Python caches imports.
    name = f"client_of_{tmp_path.name}"
    with served(trained, tmp_path) as address:
        # Given a client generated from the OpenAPI document
        command = [sys.executable, "-m", "openapi_python_client", "generate", "--url", f"{address}/openapi.json"]
        result = subprocess.run(
            [*command, "--meta", "none", "--output-path", str(tmp_path / name)], capture_output=True, text=True
        )
        assert result.returncode == 0, result.stdout + result.stderr
        monkeypatch.syspath_prepend(str(tmp_path))
        models = import_module(f"{name}.models")
        predict = import_module(f"{name}.api.predictions.predict").sync
        records = [models.Record.from_dict(each["record"]) for each in golden]
        with import_module(f"{name}.client").Client(base_url=address) as client:
            # When it requests predictions for one record, for all records, and for an invalid record
            single, batch = predict(client=client, body=records[0]), predict(client=client, body=records)
            invalid = with_an_unknown_field(models.Record).from_dict(golden[0]["record"])
            strict = predict(client=client, body=[records[0], invalid])
            lenient = predict(client=client, body=[records[0], invalid], prefer="handling=lenient")

    # Then it gets the golden predictions as objects
    assert isinstance(single, models.Prediction)
    assert numbers(single.to_dict()) == pytest.approx(numbers(golden[0]["prediction"]), abs=1e-6)
    assert len(batch) == len(golden)
    for prediction, expected in zip(batch, golden, strict=True):
        assert prediction.to_dict().get("label") == expected["prediction"].get("label")
        assert numbers(prediction.to_dict()) == pytest.approx(numbers(expected["prediction"]), rel=1e-6, abs=1e-6)
    # And an error for the request, or for the invalid record alone
    assert isinstance(strict, models.Problem)
    assert strict.errors[0].pointer == "/1/unknown?"
    assert isinstance(lenient[0], models.Prediction)
    assert isinstance(lenient[1], models.RefusedRecord)


def with_an_unknown_field(record: Any) -> Any:
    """Return a subclass of the record type that sends an unknown field."""

    class Invalid(record):  # type: ignore[misc]
        def to_dict(self) -> dict[str, Any]:
            fields: dict[str, Any] = super().to_dict()
            return fields | {"unknown?": 1}

    return Invalid


def numbers(prediction: dict[str, Any]) -> dict[str, float]:
    """Return all numbers of a prediction by name, including the probabilities."""
    probabilities = prediction.get("probabilities", {})
    return {name: value for name, value in (prediction | probabilities).items() if isinstance(value, float)}
