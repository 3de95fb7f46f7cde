import logging
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from mlops_runtime.serving.telemetry.counts import Counts

COUNTER = """
import sys
from pathlib import Path
from mlops_runtime.serving.telemetry.counts import Counts

counts = Counts(Path(sys.argv[1]), "requests", 3)
counts.cells[0] += 5
counts.cells[2] += 0.25
print("counted", flush=True)
sys.stdin.read()
"""
"""A process that counts, says so, and waits for the end of its input."""


def counting_process(folder: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", COUNTER, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry)},
    )
    assert process.stdout
    assert process.stdout.readline() == "counted\n"
    return process


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("alone", [True, False], ids=["alone", "in-a-folder"])
def test_counts_start_at_0_and_are_kept(alone: bool, tmp_path: Path) -> None:
    counts = Counts(None if alone else tmp_path, "requests", 3)
    assert counts.total().tolist() == [0, 0, 0]

    counts.cells[1] += 2
    counts.array[1:] += 0.5

    assert list(counts.cells) == counts.total().tolist() == [0, 2.5, 0.5]


def test_those_of_the_same_folder_and_name_are_added_up(tmp_path: Path) -> None:
    # Given counts of two processes, of other names, and of one that counts alone
    one, other = Counts(tmp_path, "requests", 2), Counts(tmp_path, "requests", 2)
    strangers = [Counts(tmp_path, "drift", 2), Counts(tmp_path, "requests", 3), Counts(None, "requests", 2)]
    # When all count
    for counts in (one, other, *strangers):
        counts.cells[0] += 1
    # Then each of the two tells the sum of both
    assert one.total().tolist() == other.total().tolist() == [2, 0]
    assert [counts.total()[0] for counts in strangers] == [1, 1, 1]


def test_counts_of_a_process_that_was_killed_are_kept_and_gone_on_with(tmp_path: Path) -> None:
    # Given a process that counted
    own = Counts(tmp_path, "requests", 3)
    own.cells[0] += 1
    process = counting_process(tmp_path)
    assert own.total().tolist() == [6, 0, 0.25]
    assert len(files(tmp_path)) == 2
    # When it is killed
    process.send_signal(signal.SIGKILL)
    process.communicate()
    # Then nothing is lost
    assert own.total().tolist() == [6, 0, 0.25]
    # And the next process goes on with its file
    with counting_process(tmp_path) as next_process:
        assert own.total().tolist() == [11, 0, 0.5]
        assert len(files(tmp_path)) == 2
        next_process.communicate()


def test_a_file_that_is_not_whole_yet_is_not_read(tmp_path: Path) -> None:
    # Given a file that a process has just begun to make
    own = Counts(tmp_path, "requests", 2)
    (tmp_path / "0123").touch()
    # Then others neither read nor take it
    assert own.total().tolist() == [0, 0]
    assert Counts(tmp_path, "requests", 2).total().tolist() == [0, 0]


@pytest.mark.parametrize("reason", ["missing", "full"])
def test_a_folder_that_cannot_be_used_is_no_reason_not_to_serve(
    reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    # Given a folder that is not there, or on a disk without room
    folder = tmp_path / "missing" if reason == "missing" else tmp_path

    def no_room(*_: int) -> None:
        raise OSError(28, os.strerror(28))

    if reason == "full":
        monkeypatch.setattr(os, "posix_fallocate", no_room)
    # When
    with caplog.at_level(logging.ERROR, "webservice"):
        monkeypatch.setattr(logging.getLogger("webservice"), "propagate", True)
        counts = Counts(folder, "requests", 2)
    counts.cells[0] += 1
    # Then the process counts alone, and says so
    assert counts.total().tolist() == [1, 0]
    assert str(folder) in caplog.text
    assert files(tmp_path) == []
