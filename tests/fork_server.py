"""Trains projects and runs their tests, each in a process forked from one that has imported the packages.

Importing them takes most of the time of a small project. Reads a project's folder, its table and a file for the output
from each line, separated by tabs; prints the exit status.
"""

import os
import runpy
import sys
from pathlib import Path

import pytest

import mlops_runtime.serving
import mlops_runtime.training.command  # noqa: F401

SETTINGS = {"BUDGET": "0", "FLOORS": "skill=-9"}


def train_and_test(folder: str, data: str) -> int:
    """Do what `make train` and the tests of `make unittest test` do; return the exit status."""
    os.chdir(folder)
    sys.path.insert(0, f"{folder}/src")
    os.environ["PYTHONPATH"] = f"{folder}/src{os.pathsep}{folder}/vendor"  # of the processes that the tests start
    Path("build").mkdir()
    sys.argv = ["trainer"]
    settings = SETTINGS | {"DATA": data}
    os.environ.update(settings)
    try:
        runpy.run_module("trainer", run_name="__main__")
    except SystemExit as end:
        if end.code:
            return 1
    for name in settings:
        del os.environ[name]
    return int(pytest.main(["tests"]))


def main() -> None:
    """Serve until standard input ends."""
    for line in sys.stdin:
        folder, data, log = line.rstrip("\n").split("\t")
        child = os.fork()
        if child == 0:
            output = os.open(log, os.O_WRONLY | os.O_CREAT)
            os.dup2(output, 1)
            os.dup2(output, 2)
            status = 1
            try:
                status = train_and_test(folder, data)
            finally:
                sys.stdout.flush()
                sys.stderr.flush()
                os._exit(status)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


if __name__ == "__main__":
    main()
