"""One project on a machine with Docker: two colours of the service, one of which has the traffic, behind a proxy.

A deploy starts the colour without traffic, verifies it, and moves the traffic by a file that the proxy looks for at
each request: green has the traffic while the file exists. The proxy is not reloaded for that, because a reload closes
the connections that clients keep. A release is the text of compose.yaml and of the proxy's configuration with the
values of the settings that they name, so that a rollback brings all of it back.
"""

import difflib
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

from mlops_runtime.operations import golden
from mlops_runtime.operations.docker_host import inside
from mlops_runtime.operations.docker_host.engine import (
    PROJECT_LABEL,
    Container,
    Engine,
    EngineAwayError,
    EngineError,
    label_of,
    name_of,
    service_of,
)
from mlops_runtime.operations.docker_host.keys import KeyVolume
from mlops_runtime.operations.docker_host.lock import Lock, holder_of, lock_name, locked
from mlops_runtime.operations.errors import RolloutError
from mlops_runtime.operations.golden import ServiceError, WrongPredictionError
from mlops_runtime.operations.kubectl import Object
from mlops_runtime.operations.lease import block_stop_signals
from mlops_runtime.operations.recorded_platform import RecordedPlatform
from mlops_runtime.operations.releases import Release, expendable, from_json, to_json
from mlops_runtime.operations.replicas import Clock, Verified
from mlops_runtime.operations.road import Live, Progress, Snapshot
from mlops_runtime.operations.settings import Settings

COMPOSE_FILE = Path("compose.yaml")
PROXY_FILE = Path("docker/Caddyfile")
COLOURS = ("blue", "green")
SERVICES = tuple(f"webservice-{colour}" for colour in COLOURS)
PROXY = "proxy"
RELEASE, ENVIRONMENT, TEAM = "mlops-runtime.release", "mlops-runtime.environment", "mlops-runtime.team"
"""Labels of the containers."""
OWN_VARIABLES = frozenset({"IMAGE", "RELEASE"})
"""Variables of the compose file that are no settings."""
NAMED = re.compile(r"\$\{([A-Z][A-Z0-9_]*)|\{\$([A-Z][A-Z0-9_]*)|^\s*- ([A-Z][A-Z0-9_]*)\s*$", re.MULTILINE)
"""Names of settings in the compose file and in the proxy's configuration."""
MAX_RESTARTS = 2
"""Restarts of a new container after which the release counts as failed."""
STOP_SECONDS = 40
"""Seconds for requests in flight when a container is stopped."""
PROXY_ATTEMPTS = 20
"""Attempts to hand a proxy its configuration that has just been started, a second apart."""

READ_STATE = "ls /traffic; for file in /releases/*.json; do [ ! -e $file ] || { cat $file; echo; }; done"
"""Shell script that prints `green` if that colour has the traffic, then a release on each line."""
WRITE_RELEASE = "cat >/releases/new && mv /releases/new /releases/{name}"
GREEN_HAS_TRAFFIC = {"green": "touch /traffic/green", "blue": "rm -f /traffic/green"}
"""Shell script that moves the traffic to a colour."""


