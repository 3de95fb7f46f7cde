"""A container app and its revisions, as resources of Azure Resource Manager."""

from collections.abc import Mapping
from dataclasses import dataclass

from mlops_runtime.operations.azure.az import NOT_FOUND, AzureError, Object
from mlops_runtime.operations.azure.resource import POLL_INTERVAL, Resource

SETTLED = ("Succeeded", "Failed", "Canceled")
"""States in which a resource may be changed again."""


@dataclass
class ContainerApp(Resource):
    """One app in one resource group."""

    KIND = "container app"
    TYPE = "Microsoft.App/containerApps"
    VERSION = "2025-01-01"
    MAX_NAME = 32

    def find(self) -> Object | None:
        """Return the app; None if there is none.

        Raises:
            AzureError: if Azure refuses.
        """
        return self.az.find(self.path, self.VERSION)

    def change(self, body: Object, there: Object | None) -> Object:
        """Create the app, or merge a part of it into what is there, and return it once Azure has done so.

        Args:
            body: the app, or the part of it.
            there: the app as `find` has returned it.

        Raises:
            AzureError: if Azure refuses the change, or cannot make it.
        """
        if there is not None and not is_settled(there):
            there = self._settled()
        self.az.rest("put" if there is None else "patch", self.path, self.VERSION, body)
        app = self._settled()
        if app is None:
            raise AzureError(f"somebody has deleted the app {self.name}")
        if app["properties"]["provisioningState"] != "Succeeded":
            reason = app["properties"].get("deploymentErrors") or "see az containerapp show"
            raise AzureError(f"the app {self.name} could not be changed: {reason}")
        return app

    def _settled(self) -> Object | None:
        """Return the app when Azure does not change it; None if there is none."""
        waited = 0.0
        while True:
            app = self.find()
            if app is None or is_settled(app):
                return app
            if waited >= self.timeout:
                raise AzureError(f"the app {self.name} is still being changed after {waited:g} s")
            self.az.sleep(POLL_INTERVAL)
            waited += POLL_INTERVAL

    def delete(self) -> None:
        """Delete the app with its revisions and secrets.

        Raises:
            AzureError: if Azure refuses.
        """
        self.az.rest("delete", self.path, self.VERSION)
        self._settled()

    def revisions(self) -> list[Object]:
        """Return the revisions, the active ones and those that Azure still keeps.

        Raises:
            AzureError: if Azure refuses.
        """
        found: list[Object] = self.az.rest("get", f"{self.path}/revisions", self.VERSION)["value"]
        return found

    def replicas(self, revision: str) -> list[Object]:
        """Return the replicas of a revision.

        Raises:
            AzureError: if Azure refuses.
        """
        found: list[Object] = self.az.rest("get", f"{self.path}/revisions/{revision}/replicas", self.VERSION)["value"]
        return found

    def act(self, revision: str, action: str) -> None:
        """Activate, deactivate or restart a revision.

        Raises:
            AzureError: if Azure refuses.
        """
        self.az.rest("post", f"{self.path}/revisions/{revision}/{action}", self.VERSION)

    def secrets(self) -> dict[str, str] | None:
        """Return the secrets by name; None if there is no app.

        Raises:
            AzureError: if Azure refuses.
        """
        try:
            listed = self.az.rest("post", f"{self.path}/listSecrets", self.VERSION)["value"]
        except AzureError as error:
            if error.code in NOT_FOUND:
                return None
            raise
        return {item["name"]: item["value"] for item in listed}

    def set_secrets(self, values: Mapping[str, str]) -> None:
        """Set the secrets of the app; those not named are removed.

        Raises:
            AzureError: if Azure refuses.
        """
        self.change({"properties": {"configuration": {"secrets": secrets_of(values)}}}, self.find())

    def restart(self) -> None:
        """Restart the active revisions, so that they read the secrets.

        Raises:
            AzureError: if Azure refuses.
        """
        for revision in self.revisions():
            if revision["properties"]["active"]:
                self.act(revision["name"], "restart")


def is_settled(app: Object) -> bool:
    """Return whether Azure does not change an app at present."""
    return app["properties"]["provisioningState"] in SETTLED


def secrets_of(values: Mapping[str, str]) -> list[Object]:
    """Return secrets as a resource has them."""
    return [{"name": name, "value": value} for name, value in values.items()]
