"""The interface for programs: the service accepts what its OpenAPI document allows, and refuses everything else.

Schemathesis reads the document, tries every limit in it, and generates INTERFACE_EXAMPLES more requests for each
operation, the same ones in each run.
"""

import hashlib
import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.runtime.conftest import TEMPLATE
from tests.runtime.live_service.conftest import Service, StartService

pytestmark = pytest.mark.skipif(find_spec("schemathesis") is None, reason="needs schemathesis")

EXAMPLES = os.environ.get("INTERFACE_EXAMPLES", "100")
PHASES = "coverage,fuzzing"
"""Not the examples: those of tables are texts, which it cannot send. The unit tests send them."""

# 413 is the status of a list that is too long.
CONFIG = """
[checks.negative_data_rejection]
expected-statuses = ["400", "401", "404", "405", "406", "413", "415", "422"]
"""
KEY = "k" * 43


def run_schemathesis(service: Service, folder: Path, *options: str) -> str:
    """Return the output of Schemathesis for a service; fail if it finds a fault."""
    config = folder / "schemathesis.toml"
    config.write_text(CONFIG, encoding="utf-8")
    command = [
        *(str(Path(sys.executable).with_name("schemathesis")), "--config-file", str(config)),
        *("run", f"http://{service.host}:{service.port}/openapi.json"),
        *("--checks", "all", "--phases", PHASES, "--max-examples", EXAMPLES),
        *("--generation-deterministic", "--continue-on-failure", "--no-color"),
        *options,
    ]
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join([str(TEMPLATE), *filter(None, sys.path)]),
        "SCHEMATHESIS_HOOKS": "tests.runtime.acceptance.interface_hooks",
    }
    run = subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    return run.stdout


def test_the_service_conforms_to_its_openapi_document(service: Service, tmp_path: Path) -> None:
    output = run_schemathesis(service, tmp_path)

    counts = re.search(r"(\d+) generated, (\d+) passed", output)
    assert counts, output
    assert int(counts[1]) >= int(EXAMPLES)
    assert counts[1] == counts[2]


def test_a_service_with_keys_conforms_and_refuses_callers_without_a_key(
    start_service: StartService, tmp_path: Path
) -> None:
    # Given a service that requires a key
    keys = tmp_path / "keys"
    keys.mkdir()
    (keys / "tester").write_text(hashlib.sha256(KEY.encode()).hexdigest(), encoding="utf-8")
    service = start_service(API_KEYS=str(keys), LOG_LEVEL="error")

    # When it gets requests with the key, and, in a check of Schemathesis, without it and with other keys
    output = run_schemathesis(service, tmp_path, "--header", f"Authorization: Bearer {KEY}")

    # Then it does what its document says
    assert re.search(r"\d+ generated, \d+ passed", output), output
