"""Check a replica from inside its container.

This module is not imported there: its text is sent to the container's Python, after that of `golden.py`, because the
code in the image is what is checked. So it uses the standard library and names of that module alone.
"""

import hashlib
import json
import sys
import time
from collections.abc import Sequence
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any

from mlops_runtime.operations.golden import (
    TIMEOUT,
    ServiceError,
    WrongPredictionError,
    check_predictions,
    check_version,
    running_version,
)

ADDRESS = "http://127.0.0.1:8000"
KEY = "tmp/webservice-8000.key"
MODEL = "app/model"
PROXY = ("proxy", 8081)
"""Host and port of the proxy, as the containers of the project reach it."""
GRACE = 10.0
"""Seconds after the time to watch in which the proxy must have asked this replica once."""
INTERVAL = 0.1
"""Seconds between two requests through the proxy."""


def key_in(root: Path) -> str:
    """Return the operator's key of the replica; empty without one."""
    path = root / KEY
    return path.read_text(encoding="utf-8").strip() if path.exists() else ""


def verify(root: Path, address: str, version: str) -> dict[str, Any]:
    """Verify version and golden predictions of the replica; return what it was compared with.

    Raises:
        WrongPredictionError: if it is wrong.
        ServiceError: if it cannot be asked, or the image has no golden records.
    """
    try:
        (metadata,) = (root / MODEL).glob("*_model/artefact/metadata.json")
        golden_records = json.loads(metadata.with_name("golden.json").read_text(encoding="utf-8"))
        text = metadata.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise ServiceError(f"the image has no golden records ({error})") from error
    key = key_in(root)
    check_version(address, version, key)
    check_predictions(address, golden_records, key)
    # The name of the artefact, as mlops_runtime.operations.verify.artefact_hash computes it.
    return {"records": len(golden_records), "artefact": hashlib.sha256(text.strip("\n").encode()).hexdigest()}


def watch(root: Path, proxy: tuple[str, int], version: str, seconds: float) -> dict[str, Any]:
    """Ask through the proxy for some seconds: every answer must be one of the service, and some of this replica.

    Other replicas do not know the key of this one, and answer with status 401. A busy service says when to try again.

    Raises:
        WrongPredictionError: if the replica reports another version.
        ServiceError: if the proxy does not answer, or never asks this replica.
    """
    headers = {"Authorization": f"Bearer {key_in(root)}"}
    asked, own, began = 0, 0, time.monotonic()
    while time.monotonic() - began < (seconds if own else seconds + GRACE):
        connection = HTTPConnection(*proxy, timeout=TIMEOUT)
        try:
            connection.request("GET", "/version", headers=headers)
            response = connection.getresponse()
            content = response.read()
        except (OSError, HTTPException) as error:
            raise ServiceError(f"the proxy does not answer: {error}") from error
        finally:
            connection.close()
        asked += 1
        if response.status == 200:
            own += 1
            actual = json.loads(content)["version"]
            if actual != version:
                raise WrongPredictionError(f"through the proxy, version {actual} answers, not {version}")
        elif response.status not in (401, 429) and not response.getheader("Retry-After"):
            raise ServiceError(f"through the proxy, a request got status {response.status}")
        time.sleep(INTERVAL)
    if not own:
        raise ServiceError(f"the proxy sent none of {asked} requests to this replica")
    return {"asked": asked, "own": own}


def main(
    argv: Sequence[str], root: Path = Path("/"), address: str = ADDRESS, proxy: tuple[str, int] = PROXY
) -> dict[str, Any]:
    """Run a check; return its result, or `wrong` or `error` with a sentence."""
    try:
        match argv:
            case ["verify", version]:
                return verify(root, address, version)
            case ["version"]:
                return {"version": running_version(address, key_in(root))}
            case ["watch", version, seconds]:
                return watch(root, proxy, version, float(seconds))
        return {"error": f"unknown check: {argv}"}
    except WrongPredictionError as error:
        return {"wrong": str(error)}
    except ServiceError as error:
        return {"error": str(error)}


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1:])))
