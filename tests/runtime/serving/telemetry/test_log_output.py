import fcntl
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from mlops_runtime.serving.telemetry import log_output as output
from mlops_runtime.serving.telemetry.log_output import Output

PATIENCE = 20.0


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """Yield the descriptors of a pipe, to read from and to write to."""
    reader, writer = os.pipe()
    yield reader, writer
    # Closing the reader first makes pending writes fail.
    os.close(reader)
    os.close(writer)


def lines_from(reader: int, last: Callable[[list[str]], bool]) -> list[str]:
    """Return the lines that come out of a pipe until a condition on them holds."""
    content = b""
    while not (content.endswith(b"\n") and last(content.decode().splitlines())):
        content += os.read(reader, 65536)
    return content.decode().splitlines()


def run(program: str) -> list[str]:
    """Return the lines that a program writes."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True, timeout=60
    )
    return done.stdout.splitlines()


def test_texts_of_several_threads_are_complete_and_in_order(pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    stream = Output(writer)

    # When several threads write
    def write(thread: int) -> None:
        for number in range(200):
            stream.write(f"{thread} {number}\n")
            stream.flush()

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(write, range(8)))

    # Then each text comes out once, and those of a thread in their order
    lines = [line.split() for line in lines_from(reader, lambda lines: len(lines) == 8 * 200)]
    for thread in range(8):
        assert [int(number) for name, number in lines if int(name) == thread] == list(range(200))
    assert stream.take_dropped() == 0


def test_a_text_that_is_not_utf_8_is_escaped(pipe: tuple[int, int]) -> None:
    reader, writer = pipe

    Output(writer).write("half a surrogate: \ud800, ü\n")

    assert lines_from(reader, bool) == ["half a surrogate: \\ud800, ü"]


def test_a_stalled_reader_drops_texts_which_are_counted(pipe: tuple[int, int]) -> None:
    # Given a small pipe without a reader
    reader, writer = pipe
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)
    stream = Output(writer, max_waiting=10)

    # When many texts are written, then no write waits
    for number in range(5000):
        stream.write(f"{number:0100}\n")

    # And dropped texts are counted once
    dropped = stream.take_dropped()
    assert dropped > 0
    assert stream.take_dropped() == 0

    # And the other texts are read completely and in order
    numbers = [int(line) for line in lines_from(reader, lambda lines: len(lines) == 5000 - dropped)]
    assert numbers == sorted(set(numbers))


def test_a_stalled_reader_does_not_delay_the_exit_of_a_process(
    pipe: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a text that exceeds the size of an unread pipe
    ends: list[Callable[[], None]] = []
    monkeypatch.setattr(output, "Finalize", lambda _, end, **__: ends.append(end))
    monkeypatch.setattr(output, "EXIT_TIMEOUT", 0.01)
    reader, writer = pipe
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)
    stream = Output(writer)
    stream.write("first" * 2000 + "\n")

    # When the process ends, then it waits no longer than the timeout
    (end,) = ends
    end()

    # And a text that is read later is complete
    assert lines_from(reader, bool) == ["first" * 2000]


def test_writing_continues_after_a_full_disk(pipe: tuple[int, int]) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("this system has no device that is always full")
    # Given a descriptor that nothing can be written to
    reader, writer = pipe
    descriptor = os.open("/dev/full", os.O_WRONLY)
    stream = Output(descriptor)

    # When a text is written, then it is counted as dropped
    stream.write("lost\n")
    deadline = time.monotonic() + PATIENCE
    while not (dropped := stream.take_dropped()):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert dropped == 1

    # And the next text is written once there is space
    os.dup2(writer, descriptor)
    stream.write("written\n")
    assert lines_from(reader, bool) == ["written"]
    assert stream.take_dropped() == 0
    os.close(descriptor)


def test_queued_texts_are_written_at_exit() -> None:
    lines = run("""
from mlops_runtime.serving.telemetry.log_output import STANDARD_OUTPUT
for number in range(1000):
    STANDARD_OUTPUT.write(f"{number}\\n")
""")

    assert lines == [str(number) for number in range(1000)]


def test_a_text_queued_during_a_write_is_written_at_exit() -> None:
    # Given a process whose thread is busy writing more than a pipe holds, when it takes a last text and ends
    lines = run("""
import fcntl, threading, time
from mlops_runtime.serving.telemetry import log_output as output
output.EXIT_TIMEOUT = 30
fcntl.fcntl(1, fcntl.F_SETPIPE_SZ, 4096)
for _ in range(200):
    output.STANDARD_OUTPUT.write("first" * 2000 + "\\n")
time.sleep(2 * output.PAUSE)
output.STANDARD_OUTPUT.write("last\\n")
""")

    # Then the last text is written
    assert len(lines) == 201
    assert lines[-1] == "last"


def test_a_process_and_its_fork_write_each_text_once() -> None:
    # Given a text that waits to be written while the process forks
    lines = run("""
import multiprocessing, warnings
from mlops_runtime.serving.telemetry.log_output import STANDARD_OUTPUT

warnings.simplefilter("ignore")
STANDARD_OUTPUT.write("parent\\n")
child = multiprocessing.get_context("fork").Process(target=STANDARD_OUTPUT.write, args=("child\\n",))
child.start()
child.join()
""")

    # Then the parent writes its own, and the child its own
    assert sorted(lines) == ["child", "parent"]
