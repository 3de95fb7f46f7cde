"""Mutated inputs, generated from a seed."""

import asyncio
import json
import random
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

from client import CORRECT, HOST, URL, Golden, Load, Reader, Response, ResponseError, Script, request_bytes
from connections import check_afterwards
from report import Report
from service import Lab

SEED = 20_260
BODIES = 200_000
HEADS = 10_000
MAX_SECONDS = 150.0
MEDIA_TYPES = (
    "application/json",
    "application/json; charset=utf-8",
    "application/json; charset=utf-16",
    "application/x-ndjson",
    "text/csv",
    "text/csv; header=absent",
    "application/vnd.apache.arrow.stream",
    "application/x-www-form-urlencoded",
    "multipart/form-data; boundary=x",
    "text/plain",
    "application/problem+json",
    "*/*",
    "",
    ";",
    "\u00e9/\u00fc",
)
ACCEPTED = (*MEDIA_TYPES, "text/html", "application/json;q=0", "text/csv;q=0.5, */*;q=0.1", "a/b;q=x", ",,,")
ENCODINGS = ("identity", "gzip", "deflate", "br", "gzip, gzip", "")
SCALARS: tuple[str, ...] = (
    *("null", "true", "false", "0", "-0", "-1", "1.5", "1e308", "1e309", "-1e999", "NaN", "Infinity", "-Infinity"),
    *("9" * 30, "9" * 5000, "0." + "0" * 400 + "1", "1e-400", "1E+2", "01", "0x10", "1_000", ".5", "5."),
    *('""', '"a"', '"1"', '"\\u0000"', '"\\ud800"', '"\\ud83d\\ude00"', '"\\x"', '"\n"', "'a'", '"' + "x" * 3000 + '"'),
    *(
        "[]",
        "{}",
        "[[]]",
        "[{}]",
        '{"a": 1}',
        "undefined",
        "",
        "//",
        "/* */ 1",
        '"2026-01-01"',
        '"2026-02-30T25:61:61Z"',
    ),
)
ALLOWED = frozenset({200, 400, 406, 411, 413, 415, 422})


class Mutations(Script):
    """Mutated requests, each of which is a function of its number.

    Each must get a prediction or a problem document, and never a 5xx.
    """

    def __init__(self, golden: Golden, count: int) -> None:
        self.records = [json.loads(body) for body in golden.bodies]
        self.count = count
        self.statuses: Counter[int] = Counter()
        self.worst: list[tuple[str, int]] = []

    def __len__(self) -> int:
        return self.count

    def outcome(self, number: int, response: Response) -> str:
        """Return the outcome of a request."""
        self.statuses[response.status] += 1
        if (response.status == 200 and response.body) or (response.status in ALLOWED and response.is_problem()):
            return CORRECT
        outcome = (
            f"status {response.status}" if response.is_problem() else f"status {response.status} without a problem"
        )
        self.worst.append((outcome, number))
        return outcome

    def request(self, number: int) -> bytes:
        """Return a request."""
        chance = random.Random(f"{SEED}/{number}")
        media_type, body = self.start(chance)
        for _ in range(chance.choice((0, 1, 1, 1, 2, 5))):
            body = chance.choice(MUTATIONS)(chance, body)
        headers = []
        if chance.random() < 0.1:
            headers.append(f"Accept: {chance.choice(ACCEPTED)}")
        if chance.random() < 0.03:
            headers.append(f"Content-Encoding: {chance.choice(ENCODINGS)}")
        if chance.random() < 0.15:
            media_type = chance.choice(MEDIA_TYPES)
        request = request_bytes(body, headers=headers)
        return request.replace(b"application/json", media_type.encode("latin-1"), 1)

    def start(self, chance: random.Random) -> tuple[str, bytes]:
        """Return the media type and a body to mutate."""
        kind = chance.random()
        records = [dict(chance.choice(self.records)) for _ in range(chance.choice((1, 1, 1, 2, 10)))]
        if kind < 0.5:
            return MEDIA_TYPES[0], self._written(chance, records[0]).encode()
        if kind < 0.8:
            return MEDIA_TYPES[0], f"[{','.join(self._written(chance, item) for item in records)}]".encode()
        if kind < 0.88:
            return "application/x-ndjson", "\n".join(self._written(chance, item) for item in records).encode()
        if kind < 0.95:
            header = ",".join(records[0])
            rows = [",".join("" if value is None else str(value) for value in item.values()) for item in records]
            return "text/csv", "\n".join([header, *rows]).encode()
        depth = chance.choice((10, 100, 1000, 100_000))
        text = chance.choice(("[" * depth, '{"a":' * depth, "[" * depth + "]" * depth, '[{"a":' * depth))
        return MEDIA_TYPES[0], text.encode()

    def _written(self, chance: random.Random, record: dict[str, Any]) -> str:
        """Return a record as JSON, sometimes with a changed structure."""
        fields = [(json.dumps(name), json.dumps(value)) for name, value in record.items()]
        if chance.random() < 0.6:
            position = chance.randrange(len(fields))
            name, value = fields[position]
            match chance.randrange(6):
                case 0:
                    del fields[position]
                case 1:
                    fields.append((name, chance.choice((value, *SCALARS))))
                case 2:
                    fields[position] = (chance.choice((name.upper(), name[:-2] + '"', '""', '"\\u0000"', "1")), value)
                case 3:
                    fields.append((f'"{chance.randrange(10**9)}"', chance.choice(SCALARS)))
                case 4:
                    chance.shuffle(fields)
                case _:
                    fields[position] = (name, chance.choice(SCALARS))
        return "{" + ",".join(f"{name}:{value}" for name, value in fields) + "}"


