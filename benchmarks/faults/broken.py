"""Clients that disconnect, and malformed requests."""

import asyncio
import socket
import struct
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from client import HOST, URL, Golden, Reader, Response, ResponseError, request_bytes
from connections import check_afterwards
from report import Report
from service import Lab, Service

TIMES = 1000
RESET = struct.pack("ii", 1, 0)
"""Value of SO_LINGER with which a close sends a reset."""


def connect(service: Service, timeout: float = 10) -> socket.socket:
    """Return a new connection."""
    connection = socket.create_connection((HOST, service.port), timeout=timeout)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def received(connection: socket.socket, count: int = 1) -> tuple[list[Response], str]:
    """Return at most `count` responses, and the state of the connection: open, closed, reset, silent or garbled."""
    reader = Reader()
    responses: list[Response] = []
    try:
        while len(responses) < count:
            data = connection.recv(65536)
            if not data:
                return responses, "closed"
            responses += reader.feed(data)
    except TimeoutError:
        return responses, "silent"
    except (ResponseError, ValueError):
        return responses, "garbled"
    except OSError:
        return responses, "reset"
    return responses, "open"


def broken_clients(lab: Lab, golden: Golden) -> Report:
    """Half-closed connections, and clients that disconnect during a request."""
    times = 100 if lab.quick else TIMES
    report = Report(
        "disconnects",
        "Half-closed connections and clients that disconnect",
        f"Each fault is repeated {times:,} times, one after the other. Memory and open files of the worker are "
        "measured before and after. granian usually closes a half-closed connection without a response.",
    )
    request, body = golden.requests[0], golden.bodies[0]
    half = request[: -len(body) // 2]
    with lab.service(LOG_LEVEL="error") as service:
        workers, memory, descriptors = service.workers(), service.memory(), service.descriptors()
        outcomes = Counter(_half_closed(service, golden) for _ in range(times))
        report.add(
            "Half-closed after a complete request: response received",
            _text(outcomes),
            outcomes == Counter({"correct": times}),
        )
        with connect(service, timeout=25) as connection:
            connection.sendall(half)
            connection.shutdown(socket.SHUT_WR)
            started = time.monotonic()
            responses, state = received(connection)
            took = time.monotonic() - started
        result = f"{f'status {responses[0].status}' if responses else state} after {took:.1f} s"
        refused = not responses or 400 <= responses[0].status < 500
        report.add("Half-closed in the middle of a body: connection released", result, refused and state != "silent")
        kinds = (
            ("Closed in the middle of a body", half, 0),
            ("Reset in the middle of a body", half, 1),
            ("Closed before the response is read", request, 0),
            ("Reset before the response is read", request, 1),
            ("Reset in the middle of the headers", request[:40], 1),
        )
        for name, sent, kind in kinds:
            _disconnect(service, sent, times, kind=kind)
            report.add(name, f"{times:,} times, {service.descriptors()} files open immediately afterwards", None)
        check_afterwards(report, service, golden)
        time.sleep(1)
        same = service.workers() == workers
        report.add("Workers afterwards", "unchanged" if same else f"{workers} became {service.workers()}", same)
        now = service.descriptors()
        report.add("Open files", f"{descriptors} before, {now} after", now <= descriptors + 4)
        # The first round may leave buffers allocated. Memory that grows in the second round is a leak.
        first = service.memory()
        for _, sent, kind in kinds:
            _disconnect(service, sent, times, kind=kind)
        time.sleep(1)
        grown = service.memory() - first
        result = f"{memory:.0f} MB before, {first:.0f} MB after, {grown:+.1f} MB after a second round"
        report.add("Memory of the worker", result, grown < 10)
    return report


def _disconnect(service: Service, sent: bytes, times: int, *, kind: int) -> None:
    """Send bytes and disconnect, several times; with a reset if `how` is 1."""
    for _ in range(times):
        with connect(service) as connection:
            if kind:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            connection.sendall(sent)


def _half_closed(service: Service, golden: Golden) -> str:
    with connect(service) as connection:
        connection.sendall(golden.requests[0])
        connection.shutdown(socket.SHUT_WR)
        responses, state = received(connection)
    if not responses:
        return state
    return "correct" if golden.is_correct(responses[0]) else f"status {responses[0].status}"


def _text(outcomes: Counter[str]) -> str:
    return ", ".join(f"{count:,} {name}" for name, count in sorted(outcomes.items()))


@dataclass(frozen=True)
class Shape:
    """A request of an unusual shape, and its allowed outcomes.

    Attributes:
        name: description of the request.
        sent: function that returns the bytes in pieces.
        statuses: allowed statuses of the first response; 0 is a closed connection without a response.
        closed: whether the connection must be closed after the first response; None allows both.
        responses: maximum number of responses; a smuggled request would get another response.
        silent: whether the service may wait for more bytes.
    """

    name: str
    sent: Callable[[], Iterator[bytes]]
    statuses: frozenset[int]
    closed: bool | None = None
    responses: int = 1
    silent: bool = False


def pieces(*parts: bytes) -> Callable[[], Iterator[bytes]]:
    """Return a function that returns these bytes."""
    return lambda: iter(parts)


def chunk(data: bytes) -> bytes:
    """Return the bytes as a chunk."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def repeat(start: bytes, part: bytes, count: int) -> Callable[[], Iterator[bytes]]:
    """Return a function that yields a start, and then a part several times."""

    def parts() -> Iterator[bytes]:
        yield start
        for _ in range(count):
            yield part

    return parts


def shapes(golden: Golden) -> list[Shape]:
    """Return the shapes."""
    body = golden.bodies[0]
    line = b"POST " + URL.encode() + b" HTTP/1.1\r\n"
    host = b"Host: service\r\n"
    kind = b"Content-Type: application/json\r\n"
    post = line + host + kind
    length = b"Content-Length: %d\r\n" % len(body)
    chunked = b"Transfer-Encoding: chunked\r\n"
    smuggled = b"GET /version HTTP/1.1\r\nHost: service\r\n\r\n"
    ok, bad, long = frozenset({200}), frozenset({400, 0}), frozenset({413})
    head_too_long = frozenset({400, 413, 431, 0})
    mega = 1 << 20
    return [
        Shape(
            "A body in chunks of one byte",
            pieces(post + chunked + b"\r\n", *map(chunk, _bytes(body)), b"0\r\n\r\n"),
            ok,
        ),
        Shape(
            "Chunks with an extension",
            pieces(post + chunked + b"\r\n%x;a=b\r\n" % len(body) + body + b"\r\n0\r\n\r\n"),
            ok,
        ),
        Shape("Chunks with a trailer", pieces(post + chunked + b"\r\n" + chunk(body) + b"0\r\nX-Late: 1\r\n\r\n"), ok),
        Shape("Expect: 100-continue", pieces(post + length + b"Expect: 100-continue\r\n\r\n", body), ok),
        Shape("HTTP/1.0", pieces(post.replace(b"1.1", b"1.0") + length + b"\r\n" + body), ok, True),
        Shape("Declared: 100 MB, nothing sent", pieces(post + b"Content-Length: 100000000\r\n\r\n"), long),
        Shape(
            "Declared: 8 MB, all sent",
            repeat(post + b"Content-Length: %d\r\n\r\n" % (8 * mega), b" " * mega, 8),
            long,
        ),
        Shape("Declared: 10^30", pieces(post + b"Content-Length: 1" + b"0" * 30 + b"\r\n\r\n"), bad | long),
        Shape("Chunked: 8 MB", repeat(post + chunked + b"\r\n", chunk(b" " * mega), 8), long),
        Shape("Chunked, endless", repeat(post + chunked + b"\r\n", chunk(b" " * mega), 4096), long | {0}, True),
        Shape(
            "Chunked, 1 byte a chunk, endless",
            repeat(post + chunked + b"\r\n", chunk(b" ") * 9999, 2000),
            # The timeout may come before the limit of the length.
            long | {0, 408},
            True,
        ),
        Shape("Chunk size that is not a number", pieces(post + chunked + b"\r\nzz\r\n" + body), bad),
        Shape("Chunk size of 2^64", pieces(post + chunked + b"\r\n10000000000000000\r\n" + body), bad | long),
        Shape("Content-Length: -1", pieces(post + b"Content-Length: -1\r\n\r\n"), bad, True),
        Shape("Content-Length: abc", pieces(post + b"Content-Length: abc\r\n\r\n"), bad, True),
        Shape("Content-Length: +10", pieces(post + b"Content-Length: +10\r\n\r\n0123456789"), bad, True),
        Shape(
            "Two Content-Lengths that differ", pieces(post + length + b"Content-Length: 3\r\n\r\n" + body), bad, True
        ),
        Shape(
            "Content-Length too short by one",
            pieces(post + b"Content-Length: %d\r\n\r\n" % (len(body) - 1) + body),
            frozenset({400}),
            None,
            2,
        ),
        Shape(
            "Content-Length and chunks: smuggling",
            pieces(post + b"Content-Length: 5\r\n" + chunked + b"\r\n0\r\n\r\n" + smuggled),
            frozenset({400}),
            True,
        ),
        Shape(
            "Chunks and Content-Length: smuggling",
            pieces(post + chunked + b"Content-Length: 5\r\n\r\n0\r\n\r\n" + smuggled),
            frozenset({400}),
            True,
        ),
        Shape(
            "Transfer-Encoding: gzip, chunked",
            pieces(post + b"Transfer-Encoding: gzip, chunked\r\n\r\n" + chunk(body) + b"0\r\n\r\n"),
            frozenset({400, 415, 501, 0}),
        ),
        Shape(
            "Transfer-Encoding: chunked, gzip",
            pieces(post + b"Transfer-Encoding: chunked, gzip\r\n\r\n" + chunk(body) + b"0\r\n\r\n"),
            frozenset({400, 501, 0}),
            True,
        ),
        Shape(
            "Transfer-Encoding: xchunked",
            pieces(post + b"Transfer-Encoding: xchunked\r\n\r\n" + chunk(body) + b"0\r\n\r\n" + smuggled),
            frozenset({400, 501, 0}),
            True,
        ),
        Shape(
            "Chunks in HTTP/1.0",
            pieces(post.replace(b"1.1", b"1.0") + chunked + b"\r\n" + chunk(body) + b"0\r\n\r\n"),
            ok | bad | {411},
            True,
        ),
        Shape("Space before the colon", pieces(line + host + kind + b"Content-Length : 5\r\n\r\nhello"), bad, True),
        Shape("A folded header", pieces(post + b"X-Long: a\r\n b\r\n" + length + b"\r\n" + body), bad, True),
        Shape("NUL in a header", pieces(post + b"X-Nul: a\0b\r\n" + length + b"\r\n" + body), bad, True),
        Shape(
            "A header of 1 MB",
            pieces(post + b"X-Long: " + b"x" * mega + b"\r\n" + length + b"\r\n" + body),
            head_too_long,
            True,
        ),
        Shape(
            "10,000 headers", pieces(post + b"X-Many: 1\r\n" * 10_000 + length + b"\r\n" + body), head_too_long, True
        ),
        Shape("Endless headers", repeat(post, b"X-Many: " + b"1" * 1000 + b"\r\n", 100_000), head_too_long, True),
        Shape(
            "A path of 100,000 characters",
            pieces(b"GET /" + b"x" * 100_000 + b" HTTP/1.1\r\n" + host + b"\r\n"),
            frozenset({404, 400, 414, 431, 0}),
        ),
        Shape("100 pipelined requests", pieces(golden.requests[0] * 100), ok, False, 100),
        Shape(
            "GET with a body",
            pieces(b"GET /version HTTP/1.1\r\n" + host + length + b"\r\n" + body + smuggled),
            ok,
            False,
            2,
        ),
        Shape("A TLS handshake", pieces(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x07" * 512), bad, True),
        Shape("HTTP/2 preface", pieces(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), bad | {505}, True),
        Shape("Not HTTP", pieces(b"hello\r\n\r\n"), bad, True),
        Shape("Empty lines only", pieces(b"\r\n" * 100_000), bad, silent=True),
    ]


def _bytes(body: bytes) -> Iterator[bytes]:
    return (body[position : position + 1] for position in range(len(body)))


def malformed(lab: Lab, golden: Golden) -> Report:
    """Requests that are too long, contradictory or not HTTP."""
    report = Report(
        "malformed",
        "Oversized, endless and contradictory requests",
        "Each request has its own connection. The connection must be closed where the end of the body is ambiguous, "
        "and a request smuggled in a body must get no response. BODY_TIMEOUT is 5 s. "
        "A trailer makes a chunked body count as incomplete.",
    )
    with lab.service(LOG_LEVEL="error", BODY_TIMEOUT="5") as service:
        memory, workers = service.memory(), service.workers()
        for shape in shapes(golden):
            _send_shape(report, service, golden, shape)
        with connect(service, timeout=12) as connection:
            connection.sendall(request_bytes(golden.bodies[0] + b" ")[:-1])
            started = time.monotonic()
            responses, state = received(connection)
            took = time.monotonic() - started
        status = responses[0].status if responses else 0
        result = f"{f'status {status}' if responses else state} after {took:.1f} s"
        report.add("Content-Length too long by one", result, status in (0, 408) and state != "silent" and took < 8)
        check_afterwards(report, service, golden)
        same = service.workers() == workers
        report.add("Workers afterwards", "unchanged" if same else "replaced", same)
        grown = service.memory() - memory
        report.add("Memory of the worker", f"{memory:.0f} MB before, {grown:+.1f} MB after", grown < 30)
    return report


def _send_shape(report: Report, service: Service, golden: Golden, shape: Shape) -> None:
    """Send a shape and add its outcome."""
    responses, state, sent, peak_memory = asyncio.run(_exchange(service, shape))
    status = responses[0].status if responses else 0
    right = status in shape.statuses and len(responses) <= shape.responses and state != "garbled"
    right = right and (shape.silent or state != "silent")
    if shape.closed is not None:
        right = right and shape.closed == (state != "open")
    if shape.statuses == {200} and URL.encode() in next(shape.sent()):
        right = right and len(responses) == shape.responses and all(map(golden.is_correct, responses))
    result = (
        f"status {', '.join(sorted({str(response.status) for response in responses}))}" if responses else "no response"
    )
    result += f" ({len(responses)} responses)" if len(responses) > 1 else ""
    result += f", connection {'kept' if state == 'open' else state}"
    result += f", {sent / 1e6:,.0f} MB sent" if sent > 2e6 else ""
    result += f", {peak_memory:.0f} MB of memory at most" if sent > 2e6 else ""
    report.add(shape.name, result, right, statuses=[response.status for response in responses], state=state, bytes=sent)


async def _exchange(service: Service, shape: Shape) -> tuple[list[Response], str, int, float]:
    """Send and receive at the same time; return responses, state of the connection, sent bytes and peak memory."""
    stream, writer = await asyncio.open_connection(HOST, service.port)
    reader, state, sent, peak_memory = Reader(), "open", 0, 0.0
    responses: list[Response] = []

    async def send() -> None:
        nonlocal sent, peak_memory
        for part in shape.sent():
            writer.write(part)
            sent += len(part)
            await writer.drain()
            if sent > 2e6:
                peak_memory = max(peak_memory, await asyncio.to_thread(service.memory))

    sending = asyncio.create_task(send())
    last = time.monotonic()
    try:
        while True:
            # Another response may follow on an open connection.
            wait = 0.7 if sending.done() and responses else 8.0
            try:
                data = await asyncio.wait_for(stream.read(65536), min(wait, max(0.01, last + 20 - time.monotonic())))
            except TimeoutError:
                state = "open" if responses else "silent"
                break
            if not data:
                state = "closed"
                break
            responses += reader.feed(data)
    except (ResponseError, ValueError):
        state = "garbled"
    except OSError:
        state = "reset"
    finally:
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
        writer.transport.abort()
    return responses, state, sent, peak_memory
