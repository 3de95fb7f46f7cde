"""Load from wrk: as many requests as the server answers, over connections that are kept."""

import json
from pathlib import Path
from typing import Any

from environments import StepError, said

SCRIPT = Path(__file__).with_name("load.lua")


def load(url: str, bodies: Path, connections: int, seconds: float) -> dict[str, Any]:
    """Return what wrk measured.

    Args:
        url: to send to.
        bodies: file with a body in each line.
        connections: kept open, each with one request at a time.
        seconds: rounded to whole ones, at least 1.

    Returns:
        right: answers with status 200 a second; p50 and p99 in seconds; refused: answers with
        another status; broken: connections that failed; late: answers that took over 10 seconds.
        Bodies of answers are not looked at here: what is right was checked before, request by request.

    Raises:
        StepError: if wrk fails.
    """
    return result_of(said(command(url, bodies, connections, max(round(seconds), 1))))


def command(url: str, bodies: Path, connections: int, seconds: int) -> list[str | Path]:
    """Return the command that makes the load."""
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
    """Return what wrk measured, as `load` does, from what it printed.

    Raises:
        StepError: if it printed no result.
    """
    lines = [line for line in output.splitlines() if line.startswith("RESULT ")]
    if not lines:
        raise StepError(f"wrk printed no result: {output[-300:]}")
    found: dict[str, Any] = json.loads(lines[0].removeprefix("RESULT "))
    found["right"] = (found["requests"] - found["refused"]) / found["seconds"]
    return found