class DockerHost(RecordedPlatform):
    """One project on one machine.

    Attributes:
        settings: of the project.
        engine: of the machine.
        image: of the proxy, which also has the shell that reads and writes the records.
        clock: by which it waits.
    """

    unit = "container"
    keys: KeyVolume

    def __init__(self, settings: Settings, engine: Engine, clock: Clock | None = None) -> None:
        """Read the settings.

        Raises:
            DeployError: if one is missing or not usable.
        """
        super().__init__(settings, clock or Clock(say=engine.say), watch_seconds=5)
        self.engine = engine
        self.image = settings.required("PROXY_IMAGE")
        self.keys = KeyVolume(engine, self.image)
        self._lock: Lock | None = None
        self._placed = ""

    @classmethod
    def from_environment(cls, settings: Settings, environment: Mapping[str, str]) -> Self:
        """Return the platform that make's settings name.

        Raises:
            DeployError, EngineError: if a setting is missing.
        """
        return cls(settings, Engine.from_environment(environment))

    # What is there

    @property
    def service(self) -> str:
        """Name of the service, without its colour."""
        return f"{self.settings.project}-webservice"

    @property
    def place(self) -> str:
        """Names on the machine."""
        return f"namespace {self.engine.namespace} of {self.engine.name}"

    @property
    def volumes(self) -> dict[str, str]:
        """The volumes with the state of the project, by the folder at which containers have them."""
        return {f"/{name}": f"{self.engine.namespace}-{name}" for name in ("releases", "traffic")}

    def check_access(self) -> None:
        """Check that the engine answers.

        Raises:
            EngineAwayError: if it does not.
        """
        self.engine.run("version", "--format", "{{.Server.Version}}")

    def check_options(self) -> None:
        """Do nothing: no setting of this platform needs what it may not have."""

    def releases(self) -> list[Release]:
        """Return the releases, ascending.

        Raises:
            EngineError: if they cannot be read.
        """
        return self._state()[1]

    def live(self) -> Live | None:
        """Return the release that has the traffic; None if no container of that colour is there.

        Raises:
            EngineError: if the engine refuses a command.
        """
        return live_of(self._containers(self._state()[0]))

    def snapshot(self) -> Snapshot:
        """Return all that is known of the project.

        Raises:
            EngineError: if it cannot be read.
        """
        colour, releases = self._state()
        containers = self._containers(colour)
        return Snapshot(live_of(containers), progress_of(containers), releases)

    def progress(self) -> Progress:
        """Return how far the colour is that was placed last by this process, or has the traffic.

        Raises:
            EngineError: if the engine refuses a command.
        """
        return progress_of(self._containers(self._placed or self._state()[0]))

    def _state(self) -> tuple[str, list[Release]]:
        """Return the colour that has the traffic, and the releases, ascending."""
        if self._lock is not None:
            output = self._lock.run(READ_STATE)
        elif all(self.engine.has_volume(name) for name in self.volumes.values()):
            mounts = [part for folder, name in self.volumes.items() for part in ("--volume", f"{name}:{folder}:ro")]
            options = ["--rm", "--network", "none", *mounts, "--entrypoint", "sh"]
            output = self.engine.run("run", *options, self.image, "-euc", READ_STATE)
        else:
            output = ""
        lines = output.splitlines()
        try:
            releases = [from_json(line) for line in lines if line.startswith("{")]
        except ValueError as error:
            volume = self.volumes["/releases"]
            raise EngineError(f"{error}: remove its file from the volume {volume} if somebody has edited it") from error
        return "green" if "green" in lines else "blue", sorted(releases, key=lambda release: release.number)

    def _containers(self, colour: str) -> list[Container]:
        return self.engine.containers(f"webservice-{colour}")

    # What a rollout changes

    @contextmanager
    def locked(self, who: str, wait: float) -> Iterator[Callable[[], None]]:
        """Hold the lock; yield what raises `LockError` once somebody else has taken it.

        Raises:
            LockError, EngineError: if it cannot be had.
        """
        with locked(self.engine, self.image, self.volumes, who, wait, self.clock.sleep) as lock:
            self._lock = lock
            try:
                yield lock.check
            finally:
                self._lock = None

    def lock_holder(self) -> str:
        """Return who holds the lock; empty if nobody does.

        Raises:
            EngineError: if the engine refuses a command.
        """
        identifier, holder, _ = holder_of(self.engine, lock_name(self.engine))
        return holder if identifier else ""

    def _run_locked(self, script: str, stdin: str = "") -> str:
        if self._lock is None:
            raise RuntimeError("the state of a project is changed under its lock alone")
        return self._lock.run(script, stdin)

    def manifests(self) -> list[Object]:
        """Return compose.yaml, the configuration of the proxy, and the values of the settings that both name.

        Raises:
            OSError: if a file cannot be read.
        """
        texts = {path.name: path.read_text(encoding="utf-8") for path in (COMPOSE_FILE, PROXY_FILE)}
        names = {next(filter(None, match)) for text in texts.values() for match in NAMED.findall(text)}
        values = {name: self.settings.optional(name) for name in sorted(names - OWN_VARIABLES)}
        return [
            *({"kind": "File", "metadata": {"name": name}, "text": text} for name, text in texts.items()),
            {"kind": "Settings", "metadata": {"name": "settings"}, "values": values},
        ]

    def prepare(self, manifests: Sequence[Object]) -> None:
        """Check the compose file and the proxy's configuration.

        Raises:
            EngineError: if one of them is not valid.
        """
        try:
            variables = values_of(manifests) | {"IMAGE": "image", "RELEASE": "0"}
            self.engine.run_compose(text_of(manifests, COMPOSE_FILE), variables, "config", "--quiet")
            host = f"PROXY_HOST={values_of(manifests).get('PROXY_HOST') or ':80'}"
            check = "cat >/tmp/Caddyfile && caddy validate --adapter caddyfile --config /tmp/Caddyfile"
            options = ["--rm", "--interactive", "--network", "none", "--env", host, "--entrypoint", "sh"]
            self.engine.run("run", *options, self.image, "-euc", check, stdin=text_of(manifests, PROXY_FILE))
        except EngineAwayError:
            raise
        except EngineError as error:
            raise EngineError(f"{error}: nothing was changed") from error

    def save(self, release: Release) -> None:
        """Write the record of a release.

        Raises:
            LockError, EngineError: if it cannot be written.
        """
        self._run_locked(WRITE_RELEASE.format(name=file_of(release)), to_json(release))

    def forget(self, releases: Sequence[Release]) -> None:
        """Remove the records of the oldest releases.

        Raises:
            LockError, EngineError: if they cannot be removed.
        """
        names = [f"/releases/{file_of(release)}" for release in expendable(releases)]
        if names:
            self._run_locked(f"rm -f {' '.join(names)}")

    def apply(self, release: Release, base: Release | None) -> None:
        """Start the containers of a release, in its colour if it has one, otherwise in the colour without traffic.

        A release that is restored and whose containers are all healthy gets the traffic back at once.

        Raises:
            LockError, EngineError: if they cannot be started.
        """
        live = self._state()[0]
        colours = [
            colour
            for colour in COLOURS
            if {label_of(item, RELEASE) for item in self._containers(colour)} == {str(release.number)}
        ]
        idle = next(colour for colour in COLOURS if colour != live)
        self._placed = colours[0] if colours else idle
        if release == base and colours and self._placed != live and self.progress().complete:
            self._give_traffic(self._placed)
        for name in (*self.volumes.values(), self.keys.volume, *self._proxy_volumes()):
            self.engine.run("volume", "create", name)
        self._pull(release.image)
        self._compose(release, f"webservice-{self._placed}")

    def _proxy_volumes(self) -> list[str]:
        return [f"{self.engine.namespace}-proxy-{name}" for name in ("config", "data")]

    def _pull(self, image: str) -> None:
        """Pull an image unless the machine has it: a rollback needs no registry."""
        try:
            self.engine.run("image", "inspect", "--format", "{{.Id}}", image)
        except EngineAwayError:
            raise
        except EngineError:
            self.engine.run("pull", "--quiet", image)

    def _compose(self, release: Release, service: str) -> None:
        variables = values_of(release.manifests) | {"IMAGE": release.image, "RELEASE": str(release.number)}
        file = text_of(release.manifests, COMPOSE_FILE)
        self.engine.run_compose(file, variables, "up", "--detach", "--no-deps", "--no-build", service)

    def give_traffic(self, release: Release) -> None:
        """Give a release the traffic, and watch it through the proxy for `WATCH_SECONDS`.

        Raises:
            RolloutError: if the proxy does not start.
            ServiceError: if the service does not answer rightly through it.
            LockError, EngineError: if the engine refuses a command.
        """
        colour = self._placed
        self._start_proxy(release)
        self._give_traffic(colour)

        def watch(name: str) -> None:
            self._inside(name, "watch", release.version, f"{self.watch_seconds:g}")

        names = self.progress().ready.values()
        with ThreadPoolExecutor(max_workers=8, initializer=block_stop_signals) as pool:
            list(pool.map(watch, names))

    def _start_proxy(self, release: Release) -> None:
        """Start the proxy as a release has it, and hand it its configuration, which does nothing if it has that."""
        self._compose(release, PROXY)
        name = next(map(name_of, self.engine.containers(PROXY)), PROXY)
        reload = ("exec", "--interactive", name, "caddy", "reload", "--adapter", "caddyfile", "--config", "-")
        for attempt in range(1, PROXY_ATTEMPTS + 1):
            try:
                self.engine.run(*reload, stdin=text_of(release.manifests, PROXY_FILE))
                return
            except EngineAwayError:
                raise
            except EngineError as error:
                if attempt == PROXY_ATTEMPTS:
                    raise RolloutError(f"the proxy does not take its configuration: {error}") from error
                self.clock.sleep(1)

    def _give_traffic(self, colour: str) -> None:
        self._run_locked(GREEN_HAS_TRAFFIC[colour])

    def remove(self, old: Release, new: Release) -> None:
        """Stop and remove the containers of every release but the new one. Requests in flight get their answers.

        Raises:
            EngineError: if the engine refuses a command.
        """
        del old
        self._remove([item for item in self._all() if label_of(item, RELEASE) != str(new.number)])

    def stop(self) -> None:
        """Stop and remove every container of the service.

        Raises:
            EngineError: if the engine refuses a command.
        """
        self._remove(self._all())

    def _all(self) -> list[Container]:
        return self.engine.containers(*SERVICES)

    def _remove(self, containers: Sequence[Container]) -> None:
        names = [name_of(item) for item in containers]
        if names:
            self.engine.run("stop", "--time", str(STOP_SECONDS), *names)
            self.engine.run("rm", "--force", *names)

    @property
    def kept(self) -> str:
        """What `destroy` leaves."""
        return "the images on the machine and in the registry, and what is on S3"

    def destroy(self, who: str) -> list[str]:
        """Remove containers, network and volumes of the project; return what was removed, a line each.

        Raises:
            LockError: if a deploy is under way.
            EngineError: if the engine refuses a command.
        """
        with self.locked(who, self.settings.wait):
            containers = self.engine.containers()
            self._remove(containers)
            label = f"label={PROJECT_LABEL}={self.engine.namespace}"
            networks = self.engine.run("network", "ls", "--format", "{{.Name}}", "--filter", label).split()
            for name in networks:
                self.engine.run("network", "rm", name)
        wanted = (*self.volumes.values(), self.keys.volume, *self._proxy_volumes())
        volumes = [name for name in wanted if self.engine.has_volume(name)]
        for name in volumes:
            self.engine.run("volume", "rm", name)
        return [
            *(f"container {name_of(item)}" for item in containers),
            *(f"network {name}" for name in networks),
            *(f"volume {name}" for name in volumes),
        ]

    # What is asked of a container

    def verify_replica(self, name: str, version: str) -> Verified:
        """Verify a container from inside it.

        Raises:
            WrongPredictionError: if an answer is wrong.
            ServiceError, EngineError: if it cannot be asked.
        """
        result = self._inside(name, "verify", version)
        return Verified(int(result["records"]), str(result["artefact"]))

    def version_of(self, replica: str) -> str:
        """Return the version that a container reports.

        Raises:
            ServiceError, EngineError: if it cannot be asked.
        """
        return str(self._inside(replica, "version")["version"])

    def _inside(self, name: str, *arguments: str) -> dict[str, str | int]:
        """Run a check in a container.

        Raises:
            WrongPredictionError: if the replica is wrong.
            ServiceError: if it cannot be asked.
        """
        output = self.engine.run("exec", "--interactive", name, "python", "-", *arguments, stdin=program())
        result: dict[str, str | int] = json.loads(output)
        for kind, error in (("wrong", WrongPredictionError), ("error", ServiceError)):
            if kind in result:
                # The reader knows the container, not the address inside it.
                raise error(f"{self.unit} {name}: {str(result[kind]).replace(inside.ADDRESS, 'it')}")
        return result

    # What people want to know

    def changes_by_hand(self, base: Release, live: Live) -> list[str]:
        """Return where the machine differs from a release.

        Raises:
            EngineError: if the engine refuses a command.
        """
        del live
        lines = [
            f"{self.unit} {name_of(item)} is {state_of(item)}"
            for item in self.engine.containers(*SERVICES, PROXY)
            if not is_ready(item)
        ]
        if not any(service_of(item) == PROXY for item in self.engine.containers(PROXY)):
            lines.append("the proxy is missing")
        others = [item for item in self._all() if label_of(item, RELEASE) != str(base.number)]
        return lines + [f"{self.unit} {name_of(item)} of another release is there" for item in others]

    def changes(self, base: Release, manifests: Sequence[Object]) -> list[str]:
        """Return how the files and settings differ from those of a release."""
        lines: list[str] = []
        for path in (COMPOSE_FILE, PROXY_FILE):
            old, new = (text_of(each, path).splitlines() for each in (base.manifests, manifests))
            lines += difflib.unified_diff(old, new, f"{path}, release {base.number}", str(path), n=1, lineterm="")
        before, after = values_of(base.manifests), values_of(manifests)
        for name in sorted(before.keys() | after.keys()):
            if before.get(name) != after.get(name):
                lines.append(f"{name} is {before.get(name)!r}, would be {after.get(name)!r}")
        return lines

    def how_to_reach(self) -> str:
        """Return the address of the proxy."""
        host = self.settings.optional("PROXY_HOST")
        if host:
            return f"reach it: https://{host}"
        address, _, port = self.settings.optional("HTTP_PORT").rpartition(":")
        machine = address or (urlsplit(self.engine.host).hostname if self.engine.host else "") or "127.0.0.1"
        return f"reach it: http://{machine}:{port or 80}"

    def diagnosis(self) -> str:
        """Return the states and logs of the containers, for the file that explains a failed rollout."""
        parts = []
        for item in self.engine.containers():
            name = name_of(item)
            state = json.dumps(item["State"], indent=1)
            try:
                log = self.engine.run("logs", "--tail", "50", name, with_errors=True)
            except EngineError as error:
                log = str(error)
            parts.append(f"$ docker inspect {name}\n{state}\n$ docker logs {name}\n{log}")
        return "\n".join(parts)


