"""The service of a project as a process: started, watched from outside, stopped."""

import json
import os
import resource
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import IO, Any

START_TIMEOUT = 60.0
STOP_TIMEOUT = 60.0
HOST = "127.0.0.1"


class ServiceError(RuntimeError):
    """The service did not start, stop or answer as it must for a scenario to go on."""


@dataclass(frozen=True)
class Project:
    """A generated project with an environment and a trained model."""

    folder: Path

    @property
    def python(self) -> Path:
        """The interpreter of its environment."""
        return self.folder / ".venv" / "bin" / "python"

    @property
    def package(self) -> Path:
        """The folder of its model package."""
        (found,) = self.folder.glob("src/*_model")
        return found

    def golden(self) -> list[dict[str, Any]]:
        """Return the golden records with their predictions."""
        found: list[dict[str, Any]] = json.loads((self.package / "artefact" / "golden.json").read_text())
        return found


@dataclass(frozen=True)
class Service:
    """A running service, its address and its log."""

    process: "subprocess.Popen[bytes]"
    port: int
    log: Path

    def ask(
        self, method: str, path: str, body: bytes | None = None, timeout: float = 10
    ) -> tuple[int, dict[str, str], bytes]:
        """Return status, headers and body of the answer to a request on a connection of its own.

        Raises:
            ServiceError: if there is none.
        """
        connection = HTTPConnection(HOST, self.port, timeout=timeout)
        try:
            connection.request(method, path, body, {"Content-Type": "application/json"} if body is not None else {})
            response = connection.getresponse()
            return response.status, {name.lower(): value for name, value in response.getheaders()}, response.read()
        except (OSError, HTTPException) as error:
            raise ServiceError(f"{method} {path} got no answer: {type(error).__name__} {error}") from error
        finally:
            connection.close()

    def workers(self) -> list[int]:
        """Return the ids of its worker processes."""
        try:
            text = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        except FileNotFoundError:
            return []
        return [int(word) for word in text.split()]

    def memory(self) -> float:
        """Return the megabytes that its workers hold, each of them alone."""
        return sum(_field(f"/proc/{worker}/smaps_rollup", "Private_Dirty:") for worker in self.workers()) / 1024

    def descriptors(self) -> int:
        """Return how many files and sockets its workers have open."""
        return sum(len(list(Path(f"/proc/{worker}/fd").iterdir())) for worker in self.workers())

    def lines(self) -> list[dict[str, Any]]:
        """Return the lines of its log that are JSON."""
        found = []
        for line in self.log.read_text(errors="replace").splitlines():
            with suppress(ValueError):
                found.append(json.loads(line))
        return [line for line in found if isinstance(line, dict)]

    def stop(self) -> tuple[int, float]:
        """Tell it to stop; return its exit status and the seconds that it took."""
        started = time.monotonic()
        self.process.terminate()
        return self.process.wait(STOP_TIMEOUT), time.monotonic() - started

    def wait_until_ready(self, timeout: float = START_TIMEOUT) -> float:
        """Wait until it is ready; return the seconds that it took.

        Raises:
            ServiceError: if it does not get there.
        """
        started = time.monotonic()
        while time.monotonic() - started < timeout:
            with suppress(ServiceError):
                if self.ask("GET", "/readyz", timeout=2)[0] == 200:
                    return time.monotonic() - started
            if self.process.poll() is not None:
                break
            time.sleep(0.02)
        raise ServiceError(f"not ready after {time.monotonic() - started:.0f} s, exit {self.process.poll()}")


def _field(path: str, name: str) -> int:
    """Return a number of kilobytes that a file of /proc holds; 0 if the process is gone."""
    with suppress(FileNotFoundError, ProcessLookupError), Path(path).open() as lines:
        for line in lines:
            if line.startswith(name):
                return int(line.split()[1])
    return 0


def free_port() -> int:
    """Return a port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


@dataclass(frozen=True)
class Lab:
    """Where services are started: a project, and a folder for what they leave."""

    project: Project
    work: Path
    quick: bool

    @contextmanager
    def service(
        self,
        *,
        python_path: tuple[Path, ...] = (),
        output: IO[bytes] | int | None = None,
        descriptors: int | None = None,
        **settings: str,
    ) -> Iterator[Service]:
        """Yield a service that is ready; it is gone when the block ends.

        Args:
            python_path: folders that go before the project's sources.
            output: where its log goes; by default to a file.
            descriptors: how many files a process of it may have open.
            settings: of its environment.
        """
        port = free_port()
        log = self.work / f"service-{port}.log"
        path = os.pathsep.join(map(str, (*python_path, self.project.folder / "src", self.project.folder / "vendor")))
        own = {"HOST": HOST, "PORT": str(port), "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"}
        marker = {"DRAIN_MARKER": str(self.work / f"draining-{port}")}
        with log.open("wb") as file:
            process = subprocess.Popen(
                [self.project.python, "-m", "webservice"],
                cwd=self.work,
                env={**_plain_environment(), **own, **marker, **settings},
                stdout=file if output is None else output,
                stderr=file,
                start_new_session=True,
                preexec_fn=_limit(descriptors),
            )
        service = Service(process, port, log)
        try:
            service.wait_until_ready()
            yield service
        finally:
            with suppress(ProcessLookupError):
                process.terminate()
            with suppress(subprocess.TimeoutExpired):
                process.wait(STOP_TIMEOUT)
            # The session is the service's own: whatever is left of it belongs to nobody else.
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _limit(descriptors: int | None) -> Callable[[], None] | None:
    if descriptors is None:
        return None
    return lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors, descriptors))


def _plain_environment() -> Mapping[str, str]:
    """Return the environment without what would set the service up."""
    kept = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "TZ")
    return {name: os.environ[name] for name in kept if name in os.environ}
