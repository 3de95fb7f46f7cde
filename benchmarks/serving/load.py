"""Load by wrk: as many requests as the server answers, over persistent connections."""

import json
from pathlib import Path
from typing import Any

from environments import StepError, output_of

SCRIPT = Path(__file__).with_name("load.lua")


def load(url: str, bodies: Path, connections: int, seconds: float) -> dict[str, Any]:
    """Return the measurements of wrk.

    Args:
        url: URL of the requests.
        bodies: file with a body in each line.
        connections: number of persistent connections, with one request at a time.
        seconds: duration, rounded to an integer of at least 1.

    Returns:
        right: answers with status 200 per second; p50 and p99 in seconds; refused: answers with
        another status; broken: failed connections; late: answers after more than 10 seconds.
        Bodies of answers are not checked here: `check` has checked an answer to each request before.

    Raises:
        StepError: if wrk fails.
    """
    return result_of(output_of(command(url, bodies, connections, max(round(seconds), 1))))


def command(url: str, bodies: Path, connections: int, seconds: int) -> list[str | Path]:
    """Return the command of the load."""
    return [
        "wrk",
        "-t1",
        f"-c{connections}",
        f"-d{seconds}s",
        "--timeout",
        "10s",
        "-s",
        SCRIPT,
        "-H",
        "Content-Type: application/json",
        url,
        "--",
        bodies,
    ]


def result_of(output: str) -> dict[str, Any]:
    """Return the measurements in the output of wrk, as `load` does.

    Raises:
        StepError: if the output has no result.
    """
    lines = [line for line in output.splitlines() if line.startswith("RESULT ")]
    if not lines:
        raise StepError(f"wrk printed no result: {output[-300:]}")
    result: dict[str, Any] = json.loads(lines[0].removeprefix("RESULT "))
    result["right"] = (result["requests"] - result["refused"]) / result["seconds"]
    return result
