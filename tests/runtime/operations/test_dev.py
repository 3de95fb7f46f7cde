import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

COMPOSE = """#!/bin/sh
echo "$DEV_USER $DEV_IMAGE${DEV_DASHBOARD_IMAGE:+ $DEV_DASHBOARD_IMAGE} $DEV_ADDRESS:$PORT|$*" >>calls
case "$*" in
  *" down "*) exit $DOWN ;;
  *" up "*) if [ "$UP" = waits ]; then trap 'exit 0' TERM; while :; do sleep 0.1; done; fi; exit $UP ;;
esac
"""
DOCKER = """#!/bin/sh
test "$1" != info || echo "$INFO"
test "$1" != compose
"""


class Project:
    """A folder with an image, and commands that write down how they were called."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        for name, code in (("docker", DOCKER), ("docker-compose", COMPOSE)):
            (folder / name).write_text(code)
            (folder / name).chmod(0o755)
        (folder / "build").mkdir()
        (folder / "build/dev.built").write_text("sha256:1\n")

    def start(self, **variables: str) -> subprocess.Popen[str]:
        """Start the command."""
        environment = {
            "PATH": f"{self.folder}:{os.environ['PATH']}",
            "PYTHONPATH": os.pathsep.join(sys.path),
            "PROJECT": "x",
            "DOCKER": "docker",
            "PORT": str(self.port),
            "INFO": "{}",
            "UP": "0",
            "DOWN": "0",
        }
        command = [sys.executable, "-m", "mlops_runtime.operations.dev"]
        pipe = subprocess.PIPE
        return subprocess.Popen(
            command, cwd=self.folder, env=environment | variables, stdout=pipe, stderr=pipe, text=True
        )

    def run(self, **variables: str) -> tuple[int, str]:
        """Return exit status and standard error of the command."""
        with self.start(**variables) as process:
            _, errors = process.communicate()
        return process.returncode, errors

    def calls(self) -> list[str]:
        """Return the calls of Compose."""
        calls = self.folder / "calls"
        return calls.read_text().splitlines() if calls.exists() else []


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


@pytest.mark.parametrize("status", ["0", "3"])
def test_containers_are_removed_when_a_service_ends(project: Project, status: str) -> None:
    assert project.run(UP=status) == (int(status), "")

    up, down = project.calls()
    user = f"{os.getuid()}:{os.getgid()}"
    assert up.startswith(f"{user} sha256:1 127.0.0.1:{project.port}|--project-name x-dev-{project.port} ")
    assert up.endswith("--file docker/dev.yaml up --exit-code-from webservice")
    assert down.endswith("--file docker/dev.yaml down --timeout 5 --remove-orphans")


def test_the_image_of_a_dashboard_is_run_beside_that_of_the_service(project: Project) -> None:
    (project.folder / "build/dev-dashboard.built").write_text("sha256:2\n")

    assert project.run() == (0, "")

    assert " sha256:1 sha256:2 127.0.0.1:" in project.calls()[0]


@pytest.mark.parametrize("stop", ["INT", "TERM"])
def test_a_stop_ends_compose_and_removes_the_containers(project: Project, stop: str) -> None:
    # Given services that run
    with project.start(UP="waits") as process:
        while not any(" up " in call for call in project.calls()):
            assert process.poll() is None
            time.sleep(0.05)

        # When somebody stops the command
        subprocess.run(["kill", f"-{stop}", str(process.pid)], check=True)
        _, errors = process.communicate()

    # Then Compose removes what it has started
    assert (process.returncode, errors) == (130, "")
    assert " down " in project.calls()[-1]


@pytest.mark.parametrize("info", ['{"SecurityOptions":["name=seccomp","name=rootless"]}', '{"rootless": true}'])
def test_root_in_a_rootless_container_is_this_user(project: Project, info: str) -> None:
    project.run(INFO=info)

    assert project.calls()[1].startswith("0:0 ")


def test_a_port_in_use_is_refused_before_anything_is_started(project: Project) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", project.port))
        other.listen()
        status, errors = project.run()

    assert status == 1
    (line,) = errors.splitlines()
    assert line.startswith(f"dev: cannot listen on 127.0.0.1:{project.port}: Address already in use: give another PORT")
    assert f"docker-compose --project-name x-dev-{project.port} down" in line
    assert not any(" up " in call for call in project.calls())


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        pytest.param({"PORT": "none"}, "PORT=none is not usable", id="setting"),
        pytest.param({"DOCKER": "true"}, "there is no Docker Compose: install its plugin", id="no compose"),
        pytest.param({"DOWN": "1"}, "the containers may still be there", id="containers that stay"),
    ],
)
def test_what_fails_is_said_in_a_line(project: Project, variables: dict[str, str], message: str) -> None:
    if variables.get("DOCKER") == "true":
        variables = {**variables, "PATH": str(project.folder)}
        (project.folder / "true").write_text("#!/bin/sh\nexit 1\n")
        (project.folder / "true").chmod(0o755)

    _, errors = project.run(**variables)

    (line,) = errors.splitlines()
    assert line.startswith("dev: ")
    assert message in line