def _flip(chance: random.Random, body: bytes) -> bytes:
    changed = bytearray(body)
    if changed:
        changed[chance.randrange(len(changed))] ^= 1 << chance.randrange(8)
    return bytes(changed)


def _cut(chance: random.Random, body: bytes) -> bytes:
    return body[: chance.randrange(len(body) + 1)]


def _delete(chance: random.Random, body: bytes) -> bytes:
    position = chance.randrange(len(body) + 1)
    return body[:position] + body[position + chance.randrange(1, 20) :]


def _insert(chance: random.Random, body: bytes) -> bytes:
    position = chance.randrange(len(body) + 1)
    part = chance.choice((bytes([chance.randrange(256)]), *(item.encode("utf-8", "replace") for item in SCALARS)))
    return body[:position] + part + body[position:]


def _broken_text(chance: random.Random, body: bytes) -> bytes:
    position = chance.randrange(len(body) + 1)
    part = chance.choice(
        (b"\xff", b"\xc0\x80", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xe2\x82", b"\xef\xbb\xbf", b"\0")
    )
    return body[:position] + part + body[position:]


def _double(chance: random.Random, body: bytes) -> bytes:
    # Large bodies are not repeated: another scenario sends bodies beyond the limit.
    times = chance.choice((2, 2, 3, 50)) if len(body) < 10_000 else 1
    return (body + chance.choice((b"", b",", b"\n", b" "))) * times


def _encode(chance: random.Random, body: bytes) -> bytes:
    return body.decode("utf-8", "replace").encode(chance.choice(("utf-16", "utf-32", "utf-8-sig", "utf-16-be")))


def _long(chance: random.Random, body: bytes) -> bytes:
    # Large bodies are rare, because a body of a megabyte takes as long as a thousand small bodies.
    return body + b" " * chance.choice((10, 1000, 70_000) if chance.random() < 0.99 else (1_048_576, 1_200_000))


MUTATIONS: tuple[Callable[[random.Random, bytes], bytes], ...] = (
    *(_flip, _flip, _flip, _cut, _delete, _insert, _insert, _broken_text, _double, _encode, _long),
)


def fuzz(lab: Lab, golden: Golden) -> Report:
    """Send mutated bodies, then mutated requests."""
    bodies, heads = (10_000, 500) if lab.quick else (BODIES, HEADS)
    report = Report(
        "fuzz",
        "Fuzzing",
        f"Inputs are generated from golden records with seed {SEED}: flipped bits; deleted, inserted and duplicated "
        "parts; missing, repeated and renamed fields; numbers out of range; nesting 100,000 deep; invalid UTF-8; other "
        "encodings and media types; and mutated headers. Correct is any status below 500, with a problem document for "
        "an error.",
    )
    # Allow simultaneous large bodies, so that each input gets its own response.
    with lab.service(LOG_LEVEL="error", MAX_LARGE_REQUESTS="16") as service:
        workers = service.workers()
        script = Mutations(golden, bodies)
        load = Load(service.port, script, 16, each=bodies // 16, retry_delay=0)
        tally = asyncio.run(load.run(MAX_SECONDS, 20))
        statuses = ", ".join(f"{count:,} × {status}" for status, count in sorted(script.statuses.items()))
        report.add("Mutated bodies", f"{tally.text()} ({statuses})", tally.lost == 0, **tally.figures())
        for outcome, number in dict(reversed([*script.worst, *load.failed])).items():
            report.add(f"First with {outcome}", f"{script.request(number)[:200]!r}", False, number=number)
        report.add("Rate", f"{tally.rate:,.0f} a second, {tally.latency()}")
        check_afterwards(report, service, golden, "after mutated bodies")
        outcomes = asyncio.run(_send_heads(service.port, golden, heads))
        text = ", ".join(f"{count:,} × {outcome}" for outcome, count in sorted(outcomes.items()))
        right = not any(item in outcomes for item in ("silent", "no HTTP", "status 500", "status 502", "status 503"))
        report.add(f"{heads:,} mutated request heads", text, right, **outcomes)
        check_afterwards(report, service, golden, "after mutated request heads")
        same = service.workers() == workers
        report.add("Workers", "unchanged" if same else "replaced", same)
        errors = [line for line in service.lines() if line.get("traceback")]
        result = f"{len(errors)} tracebacks" + (f": {errors[0]['traceback'][-200:]}" if errors else "")
        report.add("Log", result, not errors)
    return report


def mutated_heads(golden: Golden, count: int) -> Iterator[bytes]:
    """Yield requests with mutated heads."""
    starts = (
        golden.requests[0],
        request_bytes(b"", "GET", "/version"),
        request_bytes(b"", "GET", "/openapi.json", ["If-None-Match: *", "Range: bytes=0-1", "Accept-Encoding: gzip"]),
        f"POST {URL} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Type: application/json\r\n\r\n"
        "2\r\n{}\r\n0\r\n\r\n".encode(),
    )
    for number in range(count):
        chance = random.Random(f"{SEED}/head/{number}")
        request = chance.choice(starts)
        for _ in range(chance.choice((1, 1, 2, 4))):
            request = chance.choice((_flip, _flip, _cut, _delete, _insert, _broken_text))(chance, request)
        yield request


async def _send_heads(port: int, golden: Golden, count: int) -> Counter[str]:
    outcomes: Counter[str] = Counter()
    requests = mutated_heads(golden, count)

    async def client() -> None:
        for request in requests:
            outcomes[await _outcome(port, request)] += 1

    await asyncio.gather(*(client() for _ in range(16)))
    return outcomes


async def _outcome(port: int, request: bytes) -> str:
    """Send a request; return the status of the response, or the end of the connection."""
    stream, writer = await asyncio.open_connection(HOST, port)
    reader = Reader()
    try:
        writer.write(request)
        writer.write_eof()
        while True:
            data = await asyncio.wait_for(stream.read(65536), 20)
            if not data:
                return "closed"
            if responses := reader.feed(data):
                return f"status {responses[0].status}"
    except TimeoutError:
        return "silent"
    except (ResponseError, ValueError):
        return "no HTTP"
    except OSError:
        return "reset"
    finally:
        writer.transport.abort()
