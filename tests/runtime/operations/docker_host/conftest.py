"""An engine in memory: containers of a compose file, volumes, and replicas that answer as their image says."""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import pytest

from mlops_runtime.operations.docker_host.engine import Container, Engine, EngineError
from mlops_runtime.operations.docker_host.platform import DockerHost
from mlops_runtime.operations.releases import Release
from mlops_runtime.operations.replicas import Clock
from mlops_runtime.operations.rollout import Rollout
from mlops_runtime.operations.settings import Settings
from tests.runtime.operations import conftest
from tests.runtime.operations.project_in_memory import ProjectInMemory

ENVIRONMENT = {
    "PROJECT": "x",
    "TEAM": "ward",
    "ENVIRONMENT": "production",
    "NAMESPACE": "x",
    "PROXY_IMAGE": "caddy",
    "HTTP_PORT": "80",
}
REPLICAS = 2


@dataclass
class EngineInMemory(Engine):
    """An engine that keeps containers and volumes, and calls `before_step` before and after each change.

    Attributes:
        present: containers by name.
        volumes: content of the files by volume.
        commands: arguments of each command so far.
        images: what happens to a container of an image: `crashes`, `wrong`, `refused` or `fails under traffic`.
        failures: errors by the first argument of a command.
        before_step: may raise an exception.
    """

    present: dict[str, Container] = field(default_factory=dict)
    volumes: dict[str, dict[str, str]] = field(default_factory=dict)
    commands: list[tuple[str, ...]] = field(default_factory=list)
    failures: dict[str, EngineError] = field(default_factory=dict)
    before_step: Callable[[], None] = lambda: None
    numbers: "count[int]" = field(default_factory=count)

    def run(self, *arguments: str, stdin: str = "", with_errors: bool = False) -> str:
        del with_errors
        self.commands.append(arguments)
        if arguments[0] in self.failures:
            raise self.failures[arguments[0]]
        match arguments:
            case ["version" | "image" | "pull" | "logs", *_]:
                return ""
            case ["volume", "create", name]:
                self.volumes.setdefault(name, {})
            case ["volume", "ls", *_]:
                return "\n".join(self.volumes)
            case ["volume", "rm", name]:
                del self.volumes[name]
            case ["network", *_]:
                return "" if arguments[1] == "rm" else "x_default"
            case ["ps", *_]:
                return "\n".join(self.present)
            case ["inspect", "--type", "container", name]:
                return json.dumps([self.present[name]])
            case ["exec", "--interactive", name, "python", "-", *check]:
                return json.dumps(self._checked(self.present[name]["Config"]["Image"], check))
            case ["exec", name, "python", "-m", "mlops_runtime.dashboard"]:
                return self._asked(self.present[name]["Config"])
            case ["exec", "--interactive", _, "caddy", "reload", *_]:
                self.before_step()
            case ["stop", *_]:
                self.before_step()
            case ["rm", "--force", *names]:
                for name in names:
                    self.before_step()
                    self.present.pop(name, None)
            case ["run", *options]:
                folders = [option for option in options if option.startswith("x-")]
                script = options[options.index("-euc") + 1]
                return self.script(script, *options[options.index("-euc") + 2 :], stdin=stdin) if folders else ""
            case _:
                raise AssertionError(f"unknown command: {arguments}")
        return ""

    def run_compose(self, file: str, variables: Mapping[str, str], *arguments: str) -> str:
        self.commands.append(("compose", *arguments))
        if arguments[0] == "config":
            return ""
        service = arguments[-1]
        if service == "dashboard":
            self._up_dashboard(file, variables)
            return ""
        if "refused" in variables["IMAGE"]:
            raise EngineError("docker compose: no such image")
        for number in range(REPLICAS if service != "proxy" else 1):
            self.before_step()
            name = f"x_{service}_{number + 1}"
            there = self.present.get(name)
            release = "" if service == "proxy" else variables["RELEASE"]
            if there is None or there["Config"]["Labels"].get("mlops-runtime.release", "") != release:
                self.present[name] = self.container(name, service, variables["IMAGE"], release, file)
        self.before_step()
        return ""

    def _up_dashboard(self, file: str, variables: Mapping[str, str]) -> None:
        image, release = variables["DASHBOARD_IMAGE"], variables["RELEASE"]
        if image == "refused":
            raise EngineError("docker compose: no such image")
        made = self.container("x_dashboard_1", "dashboard", image, release, file)
        made["Config"]["Env"] = ["HOME=/tmp", f"SERVICE_KEY={variables['DASHBOARD_KEY']}"]
        self.present["x_dashboard_1"] = made

    def _asked(self, dashboard: dict[str, Any]) -> str:
        """Return the version that the service tells the dashboard, whose key it must know."""
        key = dashboard["Env"][-1].removeprefix("SERVICE_KEY=")
        digest = hashlib.sha256(key.encode()).hexdigest()
        if dashboard["Image"] == "deaf" or self.volumes["x-keys"].get("dashboard") != digest:
            raise EngineError("docker exec: The service does not accept the API key")
        return "1.2.3\n"

    def container(self, name: str, service: str, image: str, release: str, file: str) -> Container:
        crashes = image == "crashes" and service != "proxy"
        labels = {"com.docker.compose.project": "x", "com.docker.compose.service": service, "file": file}
        if release:
            labels |= {"mlops-runtime.release": release, "mlops-runtime.environment": "production"}
            labels |= {"mlops-runtime.team": "ward"}
        return {
            "Id": str(next(self.numbers)),
            "Name": f"/{name}",
            "RestartCount": 3 if crashes else 0,
            "State": {"Status": "restarting" if crashes else "running", "ExitCode": 1 if crashes else 0},
            "Config": {"Image": image, "Labels": labels},
        }

    def _checked(self, image: str, check: list[str]) -> dict[str, Any]:
        match check:
            case ["verify", _] if image == "wrong":
                return {"wrong": "http://127.0.0.1:8000 predicts a, not b"}
            case ["verify", _]:
                return {"records": 9, "artefact": "hash"}
            case ["watch", *_] if image == "fails under traffic":
                return {"error": "through the proxy, a request got status 500"}
            case ["watch", *_]:
                return {"asked": 2, "own": 1}
        return {"version": f"version of {image}"}

    def script(self, script: str, *arguments: str, stdin: str = "") -> str:
        """Run what the platform runs in a shell."""
        releases, traffic = (self.volumes.setdefault(f"x-{name}", {}) for name in ("releases", "traffic"))
        if script.startswith("ls /traffic"):
            return "\n".join([*traffic, *(releases[name] for name in sorted(releases))])
        self.before_step()
        if script.startswith("cat >/releases/new"):
            releases[script.rpartition("/")[2]] = stdin
        elif script.startswith("rm -f /releases"):
            for path in script.split()[2:]:
                releases.pop(path.rpartition("/")[2], None)
        elif script == "touch /traffic/green":
            traffic["green"] = ""
        elif script == "rm -f /traffic/green":
            traffic.pop("green", None)
        elif script == "ls /keys":
            return "\n".join(self.volumes["x-keys"])
        elif script.startswith("rm -f"):
            del self.volumes["x-keys"][arguments[0]]
        elif script.startswith("umask"):
            self.volumes["x-keys"][arguments[0]] = stdin
        else:
            raise AssertionError(f"unknown script: {script}")
        self.before_step()
        return ""

    @property
    def serving(self) -> list[Container]:
        """The containers that have the traffic."""
        colour = "green" if "green" in self.volumes.get("x-traffic", {}) else "blue"
        return [item for name, item in self.present.items() if f"webservice-{colour}" in name]


