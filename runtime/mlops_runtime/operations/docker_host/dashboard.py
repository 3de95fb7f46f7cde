"""The dashboard on a machine with Docker: brought to what the release that has the traffic says of it; or undone.

`make deploy`, `make rollback` and `make repair` end with it. The image of the dashboard and its place in the compose
file are part of a release; its API key is not. The key is in the environment of the container, and stays the same as
long as that has one.
"""

import os
import sys
from collections.abc import Sequence

from mlops_runtime.operations.docker_host.engine import Container, EngineError, label_of, name_of
from mlops_runtime.operations.docker_host.platform import (
    COMPOSE_FILE,
    RELEASE,
    DockerHost,
    progress_of,
    text_of,
    values_of,
)
from mlops_runtime.operations.errors import DeployError, RoadError, RolloutError
from mlops_runtime.operations.keys import new_key
from mlops_runtime.operations.releases import Release, last_verified
from mlops_runtime.operations.replicas import wait_until_complete
from mlops_runtime.operations.settings import Settings, printable, say

NAME = "dashboard"
"""Name of the service in the compose file, and of the caller that has its API key."""
IMAGE, PORT, KEY = "DASHBOARD_IMAGE", "DASHBOARD_PORT", "DASHBOARD_KEY"
"""Variables of the compose file; the key is empty in a release."""
KEY_IN_CONTAINER = "SERVICE_KEY="
ASK = ("python", "-m", "mlops_runtime.dashboard")
"""Command in the container that asks the service for its version."""
ASK_INTERVAL = 2.0
"""Seconds between two attempts: the service needs some time to read a new key."""


class Dashboard:
    """The dashboard of a project on its machine.

    Attributes:
        host: the project on the machine.
    """

    def __init__(self, host: DockerHost) -> None:
        self.host = host
        self.engine = host.engine

    def deploy(self) -> None:
        """Bring the dashboard to the last verified release, and check that it reaches the service.

        Raises:
            DeployError: if it does not; the one before runs again, if there was one.
            EngineError: if the engine refuses a command.
        """
        releases = self.host.releases()
        release, before = last_verified(releases), self._containers()
        if release is None:
            return
        if not values_of(release.manifests).get(IMAGE):
            self._remove(before)
            say(f"release {release.number} has no dashboard")
            return
        key = self._key(before)
        try:
            self._start(release, key)
            version = self._ask()
        except RolloutError as error:
            undone = self._undo(releases, before, key)
            raise DeployError(f"{error}; {undone}; the service is not affected") from error
        say(f"the dashboard runs, and reaches version {version} of the service")
        say(f"reach it on {self.engine.name}: http://127.0.0.1:{values_of(release.manifests).get(PORT)}")

    def _containers(self) -> list[Container]:
        return self.engine.containers(NAME)

    def _remove(self, containers: Sequence[Container]) -> None:
        if containers:
            self.engine.run("rm", "--force", *map(name_of, containers))

    def _key(self, containers: Sequence[Container]) -> str:
        """Return the API key that the dashboard has, or a new one that the service knows from now on."""
        variables = [line for item in containers for line in item["Config"].get("Env") or ()]
        key = next((line.removeprefix(KEY_IN_CONTAINER) for line in variables if line.startswith(KEY_IN_CONTAINER)), "")
        if key and NAME in (self.host.keys.names() or ()):
            return key
        key, digest = new_key()
        self.host.keys.put(NAME, digest)
        return key

    def _start(self, release: Release, key: str) -> None:
        """Start the dashboard as a release has it, and wait until it is healthy.

        Raises:
            RolloutError: if it does not get healthy.
        """
        variables = values_of(release.manifests) | {"IMAGE": release.image, "RELEASE": str(release.number), KEY: key}
        file = text_of(release.manifests, COMPOSE_FILE)
        try:
            self.engine.run_compose(file, variables, "up", "--detach", "--no-deps", "--no-build", NAME)
        except EngineError as error:
            raise RolloutError(str(error)) from error
        wait_until_complete(
            lambda: progress_of(self._containers()), self.host.settings.rollout_timeout, self.host.clock
        )

    def _ask(self) -> str:
        """Return the version of the service that the dashboard reaches.

        Raises:
            RolloutError: if it reaches none within `VERIFY_TIMEOUT`.
        """
        clock, reason = self.host.clock, "it has no container"
        started = clock.now()
        while clock.now() - started <= self.host.settings.verify_timeout:
            for name in map(name_of, self._containers()):
                try:
                    return self.engine.run("exec", name, *ASK).strip()
                except EngineError as error:
                    reason = str(error)
            clock.sleep(ASK_INTERVAL)
        raise RolloutError(f"the dashboard does not reach the service: {reason}")

    def _undo(self, releases: Sequence[Release], before: Sequence[Container], key: str) -> str:
        """Go back to the dashboard of the release that it had; return what runs now."""
        numbers = {label_of(item, RELEASE) for item in before}
        old = next((release for release in releases if str(release.number) in numbers), None)
        name = next(map(name_of, self._containers()), NAME)
        if old is None or old == last_verified(releases):
            return f"docker logs {name} says more"
        try:
            self._start(old, key)
        except RolloutError as error:
            return f"nor does the one before run ({error})"
        return f"the dashboard of release {old.number} runs again"


def main() -> int:
    """Deploy the dashboard; return the exit status."""
    try:
        settings = Settings(os.environ)
        Dashboard(DockerHost.from_environment(settings, os.environ)).deploy()
    except (DeployError, RoadError) as error:
        print(printable(f"dashboard: {error}"), file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
