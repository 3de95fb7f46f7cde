"""Deploys to a machine with Docker and no cluster: the engine of this machine, with a proxy in front.

The tests of this file are one story and build on one another, in their order.
"""

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.conftest import bake, missing, share_environment
from tests.live.site import CRASHES, LIES, replace_in
from tests.live.workbench import Load, Workbench, ask, one_error_line

NAMESPACE = "mlops-template-tests"
DOCKERFILE = "docker/webservice.Dockerfile"
CADDY = """ARG PYTHON_IMAGE
FROM ${PYTHON_IMAGE}
RUN apt-get update -qq && apt-get install -y -qq --no-install-recommends caddy && rm -rf /var/lib/apt/lists/*
"""
"""An image with Debian's Caddy, for machines that cannot pull caddy:2."""
SETTINGS = {
    "LOGIN": "none",
    "NAMESPACE": NAMESPACE,
    "BUDGET": "0",
    "FLOORS": "skill=0.1",
    "SKIP_TESTS": "they run in other tests",
    "WATCH_SECONDS": "2",
}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def proxy_image(engine: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """An image with Caddy: that of TEST_PROXY_IMAGE, or one of Debian's package."""
    if given := os.environ.get("TEST_PROXY_IMAGE"):
        return given
    folder = tmp_path_factory.mktemp("caddy")
    (folder / "Dockerfile").write_text(CADDY)
    python = os.environ.get("MLOPS_PYTHON_IMAGE", "python:3.11-slim-bookworm")
    flags = os.environ.get("MLOPS_DOCKER_BUILD_FLAGS", "--network host").split()
    tag = "mlops-template-tests/caddy"
    command = [engine, "build", *flags, "--quiet", "--build-arg", f"PYTHON_IMAGE={python}", "--tag", tag, str(folder)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return tag


@dataclass
class Machine:
    """The project on the machine, the version that should be running there, and a key to it."""

    workbench: Workbench
    engine: str
    address: str
    running: str = ""
    key: str = ""

    def docker(self, *arguments: str) -> str:
        return subprocess.run([self.engine, *arguments], check=True, capture_output=True, text=True).stdout

    def containers(self, service: str = "webservice") -> list[str]:
        """Return the names of the containers of a service that run."""
        label = f"label=com.docker.compose.project={NAMESPACE}"
        names = self.docker("ps", "--filter", label, "--format", "{{.Names}}").split()
        return sorted(name for name in names if service in name)

    def deploy(self, expected: int = 0) -> subprocess.CompletedProcess[str]:
        result = self.workbench.make("deploy")
        assert (result.returncode == 0) is (expected == 0), result.stdout + result.stderr
        return result

    def load(self) -> Load:
        return Load(self.address, self.workbench.golden(), self.key)

    def assert_runs(self) -> None:
        """Every replica is of the version that should run, and predicts as it should."""
        one = self.workbench.golden()[0]
        for _ in range(10):
            status, content = ask(self.address, "/version", key=self.key)
            assert (status, content["version"]) == (200, self.running)
            status, prediction = ask(self.address, "/v1/predictions", one["record"], self.key)
            assert (status, prediction["label"]) == (200, one["prediction"]["label"])

    def wait_for_key(self) -> None:
        """Wait until every replica knows the key."""
        began, in_a_row = time.monotonic(), 0
        while in_a_row < 10:
            assert time.monotonic() - began < 60, "the key was not accepted in a minute"
            in_a_row = in_a_row + 1 if ask(self.address, "/version", key=self.key)[0] == 200 else 0
            time.sleep(0.1)


def remove_all(engine: str) -> None:
    """Remove what an earlier run may have left."""
    filters = {"ps --all --quiet": "rm --force", "network ls --quiet": "network rm"}
    for listing, removal in filters.items():
        label = ["--filter", f"label=com.docker.compose.project={NAMESPACE}"]
        found = subprocess.run([engine, *listing.split(), *label], capture_output=True, text=True, check=True).stdout
        if found:
            subprocess.run([engine, *removal.split(), *found.split()], capture_output=True, check=True)
    subprocess.run([engine, "rm", "--force", f"{NAMESPACE}-deploy-lock"], capture_output=True, check=False)
    for name in ("releases", "traffic", "keys", "proxy-config", "proxy-data"):
        subprocess.run([engine, "volume", "rm", f"{NAMESPACE}-{name}"], capture_output=True, check=False)


@pytest.fixture(scope="module")
def machine(
    project: Path, engine: str, registry: str, proxy_image: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Machine]:
    plugin = subprocess.run([engine, "compose", "version"], capture_output=True, check=False).returncode == 0
    if not plugin and shutil.which("docker-compose") is None:
        missing("compose", "install the plugin of Docker, or docker-compose")
    remove_all(engine)
    folder = share_environment(bake(tmp_path_factory.mktemp("machine"), platform="docker-host"), project)
    port = free_port()
    settings = SETTINGS | {
        "DOCKER": engine,
        "REGISTRY": registry,
        "PROXY_IMAGE": proxy_image,
        "HTTP_PORT": f"127.0.0.1:{port}",
        "HTTPS_PORT": f"127.0.0.1:{free_port()}",
        "DOCKER_BUILD_FLAGS": os.environ.get("MLOPS_DOCKER_BUILD_FLAGS", "--network host"),
    }
    environment = {f"MLOPS_{name}": value for name, value in settings.items()}
    home = {"HOME": str(tmp_path_factory.mktemp("home"))}
    yield Machine(Workbench(folder, environment | home), engine, f"127.0.0.1:{port}")
    remove_all(engine)


def test_a_first_version_is_deployed_and_answers(machine: Machine) -> None:
    # Given a machine on which nothing runs
    assert "nothing is deployed" in machine.workbench.make("status").stdout

    # When a version is deployed, and a caller gets a key
    machine.running = machine.workbench.commit("First version")
    result = machine.deploy()
    key = machine.workbench.make("key", NAME="tests")
    machine.key = key.stdout.strip()

    # Then two replicas answer through the proxy, to whoever has a key, and no network address but ours is open
    assert f"reach it: http://{machine.address}" in result.stdout
    machine.wait_for_key()
    machine.assert_runs()
    assert ask(machine.address, "/version")[0] == 401
    assert len(machine.containers()) == 2
    status = machine.workbench.make("status")
    assert status.returncode == 0
    assert status.stdout.count(f"runs {machine.running}") == 2
    assert "not verified" not in status.stdout


def test_a_deploy_without_a_change_changes_nothing(machine: Machine) -> None:
    before = machine.docker("ps", "--quiet", "--no-trunc")

    result = machine.deploy()

    assert f"{machine.running} runs already: 2 containers" in result.stdout
    assert machine.docker("ps", "--quiet", "--no-trunc") == before


def test_an_update_drops_no_request(machine: Machine) -> None:
    # Given clients that ask without a pause
    before = machine.running
    replace_in(machine.workbench.folder / "project.mk", "MAX_RECORDS ?= 1000", "MAX_RECORDS ?= 7")
    diff = machine.workbench.make("diff").stdout
    with machine.load() as load:
        # When another version is deployed
        machine.running = machine.workbench.commit("Change a setting")
        machine.deploy()

    # Then every request was answered rightly, first by one version, then by the other
    assert load.lost == []
    assert set(load.versions) == {before, machine.running}
    assert "MAX_RECORDS is '1000', would be '7'" in diff
    machine.assert_runs()
    assert len(machine.containers()) == 2


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        pytest.param("USER 10001:10001", LIES, "for golden record", id="wrong predictions"),
        pytest.param('CMD ["python", "-m", "webservice"]', CRASHES, "restarts", id="crash"),
    ],
)
def test_a_bad_version_is_undone_and_drops_no_request(machine: Machine, old: str, new: str, reason: str) -> None:
    # Given clients that ask without a pause
    replicas = machine.containers()
    with machine.load() as load:
        # When a version that is broken is deployed
        replace_in(machine.workbench.folder / DOCKERFILE, old, new)
        version = machine.workbench.commit("Break the image")
        result = machine.deploy(expected=1)
    machine.workbench.restore()

    # Then it never got a request, and the containers of the version before were not touched
    assert f"{version} failed and was undone, {machine.running} runs" in one_error_line(result)
    assert reason in one_error_line(result)
    assert load.lost == []
    assert set(load.versions) == {machine.running}
    assert machine.containers() == replicas
    log = (machine.workbench.folder / "build/rollout.log").read_text()
    assert "docker logs" in log


