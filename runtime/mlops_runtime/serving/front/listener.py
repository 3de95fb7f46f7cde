"""Options of the listening socket, to which granian gives no access."""

import os
import socket
from contextlib import suppress
from pathlib import Path
from stat import S_ISSOCK

DESCRIPTORS = Path("/proc/self/fd")
STALL_TIMEOUT_MS = 30_000
"""Milliseconds after which the kernel closes a connection whose client reads nothing of a response (tcp(7))."""


def close_stalled_connections() -> None:
    """Set the timeout on the listening socket; connections that are accepted from now on inherit it."""
    for descriptor in list(DESCRIPTORS.iterdir()) if DESCRIPTORS.exists() else ():
        # The descriptor may be closed already.
        with suppress(OSError):
            if S_ISSOCK(os.fstat(int(descriptor.name)).st_mode):
                with socket.socket(fileno=os.dup(int(descriptor.name))) as candidate:
                    _close_stalled(candidate)


def _close_stalled(candidate: socket.socket) -> None:
    listens = candidate.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
    if listens and candidate.family in (socket.AF_INET, socket.AF_INET6):
        candidate.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, STALL_TIMEOUT_MS)
