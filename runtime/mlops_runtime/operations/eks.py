"""The road to Kubernetes on EKS: a rolling update, in which pods come and go one by one, perhaps after a canary."""

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Self

from mlops_runtime.operations.canary.trial import CanarySettings, ClusterCanary
from mlops_runtime.operations.cluster import ProjectCluster, compare, identity, image_of, is_deployment, replicas_of
from mlops_runtime.operations.dashboard import dashboard_key
from mlops_runtime.operations.golden import ServiceError
from mlops_runtime.operations.keys import Secret, ensure, ensure_for_pod
from mlops_runtime.operations.kubectl import ClusterError, ForbiddenError, Kubectl, Object
from mlops_runtime.operations.lease import holder_of, locked, shown
from mlops_runtime.operations.manifest_options import CUSTOM_KINDS
from mlops_runtime.operations.monitoring import CALLER, monitor_key
from mlops_runtime.operations.releases import COMPONENT, Release, State, now
from mlops_runtime.operations.road import Canary, Live
from mlops_runtime.operations.settings import Settings, say
from mlops_runtime.operations.verify import version_of

RENDERED = Path("build/k8s/webservice.json")

CONTENT_HASH = re.compile(r"-[0-9a-z]{10}$")

OTHER_KINDS = {"ConfigMap", "CronJob", "Deployment", "Job", "ServiceAccount"}
"""Kinds of what training on the cluster has made, and a deploy before releases were recorded."""