def program() -> str:
    """Return the program that checks a container: the text of two modules."""
    texts = (Path(module.__file__ or "").read_text(encoding="utf-8") for module in (golden, inside))
    return "\n".join(re.sub(r"(?ms)^from mlops_runtime[^(\n]*(\(.*?^\)|[^(\n]*$)", "", text) for text in texts)


def file_of(release: Release) -> str:
    """Return the name of the file of a release: by name, the files are in the order of their numbers."""
    return f"release-{release.number:08}.json"


def text_of(manifests: Sequence[Object], path: Path) -> str:
    """Return the text of a file of a release; empty if it had none."""
    return next((str(item["text"]) for item in manifests if item["metadata"]["name"] == path.name), "")


def values_of(manifests: Sequence[Object]) -> dict[str, str]:
    """Return the settings of a release."""
    return next((dict(item["values"]) for item in manifests if item["kind"] == "Settings"), {})


def state_of(container: Container) -> str:
    """Return the state of a container as text."""
    state = container["State"]
    health = state.get("Health", {}).get("Status", "")
    restarts = container.get("RestartCount", 0)
    details = [f"exit status {state['ExitCode']}"] if state["Status"] != "running" else []
    details += [f"{restarts} restarts"] if restarts else []
    text = state["Status"] if state["Status"] != "running" or not health else health
    return f"{text} ({', '.join(details)})" if details else str(text)


