"""Logs to a full disk, or to a pipe without a reader."""

import asyncio
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from client import Golden, Load, during
from connections import add_tally, check_afterwards
from report import Report
from service import Lab, Service, ServiceError

DROPPED = "webservice_log_lines_dropped_total"
SECONDS = 4.0


def log_faults(lab: Lab, golden: Golden) -> Report:
    """A log that cannot be written."""
    report = Report(
        "logs",
        "A log that cannot be written",
        "16 connections send requests for four seconds, and each request writes a line to the log. The log is a device "
        "that is always full, a file on a disk that becomes full, or a pipe without a reader.",
    )
    with Path("/dev/full").open("wb") as full:
        _log_to(lab, report, golden, "/dev/full", full)
    with full_disk(lab.work / "disk") as disk:
        if disk is None:
            report.add("A full disk", "skipped: mounting a small disk needs root", None)
        else:
            with (disk / "service.log").open("wb") as file:
                _log_to(lab, report, golden, "A full disk of 64 KiB", file)
    _log_to_unread_pipe(lab, report, golden)
    return report


def _log_to(lab: Lab, report: Report, golden: Golden, name: str, file: IO[bytes]) -> None:
    """Let the service log to a file that cannot be written."""
    try:
        with lab.service(output=file) as service:
            _log_during_load(report, service, golden, name)
    except ServiceError as error:
        report.add(name, str(error), False)


def _log_during_load(report: Report, service: Service, golden: Golden, name: str) -> None:
    workers = service.workers()
    tally = asyncio.run(during(Load(service.port, golden, 16), SECONDS, grace=8))
    add_tally(report, name, tally)
    report.add(f"{name}: rate", f"{tally.rate:,.0f} a second, {tally.latency()}")
    dropped = lines_dropped(service)
    report.add(f"{name}: dropped lines are counted", f"{DROPPED} {dropped}", bool(dropped))
    same = service.workers() == workers
    report.add(f"{name}: workers", "unchanged" if same else "replaced", same)
    check_afterwards(report, service, golden)
    status, took = service.stop()
    report.add(f"{name}: SIGTERM", f"exit status {status} after {took:.1f} s", status == 0)


def _log_to_unread_pipe(lab: Lab, report: Report, golden: Golden) -> None:
    """Let the service log to a pipe that is not read for some time."""
    name = "A pipe without a reader"
    reading, writing = os.pipe()
    try:
        with os.fdopen(writing, "wb") as pipe, lab.service(output=pipe) as service:
            tally = asyncio.run(during(Load(service.port, golden, 16), SECONDS, grace=8))
            add_tally(report, name, tally)
            dropped = lines_dropped(service)
            # Thousands of lines fit into memory before a line is dropped.
            report.add(f"{name}: dropped lines are counted", f"{DROPPED} {dropped}")
            # Read the pipe again.
            os.set_blocking(reading, False)
            unread = _read_available(reading)
            asyncio.run(Load(service.port, golden, 1, each=5).run(10))
            time.sleep(0.5)
            again = _read_available(reading)
            lines = again.count(b'"webservice.requests"')
            report.add(f"{name}: read again", f"{len(unread):,} bytes buffered; {lines} new lines", lines >= 5)
            check_afterwards(report, service, golden)
            status, took = service.stop()
            report.add(f"{name}: SIGTERM", f"exit status {status} after {took:.1f} s", status == 0)
    finally:
        os.close(reading)


def _read_available(descriptor: int) -> bytes:
    content = b""
    while True:
        try:
            part = os.read(descriptor, 1 << 16)
        except BlockingIOError:
            return content
        if not part:
            return content
        content += part


def lines_dropped(service: Service) -> float | None:
    """Return the metric of dropped log lines, or None without it."""
    try:
        status, _, content = service.ask("GET", "/metrics")
    except ServiceError:
        return None
    if status != 200:
        return None
    lines = [line for line in content.decode().splitlines() if line.startswith(DROPPED)]
    return sum(float(line.rpartition(" ")[2]) for line in lines) if lines else None


@contextmanager
def full_disk(folder: Path) -> Iterator[Path | None]:
    """Yield a folder on a disk of 64 KiB, or None if this user may not mount disks."""
    folder.mkdir(exist_ok=True)
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if mounted.returncode != 0:
        yield None
        return
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)
