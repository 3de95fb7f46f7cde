"""The road to a Web App for Containers: a staging slot that is verified at its own address, and then swapped.

A release is the web app as webapp.yaml has it. An app setting of its slot has the number of the release that it
repeats, or its own: after a swap, the version before stands by in the staging slot, and a rollback swaps back.
"""

import json
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from functools import cached_property
from typing import Self

from mlops_runtime.operations.azure.az import AzureAwayError, AzureError, Object
from mlops_runtime.operations.azure.platform import AzurePlatform, resource_of
from mlops_runtime.operations.azure.resource import KEYS, OPERATOR
from mlops_runtime.operations.azure.site import PRODUCTION, SETTINGS, STAGING, Site, secrets_in
from mlops_runtime.operations.errors import RolloutError
from mlops_runtime.operations.golden import ServiceError
from mlops_runtime.operations.releases import Release
from mlops_runtime.operations.replicas import Verified
from mlops_runtime.operations.road import Live, Progress, Snapshot
from mlops_runtime.operations.settings import Settings

RELEASE = "MLOPS_RELEASE"
"""App setting with the number of a release."""
WITHOUT_SLOTS = ("Free", "Shared", "Basic", "Dynamic")
"""Tiers of plans whose apps have no slots."""


@dataclass(frozen=True)
class Slot:
    """What a slot holds.

    Attributes:
        name: of the slot.
        site: the resource.
        settings: its app settings.
    """

    name: str
    site: Object
    settings: Mapping[str, str]

    @property
    def runs(self) -> bool:
        """Whether it was not stopped."""
        return bool(self.site["properties"].get("state") == "Running")

    @property
    def number(self) -> int:
        """Number of its release, or of the one that this repeats; 0 if no release of ours made it."""
        number = self.settings.get(RELEASE, "")
        return int(number) if number.isdecimal() else 0

    @property
    def image(self) -> str:
        """Its image."""
        return image_of(self.site)

    def holds(self, release: Release, secrets: Mapping[str, str]) -> bool:
        """Return whether it has a release, with the app settings that this gives it, and these secrets."""
        wanted = settings_of(release)
        return (
            (self.number, self.image, secrets_in(self.settings)) == (original(release), release.image, secrets)
            and {name: self.settings.get(name) for name in wanted} == wanted
        )  # fmt: skip


