"""Responses of the WSGI application: collected by the thread that runs it, written by the event loop."""

import asyncio
import contextlib
import errno
import os
import tempfile
import time
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication, WSGIEnvironment

MAX_BUFFERED = 64 * 1024
"""Bytes of a response that are handed to granian at once, which keeps them until the client has read them."""
MAX_IN_MEMORY = 1024 * 1024
"""Bytes of a longer response that are kept in memory; what exceeds them is in a temporary file."""
MAX_UNSENT = 64 * 1024 * 1024
"""Bytes of longer responses that clients have not read: above it no large request is accepted."""
OPEN_TIMEOUT = 5.0
"""Seconds in which granian opens the pipe of a response, unless the client has disconnected."""
PART = 64 * 1024


class Response:
    """What the application answers to one request.

    Attributes:
        status: of HTTP.
        headers: without those that granian adds.
        size: bytes of the body.
        seconds: that the application took.
    """

    __slots__ = ("_file", "_parts", "headers", "seconds", "size", "status")

    def __init__(self) -> None:
        self.status = 500
        self.headers: list[tuple[str, str]] = []
        self.size = 0
        self.seconds = 0.0
        self._parts: list[bytes] = []
        self._file: IO[bytes] | None = None

    def run(
        self, application: "WSGIApplication", environ: "WSGIEnvironment", progress: Callable[[], None] | None = None
    ) -> None:
        """Collect the response of an application.

        Args:
            application: that answers.
            environ: of the request.
            progress: is called after each part of a response that has several.
        """
        began = time.perf_counter()
        body = application(environ, self._start)
        try:
            for part in body:
                self._write(part)
                if progress:
                    progress()
        finally:
            if hasattr(body, "close"):
                body.close()
        self.seconds = time.perf_counter() - began

    def _start(self, status: str, headers: list[tuple[str, str]], *_: Any) -> Any:
        self.status = int(status[:3])
        self.headers = headers
        return self._write

    def _write(self, part: bytes) -> None:
        self.size += len(part)
        if self._file:
            self._file.write(part)
            return
        self._parts.append(part)
        if self.size > MAX_BUFFERED:
            # Closed by whoever takes it, or with the last reference to it.
            self._file = tempfile.SpooledTemporaryFile(MAX_IN_MEMORY)  # noqa: SIM115
            self._file.writelines(self._parts)
            self._parts.clear()

    @property
    def is_in_file(self) -> bool:
        """Whether the body is too long to be handed over at once."""
        return self._file is not None

    def content(self) -> bytes:
        """Return the body of a short response."""
        return self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)

    def discard(self) -> None:
        """Forget the body."""
        self._parts.clear()
        if self._file:
            self._file.close()
            self._file = None

    def file(self) -> IO[bytes]:
        """Return the file with the body of a longer response, at its beginning."""
        if not self._file:
            raise TypeError("the response is short: read its content")
        self._file.seek(0)
        return self._file


class ResponseWriter:
    """Writes the longer responses of a process.

    granian reads each from a named pipe: it takes as much as the client does, and a write fails once the client
    has disconnected.
    """

    def __init__(self, max_unsent: int = MAX_UNSENT) -> None:
        self._free = max_unsent
        self._folder = tempfile.TemporaryDirectory(prefix="webservice-responses-")
        self._numbers = count()

    def close(self) -> None:
        """Remove the folder of the pipes."""
        self._folder.cleanup()

    def is_full(self) -> bool:
        """Return whether clients leave too much unread."""
        return self._free <= 0

    async def write(self, protocol: Any, response: Response) -> None:
        """Write a response that is in a file, as fast as its client reads it.

        Args:
            protocol: of RSGI.
            response: of the application.
        """
        self._free -= response.size
        path = Path(self._folder.name, str(next(self._numbers)))
        try:
            with response.file() as file:
                os.mkfifo(path, 0o600)
                headers = response.headers
                if not any(name.lower() == "content-length" for name, _ in headers):
                    headers = [*headers, ("Content-Length", str(response.size))]
                protocol.response_file(response.status, headers, str(path))
                pipe = await _open_pipe(path)
                if pipe is not None:
                    try:
                        await _copy(file, pipe)
                    finally:
                        os.close(pipe)
        finally:
            path.unlink(missing_ok=True)
            self._free += response.size


async def _open_pipe(path: Path) -> int | None:
    """Return the pipe, once there is a reader; None if there is none in time."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + OPEN_TIMEOUT
    while loop.time() < deadline:
        try:
            return os.open(path, os.O_WRONLY | os.O_NONBLOCK)
        except OSError as error:
            if error.errno != errno.ENXIO:
                raise
        await asyncio.sleep(0.002)
    return None


async def _copy(file: IO[bytes], pipe: int) -> None:
    """Write a file into a pipe; stop when its reader is gone."""
    loop = asyncio.get_running_loop()
    writable = asyncio.Event()
    loop.add_writer(pipe, writable.set)
    try:
        with contextlib.suppress(BrokenPipeError):
            while part := memoryview(file.read(PART)):
                while part:
                    try:
                        part = part[os.write(pipe, part) :]
                    except BlockingIOError:
                        writable.clear()
                        await writable.wait()
    finally:
        loop.remove_writer(pipe)
