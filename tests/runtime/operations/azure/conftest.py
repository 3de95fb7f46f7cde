"""Azure in memory: a container app with revisions that answer as their image says, and blobs with leases."""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import pytest

from mlops_runtime.operations.azure.address import Address
from mlops_runtime.operations.azure.app import ContainerApp
from mlops_runtime.operations.azure.az import Az, AzureError
from mlops_runtime.operations.azure.container_apps import ContainerApps, release_of
from mlops_runtime.operations.azure.image_files import ModelFiles
from mlops_runtime.operations.azure.site import Site
from mlops_runtime.operations.azure.web_app import WebApp
from mlops_runtime.operations.golden import ServiceError, WrongPredictionError
from mlops_runtime.operations.releases import Release
from mlops_runtime.operations.replicas import Clock, Verified
from mlops_runtime.operations.settings import Settings
from tests.runtime.operations import conftest
from tests.runtime.operations.project_in_memory import ProjectInMemory
from tests.runtime.operations.test_rollout import WORKING

ENVIRONMENT = {
    "PROJECT": "x",
    "TEAM": "ward",
    "ENVIRONMENT": "production",
    "NAMESPACE": "x-app",
    "RESOURCE_GROUP": "x",
    "STORAGE_CONTAINER": "x-files",
}
RECORDS = "releases/production.jsonl"


@dataclass
class Blob:
    """A blob, its metadata and the lease on it."""

    text: str = ""
    metadata: dict[str, str] = field(default_factory=dict)
    lease: str = ""


@dataclass
class CloudInMemory(Az):
    """The command, for one resource and one container of Blob storage.

    Attributes:
        blobs: by name.
        commands: the first words of each command so far; of a request, method and path within the resource.
        failures: errors by the first words of a command.
        before_step: is called before and after each change, and may raise an exception.
    """

    blobs: dict[str, Blob] = field(default_factory=dict)
    commands: list[str] = field(default_factory=list)
    failures: dict[str, AzureError] = field(default_factory=dict)
    before_step: Callable[[], None] = lambda: None

    CHANGES: ClassVar[re.Pattern[str]]
    """Commands that change something."""

    def answer(self, command: str, options: dict[str, str], body: Any) -> Any:
        raise NotImplementedError

    def once(self, *arguments: str, timeout: float) -> None:
        del timeout
        self.text(*arguments)

    def text(self, *arguments: str, stdin: str = "") -> str:
        words, options = split(arguments)
        if words[0] == "rest":
            words = ["rest", options["--method"], options["--url"].partition("?")[0].partition("/x-app")[2]]
        command = " ".join(words).strip()
        self.commands.append(command)
        for start, error in self.failures.items():
            if command.startswith(start):
                raise error
        changes = command.startswith("storage blob upload") or self.CHANGES.search(command)
        if changes:
            self.before_step()
        body = json.loads(stdin) if stdin else None
        is_blob = command.startswith("storage blob ")
        answer = self._blob(words[2:], options) if is_blob else self.answer(command, options, body)
        if changes:
            self.before_step()
        return json.dumps(answer)

    def _blob(self, command: list[str], options: dict[str, str]) -> Any:
        name = options.get("--name") or options["--blob-name"]
        blob = self.blobs.get(name)
        if command[0] == "upload":
            if blob and blob.lease and options.get("--lease-id") != blob.lease:
                raise AzureError("az storage: lease", "LeaseIdMismatchWithBlobOperation")
            if blob and "--if-none-match" in options:
                raise AzureError("az storage: exists", "BlobAlreadyExists")
            key, _, value = options.get("--metadata", "").partition("=")
            text = Path(options["--file"]).read_text(encoding="utf-8")
            self.blobs[name] = Blob(text, {key: value}, blob.lease if blob else "")
            return {}
        if blob is None:
            raise AzureError("az storage: not found", "BlobNotFound")
        match command:
            case ["download"]:
                Path(options["--file"]).write_text(blob.text, encoding="utf-8")
            case ["lease", "acquire"]:
                if blob.lease not in ("", options["--proposed-lease-id"]):
                    raise AzureError("az storage: leased", "LeaseAlreadyPresent")
                blob.lease = options["--proposed-lease-id"]
            case ["lease", "renew"] if blob.lease != options["--lease-id"]:
                raise AzureError("az storage: lease", "LeaseIdMismatchWithLeaseOperation")
            case ["lease", "release"]:
                blob.lease = ""
        return {
            "metadata": blob.metadata,
            "properties": {"lease": {"status": "locked" if blob.lease else "unlocked"}},
        }


