import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from mlops_runtime.serving.middleware import connections
from mlops_runtime.serving.middleware.connections import Connection, resting, stop_reading, waiting

if not connections.DESCRIPTORS.exists():
    pytest.skip("this system does not tell of the files of a process", allow_module_level=True)

TICK = 0.02
"""More than the kernel's clock takes to go on."""

Pair = tuple[socket.socket, socket.socket]
"""The client's end of a connection, and that of the server."""


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener


@pytest.fixture
def port(listener: socket.socket) -> int:
    port: int = listener.getsockname()[1]
    return port


@pytest.fixture
def connect(listener: socket.socket) -> Iterator[Callable[[], Pair]]:
    """Yield a function that opens a connection."""
    with ExitStack() as stack:

        def connect() -> Pair:
            client = stack.enter_context(socket.create_connection(listener.getsockname(), timeout=20))
            server, _ = listener.accept()
            return client, stack.enter_context(server)

        yield connect


def answer(client: socket.socket, server: socket.socket) -> None:
    """Let a request and its answer go over a connection."""
    client.sendall(b"request")
    assert server.recv(100) == b"request"
    server.sendall(b"answer")
    assert client.recv(100) == b"answer"


def peers(port: int) -> set[tuple[str, int]]:
    """Return the peers that wait for an answer."""
    return {one.peer for one in waiting(port)}


def test_those_that_have_sent_something_and_have_no_answer_wait(connect: Callable[[], Pair], port: int) -> None:
    # Given a client that sent nothing, one that was answered, one that asks, and one that asks again
    connect()
    answer(*connect())
    asks, _ = connect()
    asks.sendall(b"half of a requ")
    asks_again = connect()
    answer(*asks_again)
    time.sleep(TICK)
    asks_again[0].sendall(b"another request")

    # Then the last two wait
    assert peers(port) == {asks.getsockname(), asks_again[0].getsockname()}


def test_a_request_right_after_an_answer_waits(connect: Callable[[], Pair], port: int) -> None:
    client, server = connect()
    answer(client, server)

    client.sendall(b"another request")

    assert peers(port) == {client.getsockname()}


def test_a_request_before_the_answer_to_another_seems_to_rest(connect: Callable[[], Pair], port: int) -> None:
    # Given a client that sends two requests at once, and gets one answer
    client, server = connect()
    client.sendall(b"request" + b"half of ano")
    time.sleep(TICK)
    server.sendall(b"answer")
    assert client.recv(100) == b"answer"

    # Then it is among those that seem to be answered
    assert not peers(port)
    assert [one.peer for one in resting(port)] == [client.getsockname()]


def test_an_answer_after_a_while_ends_the_wait(connect: Callable[[], Pair], port: int) -> None:
    client, server = connect()
    client.sendall(b"request")
    time.sleep(TICK)

    server.sendall(b"answer")

    assert client.recv(100) == b"answer"
    assert not peers(port)


def test_it_is_known_how_long_nothing_came_and_nothing_was_sent(connect: Callable[[], Pair], port: int) -> None:
    # Given a client that goes on sending
    client, _ = connect()
    client.sendall(b"half of")
    time.sleep(5 * TICK)
    client.sendall(b"a requ")

    (found,) = waiting(port)

    assert found.unanswered > 5 * TICK / 2
    assert found.silent < found.unanswered


def test_a_client_that_has_gone_does_not_wait(connect: Callable[[], Pair], port: int) -> None:
    client, _ = connect()
    client.sendall(b"request")

    client.close()

    assert not peers(port)


def test_connections_to_another_port_do_not_count(connect: Callable[[], Pair], port: int) -> None:
    client, _ = connect()
    client.sendall(b"request")

    assert not peers(port + 1)
    assert not peers(client.getsockname()[1])


def test_looking_leaves_nothing_open(connect: Callable[[], Pair], port: int, tmp_path: Path) -> None:
    # Given files, a pipe, and sockets of other kinds
    client, _ = connect()
    client.sendall(b"request")
    reader, writer = os.pipe()
    ends = socket.socketpair()
    before = set(connections.DESCRIPTORS.iterdir())
    with (tmp_path / "file").open("w"):
        # When somebody looks
        for _ in range(3):
            stop_reading(waiting(port))

    # Then the same descriptors are open as before
    assert set(connections.DESCRIPTORS.iterdir()) == before
    for descriptor in (reader, writer):
        os.close(descriptor)
    for end in ends:
        end.close()


@pytest.mark.parametrize("names", [None, ["999999"]], ids=["no-such-folder", "closed-in-the-meantime"])
def test_where_nothing_can_be_seen_nobody_waits(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, port: int, names: list[str] | None
) -> None:
    folder = tmp_path / "fd"
    if names is not None:
        folder.mkdir()
        for name in names:
            (folder / name).touch()
    monkeypatch.setattr(connections, "DESCRIPTORS", folder)

    assert waiting(port) == []


def test_who_is_no_longer_read_from_is_still_answered(connect: Callable[[], Pair], port: int) -> None:
    # Given a thread that waits for the rest of a request
    client, server = connect()
    client.sendall(b"half of a requ")
    got: list[bytes] = []
    with server.makefile("rb") as stream:
        thread = threading.Thread(target=lambda: got.append(stream.read(100)))
        thread.start()

        # When the reading is stopped
        stop_reading(waiting(port))

        # Then the thread sees the end, and its answer arrives
        thread.join(20)
    assert got == [b"half of a requ"]
    server.sendall(b"too late")
    assert client.recv(100) == b"too late"


def test_a_descriptor_that_became_anothers_is_left_alone(connect: Callable[[], Pair], port: int) -> None:
    # Given a connection that waited, and whose descriptor is that of another one now
    gone = connect()
    gone[0].sendall(b"half of a requ")
    (found,) = waiting(port)
    client, server = connect()
    os.dup2(server.fileno(), found.descriptor)

    # When its reading is stopped
    stop_reading([found])

    # Then the other one is read from as before
    client.sendall(b"request")
    assert server.recv(100) == b"request"


@pytest.mark.parametrize("kind", ["file", "closed", "not-connected"])
def test_a_descriptor_that_became_something_else_is_left_alone(tmp_path: Path, kind: str) -> None:
    with (tmp_path / "file").open("w") as file, socket.socket() as unconnected:
        descriptor = {"file": file.fileno(), "closed": 999_999, "not-connected": unconnected.fileno()}[kind]

        stop_reading([Connection(descriptor, ("127.0.0.1", 1), 1, 1)])

        file.write("as before")
    assert (tmp_path / "file").read_text() == "as before"


def test_a_client_that_goes_at_that_moment_is_no_matter(
    monkeypatch: pytest.MonkeyPatch, connect: Callable[[], Pair], port: int
) -> None:
    # Given two that wait, who are gone when their reading is stopped
    for client, _ in (connect(), connect()):
        client.sendall(b"request")
    asked: list[int] = []

    def gone(_: socket.socket, how: int) -> None:
        asked.append(how)
        raise OSError("not connected any more")

    monkeypatch.setattr(socket.socket, "shutdown", gone)

    # Then one is no reason to leave out the other
    stop_reading(waiting(port))
    assert asked == [socket.SHUT_RD, socket.SHUT_RD]