class EksPlatform(ProjectCluster):
    """One project in one namespace of a cluster.

    Attributes:
        settings: of the project.
        plain_kubectl: repeats every command while the API server is away, also while this process holds no lock.
        cluster: that kubectl must be set to.
        region: of AWS, in which it is.
        canary: of a release.
    """

    def __init__(self, settings: Settings, kubectl: Kubectl) -> None:
        """Read the settings of a cluster.

        Raises:
            DeployError: if one is missing, or not usable.
        """
        super().__init__(
            kubectl,
            settings.project,
            rollout_timeout=settings.rollout_timeout,
            verify_timeout=settings.verify_timeout,
        )
        self.settings = settings
        self.plain_kubectl = kubectl
        self.cluster = settings.required("CLUSTER")
        self.region = settings.required("AWS_REGION")
        self.lock_name = f"{settings.project}-deploy"
        self.canary: Canary | None = ClusterCanary(self, CanarySettings.of(settings))

    @classmethod
    def from_environment(cls, settings: Settings, environment: Mapping[str, str]) -> Self:
        """Return the platform that make's settings name.

        Raises:
            DeployError, ClusterError: if a setting is missing.
        """
        return cls(settings, Kubectl.from_environment(environment, say))

    @property
    def service(self) -> str:
        """Name of the Deployment."""
        return self.deployment

    @property
    def place(self) -> str:
        """The namespace."""
        return f"namespace {self.kubectl.namespace}"

    def check_access(self) -> None:
        """Check that kubectl is set to the cluster of the project.

        Raises:
            ClusterError: if it is set to another one.
        """
        self.plain_kubectl.check_cluster(self.cluster, self.region)

    def check_options(self) -> None:
        """Check that the cluster has the kinds of the objects that settings turn on.

        Raises:
            ClusterError: if it has not.
        """
        for setting, (version, kinds, provider) in CUSTOM_KINDS.items():
            if self.settings.optional(setting) and (missing := kinds - self.plain_kubectl.kinds(version)):
                raise ClusterError(
                    f"{setting} is set, and the cluster has no {' and no '.join(sorted(missing))} of {version}:"
                    f" install {provider} there, or set {setting} to nothing"
                )

    @contextmanager
    def locked(self, who: str, wait: float) -> Iterator[Callable[[], None]]:
        """Hold the Lease; yield what raises `LockError` once somebody else has taken it over.

        Raises:
            LockError, ClusterError: if it cannot be had.
        """
        with locked(self.plain_kubectl, self.lock_name, who, wait) as lock:
            # A command that is repeated after an outage must not meet the release of whoever has the lock by then.
            self.kubectl = replace(self.plain_kubectl, before_retry=lock.check)
            yield lock.check

    def lock_holder(self) -> str:
        """Return who holds the Lease; empty if nobody does.

        Raises:
            ClusterError: if it cannot be read.
        """
        return shown(holder_of(self.plain_kubectl.get("lease", self.lock_name)))

    def manifests(self) -> list[Object]:
        """Return the objects of the project, without the namespace that they are in."""
        return without_namespace(rendered())

    def prepare(self, manifests: Sequence[Object]) -> None:
        """Create the namespace if it is missing, and ask the server whether it would accept the manifests.

        Raises:
            ClusterError: if it would not.
        """
        self.ensure_namespace(rendered())
        self.validate(manifests)

    def ensure_keys(self) -> bool:
        """Create the Secret with a first key, if there is none; return whether it was created.

        Prometheus gets a key of its own where SERVICE_MONITOR makes it read the metrics.

        Raises:
            DeployError, KeysError, ClusterError: if it cannot be created.
        """
        store = Secret(self.plain_kubectl, self.settings.required("KEYS_SECRET"), self.selector)
        created = ensure(store)
        if self.settings.optional("SERVICE_MONITOR"):
            labels = {"app": self.project, "component": CALLER}
            ensure_for_pod(store, CALLER, monitor_key(self.project), labels)
        return created

    def adopt(self, who: str) -> Release | None:
        """Return what runs as a release, if it was deployed before releases were recorded.

        Raises:
            ClusterError: if the cluster cannot be read.
        """
        live = self.live()
        if live is None or live.release or self.releases():
            return None
        pods = list(self.progress().ready.values())
        if not pods:
            return None
        try:
            version = version_of(self.plain_kubectl, pods[0])
        except ServiceError:
            return None  # what cannot be asked now could not be verified after an undo either
        release = Release(
            number=1, version=version, commit="", image=live.image, environment=self.settings.environment,
            manifests=self.adopted(), contract={}, who=who, started=now(),
        )  # fmt: skip
        return release.to(State.VERIFIED, "ran before releases were recorded")

    def version_of(self, replica: str) -> str:
        """Return the version that a pod reports.

        Raises:
            ServiceError, ClusterError: if it cannot be asked.
        """
        try:
            return version_of(self.plain_kubectl, replica)
        except ForbiddenError:
            return "a version that only operators may ask for"

    def changes_by_hand(self, base: Release, live: Live) -> list[str]:
        """Return where the cluster differs from a release.

        Raises:
            ClusterError: if the objects cannot be compared.
        """
        return self.differences(base.manifests, live, base.image)

    def preview(self, manifests: Sequence[Object], base: Release | None, live: Live) -> list[str]:
        """Return what a deploy of manifests would change on the cluster.

        Raises:
            ClusterError: if the objects cannot be compared.
        """
        before = base.manifests if base else ()
        renamed = renamed_config_maps(before, manifests)
        scaled = base is not None and replicas_of(manifests) == replicas_of(before)
        replicas = None if scaled else replicas_of(manifests)
        others = [item for item in manifests if identity(item) not in {identity(new) for _, new in renamed}]
        lines = []
        for old, new in renamed:
            changes = compare(old.get("data", {}), new.get("data", {}))
            lines += [f"{' '.join(identity(new))}: {change}" for change in changes]
        lines += self.differences(others, live, image_of_manifests(manifests), replicas)
        kept = {identity(item) for item in [*manifests, *(old for old, _ in renamed)]}
        lines += [f"{' '.join(identity(item))}: would be deleted" for item in before if identity(item) not in kept]
        return lines

    def how_to_reach(self) -> str:
        """Return the command that forwards a port to the service."""
        kubectl = " ".join([*self.kubectl.command, "--namespace", self.kubectl.namespace])
        return f"reach it: {kubectl} port-forward service/{self.deployment} 8000:80, then http://127.0.0.1:8000"

    @property
    def kept(self) -> str:
        """What `destroy` leaves."""
        return (
            f"namespace {self.kubectl.namespace} with the rights in it, the images, and the stack;"
            " once its repositories are empty, aws cloudformation delete-stack removes it, except for the bucket"
        )

    def destroy(self, who: str) -> list[str]:
        """Remove what deploys and training jobs have made, the records last; return what was removed, a line each.

        Raises:
            LockError: if a deploy is under way.
            ClusterError: if an object cannot be removed.
        """
        secrets = (
            "secret",
            self.settings.required("KEYS_SECRET"),
            dashboard_key(self.project),
            monitor_key(self.project),
        )
        own = f"app={self.project}"
        with self.locked(who, self.settings.wait):
            kinds = {item["kind"] for release in self.releases() for item in release.manifests}
            # The keys first: none of the project's groups may remove them, and nothing else is to be gone by then.
            return [
                *self._delete(*secrets),
                *self._delete(",".join(sorted(kinds | OTHER_KINDS)), "--selector", f"{own},component!={COMPONENT}"),
                *self._delete("configmap", "--selector", f"{own},component={COMPONENT}"),
                *self._delete("lease", self.lock_name),
            ]

    def _delete(self, *arguments: str) -> list[str]:
        return self.kubectl.run("delete", *arguments, "--ignore-not-found", "--output", "name").splitlines()


def rendered() -> list[Object]:
    """Return every object of the project, as `mlops_runtime.operations.manifests` has rendered it."""
    objects: list[Object] = json.loads(RENDERED.read_text(encoding="utf-8"))
    return objects


def without_namespace(manifests: Sequence[Object]) -> list[Object]:
    """Return the manifests of the objects inside the namespace."""
    return [item for item in manifests if item["kind"] != "Namespace"]


def image_of_manifests(manifests: Sequence[Object]) -> str:
    """Return the image of the web-service in the manifests; empty without one."""
    return next((image_of(item) for item in manifests if is_deployment(item)), "")


def renamed_config_maps(before: Sequence[Object], after: Sequence[Object]) -> list[tuple[Object, Object]]:
    """Return the ConfigMaps that differ from their predecessors, as pairs: kustomize ends their names with a hash."""
    predecessors = {name_without_hash(item): item for item in before if item["kind"] == "ConfigMap"}
    successors = [item for item in after if item["kind"] == "ConfigMap"]
    pairs = [(predecessors[name], item) for item in successors if (name := name_without_hash(item)) in predecessors]
    return [(old, new) for old, new in pairs if identity(old) != identity(new)]


def name_without_hash(item: Object) -> str:
    """Return the name of an object without the ten characters that kustomize adds."""
    return CONTENT_HASH.sub("", item["metadata"]["name"])