class WebApp(AzurePlatform[Site]):
    """One project as one web app."""

    unit = "slot"

    FILE = "webapp"
    KIND = "WebApp"

    _placed = ""
    """Name of the slot that this run has placed a release in."""
    _version = ""
    """Version of that release."""
    _workers = 0
    """Instances of the plan; 0 until they were asked for."""

    @classmethod
    def from_environment(cls, settings: Settings, environment: Mapping[str, str]) -> Self:
        """Return the platform that make's settings name.

        Raises:
            DeployError: if a setting is missing.
        """
        return cls(settings, Site.from_environment(environment))

    # What is there

    def live(self) -> Live | None:
        """Return the release that has the traffic; None if the app does not run.

        Raises:
            AzureError: if Azure refuses.
        """
        return self._live_of(self._read(PRODUCTION))

    def snapshot(self) -> Snapshot:
        """Return all that is known of the project.

        Raises:
            AzureError: if it cannot be read.
        """
        production = self._read(PRODUCTION)
        releases = self.releases()
        version = version_in(production, releases)
        return Snapshot(self._live_of(production), self._progress_of(PRODUCTION, version, production), releases)

    def progress(self) -> Progress:
        """Return how far the slot is that was placed last by this process, or has the traffic.

        Raises:
            AzureError: if Azure refuses.
        """
        slot = self._placed or PRODUCTION
        if not self._version:
            self._version = version_in(self._read(slot), self.releases())
        return self._progress_of(slot, self._version)

    @cached_property
    def _sites(self) -> dict[str, Object]:
        """Sites by slot, as they were read last."""
        return {}

    def _site(self, name: str) -> Object | None:
        site = self.app.find(name)
        self._sites.pop(name, None)
        if site is not None:
            self._sites[name] = site
        return site

    def _read(self, name: str) -> Slot | None:
        site = self._site(name)
        settings = self.app.settings(name) if site else None
        return Slot(name, site, settings) if site and settings is not None else None

    def _live_of(self, production: Slot | None) -> Live | None:
        if production is None or not production.runs:
            return None
        release = release_in(production, self.releases())
        tags = production.site.get("tags") or {}
        return Live(
            release=release.number if release else production.number,
            image=production.image,
            paused=False,
            replicas=1,
            labels={"team": tags["team"]} if "team" in tags else {},
            environment=str(tags.get("environment", "")),
        )

    def _progress_of(self, name: str, version: str, slot: Slot | None = None) -> Progress:
        """Return how far a slot is: whether all of its instances answer as a version."""
        site = slot.site if slot else self._site(name)
        if site is None or site["properties"].get("state") != "Running":
            trouble = "it is stopped" if site else "it is missing"
            return Progress(complete=False, pods=f"{name} is not ready", ready={}, failure="", trouble=trouble)
        trouble = self.address.trouble(url_of(site), version, self.key(), 2 * self._instances(site))
        return Progress(
            complete=not trouble,
            pods=f"{name} is {'not ' if trouble else ''}ready",
            ready={} if trouble else {name: name},
            failure="",
            trouble=trouble,
        )

    # What a rollout changes

    def prepare(self, manifests: Sequence[Object]) -> None:
        """Check that the plan of the app is there, and has slots.

        Raises:
            AzureError: if it is not.
        """
        path = resource_of(manifests)["properties"]["serverFarmId"]
        name, plan = path.rpartition("/")[2], self.app.az.find(path, self.app.VERSION)
        if plan is None:
            raise AzureError(f"there is no plan {name}: run make infrastructure; nothing was changed")
        tier = str((plan.get("sku") or {}).get("tier", "")).capitalize()
        if tier in WITHOUT_SLOTS:
            remedy = f"az appservice plan update --name {name} --resource-group {self.app.group} --sku S1"
            raise AzureError(f"the apps of a plan in the tier {tier} have no slots: {remedy}; nothing was changed")

    def apply(self, release: Release, base: Release | None) -> None:
        """Place a release in the staging slot, unless a slot has it already.

        A release that is restored and whose slot is ready gets the traffic back at once. Where nothing runs, the
        release is placed where the traffic is: an app without traffic has no slot with traffic either.

        Raises:
            RolloutError: if the slots cannot be swapped.
            AzureError: if Azure refuses the release, or the image has no golden records.
        """
        self.files_of(release.image)
        production, staging = self._read(PRODUCTION), self._read(STAGING)
        secrets = secrets_in(production.settings) if production else {}
        self._version = release.version
        there = next((slot for slot in (production, staging) if slot and slot.holds(release, secrets)), None)
        if there is not None:
            self._placed = there.name
            if not there.runs:
                self.app.act(there.name, "start")
            if release == base and there.name == STAGING and self.progress().complete:
                self._swap()
            return
        slot = staging if production and production.runs else production
        self._placed = STAGING if production and production.runs else PRODUCTION
        self.app.put(self._placed, self._body(release, secrets))
        if slot is not None and not slot.runs:
            self.app.act(slot.name, "start")

    def _body(self, release: Release, secrets: Mapping[str, str]) -> Object:
        """Return the resource with what belongs to a release: image, number, secrets, tags."""
        if not secrets.keys() >= {KEYS, OPERATOR}:
            self.ensure_keys()
            secrets = self.keys.first
        body = deepcopy(resource_of(release.manifests))
        body["tags"] = self.tags_of(release)
        own = {SETTINGS[name]: value for name, value in secrets.items()} | {RELEASE: str(original(release))}
        body["properties"]["siteConfig"] |= {
            "linuxFxVersion": f"DOCKER|{release.image}",
            "appSettings": [{"name": name, "value": value} for name, value in (settings_of(release) | own).items()],
        }
        return body

    def give_traffic(self, release: Release) -> None:
        """Give a release the traffic, and watch it for `WATCH_SECONDS`.

        Raises:
            ServiceError: if the service does not answer rightly.
            RolloutError: if the slots cannot be swapped.
            AzureError: if Azure refuses.
        """
        if self._placed == STAGING:
            self._swap()
        # A host name stays with its slot.
        self.watch(release, url_of(self._known(PRODUCTION)))

    def _swap(self) -> None:
        try:
            self.app.swap()
        except AzureAwayError:
            raise
        except AzureError as error:
            raise RolloutError(f"the slots were not swapped: {error}") from error
        self._placed = PRODUCTION

    def remove(self, old: Release, new: Release) -> None:
        """Do nothing: the old release stands by in the staging slot."""
        del old, new

    def discard(self, failed: Release, base: Release) -> None:
        """Stop the staging slot if it has a failed release.

        Raises:
            AzureError: if Azure refuses.
        """
        del base
        staging = self._read(STAGING)
        if staging is not None and staging.runs and staging.number == original(failed):
            self.app.act(STAGING, "stop")

    def stop(self) -> None:
        """Stop both slots.

        Raises:
            AzureError: if Azure refuses.
        """
        for name in (PRODUCTION, STAGING):
            if self.app.find(name) is not None:
                self.app.act(name, "stop")

    # What is asked of a slot

    def verify_replica(self, name: str, version: str) -> Verified:
        """Verify a slot at its own address.

        Raises:
            WrongPredictionError: if an answer is wrong.
            ServiceError, AzureError: if it cannot be asked.
        """
        site = self._known(name)
        files = self.files_of(image_of(site))
        return self.address.verify(url_of(site), version, self.key(), files, self._instances(site))

    def version_of(self, replica: str) -> str:
        """Return the version that a slot reports.

        Raises:
            ServiceError, AzureError: if it cannot be asked.
        """
        return self.address.version(url_of(self._known(replica)), self.key())

    def _known(self, name: str) -> Object:
        """Return a slot as it was read last."""
        site = self._sites.get(name) or self._site(name)
        if site is None:
            raise ServiceError(f"the slot {name} is missing")
        return site

    def _instances(self, site: Object) -> int:
        if not self._workers:
            self._workers = self.app.workers(site["properties"]["serverFarmId"])
        return self._workers

    # What people want to know

    def changes_by_hand(self, base: Release, live: Live) -> list[str]:
        """Return where the app differs from a release.

        Raises:
            AzureError: if Azure refuses.
        """
        production = self._read(PRODUCTION)
        if production is None:
            return ["the app is missing"]
        lines = [] if live.release == base.number else [f"release {live.release} has the traffic"]
        if production.image != base.image:
            lines.append(f"the image is {production.image}")
        wanted = settings_of(base)
        changed = [name for name in wanted if production.settings.get(name) != wanted[name]]
        # A value may be a secret.
        lines += [f"the app setting {name} is another one" for name in changed]
        missing = [setting for setting in SETTINGS.values() if setting not in production.settings]
        return lines + [f"the app setting {name} is missing" for name in missing]

    def url(self) -> str:
        """Return the address of the app; empty if there is none.

        Raises:
            AzureError: if Azure refuses.
        """
        site = self.app.find()
        return url_of(site) if site else ""

    def diagnosis(self) -> str:
        """Return states and logs of the slots, for the file that explains a failed rollout."""
        parts = []
        for name in (PRODUCTION, STAGING):
            site = self.app.find(name)
            if site is None:
                continue
            try:
                log = self.app.log(name)
            except AzureError as error:
                log = str(error)
            states = json.dumps([site, *self.app.instances(name)], indent=1)
            parts.append(f"$ az webapp show --slot {name}\n{states}\n$ az webapp log tail --slot {name}\n{log}")
        return "\n".join(parts)


def settings_of(release: Release) -> dict[str, str]:
    """Return the app settings of a release by name, without those that have no value."""
    listed = resource_of(release.manifests)["properties"]["siteConfig"].get("appSettings") or ()
    return {item["name"]: str(item["value"]) for item in listed if item.get("value", "") != ""}


def original(release: Release) -> int:
    """Return the number of the release that a release repeats, or its own."""
    return release.origin or release.number


def release_in(slot: Slot, releases: Sequence[Release]) -> Release | None:
    """Return the last release that is, or repeats, the one that a slot has; None if it is of no release."""
    return next((each for each in reversed(releases) if original(each) == slot.number), None)


def version_in(slot: Slot | None, releases: Sequence[Release]) -> str:
    """Return the version that a slot has; empty if it is of no release."""
    release = release_in(slot, releases) if slot else None
    return release.version if release else ""


def image_of(site: Object) -> str:
    """Return the image of a slot."""
    return str(site["properties"]["siteConfig"].get("linuxFxVersion") or "").removeprefix("DOCKER|")


def url_of(site: Object) -> str:
    """Return the address of a slot."""
    return f"https://{site['properties']['defaultHostName']}"
