"""A client that a generator makes from the service's own description, and what the service answers it."""

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
    "the-projects-own": (None, ""),
    "a-regression-of-every-kind": (tables.orders, "Price paid"),
    "four-labels": (tables.flowers, "Species"),
}


@pytest.fixture(scope="module", params=MODEL_TABLES)
def trained(request: pytest.FixtureRequest, project: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with a model: that of the default answers, and ones of tables of other kinds."""
    table, target = MODEL_TABLES[request.param]
    made = project
    if table is not None:
        folder = tmp_path_factory.mktemp(request.param)
        made = bake(folder, dataset=str(table(folder / "table.csv")), target=target)
        share_environment(made, project)
    result = make(made, "train")
    assert result.returncode == 0, result.stdout + result.stderr
    return made


@contextmanager
def served(project: Path, folder: Path, **more: str) -> Iterator[str]:
    """Yield the address at which the project's service answers."""
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
        process = subprocess.Popen(command, env=os.environ | settings | more, stdout=log, stderr=log)
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


def test_a_client_made_from_the_description_gets_the_golden_predictions(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    golden = json.loads(only_file(trained, "src/*_model/artefact/golden.json").read_text())
    # A name of its own for each client: Python keeps what it has imported.
    name = f"client_of_{tmp_path.name}"
    with served(trained, tmp_path) as address:
        # Given a client that is made from what the service says of itself
        command = [sys.executable, "-m", "openapi_python_client", "generate", "--url", f"{address}/openapi.json"]
        made = subprocess.run(
            [*command, "--meta", "none", "--output-path", str(tmp_path / name)], capture_output=True, text=True
        )
        assert made.returncode == 0, made.stdout + made.stderr
        monkeypatch.syspath_prepend(str(tmp_path))
        models = import_module(f"{name}.models")
        predict = import_module(f"{name}.api.predictions.predict").sync
        records = [models.Record.from_dict(one["record"]) for one in golden]
        with import_module(f"{name}.client").Client(base_url=address) as client:
            # When it asks for one record, and for all of them
            one, many = predict(client=client, body=records[0]), predict(client=client, body=records)
            # And for one that is faulty, among others
            faulty = with_an_unknown_field(models.Record).from_dict(golden[0]["record"])
            refused = predict(client=client, body=[records[0], faulty])
            told = predict(client=client, body=[records[0], faulty], prefer="handling=lenient")

    # Then it gets the golden predictions, as objects of its own
    assert isinstance(one, models.Prediction)
    assert numbers(one.to_dict()) == pytest.approx(numbers(golden[0]["prediction"]), abs=1e-6)
    assert len(many) == len(golden)
    for found, expected in zip(many, golden, strict=True):
        assert found.to_dict().get("label") == expected["prediction"].get("label")
        assert numbers(found.to_dict()) == pytest.approx(numbers(expected["prediction"]), rel=1e-6, abs=1e-6)
    # And the fault, for the request or in its place
    assert isinstance(refused, models.Problem)
    assert refused.errors[0].pointer == "/1/unknown?"
    assert isinstance(told[0], models.Prediction)
    assert isinstance(told[1], models.RefusedRecord)


def with_an_unknown_field(record: Any) -> Any:
    """Return the class of a record that sends one field too many."""

    class Faulty(record):  # type: ignore[misc]
        def to_dict(self) -> dict[str, Any]:
            sent: dict[str, Any] = super().to_dict()
            return sent | {"unknown?": 1}

    return Faulty


def numbers(prediction: dict[str, Any]) -> dict[str, float]:
    """Return all numbers of a prediction, by where they stand."""
    inside = prediction.get("probabilities", {})
    return {name: value for name, value in (prediction | inside).items() if isinstance(value, float)}
