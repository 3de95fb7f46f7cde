"""More connections than threads, than concurrent requests, and than open files."""

import asyncio
import contextlib
import time

from client import CORRECT, Golden, Load, Tally
from report import Report
from service import Lab, Service, ServiceError

DEADLINE = 60.0
"""Seconds within which every request must get a response."""


def many_connections(lab: Lab, golden: Golden) -> Report:
    """256 and 2,000 connections that each send requests without a pause."""
    report = Report(
        "connections",
        "Many connections",
        "All clients connect at the same time; each sends its requests one after the other and retries after a second "
        f"when it is refused. A request without a response after {DEADLINE:.0f} s counts as lost.",
    )
    for connections, each in ((256, 40), (2000, 10)):
        # An empty variable leaves the default.
        for name, wait in (("default settings", ""), ("MAX_WAIT=0.1", "0.1")):
            with lab.service(LOG_LEVEL="error", MAX_WAIT=wait) as service:
                tally = asyncio.run(Load(service.port, golden, connections, each=each).run(DEADLINE))
                name = f"{connections:,} connections, {each} requests each, {name}"
                add_tally(report, name, tally)
                report.add(f"{name}: latency", f"{tally.latency()}; {tally.rate:,.0f} a second")
                check_afterwards(report, service, golden)
    with lab.service(LOG_LEVEL="error") as service:
        tally = asyncio.run(Load(service.port, golden, 64, each=100, reconnect=True).run(DEADLINE))
        add_tally(report, "64 clients, a new connection for each of 100 requests", tally)
        report.add("64 clients, new connections: latency", f"{tally.latency()}; {tally.rate:,.0f} a second")
    return report


def add_tally(report: Report, name: str, tally: Tally) -> None:
    """Add the outcomes of requests, none of which may be lost."""
    report.add(name, tally.text(), tally.lost == 0 and tally.counts[CORRECT] > 0, **tally.figures())


def check_afterwards(report: Report, service: Service, golden: Golden, when: str = "afterwards") -> None:
    """Add whether the service predicts all golden records correctly, a second later."""
    time.sleep(1)
    tally = asyncio.run(Load(service.port, golden, 2, each=2 * len(golden.requests)).run(20))
    right = tally.lost == 0 and tally.counts[CORRECT] == tally.sent
    report.add(f"Golden records {when}", tally.text(), right, **tally.figures())


def descriptor_limit(lab: Lab, golden: Golden) -> Report:
    """More connections than a process may have open files."""
    report = Report(
        "descriptors",
        "Limit of open files",
        "The service runs with a limit of open files (RLIMIT_NOFILE). Twice as many connections are opened and held "
        "for three seconds, then closed.",
    )
    for limit in (128, 256):
        try:
            with lab.service(descriptors=limit, LOG_LEVEL="error") as service:
                before = service.workers()
                open_at_most = asyncio.run(_hold_connections(service, 2 * limit, 3))
                report.add(f"Limit {limit}: open files with {2 * limit} connections", f"{open_at_most}")
                started = time.monotonic()
                service.wait_until_ready(30)
                waited = time.monotonic() - started
                report.add(f"Limit {limit}: ready again after they are closed", f"after {waited:.2f} s", waited < 5)
                report.add(
                    f"Limit {limit}: worker",
                    "unchanged" if service.workers() == before else "replaced",
                    service.workers() == before,
                )
                check_afterwards(report, service, golden)
                tally = asyncio.run(Load(service.port, golden, 2 * limit, each=10).run(DEADLINE))
                add_tally(report, f"Limit {limit}: {2 * limit} connections with 10 requests each", tally)
        except ServiceError as error:
            report.add(f"Limit {limit}", str(error), False)
    return report


async def _hold_connections(service: Service, connections: int, seconds: float) -> int:
    """Hold connections open without sending; return the number of open files of the workers."""
    opened = [asyncio.create_task(asyncio.open_connection("127.0.0.1", service.port)) for _ in range(connections)]
    await asyncio.sleep(seconds)
    open_files = service.descriptors()
    for task in opened:
        task.cancel()
        if task.done() and not task.cancelled() and task.exception() is None:
            task.result()[1].transport.abort()
    with contextlib.suppress(asyncio.CancelledError):
        await asyncio.gather(*opened, return_exceptions=True)
    return open_files
