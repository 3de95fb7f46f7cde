"""A million requests, with the memory and open files of the worker."""

import asyncio
import time

from client import CORRECT, Golden, Load, Response, Script, Tally, request_bytes
from connections import check_afterwards
from report import Report
from service import Lab, Service

REQUESTS = 1_000_000
FAULTY_INTERVAL = 100
"""One in this number of requests is faulty."""
SAMPLE_SECONDS = 10.0
WARM_UP = 0.1
MAX_SECONDS = 420.0


class Mixed(Script):
    """Golden requests, and faulty requests with their expected statuses."""

    def __init__(self, golden: Golden) -> None:
        # Each faulty request follows 99 golden requests.
        first = golden.bodies[0]
        faulty = (
            (request_bytes(first[:-1]), 400),
            (request_bytes(b"{}"), 422),
            (request_bytes(b"[]"), 422),
            (request_bytes(first[:-1] + b', "unknown": 1}'), 422),
            (request_bytes(b"\xff\xfe"), 400),
            (request_bytes(first).replace(b"application/json", b"text/plain"), 415),
            (request_bytes(b"", "GET", "/nowhere"), 404),
            (request_bytes(b"", "DELETE"), 405),
        )
        count = len(golden)
        self.requests: list[bytes] = []
        self.statuses: dict[int, int] = {}
        for request, status in faulty:
            self.requests += [golden.requests[index % count] for index in range(FAULTY_INTERVAL - 1)]
            self.statuses[len(self.requests)] = status
            self.requests.append(request)
        self._golden = golden

    def __len__(self) -> int:
        return len(self.requests)

    def request(self, number: int) -> bytes:
        """Return a request."""
        return self.requests[number]

    def outcome(self, number: int, response: Response) -> str:
        """Return the outcome: a faulty request must get its status and a problem document."""
        status = self.statuses.get(number)
        if status is None:
            return self._golden.outcome(number % FAULTY_INTERVAL % len(self._golden), response)
        return (
            CORRECT
            if response.status == status and response.is_problem()
            else f"status {response.status}, not {status}"
        )


def soak(lab: Lab, golden: Golden) -> Report:
    """Send a million requests."""
    requests = 50_000 if lab.quick else REQUESTS
    report = Report(
        "soak",
        f"Up to {requests:,} requests",
        f"32 connections for at most {MAX_SECONDS / 60:.0f} minutes, one request in {FAULTY_INTERVAL} faulty in one of "
        "eight ways, and every response checked. "
        f"Private memory and open files of the worker are sampled every {SAMPLE_SECONDS:.0f} s; "
        f"the first {WARM_UP:.0%} of the time is warm-up.",
    )
    with lab.service(LOG_LEVEL="error") as service:
        workers = service.workers()
        tally, samples = asyncio.run(_sampled(service, Mixed(golden), requests))
        report.add("Requests", tally.text(), tally.lost == 0, **tally.figures())
        report.add("Rate and latency", f"{tally.rate:,.0f} a second, {tally.latency()}")
        moments = [sample for sample in samples if sample[0] >= WARM_UP * tally.seconds]
        each = tally.sent / tally.seconds
        slope = 1e6 * gradient([(moment * each, memory) for moment, memory, _ in moments])
        first, last = moments[0][1], moments[-1][1]
        result = f"{first:.1f} MB after warm-up, {last:.1f} MB at the end, slope {slope:+.2f} MB a million requests"
        report.add(
            "Memory", result, slope < 3, slope=slope, samples=[[round(one, 1) for one in each] for each in samples]
        )
        most, end = max(count for *_, count in samples), service.descriptors()
        report.add(
            "Open files", f"{samples[0][2]} at the start, at most {most}, {end} at the end", end <= samples[0][2]
        )
        report.add("Workers", "unchanged" if service.workers() == workers else "replaced", service.workers() == workers)
        check_afterwards(report, service, golden)
    return report


async def _sampled(service: Service, script: Script, requests: int) -> tuple[Tally, list[tuple[float, float, int]]]:
    """Return the outcomes of the requests, and samples of seconds, megabytes and open files."""
    connections = 32
    load = Load(service.port, script, connections, each=requests // connections)
    started = time.monotonic()
    every = min(SAMPLE_SECONDS, MAX_SECONDS * requests / REQUESTS / 20)
    samples = [(0.0, service.memory(), service.descriptors())]
    running = asyncio.create_task(load.run(MAX_SECONDS, 20))
    while not running.done():
        await asyncio.wait([running], timeout=every)
        moment = time.monotonic() - started
        samples.append((moment, *await asyncio.to_thread(lambda: (service.memory(), service.descriptors()))))
    return running.result(), samples


def gradient(points: list[tuple[float, float]]) -> float:
    """Return the slope of the least squares line through points."""
    if len(points) < 2:
        return 0.0
    middle = sum(x for x, _ in points) / len(points)
    spread = sum((x - middle) ** 2 for x, _ in points)
    return sum((x - middle) * y for x, y in points) / spread
