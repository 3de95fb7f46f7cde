"""Reads request bodies on the event loop, with limits of length, time and memory."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

from mlops_runtime.serving.middleware import error_responses
from mlops_runtime.serving.settings import Settings

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

LARGE = 64 * 1024
"""Bytes of a body above which a request counts as large."""
MAX_UNFINISHED = 64 * 1024 * 1024
"""Maximum bytes of unfinished bodies in a process, once for their first `LARGE` bytes and once for the rest."""
MAX_DISCARDED = 16 * 1024 * 1024
"""Bytes that are read and discarded of a body that is too long: clients read the response only after sending."""


class BodyError(Exception):
    """A body was not read completely.

    Attributes:
        response: WSGI application with the error.
    """

    def __init__(self, response: "WSGIApplication") -> None:
        super().__init__()
        self.response = response


class BodyTooLongError(Exception):
    """A body is longer than its limit."""


class BodyReader:
    """Reads the bodies of all requests of a process."""

    def __init__(self, settings: Settings, max_unfinished: int = MAX_UNFINISHED) -> None:
        self._timeout = settings.body_timeout
        # Separate limits for the first bytes and the rest, so that a few long bodies do not block short ones.
        self._free_first = max_unfinished
        self._free_rest = max_unfinished
        # Reading tasks in order of their start. One timer per task would take longer than reading.
        self._reading: dict[asyncio.Task[object], float] = {}

    def cancel_late(self, now: float) -> None:
        """Cancel the tasks that have read for too long at the time `now`, from `time.monotonic`."""
        for task, began in list(self._reading.items()):
            if now - began <= self._timeout:
                break
            task.cancel()

    async def read(self, parts: AsyncIterator[bytes], length: int | None, limit: int) -> bytes:
        """Return the body of a request.

        Args:
            parts: of the body; granian yields an empty part at the end, and two if the connection broke.
            length: value of Content-Length; None for a chunked body.
            limit: maximum length in bytes.

        Raises:
            BodyError: if the body is late or incomplete, or too many bytes of unfinished bodies are held.
            BodyTooLongError: if the body is longer than the limit.
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
            # Only `cancel_late` cancels this task.
            task.uncancel()
            if not too_long:
                raise BodyError(error_responses.body_timeout) from error
        finally:
            del self._reading[task]
        raise BodyTooLongError

    async def _read(self, parts: AsyncIterator[bytes], length: int | None, limit: int) -> bytes | None:
        """Return the body; None as soon as it is longer than the limit."""
        part = await anext(parts)
        if len(part) == length:
            # Most bodies arrive in one part.
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
    """Return the next part; None after the last part.

    `anext` with a default crashes the process (segmentation fault) with the awaitables of granian.
    """
    try:
        return await anext(parts)
    except StopAsyncIteration:
        return None


async def _discard(parts: AsyncIterator[bytes]) -> None:
    discarded = 0
    while discarded < MAX_DISCARDED and (part := await _next(parts)):
        discarded += len(part)
