"""The settings of a project that the commands of make read, and what they print."""

import math
from collections.abc import Mapping

from mlops_runtime.operations.errors import DeployError


class Settings:
    """The settings of a project, from the environment, where make puts those of project.mk."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        """Read those that every platform needs.

        Raises:
            DeployError: if one is missing or not usable.
        """
        self._environment = environment
        self.project = self.required("PROJECT")
        self.team = self.required("TEAM")
        self.environment = self.required("ENVIRONMENT")
        self.rollout_timeout = self.seconds("ROLLOUT_TIMEOUT", 180)
        self.verify_timeout = self.seconds("VERIFY_TIMEOUT", 60)
        self.wait = self.seconds("WAIT", 600)

    def required(self, name: str) -> str:
        """Return a setting that must not be empty.

        Raises:
            DeployError: if it is.
        """
        value = self._environment.get(name, "")
        if not value:
            raise DeployError(f"{name} is not set: run this with make, and see project.mk")
        return value

    def optional(self, name: str) -> str:
        """Return a setting that may be empty."""
        return self._environment.get(name, "").strip()

    def seconds(self, name: str, default: float) -> float:
        """Return a setting in seconds.

        Raises:
            DeployError: if it is no number.
        """
        text = self.optional(name)
        try:
            value = float(text.removesuffix("s")) if text else default
        except ValueError:
            value = math.nan
        if not 0 <= value < math.inf:
            raise DeployError(f"{name}={text} is not usable: set it to a number of seconds")
        return value


def say(line: str) -> None:
    """Print a line at once, also when the output is a pipe."""
    print(printable(line), flush=True)


def printable(line: str) -> str:
    """Return a line with its control characters escaped: what a platform says must not control the terminal."""
    return "".join(character if character.isprintable() else repr(character)[1:-1] for character in line)
