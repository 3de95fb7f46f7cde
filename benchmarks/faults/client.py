"""Clients that count the outcomes of their requests."""

import asyncio
import json
import math
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

HOST = "127.0.0.1"
URL = "/v1/predictions"
TOLERANCE = 1e-6

CORRECT = "correct"
REFUSED = "refused"
WRONG = "wrong"
NO_CONNECTION = "no connection"


def request_bytes(body: bytes, method: str = "POST", path: str = URL, headers: Sequence[str] = ()) -> bytes:
    """Return the bytes of a request."""
    lines = [f"{method} {path} HTTP/1.1", "Host: service", "Content-Type: application/json"]
    lines += [f"Content-Length: {len(body)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def agrees(actual: Any, expected: Any) -> bool:
    """Return whether a response equals the expected response, up to rounding."""
    match actual, expected:
        case dict(), dict():
            return actual.keys() == expected.keys() and all(agrees(actual[name], expected[name]) for name in actual)
        case list(), list():
            return len(actual) == len(expected) and all(map(agrees, actual, expected))
        case (bool(), _) | (_, bool()):
            return actual is expected
        case ((int() | float()), (int() | float())):
            return math.isclose(actual, expected, rel_tol=TOLERANCE, abs_tol=TOLERANCE)
    return bool(actual == expected)


@dataclass(frozen=True, slots=True)
class Response:
    """A complete response."""

    status: int
    head: bytes
    body: bytes

    def header(self, name: str) -> str | None:
        """Return a header of the response."""
        for line in self.head.split(b"\r\n")[1:]:
            key, _, value = line.partition(b":")
            if key.strip().lower() == name.lower().encode():
                return value.strip().decode("latin-1")
        return None

    @property
    def is_last(self) -> bool:
        """Whether the server closes the connection after this response."""
        return b"connection: close" in self.head.lower()

    def is_problem(self) -> bool:
        """Return whether the response is a problem document."""
        if (self.header("content-type") or "").partition(";")[0] != "application/problem+json":
            return False
        try:
            problem = json.loads(self.body)
        except ValueError:
            return False
        return isinstance(problem, dict) and problem.get("status") == self.status


class ResponseError(ValueError):
    """The received bytes are not an HTTP response."""


class Reader:
    """Parses the bytes of a connection into responses."""

    def __init__(self) -> None:
        self.buffer = b""

    def feed(self, data: bytes) -> list[Response]:
        """Return the responses that are complete with these bytes.

        Raises:
            ResponseError: if the bytes are not HTTP.
        """
        self.buffer += data
        responses = []
        while (response := self._next()) is not None:
            responses.append(response)
        return responses

    def _next(self) -> Response | None:
        while True:
            end = self.buffer.find(b"\r\n\r\n")
            if end < 0:
                if self.buffer and not b"HTTP/1.".startswith(self.buffer[:7]):
                    raise ResponseError(f"no response: {self.buffer[:40]!r}")
                return None
            head = self.buffer[:end]
            if not head.startswith(b"HTTP/1."):
                raise ResponseError(f"no response: {head[:40]!r}")
            status = int(head[9:12])
            if status >= 200:
                break
            self.buffer = self.buffer[end + 4 :]
        lower = head.lower()
        start = end + 4
        if b"\r\ntransfer-encoding: chunked" in lower:
            return self._chunked(status, head, start)
        position = lower.find(b"\r\ncontent-length:")
        stop = lower.find(b"\r\n", position + 2)
        length = 0 if position < 0 else int(lower[position + 17 : stop if stop > 0 else None])
        if len(self.buffer) < start + length:
            return None
        body = self.buffer[start : start + length]
        self.buffer = self.buffer[start + length :]
        return Response(status, head, body)

    def _chunked(self, status: int, head: bytes, position: int) -> Response | None:
        parts = []
        while True:
            end = self.buffer.find(b"\r\n", position)
            if end < 0:
                return None
            size = int(self.buffer[position:end].partition(b";")[0], 16)
            if len(self.buffer) < end + 2 + size + 2:
                return None
            parts.append(self.buffer[end + 2 : end + 2 + size])
            position = end + 2 + size + 2
            if size == 0:
                self.buffer = self.buffer[position:]
                return Response(status, head, b"".join(parts))


class Script:
    """Numbered requests and the check of their responses."""

    def __len__(self) -> int:
        """Return the number of requests."""
        raise NotImplementedError

    def request(self, number: int) -> bytes:
        """Return a request."""
        raise NotImplementedError

    def outcome(self, number: int, response: Response) -> str:
        """Return the outcome of a request."""
        raise NotImplementedError


class Golden(Script):
    """The golden records as requests."""

    def __init__(self, records: Sequence[Mapping[str, Any]]) -> None:
        self.bodies = [json.dumps(golden["record"]).encode() for golden in records]
        self.requests = [request_bytes(body) for body in self.bodies]
        self.predictions = [golden["prediction"] for golden in records]
        self._correct: set[tuple[int, bytes]] = set()

    def __len__(self) -> int:
        return len(self.requests)

    def request(self, number: int) -> bytes:
        """Return a golden record as a request."""
        return self.requests[number]

    def outcome(self, number: int, response: Response) -> str:
        """Return the outcome of a golden request."""
        if response.status == 200:
            # Equal responses are parsed only once.
            if (number, response.body) in self._correct:
                return CORRECT
            try:
                right = agrees(json.loads(response.body), self.predictions[number])
            except ValueError:
                right = False
            if right:
                self._correct.add((number, response.body))
            return CORRECT if right else WRONG
        if response.status in (429, 503):
            return REFUSED if response.header("retry-after") and response.is_problem() else f"bare {response.status}"
        return f"status {response.status}"

    def is_correct(self, response: Response, number: int = 0) -> bool:
        """Return whether the response to a golden request is correct."""
        return self.outcome(number, response) == CORRECT


@dataclass(slots=True)
class Tally:
    """Outcomes and latencies of requests."""

    counts: Counter[str] = field(default_factory=Counter)
    latencies: list[float] = field(default_factory=list)
    started: float = field(default_factory=time.monotonic)
    seconds: float = 0.0
    last_response: float = 0.0
    longest_gap: float = 0.0

    def note(self, outcome: str, latency: float | None = None) -> None:
        """Count a request."""
        self.counts[outcome] += 1
        if outcome == CORRECT and latency is not None:
            now = time.monotonic()
            self.longest_gap = max(self.longest_gap, now - (self.last_response or self.started))
            self.last_response = now
            self.latencies.append(latency)

    def quantile(self, share: float) -> float:
        """Return a quantile of the latency in milliseconds."""
        if not self.latencies:
            return math.nan
        ordered = sorted(self.latencies)
        return 1000 * ordered[min(len(ordered) - 1, int(share * len(ordered)))]

    @property
    def sent(self) -> int:
        """Number of sent requests."""
        return sum(self.counts.values()) - self.counts[NO_CONNECTION]

    @property
    def lost(self) -> int:
        """Number of sent requests without a correct response or a proper refusal."""
        return self.sent - self.counts[CORRECT] - self.counts[REFUSED]

    @property
    def rate(self) -> float:
        """Correct responses per second."""
        return self.counts[CORRECT] / self.seconds if self.seconds else 0.0

    def text(self) -> str:
        """Return the counts as text."""
        others = {name: count for name, count in self.counts.items() if name not in (CORRECT, REFUSED, NO_CONNECTION)}
        text = f"{self.sent:,} sent, {self.counts[CORRECT]:,} correct"
        text += f", {self.counts[REFUSED]:,} refused with Retry-After" if self.counts[REFUSED] else ""
        return text + "".join(f", {count:,} {name}" for name, count in sorted(others.items()))

    def latency(self) -> str:
        """Return the latencies as text."""
        p50, p99, longest = (self.quantile(share) for share in (0.5, 0.99, 1))
        return f"p50 {p50:.1f} ms, p99 {p99:.0f} ms, longest {longest:.0f} ms"

    def figures(self) -> dict[str, Any]:
        """Return the numbers."""
        quantiles = {
            f"{name}_ms": round(self.quantile(share), 2)
            for name, share in (("p50", 0.5), ("p99", 0.99), ("max", 1))
            if self.latencies
        }
        return dict(self.counts) | quantiles | {"seconds": round(self.seconds, 2), "rate": round(self.rate, 1)}


class Connection(asyncio.Protocol):
    """A connection that sends one request after the other."""

    def __init__(self, load: "Load", budget: list[float]) -> None:
        self.load = load
        self.budget = budget
        self.reader = Reader()
        self.closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.number: int | None = None
        self.sent_at = 0.0
        self.pause = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send the first request."""
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.send()

    def send(self) -> None:
        """Send the next request, or close the connection after the last request."""
        self.number = self.load.next_number(self.budget)
        if self.number is None:
            self.transport.close()
            return
        self.sent_at = time.monotonic()
        self.transport.write(self.load.script.request(self.number))

    def data_received(self, data: bytes) -> None:
        """Check the response and send the next request."""
        try:
            responses = self.reader.feed(data)
        except (ResponseError, ValueError):
            self.over("no HTTP")
            return
        for response in responses:
            if self.number is None:
                self.load.tally.note("response without a request")
                self.transport.close()
                return
            outcome = self.load.script.outcome(self.number, response)
            self.load.tally.note(outcome, time.monotonic() - self.sent_at)
            self.number = None
            if response.is_last and self.load.stops_on_close:
                self.budget[0] = 0
            if response.is_last or self.load.reconnect:
                self.pause = 0.0 if outcome == CORRECT else self.load.retry_delay
                self.transport.close()
            elif outcome == CORRECT:
                self.send()
            else:
                # Try again after a refusal.
                asyncio.get_running_loop().call_later(self.load.retry_delay, self.send_if_open)

    def send_if_open(self) -> None:
        """Send the next request unless the connection is closed."""
        if not self.transport.is_closing():
            self.send()

    def over(self, outcome: str) -> None:
        """Count the pending request as failed."""
        if self.number is not None:
            self.load.tally.note(outcome)
            self.number = None
        self.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Count the pending request, if any."""
        if self.number is not None:
            outcome = "closed without a response" if exc is None else "reset without a response"
            self.load.tally.note(outcome)
            self.load.failed.append((outcome, self.number))
            self.number = None
        if not self.closed.done():
            self.closed.set_result(None)


class Load:
    """Connections that send requests.

    Args:
        port: port of the service.
        script: requests, which are repeated after the last.
        connections: number of simultaneous connections.
        each: number of requests of a connection; None: until `stop`.
        reconnect: whether each request has a new connection.
        retry_delay: seconds to wait after a refusal.
        reconnect_delay: seconds to wait before connecting again after a failure; None: stop.
        stops_on_close: whether a client stops after `Connection: close`, as if a load balancer sent it to another
            server; otherwise it connects again.
    """

    def __init__(
        self,
        port: int,
        script: Script,
        connections: int,
        *,
        each: int | None = None,
        reconnect: bool = False,
        retry_delay: float = 1.0,
        reconnect_delay: float | None = None,
        stops_on_close: bool = False,
    ) -> None:
        self.port = port
        self.script = script
        self.connections = connections
        self.reconnect = reconnect
        self.retry_delay = retry_delay
        self.reconnect_delay = reconnect_delay
        self.stops_on_close = stops_on_close
        self.tally = Tally()
        self.each = math.inf if each is None else each
        self.stopped = False
        self.failed: list[tuple[str, int]] = []
        self._turn = 0

    def next_number(self, budget: list[float]) -> int | None:
        """Return the number of the next request, or None after the last request."""
        if self.stopped or budget[0] <= 0:
            return None
        budget[0] -= 1
        self._turn += 1
        return self._turn % len(self.script)

    def stop(self) -> None:
        """Send no further request."""
        self.stopped = True

    async def run(self, deadline: float, grace: float = 0.0) -> Tally:
        """Send the requests and return their outcomes.

        Args:
            deadline: seconds after which no further request is sent.
            grace: further seconds to wait for responses.
        """
        self.tally = Tally()
        open_connections: set[Connection] = set()
        tasks = [asyncio.create_task(self._connection(open_connections)) for _ in range(self.connections)]
        _, late = await asyncio.wait(tasks, timeout=deadline)
        if late and grace:
            self.stopped = True
            _, late = await asyncio.wait(late, timeout=grace)
        self.tally.seconds = time.monotonic() - self.tally.started
        self.stopped = True
        for task in late:
            task.cancel()
        for connection in list(open_connections):
            connection.over(f"without a response after {deadline + grace:.0f} s")
        await asyncio.gather(*tasks, return_exceptions=True)
        return self.tally

    async def _connection(self, open_connections: set[Connection]) -> None:
        loop = asyncio.get_running_loop()
        budget = [self.each]
        while not self.stopped and budget[0] > 0:
            try:
                _, connection = await loop.create_connection(lambda: Connection(self, budget), HOST, self.port)
            except OSError:
                self.tally.note(NO_CONNECTION)
                if self.reconnect_delay is None:
                    return
                await asyncio.sleep(self.reconnect_delay)
                continue
            open_connections.add(connection)
            await connection.closed
            open_connections.discard(connection)
            if connection.pause:
                await asyncio.sleep(connection.pause)


async def during(load: Load, seconds: float, *events: tuple[float, Callable[[], Any]], grace: float = 30) -> Tally:
    """Let the load send requests for some seconds, and run events at given times in threads.

    A request without a response after the seconds of grace counts as lost.
    """
    running = asyncio.create_task(load.run(seconds + grace))
    started = time.monotonic()
    for moment, event in events:
        await asyncio.sleep(max(0.0, moment - (time.monotonic() - started)))
        await asyncio.to_thread(event)
    await asyncio.sleep(max(0.0, seconds - (time.monotonic() - started)))
    load.stop()
    return await running
