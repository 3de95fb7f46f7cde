"""The road to Azure Container Apps: a second revision at 0 % of the traffic, which is verified and then gets all of it.

A release is the app as containerapp.yaml has it. Its revision has the number of the release in its name.
"""

import json
import re
from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import Any, Self

from mlops_runtime.operations.azure.app import ContainerApp, secrets_of
from mlops_runtime.operations.azure.az import AzureError, Object
from mlops_runtime.operations.azure.platform import AzurePlatform, resource_of
from mlops_runtime.operations.azure.resource import KEYS
from mlops_runtime.operations.golden import ServiceError
from mlops_runtime.operations.releases import Release
from mlops_runtime.operations.replicas import Verified
from mlops_runtime.operations.road import Live, Progress, Snapshot
from mlops_runtime.operations.settings import Settings

MAX_RESTARTS = 2
"""Restarts of a new replica after which the release counts as failed."""
SUFFIX = re.compile(r"--r(\d+)(?:-\d+)?\Z")
"""End of the name of a revision, with the number of its release."""


class ContainerApps(AzurePlatform[ContainerApp]):
    """One project as one container app."""

    unit = "revision"

    FILE = "containerapp"
    KIND = "ContainerApp"

    _placed = ""
    """Name of the revision that this run has placed."""

    @classmethod
    def from_environment(cls, settings: Settings, environment: Mapping[str, str]) -> Self:
        """Return the platform that make's settings name.

        Raises:
            DeployError: if a setting is missing.
        """
        return cls(settings, ContainerApp.from_environment(environment))

    # What is there

    def live(self) -> Live | None:
        """Return the release that has the traffic; None if its revision does not run.

        Raises:
            AzureError: if Azure refuses.
        """
        app = self.app.find()
        return live_of(app, self._traffic_of(app)) if app else None

    def snapshot(self) -> Snapshot:
        """Return all that is known of the project.

        Raises:
            AzureError: if it cannot be read.
        """
        app = self.app.find()
        revision = self._traffic_of(app) if app else None
        live = live_of(app, revision) if app else None
        progress = self._progress_of(revision)
        return Snapshot(live, progress, self.releases())

    def progress(self) -> Progress:
        """Return how far the revision is that was placed last by this process, or has the traffic.

        Raises:
            AzureError: if Azure refuses.
        """
        return self._progress_of(self._revision())

    def _revision(self) -> Object | None:
        """Return the revision that was placed last by this process, or has the traffic."""
        if self._placed:
            return next((each for each in self.app.revisions() if each["name"] == self._placed), None)
        app = self.app.find()
        return self._traffic_of(app) if app else None

    def _traffic_of(self, app: Object) -> Object | None:
        """Return the active revision that has the traffic."""
        name = name_with_traffic(app)
        return next((each for each in self.app.revisions() if each["name"] == name and is_active(each)), None)

    def _progress_of(self, revision: Object | None) -> Progress:
        return progress_of(revision, self.app.replicas(revision["name"]) if revision and is_active(revision) else [])

    # What a rollout changes

    def prepare(self, manifests: Sequence[Object]) -> None:
        """Check that the environment of the app is there.

        Raises:
            AzureError: if it is not.
        """
        path = resource_of(manifests)["properties"]["environmentId"]
        if self.app.az.find(path, "2025-01-01") is None:
            name = path.rpartition("/")[2]
            raise AzureError(f"there is no environment {name}: run make infrastructure; nothing was changed")

    def apply(self, release: Release, base: Release | None) -> None:
        """Place a release as a revision without traffic, or start the one that it had.

        A release that is restored and whose revision is ready gets the traffic back at once.

        Raises:
            AzureError: if Azure refuses the revision, or the image has no golden records.
        """
        self.files_of(release.image)
        app = self.app.find()
        revisions = self.app.revisions() if app else []
        own = [each for each in revisions if release_of(each["name"]) == release.number]
        same = next((each for each in reversed(own) if image_of(each) == release.image), None)
        if same is not None:
            self._placed = same["name"]
            if not is_active(same):
                self.app.act(same["name"], "activate")
            if release == base and self.progress().complete:
                self._give_traffic()
            return
        suffix = f"r{release.number}" + (f"-{len(own) + 1}" if own else "")
        self._placed = f"{self.app.name}--{suffix}"
        live = name_with_traffic(app) if app else ""
        # Where nothing runs, the traffic cannot stay where it is.
        traffic = live if any(each["name"] == live and is_active(each) for each in revisions) else self._placed
        self.app.change(self._body(release, suffix, traffic, first=app is None), app)

    def _body(self, release: Release, suffix: str, traffic: str, *, first: bool) -> Object:
        """Return the resource with what belongs to a release: image, name of the revision, traffic, secrets, tags.

        Args:
            release: that the resource is of.
            suffix: of the name of its revision.
            traffic: name of the revision that has the traffic.
            first: whether there is no app yet.
        """
        body = deepcopy(resource_of(release.manifests))
        body["tags"] = self.tags_of(release)
        template, configuration = body["properties"]["template"], body["properties"]["configuration"]
        template["revisionSuffix"] = suffix
        template["containers"][0]["image"] = release.image
        configuration["activeRevisionsMode"] = "Multiple"
        configuration["ingress"]["traffic"] = traffic_to(traffic)
        if first:
            if not self.keys.first:
                self.ensure_keys()
            configuration["secrets"] = secrets_of(self.keys.first)
        return body

    def give_traffic(self, release: Release) -> None:
        """Give a release the traffic, and watch it for `WATCH_SECONDS`.

        Raises:
            ServiceError: if the service does not answer rightly.
            AzureError: if Azure refuses.
        """
        self.watch(release, url_of(self._give_traffic()))

    def _give_traffic(self) -> Object:
        app = self.app.find()
        if app is not None and has_all_traffic(app, self._placed):
            return app
        traffic = {"ingress": {"traffic": traffic_to(self._placed)}}
        return self.app.change({"properties": {"configuration": traffic}}, app)

    def remove(self, old: Release, new: Release) -> None:
        """Stop every revision but that of the new release. Requests in flight get their answers.

        Raises:
            AzureError: if Azure refuses.
        """
        del old, new
        self._deactivate([each for each in self.app.revisions() if each["name"] != self._placed])

    def stop(self) -> None:
        """Stop every revision.

        Raises:
            AzureError: if Azure refuses.
        """
        if self.app.find() is not None:
            self._deactivate(self.app.revisions())

    def _deactivate(self, revisions: Sequence[Object]) -> None:
        for revision in filter(is_active, revisions):
            self.app.act(revision["name"], "deactivate")

    # What is asked of a revision

    def verify_replica(self, name: str, version: str) -> Verified:
        """Verify a revision at its own address.

        Raises:
            WrongPredictionError: if an answer is wrong.
            ServiceError, AzureError: if it cannot be asked.
        """
        revision = next(each for each in self.app.revisions() if each["name"] == name)
        url = f"https://{revision['properties']['fqdn']}"
        replicas = len(self.app.replicas(name))
        return self.address.verify(url, version, self.key(), self.files_of(image_of(revision)), replicas)

    def version_of(self, replica: str) -> str:
        """Return the version that a revision reports.

        Raises:
            ServiceError, AzureError: if it cannot be asked.
        """
        revision = next((each for each in self.app.revisions() if each["name"] == replica), None)
        if revision is None:
            raise ServiceError(f"{replica} has ended")
        return self.address.version(f"https://{revision['properties']['fqdn']}", self.key())

    # What people want to know

    def changes_by_hand(self, base: Release, live: Live) -> list[str]:
        """Return where the app differs from a release.

        Raises:
            AzureError: if Azure refuses.
        """
        app = self.app.find()
        if app is None:
            return ["the app is missing"]
        lines = []
        traffic = app["properties"]["configuration"]["ingress"].get("traffic") or ()
        if live.release != base.number or not has_all_traffic(app, name_with_traffic(app)):
            lines.append(f"traffic: {', '.join(shares_of(traffic))}")
        active = [each["name"] for each in filter(is_active, self.app.revisions())]
        others = [name for name in active if release_of(name) != base.number]
        lines += [f"revision {name} of another release is active" for name in others]
        if KEYS not in {item["name"] for item in app["properties"]["configuration"].get("secrets") or ()}:
            lines.append(f"the secret {KEYS} is missing")
        return lines

    def url(self) -> str:
        """Return the address of the app; empty if there is none.

        Raises:
            AzureError: if Azure refuses.
        """
        app = self.app.find()
        return url_of(app) if app else ""

    def diagnosis(self) -> str:
        """Return the states of revisions and replicas, and logs, for the file that explains a failed rollout."""
        parts = []
        for revision in filter(is_active, self.app.revisions()):
            name = revision["name"]
            where = ("--resource-group", self.app.group, "--name", self.app.name, "--revision", name)
            try:
                log = self.app.az.text("containerapp", "logs", "show", *where, "--tail", "50", "--format", "text")
            except AzureError as error:
                log = str(error)
            states = json.dumps([revision, *self.app.replicas(name)], indent=1)
            parts.append(f"$ az containerapp revision show --revision {name}\n{states}\n{log}")
        return "\n".join(parts)