def test_a_rollback_from_a_fresh_clone_brings_back_version_and_settings(machine: Machine, tmp_path: Path) -> None:
    # Given a clone in which nothing was installed
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "--quiet", machine.workbench.folder, clone], check=True)
    elsewhere = Workbench(clone, machine.workbench.environment)

    # When it rolls back
    with machine.load() as load:
        result = elsewhere.make("rollback")

    # Then the first version runs, with the setting that it had
    assert result.returncode == 0, result.stdout + result.stderr
    assert load.lost == []
    history = elsewhere.make("history").stdout
    machine.running = history.splitlines()[0].split()[3]
    machine.assert_runs()
    name = machine.containers()[0]
    assert "MAX_RECORDS=1000" in machine.docker("inspect", "--format", "{{.Config.Env}}", name)
    assert "rolled back" in history
    assert not (clone / ".venv").exists()


def test_a_deploy_that_was_killed_leaves_no_lock_and_is_repaired(machine: Machine) -> None:
    # Given a deploy on its way, beside which no other one may start
    replace_in(machine.workbench.folder / DOCKERFILE, "USER 10001:10001", LIES)
    version = machine.workbench.commit("Predict wrongly")
    with machine.workbench.start("deploy") as process:
        assert process.stdout is not None
        while "containers healthy" not in (line := process.stdout.readline()):
            assert line, process.stderr and process.stderr.read()
        second = machine.workbench.make("repair", WAIT="0")
        # When it is killed
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
    machine.workbench.restore()
    assert "holds the lock" in one_error_line(second)

    # Then that is said, and a repair brings back what ran
    assert f"deploying {version}" in machine.workbench.make("status").stdout
    result = machine.workbench.make("repair")
    assert result.returncode == 0, result.stdout + result.stderr
    assert f"the deploy of {version}" in result.stdout
    machine.assert_runs()
    assert len(machine.containers()) == 2


