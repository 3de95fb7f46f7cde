"""Measure memory and processor time of the service, and print the requests and limits that follow from them.

`python -m mlops_runtime.operations.measure` starts the service of the project on this machine with the settings of
the project, lets it predict golden records for a bounded time, and stops it. It needs /proc, as Linux has it.
"""

import itertools
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http.client import HTTPException
from math import ceil
from pathlib import Path
from typing import Any
from urllib.request import Request

from mlops_runtime.model.artefact import ArtefactError
from mlops_runtime.operations.golden import LOCAL, ServiceError, fetch
from mlops_runtime.operations.predict import local_service
from mlops_runtime.operations.project import project_artefact
from mlops_runtime.serving.settings import Settings, SettingsError

SECONDS = 10.0
"""Time for which requests of one record are sent, and at most that again for large ones, and for a table."""
CLIENTS = 4
"""Requests of one record at the same time."""
RATE = 100
"""Requests of one record per second and pod for which the processor is requested."""
HEADROOM = 2
"""Request of the processor as a multiple of what was measured, and limit of the memory as one of its peak."""
MEBIBYTE = 1 << 20
BOUNDARY = "b23a5c1e"
"""What the parts of a form are separated by."""
TIMEOUT = 60
"""Seconds to wait for rows of a table."""
CHUNK = 1 << 16
"""Bytes of a response that are read at once."""
STEP_MEMORY = 32
"""Mebibytes to which memory is rounded up."""
STEP_CPU = 50
"""Thousandths of a CPU to which the request is rounded up."""


@dataclass(frozen=True)
class Measured:
    """What was measured.

    Attributes:
        requests: of one record that were answered.
        cpu_seconds: processor time that these took, over all processes.
        large_requests: of `records` records that were answered.
        records: in a large request.
        table: bytes of the table that was uploaded on the page.
        peak: bytes of memory: the sum of the highest of each process.
        workers: processes that answer requests.
    """

    requests: int
    cpu_seconds: float
    large_requests: int
    records: int
    table: int
    peak: int
    workers: int

    @property
    def resources(self) -> dict[str, dict[str, str]]:
        """The requests and limits that follow, as in the manifest of a container."""
        memory = _rounded(self.peak / MEBIBYTE, STEP_MEMORY)
        cpu = _rounded(self.cpu_seconds / self.requests * RATE * HEADROOM * 1000, STEP_CPU)
        return {
            "requests": {"cpu": f"{cpu}m", "memory": f"{memory}Mi"},
            "limits": {"cpu": f'"{self.workers}"', "memory": f"{memory * HEADROOM}Mi"},
        }

    def text(self) -> str:
        """Return figures, rule and resources for a person, who puts them into the manifest."""
        milliseconds = self.cpu_seconds / self.requests * 1000
        lines = [
            f"# {self.requests:,} requests of one record took {milliseconds:.2f} ms of processor time each.",
            f"# {self.large_requests:,} requests of {self.records:,} records each and a table of {self.table:,} bytes"
            f" followed; memory was {self.peak / MEBIBYTE:.0f} MiB at its peak.",
            f"# CPU: {HEADROOM} times that for {RATE} requests a second, and one for each of WORKERS as limit.",
            f"# Memory: the peak, and {HEADROOM} times it as limit.",
            "resources:",
        ]
        for kind, amounts in self.resources.items():
            lines += [f"  {kind}:", *(f"    {name}: {amount}" for name, amount in amounts.items())]
        return "\n".join(lines)


def _rounded(value: float, step: int) -> int:
    return max(ceil(value / step), 1) * step