def url_of(app: Object) -> str:
    """Return the address of an app."""
    return f"https://{app['properties']['configuration']['ingress']['fqdn']}"


def traffic_to(revision: str) -> list[Object]:
    """Return the rule that gives a revision all traffic."""
    return [{"revisionName": revision, "weight": 100}]


def has_all_traffic(app: Object, revision: str) -> bool:
    """Return whether a revision, by its name and not as the latest one, has all traffic."""
    rules = [rule for rule in app["properties"]["configuration"]["ingress"].get("traffic") or () if rule.get("weight")]
    return [rule.get("revisionName") for rule in rules] == [revision]


def name_with_traffic(app: Object) -> str:
    """Return the name of the revision with the most traffic."""
    properties = app["properties"]
    rules = properties["configuration"]["ingress"].get("traffic") or [{"latestRevision": True, "weight": 100}]
    most = max(rules, key=lambda rule: int(rule.get("weight") or 0))
    return str(most.get("revisionName") or properties.get("latestReadyRevisionName") or "")


def shares_of(traffic: Sequence[Object]) -> list[str]:
    """Return the shares of the traffic as text."""
    return [f"{rule.get('weight', 0)} % to {rule.get('revisionName') or 'the latest revision'}" for rule in traffic]


def release_of(revision: str) -> int:
    """Return the number of the release in the name of a revision; 0 if somebody else has named it."""
    match = SUFFIX.search(revision)
    return int(match[1]) if match else 0


