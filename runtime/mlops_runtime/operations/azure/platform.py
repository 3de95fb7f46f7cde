"""What the roads to Azure have in common: records, lock and golden records in Blob storage, keys, the address.

A release is a resource as a file in azure/ has it, with the values of the settings that it names.
"""

import difflib
import json
from abc import abstractmethod
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import ClassVar, Generic, TypeVar

from mlops_runtime.operations.azure.address import Address
from mlops_runtime.operations.azure.az import Object
from mlops_runtime.operations.azure.image_files import ModelFiles, read_image
from mlops_runtime.operations.azure.keys import KeySecret
from mlops_runtime.operations.azure.records import Records
from mlops_runtime.operations.azure.resource import OPERATOR, Resource
from mlops_runtime.operations.recorded_platform import RecordedPlatform
from mlops_runtime.operations.releases import Release, expendable
from mlops_runtime.operations.replicas import Clock
from mlops_runtime.operations.settings import Settings

RENDERED = Path("build")
"""Folder of the resource, as `mlops_runtime.operations.azure.render` has written it."""

App = TypeVar("App", bound=Resource)


class AzurePlatform(RecordedPlatform, Generic[App]):
    """One project as one resource of Azure.

    Attributes:
        app: the resource that runs the service.
        records: of the releases.
        read_image: returns the files of an image.
        address: asks the service.
    """

    keys: KeySecret

    FILE: ClassVar[str]
    """Name of the file of the resource, without its suffix."""
    KIND: ClassVar[str]
    """Kind of the manifest of a release."""

    def __init__(
        self,
        settings: Settings,
        app: App,
        clock: Clock | None = None,
        read_image: Callable[[str, str], ModelFiles] = read_image,
        address: Address | None = None,
    ) -> None:
        """Read the settings.

        Raises:
            DeployError: if one is missing or not usable.
        """
        super().__init__(settings, clock or Clock(say=app.az.say), watch_seconds=10)
        self.app = app
        self.app.timeout = settings.rollout_timeout
        self.read_image = read_image
        self.address = address or Address()
        self.docker = settings.optional("DOCKER") or "docker"
        name = f"releases/{settings.environment}.jsonl"
        self.records = Records(app.az, settings.required("STORAGE_CONTAINER"), name, self.clock.now)
        self.keys = KeySecret(app)
        self._operator = ""
        self._files: dict[str, ModelFiles] = {}

    @property
    def service(self) -> str:
        """Name of the resource."""
        return self.app.name

    @property
    def place(self) -> str:
        """The resource group."""
        return f"resource group {self.app.group}"

    def check_access(self) -> None:
        """Do nothing: every command asks Azure next, which says so if nobody is logged in."""

    def check_options(self) -> None:
        """Do nothing: no setting of this platform needs what it may not have."""

    # Releases

    def releases(self) -> list[Release]:
        """Return the releases, ascending.

        Raises:
            AzureError: if they cannot be read.
        """
        return self.records.releases()

    def save(self, release: Release) -> None:
        """Write the record of a release.

        Raises:
            LockError, AzureError: if it cannot be written.
        """
        self.records.save(release)

    def forget(self, releases: Sequence[Release]) -> None:
        """Remove the records of the oldest releases.

        Raises:
            LockError, AzureError: if they cannot be removed.
        """
        gone = {release.number for release in expendable(releases)}
        if gone:
            self.records.keep([release for release in releases if release.number not in gone])

    def locked(self, who: str, wait: float) -> AbstractContextManager[Callable[[], None]]:
        """Hold the lock; yield what raises `LockError` once it is lost.

        Raises:
            LockError, AzureError: if it cannot be had.
        """
        return self.records.locked(who, wait)

    def lock_holder(self) -> str:
        """Return who holds the lock; empty if nobody does.

        Raises:
            AzureError: if that cannot be read.
        """
        return self.records.holder()

    # The resource

    def manifests(self) -> list[Object]:
        """Return the resource.

        Raises:
            OSError: if it was not rendered.
        """
        resource = json.loads((RENDERED / f"{self.FILE}.json").read_text(encoding="utf-8"))
        return [{"kind": self.KIND, "metadata": {"name": self.service}, "resource": resource}]

    def changes(self, base: Release, manifests: Sequence[Object]) -> list[str]:
        """Return how the resource differs from that of a release."""
        old, new = (
            json.dumps(resource_of(each), indent=1, sort_keys=True).splitlines() for each in (base.manifests, manifests)
        )
        return list(difflib.unified_diff(old, new, f"release {base.number}", f"{self.FILE}.yaml", n=1, lineterm=""))

    def tags_of(self, release: Release) -> dict[str, str]:
        """Return the tags of the resource of a release."""
        own = resource_of(release.manifests).get("tags") or {}
        return {"team": self.settings.team, "environment": release.environment} | own

    @property
    def kept(self) -> str:
        """What `destroy` leaves."""
        files = f"the files of {self.records.container}"
        return f"{self.place} with registry, storage and what the app runs in, images, and {files}"

    def destroy(self, who: str) -> list[str]:
        """Delete the resource and the records of its releases; return what was removed, a line each.

        Raises:
            LockError: if a deploy is under way.
            AzureError: if Azure refuses.
        """
        with self.records.locked(who, self.settings.wait) as check_lock:
            there = self.app.find() is not None
            if there:
                self.app.delete()
            check_lock()
            count = len(self.records.releases())
            self.records.keep([])
        return [
            *([f"app {self.service}, with its keys"] if there else []),
            *([f"records of {count} releases"] if count else []),
        ]

    # The service at its address

    @abstractmethod
    def url(self) -> str:
        """Return the address of the service; empty if there is none.

        Raises:
            AzureError: if Azure refuses.
        """

    def watch(self, release: Release, url: str) -> None:
        """Watch a release under traffic for `WATCH_SECONDS`.

        Raises:
            ServiceError: if the service does not answer rightly.
            AzureError: if Azure refuses.
        """
        self.address.watch(url, release.version, self.key(), self.watch_seconds, self.clock)

    def how_to_reach(self) -> str:
        """Return the address of the service."""
        url = self.url()
        return f"reach it: {url}" if url else "there is no app"

    def key(self) -> str:
        """Return the operator's key.

        Raises:
            AzureError: if Azure refuses.
        """
        if not self._operator:
            self._operator = (self.app.secrets() or {}).get(OPERATOR, "")
        return self._operator

    def files_of(self, image: str) -> ModelFiles:
        """Return the files of an image: they are kept beside the records, so that a rollback needs no image engine.

        Raises:
            AzureError: if the image has no golden records, or Azure refuses.
        """
        if image not in self._files:
            name = f"golden/{image.rpartition('@')[2].replace(':', '-')}.json"
            kept = self.records.get(name)
            if kept is None:
                self._files[image] = self.read_image(self.docker, image)
                self.records.put(name, self._files[image].to_json())
            else:
                self._files[image] = ModelFiles.from_json(kept)
        return self._files[image]


def resource_of(manifests: Sequence[Object]) -> Object:
    """Return the resource of a release."""
    resource: Object = manifests[0]["resource"]
    return resource
