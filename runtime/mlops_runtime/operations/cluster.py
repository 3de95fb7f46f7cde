"""The objects of a project on the cluster: what a rollout reads there and changes."""

import copy
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from mlops_runtime.operations.kubectl import CHECKED_BY_SERVER, ClusterError, ConflictError, Kubectl, Object
from mlops_runtime.operations.releases import (
    COMPONENT,
    PREFIX,
    Release,
    State,
    champion_config_map,
    expendable,
    from_config_map,
    name_of,
    to_config_map,
)
from mlops_runtime.operations.replicas import Clock, Verified, verify_replicas, wait_until_complete
from mlops_runtime.operations.road import Live, Progress, Snapshot
from mlops_runtime.operations.verify import CONTAINER, verify_pod

FIELD_MANAGER = "mlops-runtime"
"""Owner of the fields that server-side apply writes."""
REPLICAS_MANAGER = "mlops-runtime-replicas"
"""Owner of the number of pods that an autoscaler has not changed yet."""
OWN_MANAGERS = {
    FIELD_MANAGER, REPLICAS_MANAGER, "kubectl-set", "kubectl-rollout", "kubectl-annotate", "kube-controller-manager",
}  # fmt: skip
"""Owners of fields that a rollout itself, or Kubernetes, has written."""
AUTOSCALER = "HorizontalPodAutoscaler"
MAX_RESTARTS = 2
"""Restarts of a container of a new pod after which the release counts as failed."""


