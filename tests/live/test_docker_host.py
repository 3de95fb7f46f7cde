"""Deploys to a machine with Docker and no cluster: the engine of this machine, with a proxy in front.

The project is that of examples/insurance, with a dashboard.

The tests of this file are one story and build on one another, in their order.
"""

import os
import pwd
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar
from urllib.request import urlopen

import pytest

from tests.conftest import TEMPLATE, bake, missing, share_environment
from tests.live.road_story import DestroyStory, KilledDeployStory, RoadStory, Stage
from tests.live.site import replace_in
from tests.live.workbench import Workbench, one_error_line

NAMESPACE = "mlops-template-tests"
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


@dataclass(kw_only=True)
class Machine(Stage):
    """The project on the machine."""

    engine: str
    port: int
    dashboard_port: int

    CRASHED = "restarts"
    EVIDENCE = "$ docker logs"
    ROLLS_BACK_WITH: ClassVar[dict[str, str]] = {}

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def docker(self, *arguments: str) -> str:
        return subprocess.run([self.engine, *arguments], check=True, capture_output=True, text=True).stdout

    def containers(self, *selection: str) -> list[str]:
        """Return the names of the containers of the project."""
        label = f"label=com.docker.compose.project={NAMESPACE}"
        return sorted(self.docker("ps", "--filter", label, *selection, "--format", "{{.Names}}").split())

    def replicas(self) -> list[str]:
        return [name for name in self.containers() if "webservice" in name]

    def dashboard(self) -> str:
        """Return the name of the container of the dashboard."""
        (name,) = (name for name in self.containers() if "dashboard" in name)
        return name

    def setting(self, name: str) -> str:
        lines = self.docker("inspect", "--format", "{{range .Config.Env}}{{println .}}{{end}}", self.replicas()[0])
        return dict(line.split("=", 1) for line in lines.split("\n") if line)[name]

    def left(self) -> list[str]:
        names = self.docker("volume", "ls", "--quiet") + self.docker("network", "ls", "--format", "{{.Name}}")
        return self.containers("--all") + [name for name in names.split() if NAMESPACE in name]


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
def stage(
    project: Path, engine: str, registry: str, proxy_image: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Machine]:
    plugin = subprocess.run([engine, "compose", "version"], capture_output=True, check=False).returncode == 0
    if not plugin and shutil.which("docker-compose") is None:
        missing("compose", "install the plugin of Docker, or docker-compose")
    remove_all(engine)
    table = tmp_path_factory.mktemp("insurance") / "insurance.csv"
    subprocess.run([sys.executable, TEMPLATE / "examples/insurance/generate.py", "--output", table], check=True)
    answers = {"dataset": str(table), "target": "charges", "project_name": "Insurance charges"}
    chosen = {"platform": "docker-host", "dashboard": "streamlit"}
    folder = share_environment(bake(tmp_path_factory.mktemp("machine"), **answers, **chosen), project)
    port, dashboard_port = free_port(), free_port()
    settings = SETTINGS | {
        "DOCKER": engine,
        "REGISTRY": registry,
        "PROXY_IMAGE": proxy_image,
        "DASHBOARD_PORT": str(dashboard_port),
        "HTTP_PORT": f"127.0.0.1:{port}",
        "HTTPS_PORT": f"127.0.0.1:{free_port()}",
        "DOCKER_BUILD_FLAGS": os.environ.get("MLOPS_DOCKER_BUILD_FLAGS", "--network host"),
    }
    environment = {f"MLOPS_{name}": value for name, value in settings.items()}
    home = {"HOME": str(tmp_path_factory.mktemp("home"))}
    bench = Workbench(folder, environment | home, {"IMAGES": "webservice dashboard"})
    yield Machine(bench, engine=engine, port=port, dashboard_port=dashboard_port)
    remove_all(engine)


class TestRoad(RoadStory):
    pass


class TestKilledDeploy(KilledDeployStory):
    pass


def test_a_replica_that_has_died_gets_no_request(stage: Machine) -> None:
    # Given two replicas, of which one has died longer ago than the proxy remembers addresses
    dead, alive = stage.replicas()
    stage.docker("kill", dead)
    time.sleep(1)

    # Then the other one answers every request
    stage.assert_runs()

    # And a repair names the dead one and starts it
    result = stage.workbench.make("repair")
    assert result.returncode == 0, result.stdout + result.stderr
    assert f"container {dead} is exited" in result.stdout
    assert stage.replicas() == [dead, alive]


