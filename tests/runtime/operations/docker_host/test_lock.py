"""The lock, with a program in the place of docker that starts no container."""

import os
import stat
from pathlib import Path

import pytest

from mlops_runtime.operations.docker_host.engine import Engine, EngineAwayError, EngineError
from mlops_runtime.operations.docker_host.lock import holder_of, lock_name, locked
from mlops_runtime.operations.errors import LockError

PROGRAM = """#!/bin/sh
cd "${0%/*}"
case "$1" in
  run)
    [ ! -e away ] || { echo "Cannot connect to the Docker daemon at unix:///x" >&2; exit 125; }
    [ ! -e held ] || { echo 'Conflict. The container name "/x-deploy-lock" is already in use' >&2; exit 125; }
    echo "$@" >run
    echo 0123456789ab
    cat >/dev/null
    touch ended;;
  ps) [ ! -e held ] || cat held;;
  rm) rm held;;
  exec) [ ! -e removed ] || { echo "Error response from daemon: No such container: 0123456789ab" >&2; exit 1; }
    echo "$@" >exec; cat;;
esac
"""
HELD = "ff\t{state}\tsomebody@there\n"
VOLUMES = {"/releases": "x-releases"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    program = tmp_path / "docker"
    program.write_text(PROGRAM)
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    return tmp_path


@pytest.fixture
def engine(folder: Path) -> Engine:
    return Engine((str(folder / "docker"),), "x", say=lambda _: None, environment=dict(os.environ))


def test_the_lock_is_a_container_that_ends_with_the_command(engine: Engine, folder: Path) -> None:
    # Given nobody who holds it
    with locked(engine, "caddy", VOLUMES, "tester@here", wait=0) as lock:
        # When it is held
        lock.check()
        ran = (folder / "run").read_text()

        # Then it has a fixed name, says who holds it, and has the volumes
        for part in ("--name x-deploy-lock", "mlops-runtime.holder=tester@here", "--volume x-releases:/releases"):
            assert part in ran
        assert not (folder / "ended").exists()

    # And ends afterwards
    assert (folder / "ended").exists()


def test_scripts_run_in_the_container_of_the_holder(engine: Engine, folder: Path) -> None:
    with locked(engine, "caddy", VOLUMES, "tester", wait=0) as lock:
        assert lock.run("cat", stdin="content") == "content"

    assert (folder / "exec").read_text() == "exec --interactive 0123456789ab sh -euc cat\n"


def test_a_lock_that_was_removed_is_noticed(engine: Engine, folder: Path) -> None:
    with locked(engine, "caddy", VOLUMES, "tester", wait=0) as lock:
        # When somebody removes the container
        (folder / "removed").touch()

        # Then nothing is written any more
        with pytest.raises(LockError, match="somebody has removed the lock x-deploy-lock"):
            lock.run("cat")
        lock.process.terminate()
        lock.process.wait()
        with pytest.raises(LockError, match="somebody has removed the lock x-deploy-lock"):
            lock.check()


def test_a_lock_that_somebody_holds_is_waited_for(engine: Engine, folder: Path) -> None:
    # Given a holder that finishes while we wait
    (folder / "held").write_text(HELD.format(state="running"))
    waits: list[float] = []

    def sleep(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 3:
            (folder / "held").unlink()

    # Then the lock is had
    with locked(engine, "caddy", VOLUMES, "tester", wait=60, sleep=sleep):
        assert len(waits) == 3


def test_a_holder_that_does_not_finish_is_named(engine: Engine, folder: Path) -> None:
    (folder / "held").write_text(HELD.format(state="running"))

    with (
        pytest.raises(LockError, match="somebody@there holds the lock x-deploy-lock: wait"),
        locked(engine, "caddy", VOLUMES, "tester", wait=3, sleep=lambda _: None),
    ):
        pass


def test_a_lock_whose_container_never_started_is_removed(engine: Engine, folder: Path) -> None:
    # Given a command that died between making the container and starting it
    (folder / "held").write_text(HELD.format(state="created"))

    with locked(engine, "caddy", VOLUMES, "tester", wait=600, sleep=lambda _: None) as lock:
        assert lock.container == "0123456789ab"


def test_an_engine_that_is_away_is_said(engine: Engine, folder: Path) -> None:
    (folder / "away").touch()

    with (
        pytest.raises(EngineAwayError, match="see DEPLOY_HOST"),
        locked(engine, "caddy", VOLUMES, "tester", wait=0),
    ):
        pass


def test_a_docker_that_is_missing_is_said() -> None:
    engine = Engine(("no-such-program",), "x")

    with (
        pytest.raises(EngineError, match="no-such-program does not start"),
        locked(engine, "caddy", VOLUMES, "tester", wait=0),
    ):
        pass


@pytest.mark.parametrize(
    ("held", "expected"),
    [("", ("", "", False)), (HELD.format(state="running"), ("ff", "somebody@there", True))],
    ids=["nobody", "somebody"],
)
def test_the_holder_is_read(engine: Engine, folder: Path, held: str, expected: tuple[str, str, bool]) -> None:
    if held:
        (folder / "held").write_text(held)

    assert holder_of(engine, lock_name(engine)) == expected