@dataclass
class AzInMemory(CloudInMemory):
    """The command, for one container app.

    Attributes:
        app: the resource; None if there is none.
        revisions: by name.
    """

    app: dict[str, Any] | None = None
    revisions: dict[str, dict[str, Any]] = field(default_factory=dict)

    CHANGES = re.compile("^rest (put|patch|delete)|activate|restart")

    def answer(self, command: str, options: dict[str, str], body: Any) -> Any:
        del options
        match command.split():
            case ["account", "show"] | ["containerapp", *_]:
                return {}
            case ["rest", "put" | "patch"]:
                return self._change(body)
            case ["rest", "get", "/revisions"]:
                return {"value": list(self.revisions.values())}
            case ["rest", "get", path] if path.endswith("/replicas"):
                return {"value": replicas_of(self.revisions[path.split("/")[2]])}
            case ["rest", "post", "/listSecrets"] if self.app:
                return {"value": self.app["properties"]["configuration"]["secrets"]}
            case ["rest", "post", path] if self.app:
                _, _, name, action = path.split("/")
                self.revisions[name]["properties"]["active"] = action != "deactivate"
                return None
            case ["rest", "delete"]:
                self.app, self.revisions = None, {}
                return None
            case ["rest", "get"] if self.app is not None:
                return self.app
        raise AzureError(f"az {command}: not found", "ResourceNotFound")

    def _change(self, body: dict[str, Any]) -> Any:
        properties = body["properties"]
        if "template" in properties:
            if "refused" in properties["template"]["containers"][0]["image"]:
                raise AzureError("az rest: the image is refused", "InvalidParameter")
            name = f"x-app--{properties['template']['revisionSuffix']}"
            assert name not in self.revisions
            facts = {"active": True, "template": properties["template"], "fqdn": name}
            self.revisions[name] = {"name": name, "properties": facts}
        if self.app is None:
            self.app = body | {"properties": properties | {"provisioningState": "Succeeded"}}
        configuration = self.app["properties"]["configuration"]
        ingress = configuration["ingress"] | properties["configuration"].get("ingress", {}) | {"fqdn": "app"}
        configuration |= properties["configuration"] | {"ingress": ingress}
        self.app["tags"] = self.app.get("tags", {}) | body.get("tags", {})
        return self.app

    @property
    def serving(self) -> list[dict[str, Any]]:
        """The active revisions that have traffic."""
        rules = self.app["properties"]["configuration"]["ingress"]["traffic"] if self.app else []
        names = {rule["revisionName"] for rule in rules}
        return [item for name, item in self.revisions.items() if name in names and item["properties"]["active"]]

    @property
    def active(self) -> list[str]:
        """Names of the active revisions."""
        return [name for name, item in self.revisions.items() if item["properties"]["active"]]


def split(arguments: tuple[str, ...]) -> tuple[list[str], dict[str, str]]:
    """Return the words of a command before its first option, and its options with their values."""
    first = next((index for index, each in enumerate(arguments) if each.startswith("--")), len(arguments))
    options = {
        each: arguments[index + 1] if index + 1 < len(arguments) and not arguments[index + 1].startswith("--") else ""
        for index, each in enumerate(arguments)
        if each.startswith("--")
    }
    return list(arguments[:first]), options


def image_in(revision: dict[str, Any]) -> str:
    """Return the image of a revision."""
    return str(revision["properties"]["template"]["containers"][0]["image"])


def replicas_of(revision: dict[str, Any]) -> list[dict[str, Any]]:
    """Return two replicas, which are ready unless their image crashes."""
    crashes = image_in(revision) == "crashes"
    container = {"ready": not crashes, "restartCount": 3 if crashes else 0, "runningState": "Running"}
    return [{"name": f"replica-{number}", "properties": {"containers": [container]}} for number in (1, 2)]


@dataclass
class AddressInMemory(Address):
    """Answers as the image of a revision says."""

    az: AzInMemory

    def verify(self, url: str, version: str, key: str, files: ModelFiles, replicas: int) -> Verified:
        del version
        assert key, "nobody is let in without a key"
        assert replicas == 2
        if image_in(self.az.revisions[url.removeprefix("https://")]) == "wrong":
            raise WrongPredictionError(f"{url} predicts a, not b")
        return Verified(len(files.golden_records), files.artefact)

    def watch(self, url: str, version: str, key: str, seconds: float, clock: Clock) -> None:
        del version, seconds, clock
        assert url == "https://app"
        assert key
        if [image_in(each) for each in self.az.serving] == ["fails under traffic"]:
            raise ServiceError(f"{url} returned status 500")

    def version(self, url: str, key: str) -> str:
        del key
        return f"version at {url}"


