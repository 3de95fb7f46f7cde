import logging
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from mlops_runtime.serving.telemetry.process_counts import ProcessCounts

COUNTER = """
import sys
from pathlib import Path
from mlops_runtime.serving.telemetry.process_counts import ProcessCounts

counts = ProcessCounts(Path(sys.argv[1]), "drift", 3)
counts.own += [5, 0, 0.25]
print("counted", flush=True)
sys.stdin.read()
"""
"""A process that counts, says so, and waits for the end of its input."""


def total(counts: ProcessCounts) -> list[float]:
    return [sum(values) for values in zip(*(array.tolist() for array in counts.each()), strict=True)]


@pytest.mark.parametrize("alone", [True, False], ids=["alone", "in-a-folder"])
def test_counts_start_at_0_and_are_kept(alone: bool, tmp_path: Path) -> None:
    counts = ProcessCounts(None if alone else tmp_path, "drift", 3)
    assert total(counts) == [0, 0, 0]

    counts.own += [0, 2.5, 0.5]

    assert total(counts) == [0, 2.5, 0.5]


def test_counts_of_the_same_folder_name_and_size_are_added_up(tmp_path: Path) -> None:
    # Given counts of two processes, and others
    one, other = ProcessCounts(tmp_path, "drift", 2), ProcessCounts(tmp_path, "drift", 2)
    strangers = [
        ProcessCounts(tmp_path, "more", 2),
        ProcessCounts(tmp_path, "drift", 3),
        ProcessCounts(None, "drift", 2),
    ]
    # When all count
    for counts in (one, other, *strangers):
        counts.own[0] += 1
    # Then each of the two has the sum of both
    assert total(one) == total(other) == [2, 0]
    assert [total(counts)[0] for counts in strangers] == [1, 1, 1]


def test_counts_of_a_killed_process_are_kept(tmp_path: Path) -> None:
    # Given a process that counted
    own = ProcessCounts(tmp_path, "drift", 3)
    own.own[0] += 1
    path = os.pathsep.join(entry for entry in sys.path if entry)
    with subprocess.Popen(
        [sys.executable, "-c", COUNTER, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": path},
    ) as process:
        assert process.stdout
        assert process.stdout.readline() == "counted\n"
        assert total(own) == [6, 0, 0.25]
        # When it is killed
        process.send_signal(signal.SIGKILL)
    # Then its counts are kept, and later processes read them
    assert total(own) == total(ProcessCounts(tmp_path, "drift", 3)) == [6, 0, 0.25]


def test_an_empty_file_of_another_process_is_ignored(tmp_path: Path) -> None:
    own = ProcessCounts(tmp_path, "drift", 2)
    (tmp_path / "0123.drift-2").touch()

    assert total(own) == [0, 0]


@pytest.mark.parametrize("reason", ["missing", "full"])
def test_without_a_usable_folder_a_process_counts_alone(
    reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    # Given a folder that does not exist, or on a full disk
    folder = tmp_path / "missing" if reason == "missing" else tmp_path

    def no_room(*_: int) -> None:
        raise OSError(28, os.strerror(28))

    if reason == "full":
        monkeypatch.setattr(os, "posix_fallocate", no_room)
    # When
    with caplog.at_level(logging.ERROR, "webservice"):
        monkeypatch.setattr(logging.getLogger("webservice"), "propagate", True)
        counts = ProcessCounts(folder, "drift", 2)
    counts.own[0] += 1
    # Then the process counts alone, and logs the reason
    assert total(counts) == [1, 0]
    assert str(folder) in caplog.text
    assert list(tmp_path.iterdir()) == []