def measure(url: str, pids: Sequence[int], records: Sequence[Any], settings: Settings, seconds: float) -> Measured:
    """Return what a service that runs needs for predictions.

    Args:
        url: of the service.
        pids: of its processes.
        records: to send, as JSON has them; at least one.
        settings: of the service.
        seconds: for which requests of one record are sent.

    Raises:
        ServiceError: if a request is not answered, or none was.
    """
    address, number = f"{url}/v1/predictions", min(settings.max_records, _fitting(records, settings.max_content_length))
    large = list(itertools.islice(itertools.cycle(records), number))
    before = sum(map(cpu_seconds, pids))
    one = _send(lambda: [fetch(address, record) for record in records], CLIENTS, seconds) * len(records)
    spent = sum(map(cpu_seconds, pids)) - before
    many = _send(lambda: fetch(address, large), settings.max_large_requests, min(seconds, SECONDS))
    table = largest_table(fetch(f"{url}/table"), settings.max_table_length)
    # The service works on one at a time.
    _upload(f"{url}/table", table, min(seconds, SECONDS))
    return Measured(one, spent, many, number, len(table), sum(map(peak_memory, pids)), settings.workers)


def largest_table(example: bytes, size: int) -> bytes:
    """Return a form with a table that has the rows of an example again and again.

    Args:
        example: table in CSV.
        size: bytes that the form may have.
    """
    header, _, rows = example.partition(b"\n")
    start = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="table"; filename="table.csv"\r\n\r\n'.encode()
    end = f"\r\n--{BOUNDARY}--\r\n".encode()
    space = size - len(start + header + end) - 1
    return start + header + b"\n" + rows * max(space // len(rows), 1) + end


def _upload(url: str, form: bytes, seconds: float) -> None:
    """Send a form, and read the response, which comes row by row, for some time."""
    request = Request(url, form, {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"})  # noqa: S310 - our own
    end = time.monotonic() + seconds
    try:
        with LOCAL.open(request, timeout=TIMEOUT) as response:
            while response.read(CHUNK) and time.monotonic() < end:
                pass
    except (OSError, HTTPException) as error:
        raise ServiceError(f"{url} does not answer: {error}") from error


def _fitting(records: Sequence[Any], size: int) -> int:
    """Return how many records, repeated, a body of this size in bytes has space for."""
    mean = len(json.dumps(list(records)).encode()) / len(records)
    return max(int(size * 0.9 / mean), 1)


def _send(request: Callable[[], object], clients: int, seconds: float) -> int:
    """Repeat a request from several clients for some time; return how often it was answered."""
    end = time.monotonic() + seconds

    def client(_: int) -> int:
        answered = 0
        while not answered or time.monotonic() < end:
            request()
            answered += 1
        return answered

    with ThreadPoolExecutor(clients) as pool:
        return sum(pool.map(client, range(clients)))


def descendants(pid: int) -> list[int]:
    """Return the processes that a process has started, and those that these have started.

    Raises:
        OSError: if this system has no /proc.
    """
    children: dict[int, list[int]] = {}
    for path in Path("/proc").iterdir():
        if path.name.isdecimal() and (stat := _stat(int(path.name))):
            children.setdefault(int(stat[1]), []).append(int(path.name))
    found = children.get(pid, [])
    return [*found, *(inner for child in found for inner in descendants(child))]


def cpu_seconds(pid: int) -> float:
    """Return the processor time that a process has used; 0 if it has ended."""
    stat = _stat(pid)
    return (int(stat[11]) + int(stat[12])) / os.sysconf("SC_CLK_TCK") if stat else 0.0


def _stat(pid: int) -> list[str]:
    """Return what /proc has of a process, from its state on; empty if it has ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return []


def peak_memory(pid: int) -> int:
    """Return the highest number of bytes that a process had in memory; 0 if it has ended."""
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return 0
    peaks = [line.split()[1] for line in status.splitlines() if line.startswith("VmHWM:")]
    return int(peaks[0]) * 1024 if peaks else 0


def main() -> int:
    """Measure the service of the project; return the exit status."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        settings = Settings.from_environment(os.environ)
        records = [golden.record.model_dump(mode="json") for golden in project_artefact().golden_records]
        # Callers are not limited here: it is the service that is measured.
        with local_service({"RATE_LIMIT": "0"}) as url:
            print("Measuring for about half a minute", file=sys.stderr)
            print(measure(url, descendants(os.getpid()), records, settings, SECONDS).text())
    except (ServiceError, ArtefactError, SettingsError, OSError) as error:
        print(f"measure: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("measure: stopped, and so is the service", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
