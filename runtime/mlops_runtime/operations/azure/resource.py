"""A resource of Azure Resource Manager that runs the service."""

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Self

from mlops_runtime.operations.azure.az import Az, Object
from mlops_runtime.operations.errors import DeployError

KEYS, OPERATOR = "keys", "operator"
"""Names of its two secrets: the hashes of the API keys, and the operator's key."""
POLL_INTERVAL = 2.0
"""Seconds between two polls of a change that Azure makes."""


@dataclass
class Resource(ABC):
    """One resource in one resource group.

    Attributes:
        az: the command.
        group: the resource group.
        name: of the resource.
        timeout: seconds that a change may take.
    """

    az: Az
    group: str
    name: str
    timeout: float = 600.0

    KIND: ClassVar[str]
    """What it is called."""
    TYPE: ClassVar[str]
    """Its provider and type."""
    VERSION: ClassVar[str]
    """Version of its API."""
    MAX_NAME: ClassVar[int]
    """Maximum number of characters of its name."""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Self:
        """Return the resource that make's settings name.

        Raises:
            DeployError: if a setting is missing, or the name is not usable.
        """
        group, name = (environment.get(each, "") for each in ("RESOURCE_GROUP", "NAMESPACE"))
        if not group or not name:
            raise DeployError("RESOURCE_GROUP or NAMESPACE is not set: run this with make, and see project.mk")
        if not re.fullmatch(rf"[a-z][a-z0-9-]{{0,{cls.MAX_NAME - 2}}}[a-z0-9]", name):
            rule = f"2 to {cls.MAX_NAME} lower-case letters, digits and -"
            raise DeployError(f"NAMESPACE={name} cannot name a {cls.KIND}: {rule}")
        return cls(Az.from_environment(environment), group, name)

    @property
    def path(self) -> str:
        """Path of the resource; az fills in the subscription."""
        return f"/subscriptions/{{subscriptionId}}/resourceGroups/{self.group}/providers/{self.TYPE}/{self.name}"

    @abstractmethod
    def find(self) -> Object | None:
        """Return the resource; None if there is none.

        Raises:
            AzureError: if Azure refuses.
        """

    @abstractmethod
    def delete(self) -> None:
        """Delete the resource with all that belongs to it.

        Raises:
            AzureError: if Azure refuses.
        """

    @abstractmethod
    def secrets(self) -> dict[str, str] | None:
        """Return the secrets by name; None if there is no resource.

        Raises:
            AzureError: if Azure refuses.
        """

    @abstractmethod
    def set_secrets(self, values: Mapping[str, str]) -> None:
        """Set the secrets.

        Raises:
            AzureError: if Azure refuses.
        """

    @abstractmethod
    def restart(self) -> None:
        """Make the replicas read the secrets.

        Raises:
            AzureError: if Azure refuses.
        """
