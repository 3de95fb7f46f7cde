"""Run the services of docker/dev.yaml, with the sources of this project, until one of them ends or Ctrl-C."""

import os
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path

from mlops_runtime.operations.docker_host.engine import Engine, EngineError
from mlops_runtime.operations.settings import say
from mlops_runtime.serving.server import available_address
from mlops_runtime.serving.settings import Settings, SettingsError

SERVICE = "webservice"
"""Service of the compose file whose exit status is that of the command."""
IMAGES = {"DEV_IMAGE": Path("build/dev.built"), "DEV_DASHBOARD_IMAGE": Path("build/dev-dashboard.built")}
"""Files with the ids of images, by the variable of the compose file; a project may have no dashboard."""
ROOTLESS = re.compile(r'name=rootless|"rootless": ?true')
"""How docker and podman say that root in a container is the user that started it."""
STOP_TIMEOUT = 30
"""Seconds for Compose to stop what it has started."""
INTERRUPTED = 130


class UpError(RuntimeError):
    """The services cannot be started."""


def main() -> int:
    """Run them; return the exit status."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    try:
        settings = Settings.from_environment()
        name = f"{os.environ['PROJECT']}-dev-{settings.port}"
        engine = Engine(docker=shlex.split(os.environ["DOCKER"]), namespace=name)
        compose = [
            *(shlex.split(os.environ.get("COMPOSE", "")) or engine.find_compose()),
            *("--project-name", name, "--project-directory", ".", "--file", "docker/dev.yaml"),
        ]
        environment = os.environ | {
            "DEV_ADDRESS": free_address(settings, compose),
            "DEV_USER": "0:0" if ROOTLESS.search(engine.run("info", "--format", "{{json .}}")) else owner(),
            "PORT": str(settings.port),
            **{variable: path.read_text().strip() for variable, path in IMAGES.items() if path.exists()},
        }
        say(f"In a container, at http://{settings.host}:{settings.port}; Ctrl-C removes it.")
        return run(compose, environment)
    except (EngineError, SettingsError, UpError) as error:
        print(f"dev: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return INTERRUPTED


def owner() -> str:
    """Return user and group of this process: a clone may have files that only their owner reads."""
    return f"{os.getuid()}:{os.getgid()}"


def free_address(settings: Settings, compose: list[str]) -> str:
    """Return the IP address to listen on.

    Raises:
        UpError: if the port is in use.
    """
    try:
        return available_address(settings.host, settings.port)
    except OSError as error:
        raise UpError(
            f"{error}: give another PORT; {shlex.join(compose[:-4])} down ends one that was killed"
        ) from error


def run(compose: list[str], environment: dict[str, str]) -> int:
    """Run the services until one of them ends; remove their containers, also after Ctrl-C.

    Args:
        compose: the command and its options.
        environment: of the command.
    """
    # A process group of its own: Ctrl-C reaches this process alone, which then stops it.
    up = subprocess.Popen([*compose, "up", "--exit-code-from", SERVICE], env=environment, process_group=0)
    try:
        return up.wait()
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
        up.terminate()
        try:
            up.wait(STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            up.kill()
        down = [*compose, "down", "--timeout", "5", "--remove-orphans"]
        removed = subprocess.run(down, env=environment, capture_output=True, text=True, check=False, process_group=0)
        if removed.returncode:
            print(f"dev: the containers may still be there: {removed.stderr.strip()}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
