"""The interface as programs meet it: what the OpenAPI document allows is answered as it says, and the rest is refused.

Schemathesis reads the document, tries every limit in it, and makes up INTERFACE_EXAMPLES requests for each operation on
top of that, the same ones in each run.
"""

import hashlib
import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.runtime.live_service.conftest import Service, StartService

pytestmark = pytest.mark.skipif(find_spec("schemathesis") is None, reason="`make acceptance` installs schemathesis")

EXAMPLES = os.environ.get("INTERFACE_EXAMPLES", "100")
PHASES = "coverage,fuzzing"
"""Not the examples: those of tables are text, for which it has no type. The unit tests send them."""

# Besides the statuses that are expected anyway there is one for a list that is too long.
CONFIG = """
[checks.negative_data_rejection]
expected-statuses = ["400", "401", "404", "405", "406", "413", "415", "422"]
"""
KEY = "k" * 43


def searched(service: Service, folder: Path, *options: str) -> str:
    """Return what Schemathesis says of a service; fail if it finds anything."""
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
        "PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry),
        "SCHEMATHESIS_HOOKS": "tests.acceptance.interface_hooks",
    }
    run = subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    return run.stdout


def test_the_service_does_what_its_description_says(service: Service, tmp_path: Path) -> None:
    found = searched(service, tmp_path)

    tried = re.search(r"(\d+) generated, (\d+) passed", found)
    assert tried, found
    assert int(tried[1]) >= int(EXAMPLES)
    assert tried[1] == tried[2]


def test_a_service_with_keys_does_too_and_answers_nobody_without_one(
    start_service: StartService, tmp_path: Path
) -> None:
    # Given a service that wants a key
    keys = tmp_path / "keys"
    keys.mkdir()
    (keys / "tester").write_text(hashlib.sha256(KEY.encode()).hexdigest(), encoding="utf-8")
    service = start_service(API_KEYS=str(keys), LOG_LEVEL="error")

    # When it is asked with the key, and, by Schemathesis' own check, without it and with others
    found = searched(service, tmp_path, "--header", f"Authorization: Bearer {KEY}")

    # Then it does what it says
    assert re.search(r"\d+ generated, \d+ passed", found), found