def test_a_replica_that_has_died_gets_no_request(machine: Machine) -> None:
    # Given two replicas, of which one has died longer ago than the proxy remembers addresses
    dead, alive = machine.containers()
    machine.docker("kill", dead)
    time.sleep(1)

    # Then the other one answers every request
    machine.assert_runs()

    # And a repair names the dead one and starts it
    result = machine.workbench.make("repair")
    assert result.returncode == 0, result.stdout + result.stderr
    assert f"container {dead} is exited" in result.stdout
    assert machine.containers() == [dead, alive]


def test_destroy_removes_everything_once_the_name_is_typed(machine: Machine) -> None:
    # When nobody confirms, then nothing is removed
    refused = machine.workbench.make("destroy")
    assert refused.returncode != 0
    assert "nothing was removed: type oncology, or set CONFIRM=oncology" in one_error_line(refused)
    machine.assert_runs()

    # When somebody does, then nothing of the project is left but its images
    result = machine.workbench.make("destroy", CONFIRM="oncology")
    assert result.returncode == 0, result.stdout + result.stderr
    assert "kept: the images" in result.stdout
    assert machine.containers("") == []
    names = machine.docker("volume", "ls", "--quiet") + machine.docker("network", "ls", "--format", "{{.Name}}")
    assert NAMESPACE not in names
    assert "nothing is deployed" in machine.workbench.make("status").stdout