def is_ready(container: Container) -> bool:
    """Return whether a container runs, and is healthy if it has a health check."""
    state = container["State"]
    return bool(state["Status"] == "running" and state.get("Health", {}).get("Status", "healthy") == "healthy")


def progress_of(containers: Sequence[Container]) -> Progress:
    """Return how far the containers of a colour are."""
    ready = {str(item["Id"]): name_of(item) for item in containers if is_ready(item)}
    others = [item for item in containers if not is_ready(item)]
    failed = [item for item in others if item.get("RestartCount", 0) >= MAX_RESTARTS]
    settled = [item for item in others if state_of(item) != "starting"]
    releases = {label_of(item, RELEASE) for item in containers}
    return Progress(
        complete=bool(containers) and not others and len(releases) == 1,
        pods=f"{len(ready)} of {len(containers)} containers healthy",
        ready=ready,
        failure=next((f"container {name_of(item)}: {state_of(item)}" for item in failed), ""),
        trouble=next((f"{name_of(item)} is {state_of(item)}" for item in settled), ""),
    )


def live_of(containers: Sequence[Container]) -> Live | None:
    """Return what the containers of the colour with the traffic are; None if there are none."""
    if not containers:
        return None
    first = containers[0]
    return Live(
        release=int(label_of(first, RELEASE) or 0),
        image=str(first["Config"]["Image"]),
        paused=False,
        replicas=len(containers),
        labels={"team": label_of(first, TEAM)},
        environment=label_of(first, ENVIRONMENT),
    )
