import asyncio
import time
from collections.abc import Awaitable, Callable

import pytest

from mlops_runtime.serving.front import request_body
from mlops_runtime.serving.front.request_body import LARGE, BodyError, BodyReader, BodyTooLongError
from mlops_runtime.serving.middleware import error_responses
from mlops_runtime.serving.settings import Settings
from tests.runtime.serving.front.fakes import Parts

LIMIT = 100


@pytest.fixture
def reader() -> BodyReader:
    return BodyReader(Settings(body_timeout=5))


def read(reader: BodyReader, parts: Parts, length: int | None, limit: int = LIMIT) -> bytes:
    async def run() -> bytes:
        return await reader.read(parts, length, limit)

    return asyncio.run(run())


@pytest.mark.parametrize(
    ("parts", "length"),
    [
        pytest.param([b"hello"], 5, id="one part"),
        pytest.param([b"he", b"l", b"lo"], 5, id="several parts"),
        pytest.param([b"hello", b""], None, id="chunk"),
        pytest.param([b"h", b"e", b"l", b"l", b"o", b""], None, id="chunks of one byte"),
    ],
)
def test_a_body_is_read_to_its_end(reader: BodyReader, parts: list[bytes], length: int | None) -> None:
    assert read(reader, Parts(*parts), length) == b"hello"


@pytest.mark.parametrize("length", [LIMIT, None], ids=["declared", "chunks"])
def test_a_body_may_have_as_many_bytes_as_the_limit(reader: BodyReader, length: int | None) -> None:
    assert len(read(reader, Parts(b"x" * (LIMIT - 1), b"x", b""), length)) == LIMIT


def test_an_empty_body_in_chunks_is_empty(reader: BodyReader) -> None:
    assert read(reader, Parts(b""), None) == b""


@pytest.mark.parametrize(
    ("parts", "length"),
    [
        pytest.param([b"hel", b"", b""], 5, id="declared"),
        pytest.param([b"", b""], 5, id="nothing"),
        pytest.param([b"hel", b"", b""], None, id="chunks"),
    ],
)
def test_an_incomplete_body_is_refused(reader: BodyReader, parts: list[bytes], length: int | None) -> None:
    with pytest.raises(BodyError) as refused:
        read(reader, Parts(*parts), length)

    assert refused.value.response is error_responses.incomplete


@pytest.mark.parametrize("length", [LIMIT + 1, None], ids=["declared", "chunks"])
def test_a_body_that_is_too_long_is_discarded(
    reader: BodyReader, length: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a client that sends for ever
    monkeypatch.setattr(request_body, "MAX_DISCARDED", 500)
    parts = Parts(*[b"x" * 60] * 1000)

    # When its body is read
    with pytest.raises(BodyTooLongError):
        read(reader, parts, length)

    # Then no more is read than lets an ordinary client finish
    assert parts.read <= 2 + 500 // 60 + 1


def watched(reader: BodyReader, attempt: Callable[[], Awaitable[bytes]]) -> bytes:
    """Return what an attempt returns while late bodies are cancelled."""

    async def run() -> bytes:
        reading = asyncio.ensure_future(attempt())
        await asyncio.sleep(0)
        reader.cancel_late(time.monotonic() + 4.9)
        await asyncio.sleep(0)
        assert not reading.done()
        reader.cancel_late(time.monotonic() + 5.1)
        return await reading

    return asyncio.run(run())


@pytest.mark.parametrize("length", [5, None], ids=["declared", "chunks"])
def test_a_body_that_is_late_is_refused(reader: BodyReader, length: int | None) -> None:
    with pytest.raises(BodyError) as refused:
        watched(reader, lambda: reader.read(Parts(b"hel", then_waits=True), length, LIMIT))

    assert refused.value.response is error_responses.body_timeout


def test_a_body_that_is_late_and_too_long_is_too_long(reader: BodyReader) -> None:
    with pytest.raises(BodyTooLongError):
        watched(reader, lambda: reader.read(Parts(b"x", then_waits=True), LIMIT + 1, LIMIT))


def test_the_bytes_of_all_unfinished_bodies_are_bounded() -> None:
    # Given room for two of three bodies
    reader = BodyReader(Settings(), max_unfinished=25)

    async def run() -> tuple[list[object], bytes]:
        slow = [asyncio.ensure_future(reader.read(Parts(b"x" * 10, then_waits=True), 20, LIMIT)) for _ in range(3)]
        await asyncio.sleep(0)
        # When two are given up, then there is room again
        for task in slow[:2]:
            task.cancel()
        results = await asyncio.gather(*slow, return_exceptions=True)
        return list(results), await reader.read(Parts(b"x" * 10, b"x" * 10), 20, LIMIT)

    results, body = asyncio.run(run())

    assert [getattr(result, "response", None) for result in results] == [
        error_responses.body_timeout, error_responses.body_timeout, error_responses.overloaded
    ]  # fmt: skip
    assert len(body) == 20


def test_long_bodies_leave_room_for_short_ones() -> None:
    # Given long bodies that take all the room for what exceeds the first bytes of a body
    reader = BodyReader(Settings(), max_unfinished=3 * LARGE)

    async def run() -> bytes:
        long = asyncio.ensure_future(reader.read(Parts(b"x" * 4 * LARGE, then_waits=True), 5 * LARGE, 9 * LARGE))
        await asyncio.sleep(0)
        try:
            with pytest.raises(BodyError):
                await reader.read(Parts(b"x" * 2 * LARGE, b"x"), 3 * LARGE, 9 * LARGE)
            return await reader.read(Parts(b"hel", b"lo"), 5, LIMIT)
        finally:
            long.cancel()
            await asyncio.gather(long, return_exceptions=True)

    assert asyncio.run(run()) == b"hello"
