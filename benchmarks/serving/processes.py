"""A server as processes of this machine: started, timed, weighed and stopped."""

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
"""Seconds that a server may take to its first answer, and to stop when it is asked to."""

JSON = {"Content-Type": "application/json"}
TICKS = os.sysconf("SC_CLK_TCK")
PARENT, SESSION, USER_TIME, SYSTEM_TIME, STARTED = 1, 3, 11, 12, 19
"""Places of the fields of /proc/PID/stat, counted from the one that follows the name; see proc(5)."""


class ServerError(RuntimeError):
    """A server did not start, or does not answer as it should."""


@dataclass(frozen=True, slots=True)
class Running:
    """A server that runs.

    Attributes:
        port: that it listens on.
        pid: of the process that was started, which leads a session of its own.
        seconds: from its start to the first right answer.
    """

    port: int
    pid: int
    seconds: float


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def running(
    command: Sequence[str], port: int, environment: Mapping[str, str], folder: Path, is_up: Callable[[int], bool]
) -> Iterator[Running]:
    """Run a server for as long as the block lasts.

    Args:
        command: that starts it.
        port: that the command makes it listen on.
        environment: all variables that it sees.
        folder: that it runs in; what it prints goes to a file there.
        is_up: asks a port for a prediction and says whether it was right.

    Raises:
        ServerError: if it gives no right answer in time; with the last line that it printed.
    """
    log = folder / "output.log"
    with log.open("wb") as output:
        started = time.perf_counter()
        # A session of its own, by which the processes that it starts are found again.
        process = subprocess.Popen(
            command, cwd=folder, env=dict(environment), stdout=output, stderr=output, start_new_session=True
        )
        try:
            while not is_up(port):
                if process.poll() is not None or time.perf_counter() - started > START_TIMEOUT:
                    lines = log.read_text(errors="replace").strip().splitlines() or ["it printed nothing"]
                    raise ServerError(f"it gave no right answer; last it printed: {lines[-1][:300]}")
                time.sleep(0.005)
            yield Running(port, process.pid, time.perf_counter() - started)
        finally:
            stop(process)
            log.unlink()


def stop(process: "subprocess.Popen[bytes]") -> None:
    """Stop a server, and what is left of its processes."""
    members = family(process.pid)
    process.terminate()
    with suppress(subprocess.TimeoutExpired):
        process.wait(STOP_TIMEOUT)
    # A number that another process has got meanwhile has another start.
    stats = _all_stats()
    for pid, started in family(process.pid).items() | members.items():
        if pid in stats and stats[pid][STARTED] == started:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
    process.wait()


def family(leader: int) -> dict[int, str]:
    """Return the processes of a server with the ticks at which they started: its session, and all descendants.

    Some servers give each of their workers a session of its own.
    """
    stats = _all_stats()
    found = {pid for pid, fields in stats.items() if pid == leader or int(fields[SESSION]) == leader}
    while more := {pid for pid, fields in stats.items() if int(fields[PARENT]) in found} - found:
        found |= more
    return {pid: stats[pid][STARTED] for pid in found}


def cpu_seconds(leader: int) -> float:
    """Return the processor time that the processes of a server have used."""
    stats = _all_stats()
    members = family(leader)
    return (
        sum(int(fields[USER_TIME]) + int(fields[SYSTEM_TIME]) for pid, fields in stats.items() if pid in members)
        / TICKS
    )


def _all_stats() -> dict[int, list[str]]:
    """Return of each process the fields of its stat file that follow its name."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            found[int(folder.name)] = (folder / "stat").read_text().rpartition(")")[2].split()
    return found


def memory(leader: int) -> list[dict[str, Any]]:
    """Return what each process of a server holds, the first one first, in bytes.

    PSS counts a page that several processes share in proportion; RSS counts it for each.
    """
    found = []
    for pid in sorted(family(leader), key=lambda pid: (pid != leader, pid)):
        with suppress(OSError):
            lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
            kilobytes = {line.split(":")[0]: int(line.split()[1]) for line in lines if line.endswith("kB")}
            found.append({"main": pid == leader, "pss": kilobytes["Pss"] * 1024, "rss": kilobytes["Rss"] * 1024})
    return found


def busy_share(seconds: float = 0.5) -> float:
    """Return the share of this machine's processor time that is used while this program does nothing."""
    before = _times()
    time.sleep(seconds)
    total, idle = (after - earlier for after, earlier in zip(_times(), before, strict=True))
    return 1 - idle / total if total else 0.0


def _times() -> tuple[int, int]:
    numbers = [int(number) for number in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
    return sum(numbers), numbers[3] + numbers[4]


def asked(port: int, path: str, body: bytes, timeout: float = 30.0) -> tuple[int, bytes]:
    """Return status and body of the answer to a request; status 0 where there is none."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    try:
        connection.request("POST", path, body, JSON)
        response = connection.getresponse()
        return response.status, response.read()
    except (OSError, http.client.HTTPException) as error:
        return 0, str(error).encode()
    finally:
        connection.close()
