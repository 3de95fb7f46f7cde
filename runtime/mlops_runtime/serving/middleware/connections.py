"""The connections of this process, as the kernel knows them.

The server hands on a request without the connection it came on. What the kernel counts of each
connection tells which of them wait for an answer, and for how long (tcp(7), TCP_INFO).
"""

import os
import socket
import struct
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

DESCRIPTORS = Path("/proc/self/fd")

# Milliseconds since data were sent and since data came, and segments of data that came and were sent: where they
# stand in struct tcp_info.
LAST_SENT = struct.Struct("=44xI")
LAST_RECEIVED = struct.Struct("=52xI")
SEGMENTS = struct.Struct("=152xII")
LENGTH = 160
STATE = struct.Struct("=B")
ESTABLISHED = 1


@dataclass(frozen=True, slots=True)
class Connection:
    """A connection of a client.

    Attributes:
        descriptor: of its socket in this process.
        peer: address and port of the client.
        silent: seconds since something came.
        unanswered: seconds since something was sent, or since it was opened.
        segments: of data that have come since it was opened.
    """

    descriptor: int
    peer: tuple[str, int]
    silent: float
    unanswered: float
    segments: int = 0


def waiting(port: int) -> list[Connection]:
    """Return the connections to a port of this process that wait for an answer; none where /proc is missing.

    Something has come on them, and nothing was sent since.
    """
    return _found(port, waiting=True)


def resting(port: int) -> list[Connection]:
    """Return the connections to a port of this process that seem to be answered.

    A client that does not wait for its answer before it sends the next request is among them.
    """
    return _found(port, waiting=False)


def _found(port: int, *, waiting: bool) -> list[Connection]:
    try:
        descriptors = [int(path.name) for path in DESCRIPTORS.iterdir()]
    except OSError:
        # No such folder, or no more files can be opened.
        return []
    return [one for descriptor in descriptors if (one := _connection(descriptor, port, waiting=waiting))]


def stop_reading(connections: Iterable[Connection]) -> None:
    """Take nothing more from these clients: what reads their requests sees their end, and can still answer."""
    for connection in connections:
        with _socket_of(connection.descriptor) as found:
            # The descriptor may have become that of another connection in between.
            if found is not None and _peer(found) == connection.peer:
                _shut(found)


def _connection(descriptor: int, port: int, *, waiting: bool) -> Connection | None:
    with _socket_of(descriptor) as found:
        if found is None or (peer := _peer(found)) is None or found.getsockname()[1] != port:
            return None
        state = found.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, LENGTH)
    if STATE.unpack_from(state)[0] != ESTABLISHED or waits(state) != waiting:
        return None
    silent, unanswered = LAST_RECEIVED.unpack_from(state)[0], LAST_SENT.unpack_from(state)[0]
    return Connection(descriptor, peer, silent / 1000, unanswered / 1000, SEGMENTS.unpack_from(state)[0])


def waits(state: bytes) -> bool:
    """Return whether the last word is the client's, as struct tcp_info has it."""
    silent, unanswered = LAST_RECEIVED.unpack_from(state)[0], LAST_SENT.unpack_from(state)[0]
    came, sent = SEGMENTS.unpack_from(state)
    if not came or not sent or silent != unanswered:
        return came > 0 and (not sent or silent < unanswered)
    # Both within a tick of the kernel's clock, which is up to 10 ms long: most requests and answers are one segment.
    return bool(came > sent)


@contextmanager
def _socket_of(descriptor: int) -> Iterator[socket.socket | None]:
    """Yield a socket that shares its connection with a descriptor; None if the descriptor is of something else."""
    try:
        copy = os.dup(descriptor)
    except OSError:
        # Closed in the meantime.
        yield None
        return
    try:
        found = socket.socket(fileno=copy)
    except OSError:
        # A file.
        os.close(copy)
        yield None
        return
    with found:
        yield found


def _peer(found: socket.socket) -> tuple[str, int] | None:
    try:
        address = found.getpeername()
    except OSError:
        # Not connected: the socket that listens, say.
        return None
    return (address[0], address[1]) if found.family in (socket.AF_INET, socket.AF_INET6) else None


def _shut(found: socket.socket) -> None:
    try:
        found.shutdown(socket.SHUT_RD)
    except OSError:
        # The client was faster.
        return
