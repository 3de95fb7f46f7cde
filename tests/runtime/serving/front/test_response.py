import asyncio
import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from mlops_runtime.serving.front import response as module
from mlops_runtime.serving.front.response import MAX_BUFFERED, MAX_IN_MEMORY, Response, ResponseWriter
from tests.runtime.serving.front.fakes import Protocol

LONG = 3 * MAX_IN_MEMORY


def answering(*parts: bytes) -> Callable[..., Any]:
    def application(_: Any, start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [("Content-Type", "text/csv")])
        yield from parts

    return application


def response_of(application: Callable[..., Any], progress: Callable[[], None] | None = None) -> Response:
    response = Response()
    response.run(application, {}, progress)
    return response


@pytest.mark.parametrize("parts", [[], [b"hello"], [b"hel", b"lo"]], ids=["none", "one", "several"])
def test_a_short_response_is_kept_in_memory(parts: list[bytes]) -> None:
    response = response_of(answering(*parts))

    assert (response.status, response.headers) == (200, [("Content-Type", "text/csv")])
    assert response.content() == b"".join(parts)
    assert response.size == len(b"".join(parts))
    assert not response.is_in_file
    assert response.seconds > 0


@pytest.mark.parametrize("size", [MAX_BUFFERED + 1, LONG], ids=["in memory", "on disk"])
def test_a_long_response_is_kept_in_a_file(size: int) -> None:
    response = response_of(answering(b"a", b"b" * (size - 2), b"c"))

    assert response.is_in_file
    with response.file() as file:
        assert file.read() == b"a" + b"b" * (size - 2) + b"c"


def test_the_iterable_of_the_application_is_closed() -> None:
    class Body(list[bytes]):
        closed = False

        def close(self) -> None:
            Body.closed = True

    def application(_: Any, start_response: Any) -> Body:
        start_response("200 OK", [])
        return Body([b"x"])

    response_of(application)

    assert Body.closed


def test_each_part_reports_progress() -> None:
    progress: list[None] = []

    response_of(answering(b"a", b"b", b"c"), lambda: progress.append(None))

    assert len(progress) == 3


def test_a_discarded_response_is_empty() -> None:
    response = response_of(answering(b"x" * LONG))

    response.discard()

    assert not response.is_in_file
    assert response.content() == b""


def written(read: Callable[[int], bytes], max_unsent: int = LONG) -> tuple[Protocol, bytes, bool]:
    """Return the protocol of a long response, what a reader of the pipe got, and whether the writer was full then."""

    async def run() -> tuple[Protocol, bytes, bool]:
        writer, protocol = ResponseWriter(max_unsent), Protocol()
        writing = asyncio.ensure_future(writer.write(protocol, response_of(answering(b"x" * LONG))))
        while protocol.file is None:
            await asyncio.sleep(0)
        pipe = await asyncio.to_thread(os.open, protocol.file, os.O_RDONLY)
        full = writer.is_full()
        content = await asyncio.to_thread(read, pipe)
        os.close(pipe)
        await writing
        assert not writer.is_full()
        assert not protocol.file.exists()
        writer.close()
        return protocol, content, full

    return asyncio.run(run())


def read_all(pipe: int) -> bytes:
    content = b""
    while part := os.read(pipe, 1 << 20):
        content += part
    return content


def test_a_long_response_is_written_as_fast_as_it_is_read() -> None:
    protocol, content, full = written(read_all)

    assert content == b"x" * LONG
    assert protocol.headers == {"Content-Type": "text/csv", "Content-Length": str(LONG)}
    assert full


def test_writing_ends_when_the_client_disconnects() -> None:
    _, content, _ = written(lambda pipe: os.read(pipe, 10))

    assert content == b"x" * 10


def test_the_bytes_of_unsent_responses_are_bounded() -> None:
    assert not written(read_all, max_unsent=LONG + 1)[2]


def test_nothing_is_left_when_a_client_disconnects_before_its_response(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "OPEN_TIMEOUT", 0.01)

    async def run() -> ResponseWriter:
        writer = ResponseWriter(LONG)
        protocol = Protocol()
        await writer.write(protocol, response_of(answering(b"x" * LONG)))
        assert protocol.file
        assert not protocol.file.exists()
        return writer

    writer = asyncio.run(run())

    assert not writer.is_full()
    writer.close()
