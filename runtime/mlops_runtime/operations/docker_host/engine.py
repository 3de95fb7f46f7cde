"""Docker and Docker Compose as functions: arguments in, text or JSON out."""

import json
import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from mlops_runtime.operations.errors import AwayError, RoadError
from mlops_runtime.operations.registry import last_line
from mlops_runtime.operations.settings import say

TIMEOUT = 300.0
"""Seconds after which a command that does not end is stopped: over ssh, it may ask for a password on the terminal."""

AWAY = re.compile(
    r"Cannot connect to the Docker daemon|Couldn't connect to Docker daemon|error during connect"
    r"|Error while fetching server API version|Could not resolve hostname|Permission denied \(publickey"
    r"|Host key verification failed|docker\.sock",
)
"""How the commands say that the engine did not answer. Registries and containers fail in other words."""

PROJECT_LABEL = "com.docker.compose.project"
SERVICE_LABEL = "com.docker.compose.service"

Container = dict[str, Any]
"""What `docker inspect` says of a container."""


class EngineError(RoadError):
    """The engine refuses a command."""


class EngineAwayError(EngineError, AwayError):
    """The engine does not answer."""


@dataclass
class Engine:
    """An engine with the containers of one project.

    Attributes:
        docker: the command and its options.
        compose: the command and its options; empty until it is first needed.
        namespace: prefix of the names of containers, networks and volumes, and name of the project of Compose.
        host: address of the engine; empty for the one that the command finds itself.
        say: receives a line about each wait.
        environment: that the commands get.
    """

    docker: Sequence[str]
    namespace: str
    compose: Sequence[str] = ()
    host: str = ""
    say: Callable[[str], None] = say
    environment: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Self:
        """Return the engine that make's settings DOCKER, COMPOSE, DEPLOY_HOST and NAMESPACE name.

        Raises:
            EngineError: if NAMESPACE is not set.
        """
        namespace = environment.get("NAMESPACE", "")
        if not namespace:
            raise EngineError("NAMESPACE is not set: run this with make, and see project.mk")
        host = environment.get("DEPLOY_HOST", "")
        return cls(
            docker=shlex.split(environment.get("DOCKER") or "docker"),
            namespace=namespace,
            compose=shlex.split(environment.get("COMPOSE", "")),
            host=host,
            environment=dict(environment) | ({"DOCKER_HOST": host} if host else {}),
        )

    @property
    def name(self) -> str:
        """The machine of the engine, for people."""
        return self.host or "this machine"

    def run(self, *arguments: str, stdin: str = "", with_errors: bool = False) -> str:
        """Return the output of a docker command.

        Args:
            arguments: of the command.
            stdin: its standard input.
            with_errors: whether its standard error follows the output: docker keeps both streams of a log apart.

        Raises:
            EngineAwayError: if the engine does not answer.
            EngineError: if it refuses the command.
        """
        return self._process([*self.docker, *arguments], stdin, self.environment, arguments[0], with_errors=with_errors)

    def run_compose(self, file: str, variables: Mapping[str, str], *arguments: str) -> str:
        """Return the output of a command of Docker Compose.

        Args:
            file: content of the compose file.
            variables: of the compose file.
            arguments: of the command.

        Raises:
            EngineAwayError, EngineError: as `run`.
        """
        if not self.compose:
            self.compose = self.find_compose()
        command = [*self.compose, "--project-name", self.namespace, "--file", "-", *arguments]
        environment = {**self.environment, **variables, "COMPOSE_IGNORE_ORPHANS": "1"}
        return self._process(command, file, environment, f"compose {arguments[0]}")

    def find_compose(self) -> Sequence[str]:
        """Return `docker compose` where there is the plugin, otherwise docker-compose; for podman likewise.

        Raises:
            EngineError: if there is neither.
        """
        plugin, program = [*self.docker, "compose"], f"{Path(self.docker[0]).name}-compose"
        try:
            self._process([*plugin, "version"], "", self.environment, "compose version")
        except EngineError as error:
            if shutil.which(program, path=self.environment.get("PATH")):
                return [program]
            remedy = "install its plugin or docker-compose, or set COMPOSE"
            raise EngineError(f"there is no Docker Compose: {remedy}") from error
        return plugin

    def containers(self, *services: str) -> list[Container]:
        """Return the containers of some services, by name; of every service without a name.

        Raises:
            EngineAwayError, EngineError: as `run`.
        """
        label = f"label={PROJECT_LABEL}={self.namespace}"
        ids = self.run("ps", "--all", "--quiet", "--no-trunc", "--filter", label).split()
        found = []
        for each in ids:
            try:
                found += json.loads(self.run("inspect", "--type", "container", each))
            except EngineAwayError:
                raise
            except EngineError:
                continue  # removed meanwhile
        wanted = [item for item in found if not services or service_of(item) in services]
        return sorted(wanted, key=name_of)

    def has_volume(self, name: str) -> bool:
        """Return whether there is a volume.

        Raises:
            EngineAwayError, EngineError: as `run`.
        """
        return name in self.run("volume", "ls", "--quiet", "--filter", f"name={name}").split()

    @staticmethod
    def _process(
        command: Sequence[str], stdin: str, environment: Mapping[str, str], what: str, *, with_errors: bool = False
    ) -> str:
        try:
            # A process group of its own: Ctrl-C stops this program, which then decides what to do.
            result = subprocess.run(
                command, input=stdin, env=environment, capture_output=True,
                encoding="utf-8", errors="replace", check=False, process_group=0, timeout=TIMEOUT,
            )  # fmt: skip
        except subprocess.TimeoutExpired as error:
            raise EngineAwayError(f"{command[0]} {what} does not end in {TIMEOUT:g} s") from error
        except OSError as error:
            raise EngineError(f"{command[0]} does not start: {error.strerror}; see make doctor") from error
        if result.returncode == 0:
            return result.stdout + (result.stderr if with_errors else "")
        raise error_of(what, result.stderr)


def error_of(what: str, stderr: str) -> EngineError:
    """Return the error that a failed command stands for."""
    if AWAY.search(stderr):
        first = stderr.strip().splitlines()[0]
        return EngineAwayError(f"the engine does not answer ({first}): see DEPLOY_HOST in project.mk, and make doctor")
    reason = last_line(stderr).removeprefix("docker: ").removeprefix("Error response from daemon: ")
    return EngineError(f"docker {what}: {reason}")


def service_of(container: Container) -> str:
    """Return the service of a compose file that a container belongs to."""
    return str(container["Config"]["Labels"].get(SERVICE_LABEL, ""))


def name_of(container: Container) -> str:
    """Return the name of a container."""
    return str(container["Name"]).removeprefix("/")


def label_of(container: Container, label: str) -> str:
    """Return a label of a container; empty without it."""
    return str((container["Config"].get("Labels") or {}).get(label, ""))
