"""The listening socket of this process, which granian opens and does not hand out."""

import os
import socket
from contextlib import suppress
from pathlib import Path
from stat import S_ISSOCK

DESCRIPTORS = Path("/proc/self/fd")
STALLED = 30_000
"""Milliseconds after which the kernel closes a connection whose client reads nothing of a response (tcp(7))."""


def close_stalled_connections() -> None:
    """Let the kernel close connections whose clients do not read: those accepted from now on inherit the option."""
    for descriptor in list(DESCRIPTORS.iterdir()) if DESCRIPTORS.exists() else ():
        # A descriptor may have been closed since it was listed.
        with suppress(OSError):
            if S_ISSOCK(os.fstat(int(descriptor.name)).st_mode):
                with socket.socket(fileno=os.dup(int(descriptor.name))) as candidate:
                    _close_stalled(candidate)


def _close_stalled(candidate: socket.socket) -> None:
    listens = candidate.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
    if listens and candidate.family in (socket.AF_INET, socket.AF_INET6):
        candidate.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, STALLED)
