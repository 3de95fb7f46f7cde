"""Clients that send slowly, and clients that send nothing."""

import asyncio
import time
from collections import Counter
from dataclasses import dataclass, field

from client import HOST, Golden, Load, Tally, request_bytes
from connections import add_tally, check_afterwards
from report import Report
from service import Lab, Service

COUNT = 500


@dataclass
class SlowClients:
    """Clients that send the bytes of a request one at a time, and their outcomes."""

    start: bytes
    rest: bytes
    interval: float = 1.0
    outcomes: Counter[str] = field(default_factory=Counter)
    ended: list[float] = field(default_factory=list)

    async def run(self, port: int, count: int, seconds: float) -> None:
        """Send slowly on `count` connections, for at most `seconds`."""
        await asyncio.gather(*(self._one(port, seconds) for _ in range(count)))

    async def _one(self, port: int, seconds: float) -> None:
        try:
            reader, writer = await asyncio.open_connection(HOST, port)
        except OSError:
            self.outcomes["no connection"] += 1
            return
        started = time.monotonic()
        sending = asyncio.create_task(self._send(writer))
        try:
            response = await asyncio.wait_for(reader.read(64), seconds)
            self.ended.append(time.monotonic() - started)
            self.outcomes[f"status {response[9:12].decode()}" if response else "closed"] += 1
        except TimeoutError:
            self.outcomes["still open"] += 1
        except OSError:
            self.ended.append(time.monotonic() - started)
            self.outcomes["closed"] += 1
        finally:
            sending.cancel()
            writer.transport.abort()

    async def _send(self, writer: asyncio.StreamWriter) -> None:
        writer.write(self.start)
        for index in range(len(self.rest)):
            await asyncio.sleep(self.interval)
            writer.write(self.rest[index : index + 1])

    def text(self) -> str:
        """Return the outcomes as text."""
        outcomes = ", ".join(f"{count:,} {name}" for name, count in sorted(self.outcomes.items()))
        if not self.ended:
            return outcomes
        return f"{outcomes}; after {min(self.ended):.1f} to {max(self.ended):.1f} s"


