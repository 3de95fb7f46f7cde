"""The memory that a request takes, and what of it is left afterwards."""

import gc
import json
import os
import subprocess
import sys
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask

from mlops_runtime.contract import Contract
from mlops_runtime.serving.api import predictions, problems
from mlops_runtime.serving.api.negotiation import Format
from mlops_runtime.serving.api.records import MAX_MEMORY_FACTOR
from tests.runtime.serving.api import memory_probe
from tests.runtime.serving.api.memory_probe import BODIES, filled, order


@pytest.fixture(scope="module")
def factors(artefact: Path) -> dict[str, float]:
    """The memory that each body takes, as a multiple of MAX_CONTENT_LENGTH."""
    probe = subprocess.run(
        [sys.executable, memory_probe.__file__, str(artefact)],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
    )
    return {each["name"]: each["factor"] for each in map(json.loads, probe.stdout.splitlines())}


@pytest.mark.parametrize("name", BODIES)
def test_no_body_takes_more_memory_than_the_stated_multiple(factors: dict[str, float], name: str) -> None:
    assert factors[name] < MAX_MEMORY_FACTOR


@pytest.fixture
def no_garbage_collection() -> Iterator[None]:
    """Leave reference cycles in memory, as the service does for a while."""
    gc.collect()
    gc.disable()
    tracemalloc.start()
    yield
    tracemalloc.stop()
    gc.enable()


LENGTH = 100_000
FAULTY = {
    "json-not-json": (Format.JSON, b"[" * LENGTH),
    "json-empty-list": (Format.JSON, b" " * LENGTH + b"[]"),
    "json-too-many-records": (Format.JSON, filled(b"1,", b"[", b"1]")[-LENGTH:].replace(b"1,", b"[1,", 1)),
    "json-wrong-value": (Format.JSON, b'{"Weight (kg)": "' + b"x" * LENGTH + b'"}'),
    "json-unknown-field": (Format.JSON, b'[{"' + b"x" * LENGTH + b'": 1}]'),
    "json-repeated-name": (Format.JSON, order("x" * 20_000)[:-1] + b', "Remark": "' + b"x" * 20_000 + b'"}'),
    "ndjson-not-json": (Format.NDJSON, b"{\n" + b" " * LENGTH),
    "ndjson-blank-lines": (Format.NDJSON, b"\n" * LENGTH),
    "csv-commas": (Format.CSV, b"," * LENGTH),
    "csv-blank-lines": (Format.CSV, b"\n" * LENGTH),
    "csv-unknown-column": (Format.CSV, b"x" * LENGTH),
    "csv-wrong-value": (Format.CSV, memory_probe.HEADER + b"x" * LENGTH + b"," * 11),
    "csv-not-utf-8": (Format.CSV, b"x" * LENGTH + b"\xff"),
    "csv-open-quotation-mark": (Format.CSV, b'"' + b"x" * LENGTH),
    "arrow-not-arrow": (Format.ARROW, b"x" * LENGTH),
    "arrow-unknown-column": (Format.ARROW, memory_probe.stream({"x" * LENGTH: [1]})),
}


@pytest.mark.parametrize(("sent", "body"), FAULTY.values(), ids=FAULTY)
@pytest.mark.usefixtures("no_garbage_collection")
def test_a_refused_body_leaves_no_cyclic_garbage(contract: Contract, sent: Format, body: bytes) -> None:
    # Given a service that has refused the body once
    app = Flask(__name__)
    problems.register(app)
    app.register_blueprint(predictions.blueprint(contract, lambda _: [], 50))

    def refuse() -> None:
        assert app.test_client().post("/v1/predictions", data=body, content_type=sent).status_code >= 400

    refuse()
    before, _ = tracemalloc.get_traced_memory()

    # When it refuses it again and again
    for _ in range(5):
        refuse()

    # Then the bodies are not kept
    after, _ = tracemalloc.get_traced_memory()
    assert after - before < len(body)
