"""A server as local processes, with its start time and memory."""

import http.client
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

START_TIMEOUT = 60.0
STOP_TIMEOUT = 5.0
"""Maximum seconds until the first answer, and until the exit after SIGTERM."""

JSON = {"Content-Type": "application/json"}
TICKS = os.sysconf("SC_CLK_TCK")
PARENT, SESSION, USER_TIME, SYSTEM_TIME, STARTED = 1, 3, 11, 12, 19
"""Indices of fields of /proc/PID/stat after the name of the process; see proc(5)."""


class ServerError(RuntimeError):
    """A server did not start, or gives a wrong answer."""


@dataclass(frozen=True, slots=True)
class Running:
    """A running server.

    Attributes:
        port: port of the server.
        pid: id of the main process, which is the leader of a session.
        seconds: seconds from the start to the first correct answer.
    """

    port: int
    pid: int
    seconds: float


def free_port() -> int:
    """Return a free port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def running(
    command: Sequence[str], port: int, environment: Mapping[str, str], folder: Path, is_up: Callable[[int], bool]
) -> Iterator[Running]:
    """Run a server during the block.

    Args:
        command: command of the server.
        port: port of the server.
        environment: all environment variables of the server.
        folder: working folder, which the output is written to.
        is_up: function that requests a prediction from a port and returns whether it is correct.

    Raises:
        ServerError: if there is no correct answer in time; with the last line of the output.
    """
    log = folder / "output.log"
    with log.open("wb") as output:
        started = time.perf_counter()
        # A new session identifies the processes that the server starts.
        process = subprocess.Popen(
            command, cwd=folder, env=dict(environment), stdout=output, stderr=output, start_new_session=True
        )
        try:
            while not is_up(port):
                if process.poll() is not None or time.perf_counter() - started > START_TIMEOUT:
                    lines = log.read_text(errors="replace").strip().splitlines() or ["no output"]
                    raise ServerError(f"it gave no correct answer; its last output is: {lines[-1][:300]}")
                time.sleep(0.005)
            yield Running(port, process.pid, time.perf_counter() - started)
        finally:
            stop(process)
            log.unlink()


def stop(process: "subprocess.Popen[bytes]") -> None:
    """Stop a server and its remaining processes."""
    members = family(process.pid)
    process.terminate()
    with suppress(subprocess.TimeoutExpired):
        process.wait(STOP_TIMEOUT)
    # If the id of a process has been reused, the start time differs.
    stats = _all_stats()
    for pid, started in family(process.pid).items() | members.items():
        if pid in stats and stats[pid][STARTED] == started:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
    process.wait()


def family(leader: int) -> dict[int, str]:
    """Return the processes of a server (its session and all descendants) with their start times in ticks.

    Some servers start each worker in a new session.
    """
    stats = _all_stats()
    result = {pid for pid, fields in stats.items() if pid == leader or int(fields[SESSION]) == leader}
    while more := {pid for pid, fields in stats.items() if int(fields[PARENT]) in result} - result:
        result |= more
    return {pid: stats[pid][STARTED] for pid in result}


def cpu_seconds(leader: int) -> float:
    """Return the processor time that the processes of a server have used."""
    stats = _all_stats()
    members = family(leader)
    return (
        sum(int(fields[USER_TIME]) + int(fields[SYSTEM_TIME]) for pid, fields in stats.items() if pid in members)
        / TICKS
    )


def _all_stats() -> dict[int, list[str]]:
    """Return the fields of the stat file of each process after its name."""
    result = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            result[int(folder.name)] = (folder / "stat").read_text().rpartition(")")[2].split()
    return result


def memory(leader: int) -> list[dict[str, Any]]:
    """Return the memory of each process of a server in bytes, with the main process first.

    PSS divides a shared page among its processes; RSS counts it for each process.
    """
    result = []
    for pid in sorted(family(leader), key=lambda pid: (pid != leader, pid)):
        with suppress(OSError):
            lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
            kilobytes = {line.split(":")[0]: int(line.split()[1]) for line in lines if line.endswith("kB")}
            result.append({"main": pid == leader, "pss": kilobytes["Pss"] * 1024, "rss": kilobytes["Rss"] * 1024})
    return result


def busy_share(seconds: float = 0.5) -> float:
    """Return the share of the processor time of this machine that other programs use."""
    before = _times()
    time.sleep(seconds)
    total, idle = (after - earlier for after, earlier in zip(_times(), before, strict=True))
    return 1 - idle / total if total else 0.0


def _times() -> tuple[int, int]:
    numbers = [int(number) for number in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
    return sum(numbers), numbers[3] + numbers[4]


def post(port: int, path: str, body: bytes, timeout: float = 30.0) -> tuple[int, bytes]:
    """Send a request, and return status and body of the answer; the status is 0 without an answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    try:
        connection.request("POST", path, body, JSON)
        response = connection.getresponse()
        return response.status, response.read()
    except (OSError, http.client.HTTPException) as error:
        return 0, str(error).encode()
    finally:
        connection.close()
