"""Clients that disconnect, and malformed requests."""

import asyncio
import socket
import struct
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from client import HOST, URL, Answer, AnswerError, Golden, Reader, request_bytes
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


def received(connection: socket.socket, count: int = 1) -> tuple[list[Answer], str]:
    """Return at most `count` answers, and the state of the connection: open, closed, reset, silent or garbled."""
    reader = Reader()
    answers: list[Answer] = []
    try:
        while len(answers) < count:
            data = connection.recv(65536)
            if not data:
                return answers, "closed"
            answers += reader.feed(data)
    except TimeoutError:
        return answers, "silent"
    except (AnswerError, ValueError):
        return answers, "garbled"
    except OSError:
        return answers, "reset"
    return answers, "open"


def broken_clients(lab: Lab, golden: Golden) -> Report:
    """Half-closed connections, and clients that disconnect during a request."""
    times = 100 if lab.quick else TIMES
    report = Report(
        "disconnects",
        "Half-closed connections and clients that go",
        f"Each {times:,} times, one after the other, while the memory and the open files of the worker are watched.",
    )
    request, body = golden.requests[0], golden.bodies[0]
    half = request[: -len(body) // 2]
    with lab.service(LOG_LEVEL="error") as service:
        workers, memory, descriptors = service.workers(), service.memory(), service.descriptors()
        outcomes = Counter(_half_closed(service, golden) for _ in range(times))
        report.add(
            "Half-closed after a whole request: answered", _text(outcomes), outcomes == Counter({"answered": times})
        )
        with connect(service, timeout=25) as connection:
            connection.sendall(half)
            connection.shutdown(socket.SHUT_WR)
            started = time.monotonic()
            answers, state = received(connection)
            took = time.monotonic() - started
        measured = f"{f'status {answers[0].status}' if answers else state} after {took:.1f} s"
        refused = not answers or 400 <= answers[0].status < 500
        report.add("Half-closed in the middle of a body: released", measured, refused and state != "silent")
        kinds = (
            ("Closed in the middle of a body", half, 0),
            ("Reset in the middle of a body", half, 1),
            ("Closed before the answer is read", request, 0),
            ("Reset before the answer is read", request, 1),
            ("Reset in the middle of a head", request[:40], 1),
        )
        for what, sent, how in kinds:
            _leave(service, sent, times, how=how)
            report.add(what, f"{times:,} times, {service.descriptors()} files open right after", None)
        check_afterwards(report, service, golden)
        time.sleep(1)
        same = service.workers() == workers
        report.add("Workers afterwards", "the same ones" if same else f"{workers} became {service.workers()}", same)
        now = service.descriptors()
        report.add("Open files", f"{descriptors} before, {now} after", now <= descriptors + 4)
        # The first round may leave buffers allocated. Memory that grows in the second round is a leak.
        first = service.memory()
        for _, sent, how in kinds:
            _leave(service, sent, times, how=how)
        time.sleep(1)
        grown = service.memory() - first
        measured = f"{memory:.0f} MB before, {first:.0f} MB after, {grown:+.1f} MB after all of them again"
        report.add("Memory of the worker", measured, grown < 10)
    return report


def _leave(service: Service, sent: bytes, times: int, *, how: int) -> None:
    """Send bytes and disconnect, several times; with a reset if `how` is 1."""
    for _ in range(times):
        with connect(service) as connection:
            if how:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            connection.sendall(sent)


def _half_closed(service: Service, golden: Golden) -> str:
    with connect(service) as connection:
        connection.sendall(golden.requests[0])
        connection.shutdown(socket.SHUT_WR)
        answers, state = received(connection)
    if not answers:
        return state
    return "answered" if golden.is_answered(answers[0]) else f"status {answers[0].status}"


def _text(outcomes: Counter[str]) -> str:
    return ", ".join(f"{count:,} {name}" for name, count in sorted(outcomes.items()))


@dataclass(frozen=True)
class Shape:
    """A request of an unusual shape, and its allowed outcomes.

    Attributes:
        what: description of the request.
        sent: function that returns the bytes in pieces.
        statuses: allowed statuses of the first answer; 0 is a closed connection without an answer.
        closed: whether the connection must be closed after the first answer; None allows both.
        answers: maximum number of answers; a smuggled request would get another answer.
        silent: whether the service may wait for more bytes.
    """

    what: str
    sent: Callable[[], Iterator[bytes]]
    statuses: frozenset[int]
    closed: bool | None = None
    answers: int = 1
    silent: bool = False


def pieces(*parts: bytes) -> Callable[[], Iterator[bytes]]:
    """Return a function that returns these bytes."""
    return lambda: iter(parts)


def chunk(data: bytes) -> bytes:
    """Return the bytes as a chunk."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def repeated(start: bytes, part: bytes, count: int) -> Callable[[], Iterator[bytes]]:
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
            "A list in chunks of a byte", pieces(post + chunked + b"\r\n", *map(chunk, _bytes(body)), b"0\r\n\r\n"), ok
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
            repeated(post + b"Content-Length: %d\r\n\r\n" % (8 * mega), b" " * mega, 8),
            long,
        ),
        Shape("Declared: 10^30", pieces(post + b"Content-Length: 1" + b"0" * 30 + b"\r\n\r\n"), bad | long),
        Shape("Chunked: 8 MB", repeated(post + chunked + b"\r\n", chunk(b" " * mega), 8), long),
        Shape("Chunked without end", repeated(post + chunked + b"\r\n", chunk(b" " * mega), 4096), long | {0}, True),
        Shape(
            "Chunked, 1 byte a chunk, without end",
            repeated(post + chunked + b"\r\n", chunk(b" ") * 9999, 2000),
            # The timeout may come before the limit of the length.
            long | {0, 408},
            True,
        ),
        Shape("Chunk size that is no number", pieces(post + chunked + b"\r\nzz\r\n" + body), bad),
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
        Shape("A head without end", repeated(post, b"X-Many: " + b"1" * 1000 + b"\r\n", 100_000), head_too_long, True),
        Shape(
            "A path of 100,000 letters",
            pieces(b"GET /" + b"x" * 100_000 + b" HTTP/1.1\r\n" + host + b"\r\n"),
            frozenset({404, 400, 414, 431, 0}),
        ),
        Shape("100 requests in one piece", pieces(golden.requests[0] * 100), ok, False, 100),
        Shape(
            "A body with GET",
            pieces(b"GET /version HTTP/1.1\r\n" + host + length + b"\r\n" + body + smuggled),
            ok,
            False,
            2,
        ),
        Shape("TLS", pieces(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x07" * 512), bad, True),
        Shape("The preface of HTTP/2", pieces(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), bad | {505}, True),
        Shape("No HTTP", pieces(b"hello\r\n\r\n"), bad, True),
        Shape("Nothing but empty lines", pieces(b"\r\n" * 100_000), bad, silent=True),
    ]


def _bytes(body: bytes) -> Iterator[bytes]:
    return (body[position : position + 1] for position in range(len(body)))


def malformed(lab: Lab, golden: Golden) -> Report:
    """Requests that are too long, contradictory or not HTTP."""
    report = Report(
        "malformed",
        "Oversized, endless and contradictory requests",
        "Each on a connection of its own. The connection must be closed where what follows cannot be told from the "
        "body, and no request that hides in a body may be answered. BODY_TIMEOUT is 5 s.",
    )
    with lab.service(LOG_LEVEL="error", BODY_TIMEOUT="5") as service:
        memory, workers = service.memory(), service.workers()
        for shape in shapes(golden):
            _try(report, service, golden, shape)
        with connect(service, timeout=12) as connection:
            connection.sendall(request_bytes(golden.bodies[0] + b" ")[:-1])
            started = time.monotonic()
            answers, state = received(connection)
            took = time.monotonic() - started
        status = answers[0].status if answers else 0
        measured = f"{f'status {status}' if answers else state} after {took:.1f} s"
        report.add("Content-Length too long by one", measured, status in (0, 408) and state != "silent" and took < 8)
        check_afterwards(report, service, golden)
        same = service.workers() == workers
        report.add("Workers afterwards", "the same ones" if same else "others", same)
        grown = service.memory() - memory
        report.add("Memory of the worker", f"{memory:.0f} MB before, {grown:+.1f} MB after", grown < 30)
    return report


def _try(report: Report, service: Service, golden: Golden, shape: Shape) -> None:
    """Send a shape and add its outcome."""
    answers, state, sent, peak_memory = asyncio.run(_exchange(service, shape))
    status = answers[0].status if answers else 0
    right = status in shape.statuses and len(answers) <= shape.answers and state != "garbled"
    right = right and (shape.silent or state != "silent")
    if shape.closed is not None:
        right = right and shape.closed == (state != "open")
    if shape.statuses == {200} and URL.encode() in next(shape.sent()):
        right = right and len(answers) == shape.answers and all(map(golden.is_answered, answers))
    measured = f"status {', '.join(sorted({str(answer.status) for answer in answers}))}" if answers else "no answer"
    measured += f" ({len(answers)} answers)" if len(answers) > 1 else ""
    measured += f", connection {'kept' if state == 'open' else state}"
    measured += f", {sent / 1e6:,.0f} MB sent" if sent > 2e6 else ""
    measured += f", {peak_memory:.0f} MB held at most" if sent > 2e6 else ""
    report.add(shape.what, measured, right, statuses=[answer.status for answer in answers], state=state, bytes=sent)


async def _exchange(service: Service, shape: Shape) -> tuple[list[Answer], str, int, float]:
    """Send and receive at the same time; return answers, state of the connection, sent bytes and peak memory."""
    stream, writer = await asyncio.open_connection(HOST, service.port)
    reader, state, sent, peak_memory = Reader(), "open", 0, 0.0
    answers: list[Answer] = []

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
            # Another answer may follow on an open connection.
            wait = 0.7 if sending.done() and answers else 8.0
            try:
                data = await asyncio.wait_for(stream.read(65536), min(wait, max(0.01, last + 20 - time.monotonic())))
            except TimeoutError:
                state = "open" if answers else "silent"
                break
            if not data:
                state = "closed"
                break
            answers += reader.feed(data)
    except (AnswerError, ValueError):
        state = "garbled"
    except OSError:
        state = "reset"
    finally:
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
        writer.transport.abort()
    return answers, state, sent, peak_memory