SSHD = """\
Port {port}
ListenAddress 127.0.0.1
HostKey {folder}/host
AuthorizedKeysFile {folder}/own.pub
StrictModes no
UsePAM no
PidFile none
"""
SSH = """\
#!/bin/sh
exec {ssh} -F none -o IdentityFile={folder}/own \\
  -o UserKnownHostsFile={folder}/known -o StrictHostKeyChecking=accept-new "$@"
"""
"""ssh with a key of its own: it reads no configuration of the user who runs the tests."""


@pytest.fixture
def over_ssh(stage: Machine, tmp_path: Path) -> Iterator[Workbench]:
    """The workbench of somebody whose machine with Docker is this one, by ssh."""
    server, client = (shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin") for name in ("sshd", "ssh"))
    if not server or not client:
        pytest.skip("no ssh: install openssh-server and openssh-client")
    for key in ("host", "own"):
        command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / key)]
        subprocess.run(command, check=True, capture_output=True)
    port = free_port()
    (tmp_path / "sshd_config").write_text(SSHD.format(folder=tmp_path, port=port))
    (tmp_path / "ssh").write_text(SSH.format(folder=tmp_path, ssh=client))
    (tmp_path / "ssh").chmod(0o755)
    if not os.getuid():
        Path("/run/sshd").mkdir(exist_ok=True)  # root's sshd asks for it
    host = f"ssh://{pwd.getpwuid(os.getuid()).pw_name}@127.0.0.1:{port}"
    own = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "MLOPS_DEPLOY_HOST": host}
    with subprocess.Popen([server, "-D", "-e", "-f", str(tmp_path / "sshd_config")], stderr=subprocess.PIPE) as process:
        yield replace(stage.workbench, environment=stage.workbench.environment | own)
        process.terminate()


def test_a_machine_over_ssh_gets_a_version(stage: Machine, over_ssh: Workbench) -> None:
    # Given a version that was rolled back
    newest = next(line.version for line in stage.workbench.history() if line.state == "rolled back")

    # When somebody whose machine that is, over ssh, goes to it under load
    with stage.load() as load:
        result = over_ssh.make("rollback", TO=newest)

    if "Install paramiko" in result.stderr:
        pytest.skip("docker-compose 1.29 does not know ssh: install python3-paramiko")

    # Then it runs here, and nothing was lost
    assert result.returncode == 0, result.stdout + result.stderr
    stage.running = newest
    assert load.lost == []
    stage.assert_runs()


def version_at_the_dashboard(stage: Machine) -> str:
    """Return the version of the service that the dashboard reaches."""
    return stage.docker("exec", stage.dashboard(), "python", "-m", "mlops_runtime.dashboard").strip()


def test_the_dashboard_came_back_with_the_release(stage: Machine) -> None:
    # It is the one of the release that a rollback and repairs have brought back, behind the proxy, with a key
    with urlopen(f"http://127.0.0.1:{stage.dashboard_port}/_stcore/health", timeout=10) as response:
        assert response.read() == b"ok"
    assert version_at_the_dashboard(stage) == stage.running
    label = '{{index .Config.Labels "mlops-runtime.release"}}'
    releases = {stage.docker("inspect", "--format", label, name) for name in (stage.dashboard(), *stage.replicas())}
    assert len(releases) == 1


def test_a_dashboard_that_crashes_is_undone_and_the_service_goes_on(stage: Machine) -> None:
    before = stage.docker("inspect", "--format", "{{.Config.Image}}", stage.dashboard())
    replace_in(stage.workbench.folder / "docker/dashboard.Dockerfile", 'CMD ["streamlit"', 'CMD ["false"')
    stage.running = stage.workbench.commit("A dashboard that ends at once")

    result = stage.deploy(succeeds=False)

    assert "runs again; the service is not affected" in one_error_line(result)
    assert stage.docker("inspect", "--format", "{{.Config.Image}}", stage.dashboard()) == before
    stage.assert_runs()
    assert version_at_the_dashboard(stage) == stage.running


class TestDestroy(DestroyStory):
    pass