def image_of(revision: Object) -> str:
    """Return the image of a revision."""
    return str(revision["properties"]["template"]["containers"][0]["image"])


def is_active(revision: Object) -> bool:
    """Return whether a revision runs."""
    return bool(revision["properties"]["active"])


def live_of(app: Object, revision: Object | None) -> Live | None:
    """Return what has the traffic; None if no revision that runs has it."""
    if revision is None:
        return None
    tags = app.get("tags") or {}
    return Live(
        release=release_of(revision["name"]),
        image=image_of(revision),
        paused=False,
        replicas=wanted(revision),
        labels={"team": tags["team"]} if "team" in tags else {},
        environment=str(tags.get("environment", "")),
    )


def wanted(revision: Object) -> int:
    """Return the replicas that a revision has at least."""
    scale = revision["properties"]["template"].get("scale") or {}
    return max(1, int(scale.get("minReplicas") or 0))


def progress_of(revision: Object | None, replicas: Sequence[Object]) -> Progress:
    """Return how far a revision is."""
    if revision is None:
        return Progress(complete=False, pods="0 replicas ready", ready={}, failure="", trouble="there is no revision")
    name, properties = revision["name"], revision["properties"]
    containers: list[tuple[str, dict[str, Any]]] = [
        (replica["name"], container) for replica in replicas for container in replica["properties"]["containers"]
    ]
    waiting = [(replica, container) for replica, container in containers if not container.get("ready")]
    ready = len(replicas) - len({replica for replica, _ in waiting})
    complete = ready >= wanted(revision)
    failed = [each for each in waiting if int(each[1].get("restartCount") or 0) >= MAX_RESTARTS]
    failure = f"replica {failed[0][0]}: {state_of(failed[0][1])}" if failed and not complete else ""
    if properties.get("provisioningState") == "Failed":
        failure = f"revision {name}: {properties.get('provisioningError') or 'provisioning failed'}"
    return Progress(
        complete=complete and not failure,
        pods=f"{ready} of {wanted(revision)} replicas ready",
        ready={name: name} if complete else {},
        failure=failure,
        trouble=f"{waiting[0][0]} is {state_of(waiting[0][1])}" if waiting else "",
    )


def state_of(container: Object) -> str:
    """Return the state of a container as text."""
    details = [str(container.get("runningStateDetails") or "")]
    restarts = int(container.get("restartCount") or 0)
    details += [f"{restarts} restarts"] if restarts else []
    text = ", ".join(filter(None, details))
    return f"{container.get('runningState') or 'Waiting'}{f' ({text})' if text else ''}"
