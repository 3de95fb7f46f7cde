import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest
from werkzeug.test import Client

from mlops_runtime.serving.api.problems import Problem
from mlops_runtime.serving.middleware import connections, guard
from mlops_runtime.serving.middleware.connections import Connection
from mlops_runtime.serving.middleware.guard import LARGE, QUESTIONS, Guard, Wait
from mlops_runtime.serving.settings import Settings

URL = "/v1/predictions"
LARGE_BODY = bytes(LARGE + 1)
PATIENCE = 20.0
SHORT = 0.05
"""Seconds that a test waits for something to be late."""


def fine(_: Any, start_response: Any) -> Iterable[bytes]:
    """Answer in parts."""
    start_response("200 OK", [])
    yield b"fine"
    yield b"!"


class Busy:
    """An application whose requests stay in work until they are released."""

    def __init__(self) -> None:
        self.released = threading.Event()

    def __call__(self, _: Any, start_response: Any) -> Iterable[bytes]:
        self.released.wait(PATIENCE)
        start_response("200 OK", [])
        return [b"fine"]


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def requests_in_work(a_guard: Guard) -> int:
    """Return how many requests a guard knows to be in work."""
    return len(a_guard._answering)


@contextmanager
def in_work(a_guard: Guard, count: int) -> Iterator[None]:
    """Have so many requests in work while the block runs."""
    busy = Busy()
    client = Client(a_guard.guarded(busy))
    with ThreadPoolExecutor(count) as threads:
        answers = [threads.submit(client.get, "/version") for _ in range(count)]
        wait_until(lambda: requests_in_work(a_guard) == count)
        try:
            yield
        finally:
            busy.released.set()
    assert {answer.result().status_code for answer in answers} == {200}


# Large requests.


def test_a_few_large_requests_are_in_work_at_a_time() -> None:
    # Given as many of them as are taken
    client = Client(Guard(Settings(max_large_requests=2)).guarded(fine))
    taken = [client.post(URL, data=LARGE_BODY) for _ in range(2)]

    # When one more comes
    refused = client.post(URL, data=LARGE_BODY)

    # Then it is asked to come again, on another connection, and small ones are answered
    assert refused.status_code == 503
    assert int(refused.headers["Retry-After"]) > 0
    assert refused.headers["Connection"] == "close"
    assert Problem.model_validate_json(refused.data).status == 503
    assert client.post(URL, data=b"small").text == "fine!"

    # And as soon as an answer has been sent, or its client has gone, there is room again
    taken[0].close()
    assert client.post(URL, data=LARGE_BODY, buffered=True).text == "fine!"
    assert client.post(URL, data=LARGE_BODY, buffered=True).text == "fine!"


def test_a_large_request_that_fails_makes_room() -> None:
    def failing(*_: Any) -> Iterable[bytes]:
        raise ValueError("the reason")

    client = Client(Guard(Settings(max_large_requests=1)).guarded(failing))

    for _ in range(3):
        with pytest.raises(ValueError, match="the reason"):
            client.post(URL, data=LARGE_BODY)


@pytest.mark.parametrize(
    ("environ", "large"),
    [
        ({"CONTENT_LENGTH": str(LARGE)}, False),
        ({"CONTENT_LENGTH": str(LARGE + 1)}, True),
        ({"CONTENT_LENGTH": ""}, False),
        ({}, False),
        ({"HTTP_TRANSFER_ENCODING": "chunked"}, True),
        ({"PATH_INFO": "/", "CONTENT_LENGTH": "1"}, True),
        ({"PATH_INFO": "/table", "CONTENT_LENGTH": "1"}, True),
        ({"PATH_INFO": "/", "REQUEST_METHOD": "GET", "CONTENT_LENGTH": "1"}, False),
    ],
    ids=["at-the-bound", "over-it", "empty", "none", "of-unknown-length", "form", "table", "page"],
)
def test_what_is_large(environ: dict[str, str], *, large: bool) -> None:
    assert guard.is_large({"PATH_INFO": URL, "REQUEST_METHOD": "POST"} | environ) == large


# A rush.


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listener:
        yield listener


@pytest.fixture
def connect(listener: socket.socket) -> Iterator[Callable[[], tuple[socket.socket, socket.socket]]]:
    """Yield a function that opens a connection on which half of a request has been sent, and returns its ends."""
    if not connections.DESCRIPTORS.exists():
        pytest.skip("this system does not tell of the files of a process")
    with ExitStack() as stack:

        def connect() -> tuple[socket.socket, socket.socket]:
            client = stack.enter_context(socket.create_connection(listener.getsockname(), timeout=PATIENCE))
            server = stack.enter_context(listener.accept()[0])
            client.sendall(b"half of a requ")
            # Who came first is told by the kernel's clock, which is not a fine one.
            time.sleep(0.02)
            return client, server

        yield connect


