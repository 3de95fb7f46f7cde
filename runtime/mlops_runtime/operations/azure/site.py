"""A web app of App Service and its staging slot, as resources of Azure Resource Manager."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from mlops_runtime.operations.azure.az import NOT_FOUND, AzureAwayError, AzureError, Object
from mlops_runtime.operations.azure.resource import KEYS, OPERATOR, POLL_INTERVAL, Resource

PRODUCTION, STAGING = "production", "staging"
"""The slots."""
SETTINGS = {KEYS: "API_KEY_HASHES", OPERATOR: "OPERATOR_KEY"}
"""App settings that have the secrets."""
SWAP_TIMEOUT = 1800.0
"""Seconds after which a swap that does not end is left alone: Azure warms up every instance of the slot first."""


@dataclass
class Site(Resource):
    """One web app with its staging slot."""

    KIND = "web app"
    TYPE = "Microsoft.Web/sites"
    VERSION = "2023-12-01"
    # The host name of the slot ends with -staging, and has at most 60 characters.
    MAX_NAME = 50

    _settings: dict[str, dict[str, str]] = field(default_factory=dict)
    """App settings by slot, as far as they are known: nobody else changes them while a command holds the lock."""

    def path_of(self, slot: str) -> str:
        """Return the path of a slot."""
        return self.path if slot == PRODUCTION else f"{self.path}/slots/{slot}"

    def find(self, slot: str = PRODUCTION) -> Object | None:
        """Return a slot once Azure does not change it any more; None if there is none.

        Raises:
            AzureAwayError: if Azure still changes it after the timeout.
            AzureError: if Azure refuses.
        """
        waited = 0.0
        while True:
            site = self.az.find(self.path_of(slot), self.VERSION)
            if site is None or not site["properties"].get("inProgressOperationId"):
                return site
            if waited >= self.timeout:
                raise AzureAwayError(f"the web app {self.name} is still being changed after {waited:g} s")
            self.az.sleep(POLL_INTERVAL)
            waited += POLL_INTERVAL

    def put(self, slot: str, body: Object) -> None:
        """Create a slot, or replace it. Its instances start anew.

        Raises:
            AzureError: if Azure refuses.
        """
        self._settings.clear()
        self.az.rest("put", self.path_of(slot), self.VERSION, body)

    def act(self, slot: str, action: str) -> None:
        """Start or stop a slot.

        Raises:
            AzureError: if Azure refuses.
        """
        self.az.rest("post", f"{self.path_of(slot)}/{action}", self.VERSION)

    def workers(self, plan: str) -> int:
        """Return the number of workers of a plan: each slot has an instance on every one.

        Raises:
            AzureError: if Azure refuses.
        """
        found = self.az.find(plan, self.VERSION) or {}
        return max(1, int((found.get("sku") or {}).get("capacity") or 1))

    def instances(self, slot: str) -> list[Object]:
        """Return the instances of a slot.

        Raises:
            AzureError: if Azure refuses.
        """
        found: list[Object] = self.az.rest("get", f"{self.path_of(slot)}/instances", self.VERSION)["value"]
        return found

    def log(self, slot: str) -> str:
        """Return the last lines of the log of a slot: what Azure does with its containers, and what they print.

        Raises:
            AzureError: if Azure refuses.
        """
        url = f"{self.path_of(slot)}/containerlogs?api-version={self.VERSION}"
        return self.az.text("rest", "--method", "post", "--url", url)

    def swap(self) -> None:
        """Give the staging slot the traffic, once Azure has warmed it up, and put what had it into the staging slot.

        Raises:
            AzureAwayError: if it is not known whether the slots were swapped, as Azure does not answer.
            AzureError: if Azure did not swap them.
        """
        where = ("--resource-group", self.group, "--name", self.name)
        slots = ("--slot", STAGING, "--target-slot", PRODUCTION)
        self._settings.clear()
        # A repetition would swap back.
        self.az.once("webapp", "deployment", "slot", "swap", *where, *slots, timeout=SWAP_TIMEOUT)

    def delete(self) -> None:
        """Delete the app with its slot. The plan stays.

        Raises:
            AzureError: if Azure refuses.
        """
        self._settings.clear()
        if self.find(STAGING) is not None:
            self.az.rest("delete", self.path_of(STAGING), self.VERSION)
        where = ("--resource-group", self.group, "--name", self.name)
        self.az.run("webapp", "delete", *where, "--keep-empty-plan")

    def settings(self, slot: str) -> dict[str, str] | None:
        """Return the app settings of a slot; None if there is none.

        Raises:
            AzureError: if Azure refuses.
        """
        if slot in self._settings:
            return self._settings[slot]
        try:
            listed: Object = self.az.rest("post", f"{self.path_of(slot)}/config/appsettings/list", self.VERSION)
        except AzureError as error:
            if error.code in NOT_FOUND:
                return None
            raise
        self._settings[slot] = dict(listed["properties"])
        return self._settings[slot]

    def secrets(self) -> dict[str, str] | None:
        """Return the secrets by name; None if there is no app.

        Raises:
            AzureError: if Azure refuses.
        """
        settings = self.settings(PRODUCTION)
        return None if settings is None else secrets_in(settings)

    def set_secrets(self, values: Mapping[str, str]) -> None:
        """Set the secrets of both slots: a swap, also one back, then keeps the keys of all callers.

        Raises:
            AzureError: if Azure refuses.
        """
        for slot in (PRODUCTION, STAGING):
            there = self.settings(slot)
            if there is not None:
                self._settings.clear()
                new = {SETTINGS[name]: value for name, value in values.items()}
                path = f"{self.path_of(slot)}/config/appsettings"
                self.az.rest("put", path, self.VERSION, {"properties": there | new})

    def restart(self) -> None:
        """Do nothing: an app whose settings change starts anew."""


def secrets_in(settings: Mapping[str, str]) -> dict[str, str]:
    """Return the secrets that app settings have."""
    return {name: settings[setting] for name, setting in SETTINGS.items() if setting in settings}
