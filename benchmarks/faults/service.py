"""The service of a project as a process."""

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
    """The service did not start, stop or respond, and the scenario cannot continue."""


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
        (package,) = self.folder.glob("src/*_model")
        return package

    def golden(self) -> list[dict[str, Any]]:
        """Return the golden records with their predictions."""
        records: list[dict[str, Any]] = json.loads((self.package / "artefact" / "golden.json").read_text())
        return records


@dataclass(frozen=True)
class Service:
    """A running service, its address and its log."""

    process: "subprocess.Popen[bytes]"
    port: int
    log: Path

    def ask(
        self, method: str, path: str, body: bytes | None = None, timeout: float = 10
    ) -> tuple[int, dict[str, str], bytes]:
        """Send a request on a new connection, and return status, headers and body of the response.

        Raises:
            ServiceError: if there is no response.
        """
        connection = HTTPConnection(HOST, self.port, timeout=timeout)
        try:
            connection.request(method, path, body, {"Content-Type": "application/json"} if body is not None else {})
            response = connection.getresponse()
            return response.status, {name.lower(): value for name, value in response.getheaders()}, response.read()
        except (OSError, HTTPException) as error:
            raise ServiceError(f"{method} {path} got no response: {type(error).__name__} {error}") from error
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
        """Return the private memory of its workers in megabytes."""
        return sum(_field(f"/proc/{worker}/smaps_rollup", "Private_Dirty:") for worker in self.workers()) / 1024

    def descriptors(self) -> int:
        """Return the number of open files and sockets of its workers."""
        return sum(len(list(Path(f"/proc/{worker}/fd").iterdir())) for worker in self.workers())

    def lines(self) -> list[dict[str, Any]]:
        """Return the lines of its log that are JSON."""
        lines = []
        for line in self.log.read_text(errors="replace").splitlines():
            with suppress(ValueError):
                lines.append(json.loads(line))
        return [line for line in lines if isinstance(line, dict)]

    def stop(self) -> tuple[int, float]:
        """Send SIGTERM; return the exit status and the seconds until the exit."""
        started = time.monotonic()
        self.process.terminate()
        return self.process.wait(STOP_TIMEOUT), time.monotonic() - started

    def wait_until_ready(self, timeout: float = START_TIMEOUT) -> float:
        """Wait until the service is ready; return the seconds.

        Raises:
            ServiceError: if it does not become ready.
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
    """Return a number of kilobytes from a file of /proc; 0 if the process has ended."""
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
    """The project to start services of, and a working folder."""

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
        """Yield a service that is ready, and stop it at the end of the block.

        Args:
            python_path: folders to put before the sources of the project.
            output: destination of the log; by default a file.
            descriptors: maximum number of open files of a process.
            settings: environment variables.
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
            # The service has its own session, which has no other processes.
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _limit(descriptors: int | None) -> Callable[[], None] | None:
    if descriptors is None:
        return None
    return lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors, descriptors))


def _plain_environment() -> Mapping[str, str]:
    """Return the environment without settings of the service."""
    names = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "TZ")
    return {name: os.environ[name] for name in names if name in os.environ}