def test_in_a_rush_requests_are_refused_until_it_is_over(
    connect: Callable[[], tuple[socket.socket, socket.socket]], listener: socket.socket
) -> None:
    # Given a service whose threads are busy, and requests that wait
    a_guard = Guard(Settings(port=listener.getsockname()[1], threads=2, max_large_requests=1))
    client = Client(a_guard.guarded(fine))
    for _ in range(20):
        connect()
    with in_work(a_guard, 2):
        # When the guard looks, and nothing is over at its next look
        a_guard.look()
        a_guard.look()

        # Then requests are refused, those of the cluster excepted
        refused = client.post(URL, data=b"small")
        assert refused.status_code == 503
        assert int(refused.headers["Retry-After"]) > 0
        assert refused.headers["Connection"] == "close"
        assert "Connection" not in client.get("/").headers
        assert {client.get(question).status_code for question in QUESTIONS} == {200}

    # And when the threads have time, the next look ends it
    a_guard.look()
    assert client.post(URL, data=b"small").status_code == 200


def test_many_requests_at_once_after_a_quiet_time_are_no_rush(monkeypatch: pytest.MonkeyPatch) -> None:
    # Given a guard that saw nothing to do, and requests that come all at once
    a_guard = Guard(Settings(threads=2, max_wait=2))
    client = Client(a_guard.guarded(fine))
    a_guard.look()
    found = [Connection(number, ("127.0.0.1", number), 0, 0) for number in range(100)]
    monkeypatch.setattr(connections, "waiting", lambda _: found)

    # When it looks while the first of them are in work
    with in_work(a_guard, 2):
        a_guard.look()

        # Then none is refused: how fast they are answered is not known yet
        assert client.get("/version").status_code == 200


@pytest.mark.parametrize(
    ("threads_busy", "waiting", "answered", "refused"),
    [(2, 81, 10, True), (2, 80, 10, False), (2, 9, 0, True), (2, 8, 0, False), (1, 100, 0, False)],
    ids=["too-many", "as-many-as-go-in-time", "nothing-moves", "few-wait", "a-thread-is-free"],
)
def test_who_waits_is_measured_by_what_is_answered(
    monkeypatch: pytest.MonkeyPatch, threads_busy: int, waiting: int, answered: int, *, refused: bool
) -> None:
    # Given requests that wait, and some that were answered since the last look: 40 a second, for two seconds of waiting
    a_guard = Guard(Settings(threads=2, max_wait=2))
    client = Client(a_guard.guarded(fine))
    found = [Connection(number, ("127.0.0.1", number), 0, 0) for number in range(waiting)]
    monkeypatch.setattr(connections, "waiting", lambda _: found)
    with in_work(a_guard, threads_busy):
        a_guard.look()
        for _ in range(answered):
            client.get("/version")

        # When the guard looks
        a_guard.look()

        # Then more than those are refused
        assert (client.get("/version").status_code == 503) == refused


# Bodies that do not come.


class Reader:
    """Reads a body in a thread, as a request does."""

    def __init__(self, a_guard: Guard, server: socket.socket) -> None:
        self._guard = a_guard
        self._server = server
        self.wait: Wait | None = None
        self.thread = threading.Thread(target=self._request, daemon=True)
        self.thread.start()
        wait_until(lambda: self.wait is not None)

    def _request(self) -> None:
        Client(self._guard.guarded(self._application)).get(URL)

    def _application(self, _: Any, start_response: Any) -> Iterable[bytes]:
        with self._guard.receiving() as wait, self._server.makefile("rb") as stream:
            self.wait = wait
            stream.read(100)
        start_response("200 OK", [])
        return [b"fine"]

    @property
    def cut_short(self) -> bool:
        """Whether the guard has ended the wait."""
        return self.wait is not None and self.wait.cut_short