def slow_clients(lab: Lab, golden: Golden) -> Report:
    """Slow bodies, slow headers and silent connections, together with ordinary clients."""
    report = Report(
        "slow",
        "Slow clients (slowloris)",
        f"{COUNT} clients send one byte a second, ten bytes a second, or half a body and then nothing, while 8 "
        "ordinary clients send requests. BODY_TIMEOUT is 15 s; a connection without complete headers is closed "
        "after 75 s.",
    )
    body = golden.bodies[0]
    head = request_bytes(body)[: -len(body)]
    slow_body = SlowClients(head, body)
    faster_body = SlowClients(head, body, 0.1)
    paused_body = SlowClients(head + body[: len(body) // 2], b"")
    # A header without an end.
    slow_head = SlowClients(b"POST /v1/predictions HTTP/1.1\r\nHost: service\r\nX-Slow: ", b"x" * 1000)
    with lab.service(LOG_LEVEL="error") as service:
        baseline = asyncio.run(_ordinary_load(service, golden, 4))
        report.add(
            "Ordinary clients without slow clients (baseline)",
            f"{baseline.rate:,.0f} a second, {baseline.latency()}",
            None,
            **baseline.figures(),
        )
        beside(report, service, golden, slow_body, "bodies", baseline, 20)
        ended = sum(slow_body.outcomes[outcome] for outcome in ("status 408", "status 503", "closed"))
        in_time = ended == COUNT and max(slow_body.ended, default=99) <= 20
        report.add("Slow bodies get 408 or 503, or are closed, within 20 s", slow_body.text(), in_time)
        check_afterwards(report, service, golden, "after slow bodies")
        beside(report, service, golden, faster_body, "bodies at ten bytes a second", baseline, 20)
        check_afterwards(report, service, golden, "after bodies at ten bytes a second")
        beside(report, service, golden, paused_body, "bodies that stop halfway", baseline, 20)
        check_afterwards(report, service, golden, "after bodies that stop halfway")
        if not lab.quick:
            beside(report, service, golden, slow_head, "headers", baseline, 85)
            ended = slow_head.outcomes["status 408"] + slow_head.outcomes["closed"]
            in_time = ended == COUNT and max(slow_head.ended, default=99) <= 80
            report.add("Slow headers get 408 or are closed within 80 s", slow_head.text(), in_time)
            check_afterwards(report, service, golden, "after slow headers")
    with lab.service(LOG_LEVEL="error") as service:
        result, correct = asyncio.run(_request_beside(service, golden, 2000, b"", 20))
        report.add("A new client beside 2,000 connections that send nothing", result, correct)
        check_afterwards(report, service, golden, "after silent connections")
    with lab.service(LOG_LEVEL="error") as service:
        large = request_bytes(b"[" + b" " * 1_000_000 + b"]")[:-1]
        result, correct = asyncio.run(_request_beside(service, golden, COUNT, large, 10))
        report.add(f"A new client beside {COUNT} uploads of 1 MB that stop before the last byte", result, correct)
        check_afterwards(report, service, golden, "after large uploads")
    return report


def beside(
    report: Report, service: Service, golden: Golden, slow: SlowClients, name: str, baseline: Tally, seconds: float
) -> None:
    """Run slow and ordinary clients at the same time; add the outcomes of the ordinary clients."""

    async def both() -> Tally:
        # The slow clients start while the ordinary clients are using the threads.
        asking = asyncio.create_task(_ordinary_load(service, golden, 8))
        await asyncio.sleep(1)
        await slow.run(service.port, COUNT, seconds)
        return await asking

    tally = asyncio.run(both())
    add_tally(report, f"Ordinary clients beside {COUNT} slow {name}", tally)
    share = tally.rate / baseline.rate if baseline.rate else 0.0
    result = f"{tally.rate:,.0f} a second ({share:.0%} of the baseline), {tally.latency()}"
    # Bytes of slow clients take time, and the machine may be busy: half of the rate is enough.
    report.add(f"Ordinary clients beside slow {name}: rate", result, share > 0.5, share=round(share, 3))


async def _ordinary_load(service: Service, golden: Golden, seconds: float) -> Tally:
    load = Load(service.port, golden, 8)
    running = asyncio.create_task(load.run(seconds + 10))
    await asyncio.sleep(seconds)
    load.stop()
    return await running


async def _request_beside(
    service: Service, golden: Golden, count: int, sent: bytes, seconds: float
) -> tuple[str, bool]:
    """Open connections that send some bytes and wait; return the outcome of another client."""
    outcomes: Counter[str] = Counter()
    writers: list[asyncio.StreamWriter] = []

    async def client() -> None:
        try:
            reader, writer = await asyncio.open_connection(HOST, service.port)
            writers.append(writer)
            writer.write(sent)
            response = await reader.read(64)
        except OSError:
            response = b""
        outcomes[f"status {response[9:12].decode()}" if response else "closed"] += 1

    clients = [asyncio.create_task(client()) for _ in range(count)]
    await asyncio.sleep(3)
    before = dict(outcomes)
    tally = await Load(service.port, golden, 1, each=1).run(seconds)
    memory = await asyncio.to_thread(service.memory)
    for outcome in clients:
        outcome.cancel()
    await asyncio.gather(*clients, return_exceptions=True)
    for writer in writers:
        writer.transport.abort()
    ended = "".join(f", {number:,} × {outcome}" for outcome, number in sorted(before.items()))
    latency = f"correct response after {tally.latencies[0]:.2f} s" if tally.latencies else tally.text()
    return f"{latency}{ended}; memory of the worker {memory:.0f} MB", bool(tally.latencies)
