"""The API keys on Azure: one secret of the app, with the name of each caller and the hash of its key.

A second secret is the operator's key, with which a deploy verifies the service at its address.
"""

import os
import secrets
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from mlops_runtime.operations.azure.app import ContainerApp
from mlops_runtime.operations.azure.resource import KEYS, OPERATOR, Resource
from mlops_runtime.operations.azure.site import Site
from mlops_runtime.operations.keys import run_command


@dataclass
class KeySecret:
    """The secret with the hashes of the keys.

    Attributes:
        app: that has it.
        first: secrets that the app gets when it is created.
    """

    app: Resource
    first: dict[str, str] = field(default_factory=dict)

    def restore(self) -> bool:
        """Return whether there is a key: nothing restores a secret that somebody has removed.

        Raises:
            AzureError: if Azure refuses a command.
        """
        return bool(self.names())

    def names(self) -> list[str] | None:
        """Return the names of the callers that have a key; None if there is no app, or no secret.

        Raises:
            AzureError: if Azure refuses a command.
        """
        values = self.app.secrets()
        return sorted(hashes_in(values[KEYS])) if values and KEYS in values else None

    def put(self, name: str, digest: str | None) -> None:
        """Store a hash under a name, or remove the name if the hash is None; other names do not change.

        Raises:
            AzureError: if Azure refuses a command.
        """
        values = self.app.secrets() or {}
        hashes = hashes_in(values.get(KEYS, ""))
        hashes.pop(name, None)
        self.app.set_secrets(values | {KEYS: text_of(hashes if digest is None else hashes | {name: digest})})

    def create(self, digests: Mapping[str, str]) -> None:
        """Create the secrets, now or together with the app.

        Raises:
            AzureError: if Azure refuses a command.
        """
        values = self.app.secrets()
        self.first = {OPERATOR: secrets.token_urlsafe(32)} | (values or {}) | {KEYS: text_of(digests)}
        if values is not None:
            self.app.set_secrets(self.first)

    def refresh(self) -> None:
        """Restart the replicas: they read their secrets when they start.

        Raises:
            AzureError: if Azure refuses a command.
        """
        self.app.restart()


def hashes_in(text: str) -> dict[str, str]:
    """Return the hash of each key by the name of its caller."""
    return {name: digest for name, _, digest in (entry.partition(":") for entry in text.split())}


def text_of(hashes: Mapping[str, str]) -> str:
    """Return the content of the secret."""
    return " ".join(f"{name}:{digest}" for name, digest in sorted(hashes.items()))


def resource_in(environment: Mapping[str, str]) -> Resource:
    """Return the resource that make's settings name.

    Raises:
        DeployError: if a setting is missing.
    """
    kind = Site if environment.get("PLATFORM") == "azure-web-app" else ContainerApp
    return kind.from_environment(environment)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return the exit status."""
    return run_command(argv, lambda: KeySecret(resource_in(os.environ)))


if __name__ == "__main__":
    sys.exit(main())