def platform_on(az: AzInMemory) -> ContainerApps:
    """Return the platform of a process."""
    clock = conftest.Clock()
    return ContainerApps(
        Settings(ENVIRONMENT),
        ContainerApp(az, "x", "x-app"),
        Clock(clock, clock.sleep, az.say),
        lambda _, image: ModelFiles([{"record": image}] * 9, "hash"),
        AddressInMemory(az),
    )


def in_memory() -> AzInMemory:
    return AzInMemory(("az",), say=lambda _: None, sleep=lambda _: None)


def manifests(number: int) -> list[dict[str, Any]]:
    container = {"name": "webservice", "env": [{"name": "WORKERS", "value": str(number)}]}
    template = {"containers": [container], "scale": {"minReplicas": 2}}
    properties = {"environmentId": "/env", "configuration": {"ingress": {"external": True}}, "template": template}
    return [{"kind": "ContainerApp", "metadata": {"name": "x-app"}, "resource": {"properties": properties}}]


@dataclass
class ContainerAppsInMemory(ProjectInMemory):
    """A project as a container app in memory."""

    az: AzInMemory = field(default_factory=in_memory)

    FIRST_HAS_TRAFFIC = True

    def platform(self) -> ContainerApps:
        return platform_on(self.az)

    def manifests(self, number: int) -> list[dict[str, Any]]:
        return manifests(number)

    def images_with_traffic(self) -> list[str]:
        return [image_in(item) for item in self.az.serving]

    def runs(self, release: Release) -> bool:
        """Return whether the revision of a release has the traffic, and no other one is active."""
        names = [item["name"] for item in self.az.serving]
        return [release_of(name) for name in names] == [release.number] and self.az.active == names

    def call_at_changes(self, step: Callable[[], None]) -> None:
        self.az.before_step = step

    def end_locks(self) -> None:
        for blob in self.az.blobs.values():
            blob.lease = ""


@dataclass
class SitesInMemory(CloudInMemory):
    """The command, for one web app and its staging slot.

    Attributes:
        slots: resource by the name of the slot.
        settings: app settings by the name of the slot.
        tier: of the plan; empty if there is none.
        restarts: names of slots whose instances have started anew.
    """

    slots: dict[str, dict[str, Any]] = field(default_factory=dict)
    settings: dict[str, dict[str, str]] = field(default_factory=dict)
    tier: str = "Standard"
    restarts: list[str] = field(default_factory=list)

    CHANGES = re.compile(r"^rest (put|delete)|^rest post .*(start|stop)$|^webapp")

    def answer(self, command: str, options: dict[str, str], body: Any) -> Any:
        slot = "staging" if "/slots/staging" in command else "production"
        words = command.replace("/slots/staging", "").split()
        if options.get("--url", "").startswith("/plan") and self.tier:
            return {"sku": {"tier": self.tier, "capacity": 2}}
        match words:
            case ["rest", "put"]:
                return self._put(slot, body)
            case ["rest", "put", "/config/appsettings"]:
                self.settings[slot] = body["properties"]
                self.restarts.append(slot)
                return body
            case ["webapp", "deployment", "slot", "swap"]:
                return self._swap()
            case ["webapp", "delete"]:
                del self.slots["production"], self.settings["production"]
                return None
            case _ if slot in self.slots:
                return self._asked(slot, words[1:])
        raise AzureError(f"az {command}: not found", "ResourceNotFound")

    def _asked(self, slot: str, words: list[str]) -> Any:
        match words:
            case ["get"]:
                return self.slots[slot]
            case ["get", "/instances"]:
                return {"value": [{"name": "0", "properties": {}}, {"name": "1", "properties": {}}]}
            case ["post", "/config/appsettings/list"]:
                return {"properties": self.settings[slot]}
            case ["post", "/containerlogs"]:
                return f"log of {slot}"
            case ["post", "/start" | "/stop"]:
                running = words[1] == "/start"
                self.slots[slot]["properties"]["state"] = "Running" if running else "Stopped"
                return None
            case ["delete"]:
                del self.slots[slot], self.settings[slot]
                return None
        raise AssertionError(f"unknown request: {words}")

    def _put(self, slot: str, body: dict[str, Any]) -> Any:
        config = dict(body["properties"]["siteConfig"])
        if "refused" in config["linuxFxVersion"]:
            raise AzureError("az rest: the image is refused", "BadRequest")
        state = self.slots[slot]["properties"]["state"] if slot in self.slots else "Running"
        self.settings[slot] = {item["name"]: item["value"] for item in config.pop("appSettings")}
        facts = {"state": state, "siteConfig": config, "defaultHostName": slot}
        self.slots[slot] = body | {"properties": body["properties"] | facts}
        self.restarts.append(slot)
        return self.slots[slot]

    def _swap(self) -> None:
        if self.slots["staging"]["properties"]["state"] != "Running" or self.image("staging") == "crashes":
            raise AzureError("az webapp: the 'staging' slot did not respond to http ping", "ExpectationFailed")
        first, second = (self.slots[slot]["properties"] for slot in ("production", "staging"))
        first["siteConfig"], second["siteConfig"] = second["siteConfig"], first["siteConfig"]
        first["state"], second["state"] = second["state"], first["state"]
        settings = self.settings
        settings["production"], settings["staging"] = settings["staging"], settings["production"]

    def image(self, slot: str) -> str:
        """Return the image of a slot, if it runs."""
        properties = self.slots[slot]["properties"] if slot in self.slots else {"state": ""}
        return (
            properties["siteConfig"]["linuxFxVersion"].removeprefix("DOCKER|")
            if properties["state"] == "Running"
            else ""
        )