class ProjectCluster:
    """The objects of one project in one namespace.

    Attributes:
        kubectl: for the namespace.
        project: name of the project, the prefix of its objects.
        say: receives a line about each step.
        clock: by which it waits.
        rollout_timeout: seconds in which the pods of a release must become ready.
        verify_timeout: seconds in which they must be verified.
    """

    unit = "pod"

    def __init__(
        self,
        kubectl: Kubectl,
        project: str,
        *,
        rollout_timeout: float,
        verify_timeout: float,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self.kubectl = kubectl
        self.project = project
        self.say = kubectl.say
        self.clock = Clock(now, kubectl.sleep, kubectl.say)
        self.rollout_timeout = rollout_timeout
        self.verify_timeout = verify_timeout

    @property
    def deployment(self) -> str:
        """Name of the Deployment."""
        return f"{self.project}-{CONTAINER}"

    @property
    def selector(self) -> str:
        """Labels of its pods."""
        return f"app={self.project},component={CONTAINER}"

    # What is there

    def releases(self) -> list[Release]:
        """Return the releases, ascending.

        Raises:
            ClusterError: if they cannot be read.
        """
        listed = self.kubectl.get("configmaps", "--selector", f"app={self.project},component={COMPONENT}")
        return releases_of(listed.get("items", []))

    def snapshot(self) -> Snapshot:
        """Return all that is known of the project, with one request.

        Raises:
            ClusterError: if it cannot be read.
        """
        kinds = "deployments,replicasets,pods,configmaps"
        items = self.kubectl.get(kinds, "--selector", f"app={self.project}").get("items", [])
        deployment = next((item for item in items if identity(item) == ("Deployment", self.deployment)), None)
        return Snapshot(
            live_of(deployment) if deployment else None,
            progress_of(items, self.deployment),
            releases_of(items),
        )

    def live(self) -> Live | None:
        """Return the Deployment as it is; None if there is none.

        Raises:
            ClusterError: if it cannot be read.
        """
        deployment = self.kubectl.get("deployment", self.deployment)
        return live_of(deployment) if deployment else None

    def adopted(self) -> list[Object]:
        """Return the Deployment as a manifest, for a project that was deployed before it had releases.

        Raises:
            ClusterError: if it cannot be read.
        """
        deployment = self.kubectl.get("deployment", self.deployment)
        metadata = {name: deployment["metadata"].get(name, {}) for name in ("name", "namespace", "labels")}
        return [
            {name: deployment[name] for name in ("apiVersion", "kind")}
            | {"metadata": metadata, "spec": deployment["spec"]}
        ]

    def progress(self) -> Progress:
        """Return how far the rollout of the Deployment is.

        Raises:
            ClusterError: if it cannot be read.
        """
        listed = self.kubectl.get("deployments,replicasets,pods", "--selector", self.selector)
        return progress_of(listed.get("items", []), self.deployment)

    def differences(
        self, manifests: Sequence[Object], live: Live, image: str = "", replicas: int | None = None
    ) -> list[str]:
        """Return where the cluster differs from manifests, a line for each field.

        The server itself says what an apply would make of the objects, defaults included.

        Args:
            manifests: to compare with.
            live: the Deployment as it is.
            image: of the web-service in the manifests; empty for the one that runs.
            replicas: number of pods in the manifests; None for the one that runs.

        Raises:
            ClusterError: if the objects cannot be compared.
        """
        pods = live.replicas if replicas is None else replicas
        content = as_list([completed(item, image or live.image, pods) for item in manifests])
        now = by_identity(self.kubectl.json("get", "--filename", "-", "--ignore-not-found", stdin=content))
        applied = by_identity(self.kubectl.json(*APPLY, "--dry-run=server", "--filename", "-", stdin=content))
        lines = []
        for key, item in applied.items():
            name = " ".join(key)
            if key not in now:
                lines.append(f"{name}: missing on the cluster")
            else:
                lines += [f"{name}: {line}" for line in compare(significant(now[key]), significant(item))]
        return lines

    def foreign_fields(self) -> list[str]:
        """Return the fields of the Deployment's specification that others have set, with who set them.

        Raises:
            ClusterError: if it cannot be read.
        """
        deployment = self.kubectl.get("deployment", self.deployment, "--show-managed-fields")
        fields = []
        for entry in deployment.get("metadata", {}).get("managedFields", []):
            if entry["manager"] not in OWN_MANAGERS and "subresource" not in entry:
                paths = leaf_fields(entry.get("fieldsV1", {}).get("f:spec", {}))
                fields += [f"spec.{path} (by {entry['manager']})" for path in paths]
        return fields

    # What a rollout changes

    def ensure_namespace(self, manifests: Sequence[Object]) -> None:
        """Create the namespace if it is missing. An existing one is left as it is: it may be somebody else's.

        Raises:
            ClusterError: if it is missing and cannot be created.
        """
        for item in manifests:
            if item["kind"] == "Namespace" and not self.kubectl.get("namespace", item["metadata"]["name"]):
                try:
                    self.kubectl.run("create", "--filename", "-", stdin=json.dumps(item))
                except ConflictError:
                    continue  # somebody else was faster

    def validate(self, manifests: Sequence[Object]) -> None:
        """Ask the server whether it would accept manifests; nothing is changed.

        Raises:
            ClusterError: if it would not.
        """
        try:
            self.kubectl.run(*APPLY, "--dry-run=server", "--filename", "-", stdin=as_list(manifests))
        except ClusterError as error:
            raise type(error)(f"{error}: nothing was changed") from error

    def save(self, release: Release) -> None:
        """Write the record of a release, and once it is verified, with which model a new one is compared.

        Raises:
            ClusterError: if it cannot be written.
        """
        config_maps = [to_config_map(release, self.project)]
        if release.state is State.VERIFIED:
            config_maps.append(champion_config_map(release, self.project))
        self.kubectl.run(*APPLY, "--filename", "-", stdin=as_list(config_maps))

    def forget(self, releases: Sequence[Release]) -> None:
        """Remove the records of the oldest releases.

        Raises:
            ClusterError: if they cannot be removed.
        """
        names = [name_of(self.project, release.number) for release in expendable(releases)]
        if names:
            self.kubectl.run("delete", "configmap", *names, "--ignore-not-found")

    def apply(self, release: Release, base: Release | None) -> None:
        """Change every object to that of a release, with the rollout of the Deployment paused, then the image; resume.

        Nobody sees a mixture of old and new: pods change once, when the rollout is resumed.

        Args:
            release: to apply.
            base: release that ran before, if there was one.

        Raises:
            ClusterError: if an object cannot be changed.
        """
        live = self.live()
        image = live.image if live else release.image
        if live is not None and replicas_of(release.manifests) is None:
            self._leave_replicas(release, live)
        replicas = self._replicas(release, base, live)
        objects = []
        for manifest in release.manifests:
            item = completed(manifest, image, replicas)
            if is_deployment(item):
                item["spec"]["paused"] = True
            objects.append(item)
        # The Deployment comes last: its pods need the others.
        objects.sort(key=is_deployment)
        self.kubectl.run(*APPLY, "--filename", "-", stdin=as_list(objects))
        self.kubectl.run("set", "image", f"deployment/{self.deployment}", f"{CONTAINER}={release.image}")
        # Kubernetes copies annotations to the current ReplicaSet, which from here on is that of the release.
        self._patch({"metadata": {"annotations": release.annotations()}, "spec": {"paused": False}})

    def _patch(self, change: Object) -> None:
        self.kubectl.run("patch", "deployment", self.deployment, "--type", "merge", "--patch", json.dumps(change))

    def _leave_replicas(self, release: Release, live: Live) -> None:
        """Leave the number of pods to the autoscaler: at that of the moment, or at its minimum if there are none.

        Server-side apply removes a field that nobody else owns and the manifest does not have, and Kubernetes then
        sets the number to 1. So another manager owns the field until the autoscaler changes it.
        """
        deployment = self.kubectl.get("deployment", self.deployment, "--show-managed-fields")
        if live.replicas and not owns_replicas(deployment):
            return
        change = {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": self.deployment},
            "spec": {"replicas": live.replicas or min_replicas_of(release.manifests)},
        }
        self.kubectl.run(*APPLY_AS, REPLICAS_MANAGER, "--filename", "-", stdin=json.dumps(change))

    def _replicas(self, release: Release, base: Release | None, live: Live | None) -> int | None:
        """Return the number of pods to ask for; None for that of the manifest."""
        if replicas_of(release.manifests) is None:
            return None
        if live is not None and not live.replicas:
            # Without a pod nothing could be verified.
            return replicas_of(release.manifests) or 1
        if live is None or base is None:
            return None
        wanted, before = replicas_of(release.manifests), replicas_of(base.manifests)
        if wanted != before or live.replicas == before:
            return None
        self.say(f"{live.replicas} pods are kept: somebody has scaled {self.deployment} from {before}")
        return live.replicas

    def move(self, release: Release) -> None:
        """Do nothing: a rolling update moves the traffic pod by pod, as pods become ready and before they are verified.

        `wait` has watched it.
        """

    def mark_verified(self, release: Release) -> None:
        """Say on the Deployment that a release was verified, and how.

        Raises:
            ClusterError: if it cannot be changed.
        """
        self._patch({"metadata": {"annotations": release.annotations() | release.verified_annotations()}})

    def remove(self, old: Release, new: Release) -> None:
        """Remove the objects that a release had and its successor has not.

        Raises:
            ClusterError: if one cannot be removed.
        """
        if is_adopted(new):
            return
        kept = {identity(item) for item in new.manifests}
        for item in old.manifests:
            if identity(item) not in kept:
                kind, name = identity(item)
                self.kubectl.run("delete", kind, name, "--ignore-not-found")

    def discard(self, failed: Release, base: Release) -> None:
        """Remove the objects and ReplicaSets that a failed release has left.

        Raises:
            ClusterError: if one cannot be removed.
        """
        self.remove(failed, base)
        if failed.image != base.image:
            self.remove_replica_set(failed.image)

    def remove_replica_set(self, image: str) -> None:
        """Remove the ReplicaSets of a failed release, so that `kubectl rollout undo` cannot go to it.

        Raises:
            ClusterError: if one cannot be removed.
        """
        listed = self.kubectl.get("replicasets", "--selector", self.selector)
        names = [item["metadata"]["name"] for item in listed.get("items", []) if image_of(item) == image]
        if names:
            self.kubectl.run("delete", "replicaset", *names, "--ignore-not-found")

    def stop(self) -> None:
        """Stop every pod.

        Raises:
            ClusterError: if the Deployment cannot be changed.
        """
        if self.live() is not None:
            self._patch({"spec": {"replicas": 0, "paused": False}})

    # What a rollout waits for

    def wait(self) -> None:
        """Wait until every pod is one of the new ReplicaSet and available, with a line for each change.

        Raises:
            RolloutError: if that cannot succeed, or takes longer than `rollout_timeout`.
            ClusterError: if the Deployment cannot be read.
        """
        wait_until_complete(self.progress, self.rollout_timeout, self.clock)

    def verify(self, version: str, progress: Progress | None = None) -> tuple[str, str]:
        """Verify every ready pod of the new ReplicaSet while pods come and go.

        Args:
            version: that each pod must report.
            progress: of the rollout, if it has just been read.

        Returns:
            What was verified, and the hash of the artefact.

        Raises:
            RolloutError: if a pod is wrong, or none could be verified within `verify_timeout`.
            ClusterError: if the pods cannot be listed.
        """
        first = [progress] if progress else []
        return verify_replicas(
            self.unit,
            lambda: first.pop() if first else self.progress(),
            lambda pod: self.verified(pod, version),
            self.verify_timeout,
            self.clock,
        )

    def verified(self, pod: str, version: str) -> Verified:
        """Verify a pod, and return what it was compared with.

        Args:
            pod: name of it.
            version: that it must report.

        Raises:
            WrongPredictionError: if it is wrong.
            ServiceError, ClusterError: if it could not be asked.
        """
        files = verify_pod(self.kubectl, pod, version)
        return Verified(len(files.golden_records), files.artefact)

    def diagnosis(self) -> str:
        """Return the state, the events and the logs of the pods, for the file that explains a failed rollout."""
        parts = []
        for arguments in (
            ("describe", "deployment", self.deployment),
            ("describe", "replicasets,pods", "--selector", self.selector),
            ("get", "events", "--sort-by", ".lastTimestamp"),
            ("logs", "--selector", self.selector, "--prefix", "--tail", "50"),
            ("logs", "--selector", self.selector, "--prefix", "--tail", "50", "--previous"),
        ):
            try:
                parts.append(f"$ kubectl {' '.join(arguments)}\n{self.kubectl.once(*arguments)}")
            except ClusterError as error:
                parts.append(f"$ kubectl {' '.join(arguments)}\n{error}\n")
        return "\n".join(parts)


APPLY_AS = ("apply", "--server-side", "--force-conflicts", CHECKED_BY_SERVER, "--field-manager")
APPLY = (*APPLY_AS, FIELD_MANAGER)


def as_list(items: Sequence[Object]) -> str:
    """Return objects as the JSON of a List, which kubectl reads as one file."""
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": list(items)})


def by_identity(content: Object) -> dict[tuple[str, str], Object]:
    """Return what kubectl prints, an object or a List of them, by kind and name."""
    items = content["items"] if content.get("kind") == "List" else [content] if content else []
    return {identity(item): item for item in items}


def is_deployment(item: Object) -> bool:
    """Return whether an object is the Deployment of the web-service."""
    return bool(item["kind"] == "Deployment" and image_of(item))


def is_adopted(release: Release) -> bool:
    """Return whether a release ran before releases were recorded: its other objects are not known."""
    return {item["kind"] for item in release.manifests} <= {"Deployment"}


def image_of(item: Object) -> str:
    """Return the image of the container of the web-service in a Deployment or ReplicaSet; empty without one."""
    for container in item["spec"]["template"]["spec"]["containers"]:
        if container["name"] == CONTAINER:
            return str(container["image"])
    return ""


def identity(item: Object) -> tuple[str, str]:
    """Return kind and name of an object."""
    return item["kind"], item["metadata"]["name"]


def replicas_of(manifests: Sequence[Object]) -> int | None:
    """Return the number of pods in the manifest of the Deployment."""
    return next((item["spec"].get("replicas") for item in manifests if item["kind"] == "Deployment"), None)


def min_replicas_of(manifests: Sequence[Object]) -> int:
    """Return the minimum of the autoscaler among the manifests; 1 without one."""
    return next((item["spec"].get("minReplicas") for item in manifests if item["kind"] == AUTOSCALER), None) or 1


def owns_replicas(deployment: Object) -> bool:
    """Return whether the number of pods of a Deployment was set by the manifest of a release."""
    return any(
        entry["manager"] == FIELD_MANAGER and "f:replicas" in entry.get("fieldsV1", {}).get("f:spec", {})
        for entry in deployment["metadata"].get("managedFields", [])
    )


def completed(manifest: Object, image: str, replicas: int | None) -> Object:
    """Return a manifest with an image of the web-service and a number of pods, if it is that of the Deployment."""
    item = copy.deepcopy(manifest)
    if item["kind"] != "Deployment":
        return item
    for container in item["spec"]["template"]["spec"]["containers"]:
        if container["name"] == CONTAINER and image:
            container["image"] = image
    if replicas is not None:
        item["spec"]["replicas"] = replicas
    return item


def significant(item: Object) -> Object:
    """Return an object without what the server counts and what a rollout itself writes."""
    item = copy.deepcopy(item)
    item.pop("status", None)
    metadata = item["metadata"]
    for name in ("managedFields", "resourceVersion", "uid", "creationTimestamp", "generation", "selfLink"):
        metadata.pop(name, None)
    annotations = metadata.pop("annotations", {})
    metadata["annotations"] = {
        name: value
        for name, value in annotations.items()
        if not name.startswith((f"{PREFIX}/", "kubernetes.io/", "deployment.kubernetes.io/", "kubectl.kubernetes.io/"))
    }
    if item["kind"] == "Deployment":
        item["spec"].pop("paused", None)
    return item


def compare(now: Any, wanted: Any, path: str = "") -> Iterator[str]:
    """Yield a line for each value that differs."""
    if isinstance(now, dict) and isinstance(wanted, dict):
        for name in sorted(now.keys() | wanted.keys()):
            yield from compare(now.get(name), wanted.get(name), f"{path}.{name}" if path else name)
    elif isinstance(now, list) and isinstance(wanted, list) and all_named(now) and all_named(wanted):
        before, after = ({item["name"]: item for item in items} for items in (now, wanted))
        for name in sorted(before.keys() | after.keys()):
            yield from compare(before.get(name), after.get(name), f"{path}[{name}]")
    elif now != wanted:
        yield f"{path} is {shown(now)}, would be {shown(wanted)}"


def all_named(items: Sequence[Any]) -> bool:
    """Return whether every item is an object with a name of its own."""
    names = [item["name"] for item in items if isinstance(item, dict) and isinstance(item.get("name"), str)]
    return len(set(names)) == len(items)


def shown(value: Any) -> str:
    """Return a value as short text."""
    text = "missing" if value is None else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 100 else f"{text[:97]}..."


def leaf_fields(fields: Mapping[str, Any], path: str = "") -> Iterator[str]:
    """Yield the paths of the fields in the form of `managedFields`."""
    for name, inner in fields.items():
        if name == ".":
            continue
        kind, _, rest = name.partition(":")
        step = rest if kind == "f" else f"[{'/'.join(map(str, json.loads(rest).values())) if kind == 'k' else rest}]"
        here = f"{path}.{step}" if path and kind == "f" else path + step
        if any(key != "." for key in inner):
            yield from leaf_fields(inner, here)
        else:
            yield here


def live_of(deployment: Object) -> Live:
    """Return what a rollout needs to know of the Deployment."""
    annotations = deployment["metadata"].get("annotations", {})
    return Live(
        release=int(annotations.get(f"{PREFIX}/release", 0)),
        image=image_of(deployment),
        paused=bool(deployment["spec"].get("paused")),
        replicas=deployment["spec"]["replicas"],
        labels=deployment["metadata"].get("labels", {}),
        environment=annotations.get(f"{PREFIX}/environment", ""),
    )


def releases_of(items: Sequence[Object]) -> list[Release]:
    """Return the releases that some ConfigMaps hold, ascending.

    Raises:
        ClusterError: if one cannot be read.
    """
    config_maps = [item for item in items if item["metadata"].get("labels", {}).get("component") == COMPONENT]
    try:
        return sorted(map(from_config_map, config_maps), key=lambda release: release.number)
    except ValueError as error:
        raise ClusterError(str(error)) from error


def progress_of(items: Sequence[Object], name: str) -> Progress:
    """Return how far the rollout of a Deployment is.

    Args:
        items: the Deployment, its ReplicaSets and its pods.
        name: of the Deployment.
    """
    deployment = next((item for item in items if identity(item) == ("Deployment", name)), None)
    if deployment is None:
        return Progress(False, f"Deployment {name} is missing", {}, f"somebody has deleted the Deployment {name}", "")
    metadata, spec, status = deployment["metadata"], deployment["spec"], deployment.get("status", {})
    desired = spec["replicas"]
    observed = status.get("observedGeneration", 0) >= metadata["generation"]
    counts = [status.get(name, 0) for name in ("replicas", "updatedReplicas", "availableReplicas")]
    new = newest_replica_set(items, deployment)
    pods = [
        item
        for item in items
        if item["kind"] == "Pod" and new and owner_of(item) == new["metadata"]["uid"] and is_active(item)
    ]
    ready = {pod["metadata"]["uid"]: pod["metadata"]["name"] for pod in pods if is_ready(pod)}
    trouble = next(filter(None, (trouble_of(pod) for pod in pods)), "") or condition_of(new, deployment)
    failure = next(filter(None, (failure_of(pod) for pod in pods)), "") if observed else ""
    return Progress(
        complete=observed and not spec.get("paused") and counts == [desired] * 3 and len(ready) >= desired,
        pods=f"{len(ready)} of {desired} new pods ready",
        ready=ready if observed else {},
        failure=failure,
        trouble=trouble if observed else "",
    )


def newest_replica_set(items: Sequence[Object], deployment: Object) -> Object | None:
    """Return the ReplicaSet of the current revision of a Deployment."""
    uid, revision = deployment["metadata"]["uid"], revision_of(deployment)
    sets = (item for item in items if item["kind"] == "ReplicaSet" and owner_of(item) == uid)
    return next((item for item in sets if revision_of(item) == revision), None)


def revision_of(item: Object) -> str:
    """Return the revision in the annotations of a Deployment or ReplicaSet."""
    return str(item["metadata"].get("annotations", {}).get("deployment.kubernetes.io/revision", ""))


def owner_of(item: Object) -> str:
    """Return the UID of the owner of an object."""
    return next((str(owner["uid"]) for owner in item["metadata"].get("ownerReferences", [])), "")


def is_active(pod: Object) -> bool:
    """Return whether a pod is neither being deleted nor has ended."""
    return "deletionTimestamp" not in pod["metadata"] and pod["status"].get("phase") in ("Pending", "Running")


def is_ready(pod: Object) -> bool:
    """Return whether a pod is ready."""
    conditions = {item["type"]: item["status"] for item in pod["status"].get("conditions", [])}
    return conditions.get("Ready") == "True"


def trouble_of(pod: Object) -> str:
    """Return what a pod waits for, as far as that is no normal start."""
    for status in pod["status"].get("containerStatuses", []):
        waiting = status.get("state", {}).get("waiting", {})
        if waiting.get("reason", "ContainerCreating") not in ("ContainerCreating", "PodInitializing"):
            message = str(waiting.get("message", ""))[:200]
            return f"{pod['metadata']['name']}: {waiting['reason']}{': ' if message else ''}{message}"
    for condition in pod["status"].get("conditions", []):
        if condition["type"] == "PodScheduled" and condition["status"] == "False":
            return f"{pod['metadata']['name']} has no node: {condition.get('message', '')}"
    return ""


def failure_of(pod: Object) -> str:
    """Return why a pod will not become ready."""
    for status in pod["status"].get("containerStatuses", []):
        reason = status.get("state", {}).get("waiting", {}).get("reason", "")
        restarts = status.get("restartCount", 0)
        if reason == "InvalidImageName" or (reason == "CrashLoopBackOff" and restarts >= MAX_RESTARTS):
            code = status.get("lastState", {}).get("terminated", {}).get("exitCode")
            ended = f" (exit status {code}, {restarts} restarts)" if code is not None else ""
            return f"pod {pod['metadata']['name']}: {reason}{ended}"
    return ""


def condition_of(replica_set: Object | None, deployment: Object) -> str:
    """Return why Kubernetes cannot create pods: a quota, for example."""
    for item in filter(None, (replica_set, deployment)):
        for condition in item.get("status", {}).get("conditions", []):
            if condition["type"] == "ReplicaFailure" and condition["status"] == "True":
                return str(condition.get("message", condition.get("reason", "")))
    return ""
