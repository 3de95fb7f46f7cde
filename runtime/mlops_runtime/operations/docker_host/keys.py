"""The API keys on a machine with Docker: a volume with the hash of each key in a file named after the caller."""

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mlops_runtime.operations.docker_host.engine import Engine
from mlops_runtime.operations.keys import run_command


@dataclass(frozen=True)
class KeyVolume:
    """The volume that every replica reads.

    Attributes:
        engine: that has it.
        image: with a shell.
    """

    engine: Engine
    image: str

    @property
    def volume(self) -> str:
        """Name of the volume."""
        return f"{self.engine.namespace}-keys"

    def restore(self) -> bool:
        """Return whether there is a key: nothing restores a volume that somebody has removed.

        Raises:
            EngineError: if the engine refuses a command.
        """
        return bool(self.names())

    def names(self) -> list[str] | None:
        """Return the names of the callers that have a key; None if there is no volume.

        Raises:
            EngineError: if the engine refuses a command.
        """
        if not self.engine.has_volume(self.volume):
            return None
        return sorted(self._run("ls /keys").split())

    def put(self, name: str, digest: str | None) -> None:
        """Store a hash under a name, or remove the name if the hash is None; other names do not change.

        Raises:
            EngineError: if the engine refuses a command.
        """
        if digest is None:
            self._run('rm -f "/keys/$0"', name)
        else:
            self._run('umask 022; cat >"/keys/$0"', name, stdin=digest)

    def create(self, digests: Mapping[str, str]) -> None:
        """Create the volume with the hashes of some keys.

        Raises:
            EngineError: if the engine refuses a command.
        """
        self.engine.run("volume", "create", self.volume)
        for name, digest in digests.items():
            self.put(name, digest)

    def refresh(self) -> None:
        """Do nothing: the service reads the folder every few seconds."""

    def _run(self, script: str, *arguments: str, stdin: str = "") -> str:
        options = ["--rm", "--interactive", "--network", "none", "--volume", f"{self.volume}:/keys"]
        return self.engine.run(
            "run", *options, "--entrypoint", "sh", self.image, "-euc", script, *arguments, stdin=stdin
        )


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return the exit status."""
    return run_command(argv, lambda: KeyVolume(Engine.from_environment(os.environ), os.environ["PROXY_IMAGE"]))


if __name__ == "__main__":
    sys.exit(main())
