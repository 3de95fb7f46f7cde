"""The lock of a project's deploys: a container with a fixed name, which the engine gives to one process alone.

The container reads the standard input of the command that holds the lock, and ends with it: a command that is killed
leaves no lock. Records are written through this container, so that a command that has lost the lock writes none.
"""

import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from mlops_runtime.operations.docker_host.engine import Engine, EngineError, error_of
from mlops_runtime.operations.errors import LockError

HOLDER = "mlops-runtime.holder"
"""Label with who holds the lock."""
POLL_INTERVAL = 1.0
"""Seconds between two polls of a lock that somebody else holds."""
DEAD_AFTER = 10.0
"""Seconds after which a lock counts as left behind whose container does not run: its command died before it started."""
END_TIMEOUT = 30.0
"""Seconds in which the container of a lock ends once its standard input is closed."""

HOLD = "cat /etc/hostname && exec cat >/dev/null"
"""Shell script of the container: prints its short ID, then waits for the end of its standard input."""


@dataclass
class Lock:
    """The lock, while this process holds it.

    Attributes:
        engine: of the container.
        name: of the container.
        container: ID of the container, which another holder's has not.
        process: that the container ends with.
    """

    engine: Engine
    name: str
    container: str
    process: "subprocess.Popen[str]"

    def check(self) -> None:
        """Check that this process still holds the lock.

        Raises:
            LockError: if somebody has removed it: nothing may be changed any more.
        """
        if self.process.poll() is not None:
            raise LockError(f"somebody has removed the lock {self.name}")

    def run(self, script: str, stdin: str = "") -> str:
        """Return the output of a shell script that runs in the container of the lock.

        Raises:
            LockError: if this process does not hold the lock any more.
            EngineError: if the script fails.
        """
        self.check()
        try:
            return self.engine.run("exec", "--interactive", self.container, "sh", "-euc", script, stdin=stdin)
        except EngineError as error:
            if "No such container" in str(error) or "is not running" in str(error):
                raise LockError(f"somebody has removed the lock {self.name}") from error
            raise


def holder_of(engine: Engine, name: str) -> tuple[str, str, bool]:
    """Return the ID of the container of a lock, who holds it, and whether it runs; the ID is empty if nobody does.

    Raises:
        EngineError: if the engine cannot be asked.
    """
    form = f'{{{{.ID}}}}\t{{{{.State}}}}\t{{{{.Label "{HOLDER}"}}}}'
    listed = engine.run("ps", "--all", "--no-trunc", "--filter", f"name=^/?{name}$", "--format", form)
    identifier, state, holder = (listed.splitlines() or ["\t\t"])[0].split("\t")
    return identifier, holder, state == "running"


@contextmanager
def locked(
    engine: Engine,
    image: str,
    volumes: Mapping[str, str],
    who: str,
    wait: float,
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[Lock]:
    """Hold the lock until the block ends.

    Args:
        engine: for the container.
        image: with a shell.
        volumes: by the folder at which the container has them.
        who: wants the lock.
        wait: seconds to wait for another holder.
        sleep: waits for a number of seconds.

    Raises:
        LockError: if somebody else still holds it after that time.
        EngineError: if the container does not start.
    """
    lock = _acquire(engine, image, volumes, who, wait, sleep)
    try:
        yield lock
    finally:
        _end(lock.process)


def lock_name(engine: Engine) -> str:
    """Return the name of the container."""
    return f"{engine.namespace}-deploy-lock"


def _acquire(
    engine: Engine,
    image: str,
    volumes: Mapping[str, str],
    who: str,
    wait: float,
    sleep: Callable[[float], None],
) -> Lock:
    name, waited, idle = lock_name(engine), 0.0, 0.0
    while True:
        process = _start(engine, image, volumes, name, who)
        line = process.stdout.readline().strip() if process.stdout else ""
        if line:
            return Lock(engine, name, line, process)
        _, stderr = process.communicate()
        if "is already in use" not in stderr:
            raise error_of("run", stderr)
        identifier, holder, runs = holder_of(engine, name)
        if identifier and not runs:
            idle += POLL_INTERVAL
            if idle > DEAD_AFTER:
                engine.run("rm", identifier)  # refused if it runs by now
                continue
        if identifier and waited >= wait:
            raise LockError(
                f"{holder or 'somebody'} holds the lock {name}: wait for it to finish, or set WAIT to more seconds;"
                f" if it is dead for certain, docker rm --force {name} on {engine.name} removes it"
            )
        if identifier and not waited:
            engine.say(f"waiting for {holder or 'somebody'} to finish (at most {wait:g} s)")
        waited += POLL_INTERVAL
        sleep(POLL_INTERVAL)


def _start(engine: Engine, image: str, volumes: Mapping[str, str], name: str, who: str) -> "subprocess.Popen[str]":
    mounts = [part for folder, volume in volumes.items() for part in ("--volume", f"{volume}:{folder}")]
    options = ["--rm", "--interactive", "--name", name, "--label", f"{HOLDER}={who}", "--network", "none", *mounts]
    command = [*engine.docker, "run", *options, "--entrypoint", "sh", image, "-c", HOLD]
    try:
        # A process group of its own: Ctrl-C does not end the lock before the undo that it starts.
        return subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env=engine.environment, process_group=0,
        )  # fmt: skip
    except OSError as error:
        raise EngineError(f"{command[0]} does not start: {error.strerror}; see make doctor") from error


def _end(process: "subprocess.Popen[str]") -> None:
    """Give the lock back: the container ends with its standard input."""
    try:
        process.communicate(timeout=END_TIMEOUT)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