@pytest.fixture
def quick_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let looks follow one another as quickly as a test makes them."""
    monkeypatch.setattr(guard, "LOOK_EVERY", SHORT)


@pytest.mark.usefixtures("quick_looks")
def test_a_wait_that_is_too_long_is_ended_and_nobody_elses(
    connect: Callable[[], tuple[socket.socket, socket.socket]], listener: socket.socket
) -> None:
    # Given a thread that waits for a body, and other requests that came later and that nobody reads yet
    a_guard = Guard(Settings(port=listener.getsockname()[1], threads=8, body_timeout=SHORT))
    client, server = connect()
    reader = Reader(a_guard, server)
    others = [connect() for _ in range(3)]
    time.sleep(2 * SHORT)

    # When the guard looks for the first time, then all of them may have come a moment ago
    a_guard.look()
    assert reader.thread.is_alive()

    # When it looks again, then the thread is free, and can still answer
    a_guard.look()
    reader.thread.join(PATIENCE)
    assert not reader.thread.is_alive()
    assert reader.cut_short
    server.sendall(b"late")
    assert client.recv(100) == b"late"

    # And the others are read from as before
    for client, server in others:
        client.sendall(b"est")
        with server.makefile("rb") as stream:
            assert stream.read(17) == b"half of a request"


@pytest.mark.usefixtures("quick_looks")
def test_who_sends_a_little_now_and_then_is_not_overlooked(
    connect: Callable[[], tuple[socket.socket, socket.socket]], listener: socket.socket
) -> None:
    # Given others who have been silent for longer than the one that a thread waits for
    a_guard = Guard(Settings(port=listener.getsockname()[1], threads=8, body_timeout=SHORT))
    for _ in range(3):
        connect()
    client, server = connect()
    reader = Reader(a_guard, server)
    time.sleep(2 * SHORT)

    # When that one still sends, a little with each look
    for _ in range(2):
        client.sendall(b"e")
        a_guard.look()

    # Then its wait is over
    reader.thread.join(PATIENCE)
    assert not reader.thread.is_alive()
    assert reader.cut_short


@pytest.mark.usefixtures("quick_looks")
def test_who_hides_behind_an_earlier_answer_is_found(
    connect: Callable[[], tuple[socket.socket, socket.socket]], listener: socket.socket
) -> None:
    # Given a client that sent half of a request before it had the answer to another one
    a_guard = Guard(Settings(port=listener.getsockname()[1], threads=8, body_timeout=SHORT))
    client, server = connect()
    server.sendall(b"answer")
    assert client.recv(100) == b"answer"
    reader = Reader(a_guard, server)

    # When looks go by, then the first ones end other waits
    time.sleep(2 * SHORT)
    a_guard.look()
    assert reader.thread.is_alive()

    # And a later one its own
    time.sleep(3 * SHORT)
    a_guard.look()
    reader.thread.join(PATIENCE)
    assert not reader.thread.is_alive()


@pytest.mark.usefixtures("quick_looks")
def test_a_wait_is_not_ended_before_its_time(
    connect: Callable[[], tuple[socket.socket, socket.socket]], listener: socket.socket
) -> None:
    a_guard = Guard(Settings(port=listener.getsockname()[1], threads=8, body_timeout=PATIENCE))
    client, server = connect()
    reader = Reader(a_guard, server)
    time.sleep(2 * SHORT)

    for _ in range(2):
        a_guard.look()

    assert reader.thread.is_alive()
    assert not reader.cut_short
    client.close()
    reader.thread.join(PATIENCE)


@pytest.mark.parametrize(
    ("threads", "others", "ended"),
    [(2, 1, True), (3, 1, False), (2, 0, False)],
    ids=["half-of-the-threads", "fewer-threads", "nobody-else-waits"],
)
def test_patience_is_short_while_half_of_the_threads_and_others_wait(
    connect: Callable[[], tuple[socket.socket, socket.socket]],
    listener: socket.socket,
    monkeypatch: pytest.MonkeyPatch,
    threads: int,
    others: int,
    *,
    ended: bool,
) -> None:
    monkeypatch.setattr(guard, "PATIENCE", SHORT)
    a_guard = Guard(Settings(port=listener.getsockname()[1], threads=threads))
    client, server = connect()
    reader = Reader(a_guard, server)
    for _ in range(others):
        connect()
    time.sleep(2 * SHORT)

    for _ in range(2):
        a_guard.look()

    assert reader.cut_short == ended
    client.close()
    reader.thread.join(PATIENCE)
    assert not reader.thread.is_alive()


# What is stuck.

PROGRAM = """
import threading, time
from mlops_runtime.serving.middleware import guard
from mlops_runtime.serving.middleware.guard import Guard
from mlops_runtime.serving.settings import Settings

guard.LOOK_EVERY = 0.05
a_guard = Guard(Settings(hang_timeout=1, body_timeout=600))

def application(environ, start_response):
    {application}
    start_response("200 OK", [])
    return []

def beat(in_work):
    {beat}

