"""Responses of the WSGI application: a thread collects them, and the event loop writes them."""

import asyncio
import contextlib
import errno
import os
import tempfile
import time
from collections.abc import Callable, Iterable
from itertools import count
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication, WSGIEnvironment

MAX_BUFFERED = 64 * 1024
"""Maximum bytes of a response that is passed to granian at once; granian keeps it until the client has read it."""
MAX_IN_MEMORY = 1024 * 1024
"""Bytes of a longer response above which it moves from memory to a temporary file."""
MAX_UNSENT = 64 * 1024 * 1024
"""Bytes of longer responses that clients have not read, above which large requests are refused."""
OPEN_TIMEOUT = 5.0
"""Seconds to wait until granian opens the pipe of a response; it never does if the client has disconnected."""
PART = 64 * 1024


class Response:
    """The response of the application to one request.

    Attributes:
        status: HTTP status.
        headers: except those that granian adds.
        size: length of the body in bytes.
        seconds: duration of the application.
    """

    __slots__ = ("_body", "_file", "_parts", "headers", "seconds", "size", "status")

    def __init__(self) -> None:
        self.status = 500
        self.headers: list[tuple[str, str]] = []
        self.size = 0
        self.seconds = 0.0
        self._body: Iterable[bytes] = ()
        self._parts: list[bytes] = []
        self._file: IO[bytes] | None = None

    def run(
        self, application: "WSGIApplication", environ: "WSGIEnvironment", progress: Callable[[], None] | None = None
    ) -> None:
        """Run an application and collect its response.

        Args:
            application: the WSGI application.
            environ: of the request.
            progress: called after each part of the response.
        """
        self.call(application, environ)
        self.collect(progress)

    def call(self, application: "WSGIApplication", environ: "WSGIEnvironment") -> None:
        """Call an application; `collect` must follow."""
        began = time.perf_counter()
        self._body = application(environ, self._start)
        self.seconds = time.perf_counter() - began

    def collect(self, progress: Callable[[], None] | None = None) -> None:
        """Collect the parts of the response; `progress` is called after each."""
        began = time.perf_counter()
        try:
            for part in self._body:
                self._write(part)
                if progress:
                    progress()
        finally:
            if hasattr(self._body, "close"):
                self._body.close()
        self.seconds += time.perf_counter() - began

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
            # Closed by the caller of `file`, or by the garbage collector.
            self._file = tempfile.SpooledTemporaryFile(MAX_IN_MEMORY)  # noqa: SIM115
            self._file.writelines(self._parts)
            self._parts.clear()

    @property
    def is_in_file(self) -> bool:
        """Whether the body is too long to be kept in memory."""
        return self._file is not None

    def content(self) -> bytes:
        """Return the body of a short response."""
        return self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)

    def discard(self) -> None:
        """Drop the body."""
        self._parts.clear()
        if self._file:
            self._file.close()
            self._file = None

    def file(self) -> IO[bytes]:
        """Return the file with the body of a longer response, positioned at its start."""
        if not self._file:
            raise TypeError("the response is short: read its content")
        self._file.seek(0)
        return self._file


class ResponseWriter:
    """Writes the longer responses of a process.

    granian reads each response from a named pipe as fast as the client does. A write fails once the client has
    disconnected.
    """

    def __init__(self, max_unsent: int = MAX_UNSENT) -> None:
        self._free = max_unsent
        self._folder = tempfile.TemporaryDirectory(prefix="webservice-responses-")
        self._numbers = count()

    def close(self) -> None:
        """Remove the folder of the pipes."""
        self._folder.cleanup()

    def is_full(self) -> bool:
        """Return whether clients have left too many bytes unread."""
        return self._free <= 0

    async def write(self, protocol: Any, response: Response) -> None:
        """Write a response from its file, as fast as the client reads it.

        Args:
            protocol: RSGI protocol.
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
    """Return the pipe once it has a reader; None after the timeout."""
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
    """Copy a file into a pipe; stop when the reader closes it."""
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
