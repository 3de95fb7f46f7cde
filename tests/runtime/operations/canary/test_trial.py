"""A canary on a cluster in memory, whose pods count requests while time passes."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import pytest

from mlops_runtime.operations.canary.trial import (
    CanarySettings,
    ClusterCanary,
    canary_deployment,
    canary_replicas,
    own_objects,
)
from mlops_runtime.operations.cluster import ProjectCluster
from mlops_runtime.operations.errors import DeployError, RolloutError
from mlops_runtime.operations.golden import WrongPredictionError
from mlops_runtime.operations.kubectl import ClusterError, Object
from mlops_runtime.operations.releases import Release
from mlops_runtime.operations.replicas import Verified
from mlops_runtime.operations.settings import Settings
from tests.runtime.operations.conftest import Clock, KubectlInMemory

LABELS = {"app": "x", "component": "webservice"}
OLD, NEW = "x-webservice", "x-webservice-canary"
PROJECT = {"PROJECT": "x", "TEAM": "ward", "ENVIRONMENT": "production"}
REVISION = {"deployment.kubernetes.io/revision": "1"}


def manifest(kind: str, name: str) -> Object:
    return {"kind": kind, "metadata": {"name": name}}


def deployment() -> Object:
    """Return the manifest of the Deployment."""
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": OLD, "labels": dict(LABELS)},
        "spec": {
            "replicas": 2,
            "selector": {"matchLabels": dict(LABELS)},
            "template": {
                "metadata": {"labels": dict(LABELS)},
                "spec": {"containers": [{"name": "webservice", "image": "webservice"}]},
            },
        },
    }


def release(number: int, *others: Object) -> Release:
    return Release(
        number=number, version=f"v{number}", commit="", image=f"image@{number}", environment="production",
        manifests=[deployment(), manifest("Service", OLD), *others], contract={},
    )  # fmt: skip


BASE = release(1, manifest("ConfigMap", "settings-1"))
CANDIDATE = release(2, manifest("ConfigMap", "settings-2"), manifest("NetworkPolicy", "new"))


def with_pods(item: Object, pods: int) -> Iterator[Object]:
    """Yield a Deployment whose pods are ready, its ReplicaSet, and its pods."""
    name = item["metadata"]["name"]
    counts = dict.fromkeys(("replicas", "updatedReplicas", "availableReplicas"), pods)
    metadata = item["metadata"] | {"uid": name, "generation": 1, "annotations": REVISION}
    yield item | {
        "metadata": metadata,
        "spec": item["spec"] | {"replicas": pods},
        "status": counts | {"observedGeneration": 1},
    }
    yield {
        "kind": "ReplicaSet",
        "metadata": {
            "name": f"{name}-1", "uid": f"{name}-1", "labels": LABELS, "annotations": REVISION,
            "ownerReferences": [{"uid": name}],
        },
    }  # fmt: skip
    for number in range(pods):
        pod = f"{name}-1-{number}"
        yield {
            "kind": "Pod",
            "metadata": {"name": pod, "uid": pod, "labels": LABELS, "ownerReferences": [{"uid": f"{name}-1"}]},
            "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]},
        }


@dataclass
class Traffic:
    """What each pod counts in a second, by the Deployment that it is of."""

    clock: Clock
    errors: dict[str, float] = field(default_factory=dict)
    restarts: set[str] = field(default_factory=set)
    requests: float = 4.0

    def counts(self, pod: str) -> str:
        """Return what a pod has counted by now, as the program in it prints that."""
        name, seconds = pod.rsplit("-", 2)[0], self.clock.seconds
        failed = int(seconds * self.requests * self.errors.get(name, 0))
        answered = int(seconds * self.requests) - failed
        responses = ["responses", "/v1/predictions", "POST"]
        starts = int(seconds // 20) if name in self.restarts else 1
        return json.dumps([[*responses, "200", answered], [*responses, "500", failed], ["starts", starts]])


@dataclass(frozen=True)
class ClusterWithPods(KubectlInMemory):
    """A cluster that starts the pods of a canary at once."""

    traffic: Traffic = field(default_factory=lambda: Traffic(Clock()))
    unreadable: set[str] = field(default_factory=set)

    def _write(self, item: Object) -> None:
        if item["kind"] == "Deployment" and "status" not in item:
            self.put(*with_pods(item, item["spec"]["replicas"]))
        else:
            super()._write(item)

    def once(self, *arguments: str, stdin: str | None = None) -> str:
        if arguments[0] == "exec":
            if arguments[1].rsplit("-", 2)[0] in self.unreadable:
                raise ClusterError("the pod has ended")
            return self.traffic.counts(arguments[1])
        return super().once(*arguments, stdin=stdin)

    def deployments(self) -> set[str]:
        return {name for kind, name in self.objects if kind == "deployment"}


class VerifiedCluster(ProjectCluster):
    """A project whose pods predict rightly, unless they are wrong."""

    wrong = False

    def verified(self, pod: str, version: str) -> Verified:
        if self.wrong:
            raise WrongPredictionError(f"pod {pod} predicts benign")
        return Verified(10, version)


@pytest.fixture
def kubectl(clock: Clock) -> ClusterWithPods:
    """A cluster with two old pods."""
    said: list[str] = []
    cluster = ClusterWithPods(say=said.append, said=said, sleep=clock.sleep, traffic=Traffic(clock))
    cluster.put(*with_pods(deployment(), 2))
    cluster.commands.clear()
    return cluster


@pytest.fixture
def cluster(kubectl: ClusterWithPods, clock: Clock) -> VerifiedCluster:
    return VerifiedCluster(kubectl, "x", rollout_timeout=60, verify_timeout=30, now=clock)


@pytest.fixture
def canary(cluster: VerifiedCluster) -> ClusterCanary:
    return ClusterCanary(cluster, CanarySettings(enabled=True, share=0.1, seconds=120))


def test_a_good_canary_is_compared_for_its_time(canary: ClusterCanary, kubectl: ClusterWithPods, clock: Clock) -> None:
    # Given two old pods
    began = clock.seconds
    old = dict(kubectl.objects)

    # When a release is tried out, then it is not worse in the requests of two minutes
    assert canary.try_out(CANDIDATE, BASE).startswith("not worse in 480 requests beside 960 of the old pods")
    assert clock.seconds - began == 120

    # And its Deployment and its settings are there beside the old objects, which have not changed
    assert kubectl.deployments() == {OLD, NEW}
    assert {name for kind, name in kubectl.objects if kind == "configmap"} == {"settings-2"}
    assert ("networkpolicy", "new") not in kubectl.objects
    assert all(kubectl.objects[key] == item for key, item in old.items())
    assert "  1 canary pod beside 2: about 33% of new connections" in kubectl.said


def test_a_worse_canary_is_named_before_its_time_is_over(
    canary: ClusterCanary, kubectl: ClusterWithPods, clock: Clock
) -> None:
    kubectl.traffic.errors[NEW] = 0.5
    began = clock.seconds

    with pytest.raises(RolloutError, match=r"^worse than the old pods: server errors of all routes: 50\.0% of 40 with"):
        canary.try_out(CANDIDATE, BASE)

    assert clock.seconds - began == 10


def test_a_canary_without_traffic_is_said_to_have_too_little(canary: ClusterCanary, kubectl: ClusterWithPods) -> None:
    kubectl.traffic.requests = 0.1

    assert canary.try_out(CANDIDATE, BASE) == (
        "12 requests beside 24 of the old pods are too few to judge by (200 needed): promoted on its verification"
    )


def test_a_canary_that_predicts_wrongly_is_not_compared(
    canary: ClusterCanary, cluster: VerifiedCluster, clock: Clock
) -> None:
    cluster.wrong = True
    began = clock.seconds

    with pytest.raises(RolloutError, match=f"^pod {NEW}-1-0 predicts benign$"):
        canary.try_out(CANDIDATE, BASE)

    assert clock.seconds == began


def test_a_canary_whose_service_starts_again_is_worse(canary: ClusterCanary, kubectl: ClusterWithPods) -> None:
    kubectl.traffic.restarts.add(NEW)

    with pytest.raises(RolloutError, match="the service in the canary ended and started again 1 time, in the old pods"):
        canary.try_out(CANDIDATE, BASE)


def test_restarts_of_the_old_pods_as_well_are_no_fault_of_the_canary(
    canary: ClusterCanary, kubectl: ClusterWithPods
) -> None:
    kubectl.traffic.restarts |= {OLD, NEW}

    assert canary.try_out(CANDIDATE, BASE).startswith("not worse")


@pytest.mark.parametrize(("name", "which"), [(NEW, "canary"), (OLD, "old")])
def test_pods_that_cannot_be_read_cannot_be_compared(
    canary: ClusterCanary, kubectl: ClusterWithPods, name: str, which: str
) -> None:
    kubectl.unreadable.add(name)

    with pytest.raises(
        RolloutError,
        match=f"the metrics of no {which} pod could be read twice: the pod has ended; STRATEGY=rolling deploys without",
    ):
        canary.try_out(CANDIDATE, BASE)


def test_a_pod_of_the_canary_that_crashes_is_a_failure(
    canary: ClusterCanary, kubectl: ClusterWithPods, clock: Clock
) -> None:
    # Given a canary one of whose pods crashes after half a minute
    crash = {"state": {"waiting": {"reason": "CrashLoopBackOff"}}, "restartCount": 2, "lastState": {}}

    def sleep(seconds: float) -> None:
        clock.sleep(seconds)
        if clock.seconds >= 1030:
            kubectl.objects["pod", f"{NEW}-1-0"]["status"]["containerStatuses"] = [crash]

    canary.cluster.clock = replace(canary.cluster.clock, sleep=sleep)

    with pytest.raises(RolloutError, match=f"pod {NEW}-1-0: CrashLoopBackOff"):
        canary.try_out(CANDIDATE, BASE)


@pytest.mark.parametrize(
    ("base", "reason"),
    [
        (replace(BASE, manifests=[deployment()]), "none, as v1 ran before releases were recorded"),
        (BASE, "none, as no pod of v1 is ready"),
    ],
    ids=["adopted", "no pod"],
)
def test_without_pods_to_compare_with_there_is_no_canary(
    canary: ClusterCanary, kubectl: ClusterWithPods, base: Release, reason: str
) -> None:
    kubectl.put(*with_pods(deployment(), 0))
    for name in [name for kind, name in kubectl.objects if kind == "pod"]:
        del kubectl.objects["pod", name]

    assert canary.try_out(CANDIDATE, base) == reason
    assert kubectl.deployments() == {OLD}


def test_a_canary_is_removed(canary: ClusterCanary, kubectl: ClusterWithPods) -> None:
    canary.try_out(CANDIDATE, BASE)

    canary.remove()

    assert kubectl.deployments() == {OLD}
    assert ("configmap", "settings-2") in kubectl.objects


def test_a_failed_canary_is_removed_with_its_objects(canary: ClusterCanary, kubectl: ClusterWithPods) -> None:
    # Given an object of the new version that somebody else has put there, and that no canary gets
    canary.try_out(CANDIDATE, BASE)
    kubectl.put(manifest("NetworkPolicy", "new"))

    canary.discard(CANDIDATE, BASE)

    assert kubectl.deployments() == {OLD}
    assert ("configmap", "settings-2") not in kubectl.objects
    assert ("networkpolicy", "new") in kubectl.objects


def test_the_deployment_of_a_canary_has_a_selector_of_its_own() -> None:
    item = canary_deployment(CANDIDATE, NEW, 3)

    labels = {**LABELS, "track": "canary"}
    assert item["metadata"]["name"] == NEW
    assert item["spec"]["selector"]["matchLabels"] == labels
    assert item["spec"]["template"]["metadata"]["labels"] == labels
    assert item["spec"]["template"]["spec"]["containers"][0]["image"] == "image@2"
    assert item["spec"]["replicas"] == 3
    assert CANDIDATE.manifests[0] == deployment()


def test_a_canary_gets_what_its_pods_need_and_nobody_has() -> None:
    assert own_objects(CANDIDATE, BASE) == [manifest("ConfigMap", "settings-2")]


@pytest.mark.parametrize(
    ("share", "old", "replicas"), [(0.1, 2, 1), (0.1, 9, 1), (0.1, 20, 2), (0.25, 6, 2), (0.5, 4, 4)]
)
def test_the_pods_of_a_canary_are_a_share_of_all(share: float, old: int, replicas: int) -> None:
    assert canary_replicas(share, old) == replicas


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, CanarySettings(enabled=False, share=0.1, seconds=120)),
        (
            {"STRATEGY": "canary", "CANARY": "12.5%", "CANARY_FOR": "300s"},
            CanarySettings(enabled=True, share=0.125, seconds=300),
        ),
    ],
    ids=["by default", "given"],
)
def test_settings_are_read(given: dict[str, str], expected: CanarySettings) -> None:
    assert CanarySettings.of(Settings(PROJECT | given)) == expected


@pytest.mark.parametrize(
    ("name", "value", "advice"),
    [
        ("STRATEGY", "blue", "set it to rolling or canary"),
        ("CANARY", "0%", "set it to a share of at most 50%, as in 10%"),
        ("CANARY", "60%", "set it to a share of at most 50%, as in 10%"),
        ("CANARY", "few", "set it to a share of at most 50%, as in 10%"),
        ("CANARY_FOR", "5", "set it to at least 10 seconds"),
    ],
)
def test_a_setting_that_is_not_usable_is_named(name: str, value: str, advice: str) -> None:
    with pytest.raises(DeployError, match=f"^{name}={value} is not usable: {advice}$"):
        CanarySettings.of(Settings(PROJECT | {name: value}))