@dataclass
class SlotAddress(Address):
    """Answers as the image of a slot says; the address of a slot is its name."""

    az: SitesInMemory

    def trouble(self, url: str, version: str, key: str, times: int) -> str:
        assert key, "nobody is let in without a key"
        assert times == 4
        del version
        return f"{url} returned status 503" if self.az.image(url.removeprefix("https://")) in ("", "crashes") else ""

    def verify(self, url: str, version: str, key: str, files: ModelFiles, replicas: int) -> Verified:
        del version
        assert key
        assert replicas == 2
        if self.az.image(url.removeprefix("https://")) == "wrong":
            raise WrongPredictionError(f"{url} predicts a, not b")
        return Verified(len(files.golden_records), files.artefact)

    def watch(self, url: str, version: str, key: str, seconds: float, clock: Clock) -> None:
        del version, seconds, clock
        assert url == "https://production"
        assert key
        if self.az.image("production") == "fails under traffic":
            raise ServiceError(f"{url} returned status 500")

    def version(self, url: str, key: str) -> str:
        del key
        return f"version at {url}"


def sites_in_memory() -> SitesInMemory:
    return SitesInMemory(("az",), say=lambda _: None, sleep=lambda _: None)


def web_app_on(az: SitesInMemory) -> WebApp:
    """Return the platform of a process."""
    clock = conftest.Clock()
    return WebApp(
        Settings(ENVIRONMENT | {"ROLLOUT_TIMEOUT": "20"}),  # less than the lock lasts without a renewal
        Site(az, "x", "x-app"),
        Clock(clock, clock.sleep, az.say),
        lambda _, image: ModelFiles([{"record": image}] * 9, "hash"),
        SlotAddress(az),
    )


@dataclass
class WebAppInMemory(ProjectInMemory):
    """A project as a web app in memory."""

    az: SitesInMemory = field(default_factory=sites_in_memory)

    FIRST_HAS_TRAFFIC = True

    def platform(self) -> WebApp:
        return web_app_on(self.az)

    def manifests(self, number: int) -> list[dict[str, Any]]:
        settings = [{"name": "WORKERS", "value": str(number)}, {"name": "ROOT_PATH", "value": ""}]
        properties = {"serverFarmId": "/plan", "siteConfig": {"alwaysOn": True, "appSettings": settings}}
        return [{"kind": "WebApp", "metadata": {"name": "x-app"}, "resource": {"properties": properties}}]

    def images_with_traffic(self) -> list[str]:
        image = self.az.image("production")
        return [image] if image else []

    def runs(self, release: Release) -> bool:
        """Return whether a release has the traffic, and the staging slot has no release that has failed."""
        live = self.platform().live()
        own = live is not None and (live.release, live.image) == (release.number, release.image)
        return own and self.az.image("staging") in ("", *WORKING)

    def call_at_changes(self, step: Callable[[], None]) -> None:
        self.az.before_step = step

    def end_locks(self) -> None:
        for blob in self.az.blobs.values():
            blob.lease = ""


@pytest.fixture
def sites() -> SitesInMemory:
    return sites_in_memory()


@pytest.fixture
def az() -> AzInMemory:
    return in_memory()
