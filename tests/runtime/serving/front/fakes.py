"""Replacements of granian's scope, protocol and body of a request."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self


class Parts:
    """A body in parts, as granian yields them; it never ends if `then_waits`."""

    def __init__(self, *parts: bytes, then_waits: bool = False) -> None:
        self._parts = list(parts)
        self._then_waits = then_waits
        self.read = 0

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        if self._parts:
            self.read += 1
            return self._parts.pop(0)
        if self._then_waits:
            await asyncio.Event().wait()
        raise StopAsyncIteration


@dataclass
class Scope:
    """What a request asks for."""

    method: str = "GET"
    path: str = "/"
    query_string: str = ""
    client: str = "192.0.2.1:50000"
    server: str = "127.0.0.1:8000"
    scheme: str = "http"
    header_items: Sequence[tuple[str, str]] = ()

    @property
    def headers(self) -> Any:
        return dict[Any, Any]([]) if not self.header_items else _Headers(self.header_items)


class _Headers:
    def __init__(self, items: Sequence[tuple[str, str]]) -> None:
        self._items = items

    def items(self) -> Sequence[tuple[str, str]]:
        return self._items


@dataclass
class Protocol:
    """Takes the response to a request."""

    body: Parts = field(default_factory=Parts)
    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    content: bytes = b""
    file: Path | None = None
    responses: int = 0

    def __aiter__(self) -> AsyncIterator[bytes]:
        return aiter(self.body)

    def response_bytes(self, status: int, headers: list[tuple[str, str]], content: bytes) -> None:
        self._respond(status, headers)
        self.content = content

    def response_empty(self, status: int, headers: list[tuple[str, str]]) -> None:
        self._respond(status, headers)

    def response_file(self, status: int, headers: list[tuple[str, str]], file: str) -> None:
        self._respond(status, headers)
        self.file = Path(file)

    def _respond(self, status: int, headers: list[tuple[str, str]]) -> None:
        self.responses += 1
        self.status = status
        self.headers = dict(headers)
