"""Clients that count the outcomes of all requests.

wrk counts received answers only; its figures do not show requests without an answer.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Sequence

from protocols import Answer, Protocol

ANSWER_TIMEOUT = 10.0
"""Seconds after which a request counts as unanswered."""

RIGHT, WRONG, REFUSED, UNANSWERED = "right", "wrong", "refused", "unanswered"
BUSY = (429, 503)


class Clients:
    """Clients of one server, which send one record after another."""

    def __init__(
        self,
        port: int,
        protocol: Protocol,
        bodies: Sequence[bytes],
        expected: Sequence[Answer],
        labels: Sequence[str],
    ) -> None:
        """Prepare the requests.

        Args:
            port: local port of the server.
            protocol: protocol of the server.
            bodies: bodies of requests with a record each.
            expected: expected answers to these requests.
            labels: labels in the order of the contract.
        """
        self._port = port
        self._protocol = protocol
        self._expected = expected
        self._labels = labels
        head = f"POST {protocol.record_path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/json\r\n"
        self._requests = [f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body for body in bodies]

    def count_outcomes(self, clients: int, seconds: float, *, keep_alive: bool) -> dict[str, int]:
        """Return the number of requests by outcome; clients wait for the answers to their last requests.

        Args:
            clients: number of simultaneous clients, each with one request at a time.
            seconds: time to send requests for.
            keep_alive: whether a client keeps its connection instead of opening a connection for each request.
        """
        return dict(asyncio.run(self._all(clients, seconds, keep_alive)))

    async def _all(self, clients: int, seconds: float, keep_alive: bool) -> Counter[str]:
        end = time.monotonic() + seconds
        counts = await asyncio.gather(*(self._one(index, end, keep_alive) for index in range(clients)))
        return sum(counts, Counter())

    async def _one(self, index: int, end: float, keep_alive: bool) -> Counter[str]:
        counts: Counter[str] = Counter()
        streams = None
        while time.monotonic() < end:
            index = (index + 1) % len(self._requests)
            try:
                async with asyncio.timeout(ANSWER_TIMEOUT):
                    streams = streams or await asyncio.open_connection("127.0.0.1", self._port)
                    streams[1].write(self._requests[index])
                    await streams[1].drain()
                    status, body, stays_open = await _response(streams[0])
            except (OSError, TimeoutError, EOFError, ValueError, LookupError, asyncio.LimitOverrunError):
                counts[UNANSWERED] += 1
                stays_open = False
            else:
                counts[self._outcome(index, status, body)] += 1
            if streams and not (keep_alive and stays_open):
                streams[1].close()
                streams = None
        if streams:
            streams[1].close()
        return counts

    def _outcome(self, index: int, status: int, body: bytes) -> str:
        if status in BUSY:
            return REFUSED
        expected = [self._expected[index]]
        return RIGHT if status == 200 and self._protocol.is_right(body, expected, self._labels) else WRONG


async def _response(reader: asyncio.StreamReader) -> tuple[int, bytes, bool]:
    """Return status and body, and whether the connection can be used again.

    Raises:
        IncompleteReadError: if the connection ends before the response does.
        ValueError: if the response is not HTTP.
    """
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    headers = dict(line.lower().split(": ", 1) for line in head[1:] if ": " in line)
    status = int(head[0].split(" ")[1])
    if headers.get("transfer-encoding") == "chunked":
        body = b""
        while size := int((await reader.readuntil(b"\r\n")).split(b";")[0], 16):
            body += (await reader.readexactly(size + 2))[:-2]
        await reader.readexactly(2)
    else:
        body = await reader.readexactly(int(headers["content-length"]))
    return status, body, headers.get("connection") != "close"