@dataclass
class LockInMemory:
    """A lock that nobody takes."""

    engine: EngineInMemory

    def check(self) -> None:
        """Pass."""

    def run(self, script: str, stdin: str = "") -> str:
        return self.engine.script(script, stdin=stdin)


def host_on(engine: EngineInMemory) -> DockerHost:
    """Return the platform of a process that holds the lock."""
    clock = conftest.Clock()
    host = DockerHost(Settings(ENVIRONMENT), engine, Clock(clock, clock.sleep, engine.say))
    host._lock = LockInMemory(engine)  # type: ignore[assignment]
    return host


def without_lock(host: DockerHost) -> DockerHost:
    host._lock = None
    return host


def in_memory() -> EngineInMemory:
    return EngineInMemory(("docker",), "x", compose=("docker-compose",), say=lambda _: None)


def manifests(number: int) -> list[dict[str, Any]]:
    return [
        {"kind": "File", "metadata": {"name": "compose.yaml"}, "text": f"compose {number}"},
        {"kind": "File", "metadata": {"name": "Caddyfile"}, "text": "proxy"},
        {"kind": "Settings", "metadata": {"name": "settings"}, "values": {"WORKERS": str(number)}},
    ]


@dataclass
class MachineInMemory(ProjectInMemory):
    """A project on a machine in memory."""

    engine: EngineInMemory = field(default_factory=in_memory)

    FIRST_HAS_TRAFFIC = False

    def platform(self) -> DockerHost:
        return without_lock(host_on(self.engine))

    @contextmanager
    def rollout(self) -> Iterator[tuple[DockerHost, Rollout]]:
        host = host_on(self.engine)
        yield host, Rollout(host, lambda: None, say=lambda _: None, explain=lambda: "")

    def manifests(self, number: int) -> list[dict[str, Any]]:
        return manifests(number)

    def images_with_traffic(self) -> list[str]:
        return [item["Config"]["Image"] for item in self.engine.serving]

    def runs(self, release: Release) -> bool:
        """Return whether the containers of a release have the traffic, all of them, and there are no others."""
        labels = [item["Config"]["Labels"] for item in self.engine.serving]
        all_of_them = [item for name, item in self.engine.present.items() if "webservice" in name]
        own = [label["mlops-runtime.release"] for label in labels] == [str(release.number)] * REPLICAS
        return own and all_of_them == self.engine.serving

    def call_at_changes(self, step: Callable[[], None]) -> None:
        self.engine.before_step = step

    def end_locks(self) -> None:
        """Do nothing: no test here takes a lock."""


@pytest.fixture
def engine() -> EngineInMemory:
    return in_memory()


@pytest.fixture
def host(engine: EngineInMemory) -> DockerHost:
    return host_on(engine)
