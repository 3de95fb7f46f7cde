"""Request bodies: read on the event loop, within bounds of length, time and memory."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

from mlops_runtime.serving.middleware import error_responses
from mlops_runtime.serving.settings import Settings

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

LARGE = 64 * 1024
"""Bytes of a body above which a request is a large one."""
MAX_UNFINISHED = 64 * 1024 * 1024
"""Bytes of unfinished bodies that a process holds: of their first `LARGE` bytes, and as many of what follows."""
MAX_DISCARDED = 16 * 1024 * 1024
"""Bytes that are read of a body that is too long: a client that is still sending does not read its response."""


class BodyError(Exception):
    """A body that was not read to its end, with the response to it."""

    def __init__(self, response: "WSGIApplication") -> None:
        super().__init__()
        self.response = response


class BodyTooLongError(Exception):
    """A body that is longer than its limit."""


class BodyReader:
    """Reads the bodies of all requests of a process."""

    def __init__(self, settings: Settings, max_unfinished: int = MAX_UNFINISHED) -> None:
        self._timeout = settings.body_timeout
        # A few long bodies leave room for many short ones: their first bytes count apart from the rest.
        self._free_first = max_unfinished
        self._free_rest = max_unfinished
        # The tasks that read, in the order in which they began: a timer for each would take longer than the reading.
        self._reading: dict[asyncio.Task[object], float] = {}

    def cancel_late(self, now: float) -> None:
        """Cancel the reading of bodies that take too long at a time, as `time.monotonic` gives it."""
        for task, began in list(self._reading.items()):
            if now - began <= self._timeout:
                break
            task.cancel()

    async def read(self, parts: AsyncIterator[bytes], length: int | None, limit: int) -> bytes:
        """Return the body of a request.

        Args:
            parts: of the body; granian ends them with an empty one, and with two where the connection broke.
            length: that the request declares; None for a body in chunks.
            limit: of the length, in bytes.

        Raises:
            BodyError: if it is late or incomplete, or there are too many unfinished bodies.
            BodyTooLongError: if it is longer than the limit.
        """
        task: asyncio.Task[object] = asyncio.current_task()  # type: ignore[assignment]
        self._reading[task] = time.monotonic()
        too_long = length is not None and length > limit
        try:
            if not too_long:
                body = await self._read(parts, length, limit)
                if body is not None:
                    return body
                too_long = True
            await _discard(parts)
        except asyncio.CancelledError as error:
            # Nothing else cancels it.
            task.uncancel()
            if not too_long:
                raise BodyError(error_responses.late) from error
        finally:
            del self._reading[task]
        raise BodyTooLongError

    async def _read(self, parts: AsyncIterator[bytes], length: int | None, limit: int) -> bytes | None:
        """Return the body; None as soon as it is longer than the limit."""
        part = await anext(parts)
        if len(part) == length:
            # Most bodies come in one part.
            return part
        body = bytearray()
        try:
            while part:
                self._reserve(len(body), len(body) + len(part))
                body += part
                if len(body) > limit:
                    return None
                if len(body) == length:
                    return bytes(body)
                part = await anext(parts)
        finally:
            self._release(len(body))
        if length is not None or await _next(parts) is not None:
            raise BodyError(error_responses.incomplete)
        return bytes(body)

    def _reserve(self, held: int, size: int) -> None:
        first = min(size, LARGE) - min(held, LARGE)
        rest = size - held - first
        if first > self._free_first or rest > self._free_rest:
            raise BodyError(error_responses.overloaded)
        self._free_first -= first
        self._free_rest -= rest

    def _release(self, size: int) -> None:
        self._free_first += min(size, LARGE)
        self._free_rest += max(0, size - LARGE)


async def _next(parts: AsyncIterator[bytes]) -> bytes | None:
    """Return the next part, None after the last one.

    `anext` with a default ends the process with a segmentation fault: granian's awaitables are not what it expects.
    """
    try:
        return await anext(parts)
    except StopAsyncIteration:
        return None


async def _discard(parts: AsyncIterator[bytes]) -> None:
    discarded = 0
    while discarded < MAX_DISCARDED and (part := await _next(parts)):
        discarded += len(part)
