import json
from collections.abc import Iterable
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from werkzeug.test import run_wsgi_app

from mlops_runtime.serving.middleware.guard import Guard, Wait
from mlops_runtime.serving.middleware.request_body import DISCARDED, PART, TABLE, received
from mlops_runtime.serving.settings import Settings

URL = "/v1/predictions"
LIMIT, TABLE_LIMIT = 100, 200
SETTINGS = Settings(max_content_length=LIMIT, max_table_length=TABLE_LIMIT)

KINDS = st.sampled_from(["declared", "chunked"])


def told(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    """Answer what has arrived at the application."""
    start_response("200 OK", [])
    body = environ["wsgi.input"].read()
    return [json.dumps([environ.get("CONTENT_LENGTH"), body.decode(), "HTTP_TRANSFER_ENCODING" in environ]).encode()]


@dataclass(frozen=True)
class Outcome:
    """What became of a request."""

    status: int
    closed: bool
    content: bytes

    @property
    def told(self) -> list[Any]:
        """Length and body, as the application got them, and whether it is told of a coding."""
        arrived: list[Any] = json.loads(self.content)
        return arrived


def sent(environ: dict[str, Any], guard: Guard | None = None, settings: Settings = SETTINGS) -> Outcome:
    """Return what becomes of a request."""
    application = received(told, settings, guard or Guard(settings))
    content, status, headers = run_wsgi_app(application, {"PATH_INFO": URL} | environ, buffered=True)
    return Outcome(int(status[:3]), headers.getlist("Connection") == ["close"], b"".join(content))


def request(body: bytes, kind: str, path: str = URL) -> dict[str, Any]:
    """Return a request with a body that says how long it is, or comes in chunks."""
    head = {"CONTENT_LENGTH": str(len(body))} if kind == "declared" else {"HTTP_TRANSFER_ENCODING": "Chunked"}
    return head | {"PATH_INFO": path, "wsgi.input": BytesIO(body)}


@pytest.mark.parametrize(("path", "limit"), [(URL, LIMIT), ("/", LIMIT), (TABLE, TABLE_LIMIT)])
@given(length=st.integers(1, 2 * TABLE_LIMIT), kind=KINDS)
def test_a_body_within_its_limit_arrives_whole(path: str, limit: int, length: int, kind: str) -> None:
    outcome = sent(request(b"x" * length, kind, path))

    # It has a length, however it came, and of one that is too long nothing else arrives
    assert outcome.status == 200
    arrived_length, arrived, coding = outcome.told
    assert not coding
    if length <= limit:
        assert (int(arrived_length), arrived, outcome.closed) == (length, "x" * length, False)
    else:
        assert int(arrived_length) > limit
        assert (arrived, outcome.closed) == ("", True)


@pytest.mark.parametrize("excess", [0, 1], ids=["at-the-limit", "over-the-limit"])
@pytest.mark.parametrize("kind", ["declared", "chunked"])
def test_the_limit_is_the_last_length_that_arrives(kind: str, excess: int) -> None:
    outcome = sent(request(b"x" * (LIMIT + excess), kind))

    assert outcome.told[:2] == ([str(LIMIT), "x" * LIMIT] if not excess else [str(LIMIT + 1), ""])


@pytest.mark.parametrize("kind", ["declared", "chunked"])
def test_what_is_sent_too_much_is_read_so_that_the_answer_is(kind: str) -> None:
    # Given a body longer than anybody reads, and one that is just too long
    endless, too_long = request(bytes(2 * DISCARDED), kind), request(bytes(2 * LIMIT), kind)

    streams = [one["wsgi.input"] for one in (endless, too_long)]
    for one in (endless, too_long):
        assert sent(one).closed

    # Then a part of the one is taken, and all of the other
    left = [len(stream.read()) for stream in streams]
    assert DISCARDED / 2 < left[0] <= DISCARDED
    assert left[1] == 0


@pytest.mark.parametrize("length", [None, ""], ids=["none", "empty"])
def test_a_request_without_a_body_is_handed_on_as_it_is(length: str | None) -> None:
    environ = {"wsgi.input": BytesIO()} if length is None else {"CONTENT_LENGTH": length, "wsgi.input": BytesIO()}

    outcome = sent(environ)

    assert outcome.told == [length, "", False]
    assert not outcome.closed


def test_a_body_of_no_bytes_is_a_body() -> None:
    outcome = sent({"CONTENT_LENGTH": "0", "wsgi.input": BytesIO(b"the next request")})

    assert outcome.told == ["0", "", False]
    assert not outcome.closed


@given(length=st.integers(1, LIMIT), missing=st.integers(1, LIMIT))
def test_a_body_of_which_the_rest_does_not_come_is_late(length: int, missing: int) -> None:
    # Given a body that ends before its declared length
    declared = min(length + missing, LIMIT)
    outcome = sent({"CONTENT_LENGTH": str(declared), "wsgi.input": BytesIO(b"x" * length)})

    # Then it is refused, and the rest is not waited for
    if declared > length:
        assert (outcome.status, outcome.closed) == (408, True)
    else:
        assert outcome.told[1] == "x" * length


class Impatient(Guard):
    """A guard that ends each wait."""

    def receiving(self) -> Wait:
        wait = super().receiving()
        wait.cut_short = True
        return wait


@pytest.mark.parametrize("kind", ["declared", "chunked"])
def test_a_body_whose_reading_was_ended_is_late(kind: str) -> None:
    # A body in chunks does not tell by itself that something is missing
    outcome = sent(request(b"half", kind), Impatient(SETTINGS))

    assert (outcome.status, outcome.closed) == (408, True)
    assert b"did not come in time" in outcome.content


def test_a_body_that_says_it_is_too_long_is_never_late() -> None:
    # Given a client that goes on sending when its wait has been ended
    one = request(b"x" * 2 * DISCARDED, "declared")
    stream = one["wsgi.input"]

    outcome = sent(one, Impatient(SETTINGS))

    # Then no more of it is taken, and it is refused for its length
    assert (outcome.status, outcome.closed) == (200, True)
    assert stream.tell() == 0


class Trickle(BytesIO):
    """A long body; the wait for it is ended when a part of it has been read."""

    def __init__(self, a_guard: Guard) -> None:
        super().__init__(b" " * 100 * PART)
        self._guard = a_guard

    def read(self, size: int | None = -1) -> bytes:
        if self.tell() >= 3 * PART:
            for wait in self._guard._waits.values():
                wait.cut_short = True
        return super().read(size)


def test_a_body_that_comes_all_the_time_is_read_no_further_when_its_wait_is_ended() -> None:
    # Given a body in chunks, which comes without a pause
    settings = Settings(max_content_length=200 * PART)
    a_guard = Guard(settings)
    stream = Trickle(a_guard)

    # When the wait for it is ended
    outcome = sent({"HTTP_TRANSFER_ENCODING": "chunked", "wsgi.input": stream}, a_guard, settings)

    # Then the rest is left
    assert (outcome.status, outcome.closed) == (408, True)
    assert stream.tell() == 4 * PART


@pytest.mark.parametrize("coding", ["gzip", "gzip, chunked", "identity"])
def test_another_coding_than_chunks_is_refused(coding: str) -> None:
    outcome = sent({"HTTP_TRANSFER_ENCODING": coding, "wsgi.input": BytesIO(b"x")})

    assert (outcome.status, outcome.closed) == (501, True)