a_guard.start(beat)
environ = dict(PATH_INFO="/version", REQUEST_METHOD="GET")
a_guard.guarded(application)(environ, lambda status, headers: print(status))
"""


class ClockStandIn:
    """Takes the place of the module `time` where a test does not want to wait."""

    def __init__(self, now: float) -> None:
        self._now = now

    def monotonic(self) -> float:
        return self._now

    def sleep(self, seconds: float) -> None:
        self._now += seconds


def ended(application: str, beat: str = "pass") -> subprocess.CompletedProcess[str]:
    """Return how a process ended that answers one request, while its guard looks."""
    return run(PROGRAM.format(application=application, beat=beat))


def run(program: str) -> subprocess.CompletedProcess[str]:
    """Return how a process ended that ran a program."""
    return subprocess.run(
        [sys.executable, "-c", program],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_a_request_that_hangs_ends_its_process() -> None:
    process = ended("time.sleep(1000)")

    # The server sees that status, and the log where it hung
    assert process.returncode == 1
    assert process.stdout == ""
    assert "HANG_TIMEOUT=1 s" in process.stderr
    assert "in application" in process.stderr


def test_a_hang_in_one_of_many_threads_is_seen(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    # Given requests in work, and a moment when they have been for longer than they may
    statuses: list[int] = []
    monkeypatch.setattr(guard.os, "_exit", statuses.append)
    monkeypatch.setattr(guard.faulthandler, "dump_traceback", lambda: None)
    a_guard = Guard(Settings(hang_timeout=30))
    with in_work(a_guard, 3):
        a_guard.look()
        assert statuses == []
        later = time.monotonic() + 31
        monkeypatch.setattr(guard, "time", ClockStandIn(later))

        # When the guard looks, then the process ends
        a_guard.look()

    assert statuses == [1]
    assert "HANG_TIMEOUT=30 s" in caplog.text


def test_a_process_that_does_not_get_to_look_is_ended_too() -> None:
    process = ended("time.sleep(1000)", beat="time.sleep(1000)")

    assert process.returncode == 1
    assert "Timeout" in process.stderr
    assert "in beat" in process.stderr


@pytest.mark.parametrize(
    "application",
    [
        pytest.param("time.sleep(0.2)", id="quick"),
        pytest.param("with a_guard.receiving(): time.sleep(1.5)", id="while-it-waits-for-a-body"),
        pytest.param("with a_guard.receiving(): time.sleep(0.8)\n    time.sleep(0.5)", id="that-began-to-work-late"),
    ],
)
def test_a_request_that_does_not_hang_is_answered(application: str) -> None:
    process = ended(application)

    assert process.stderr == ""
    assert (process.returncode, process.stdout) == (0, "200 OK\n")


STOPS = """
import os, signal, threading, time
from mlops_runtime.serving.middleware import guard
from mlops_runtime.serving.middleware.guard import Guard
from mlops_runtime.serving.settings import Settings

guard.LOOK_EVERY = 0
heard, over = threading.Event(), threading.Event()

def stop():
    for _ in range(200):
        # Python may miss a signal that comes while it falls asleep, too.
        time.sleep(0.005)
        heard.clear()
        os.kill(os.getpid(), signal.SIGTERM)
        if not heard.wait(5):
            break
    else:
        print("each was heard")
    over.set()

signal.signal(signal.SIGTERM, lambda *_: heard.set())
Guard(Settings()).start(lambda _: None)
threading.Thread(target=stop).start()
over.wait()
"""


def test_a_stop_is_heard_by_who_sleeps_whatever_the_guard_is_at() -> None:
    """Python's main thread, asleep, does not hear of a signal that another thread took."""
    assert run(STOPS).stdout == "each was heard\n"


def test_each_look_tells_how_many_requests_are_in_work(monkeypatch: pytest.MonkeyPatch) -> None:
    # Given a guard whose looks are watched
    a_guard = Guard(Settings())
    beats: list[int] = []
    three = threading.Event()

    class EnoughError(Exception):
        """Ends the looking."""

    def beat(in_work_now: int) -> None:
        beats.append(in_work_now)
        if len(beats) == 3:
            three.set()
            raise EnoughError

    monkeypatch.setattr(guard, "LOOK_EVERY", 0.001)
    monkeypatch.setattr(guard.faulthandler, "dump_traceback_later", lambda *_, **__: None)
    monkeypatch.setattr(threading, "excepthook", lambda _: None)

    # When it looks while two requests are in work
    with in_work(a_guard, 2):
        a_guard.start(beat)
        assert three.wait(PATIENCE)

    assert beats == [2, 2, 2]
