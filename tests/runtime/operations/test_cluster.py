import json
from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_runtime.operations.cluster import (
    ProjectCluster,
    compare,
    completed,
    leaf_fields,
    progress_of,
    significant,
)
from mlops_runtime.operations.errors import RolloutError
from mlops_runtime.operations.kubectl import ClusterError, Object
from mlops_runtime.operations.releases import Release, State
from mlops_runtime.operations.road import Progress
from tests.runtime.operations.conftest import Clock, KubectlInMemory

NAME = "x-webservice"
LABELS = {"app": "x", "component": "webservice"}
REVISION = "deployment.kubernetes.io/revision"


def template(image: str = "image@new") -> Object:
    return {"spec": {"containers": [{"name": "sidecar", "image": "proxy"}, {"name": "webservice", "image": image}]}}


def deployment(replicas: int = 2, *, image: str = "image@new", generation: int = 3, **spec: Any) -> Object:
    """Return a Deployment of which every pod is new and available."""
    counts = dict.fromkeys(("replicas", "updatedReplicas", "availableReplicas"), replicas) if replicas else {}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {
            "name": NAME, "uid": "d", "generation": generation, "labels": LABELS,
            "annotations": {REVISION: "2", "mlops-runtime/release": "4"},
        },
        "spec": {"replicas": replicas, "template": template(image)} | spec,
        "status": {"observedGeneration": 3} | counts,
    }  # fmt: skip


def replica_set(revision: str = "2", *conditions: Object, image: str = "image@new") -> Object:
    return {
        "kind": "ReplicaSet",
        "metadata": {
            "name": f"rs{revision}", "uid": f"rs{revision}", "labels": LABELS,
            "annotations": {REVISION: revision}, "ownerReferences": [{"uid": "d"}],
        },
        "spec": {"template": template(image)},
        "status": {"conditions": list(conditions)},
    }  # fmt: skip


def pod(name: str, *, owner: str = "rs2", ready: bool = True, phase: str = "Running", **status: Any) -> Object:
    conditions = [{"type": "Ready", "status": "True" if ready else "False"}]
    return {
        "kind": "Pod",
        "metadata": {"name": name, "uid": f"uid-{name}", "labels": LABELS, "ownerReferences": [{"uid": owner}]},
        "status": {"phase": phase, "conditions": conditions} | status,
    }


def waiting(reason: str, message: str = "", restarts: int = 0, exit_code: int | None = None) -> Any:
    """Return the status of a container that waits."""
    last = {} if exit_code is None else {"terminated": {"exitCode": exit_code}}
    state = {"waiting": {"reason": reason} | ({"message": message} if message else {})}
    return [{"state": state, "restartCount": restarts, "lastState": last}]


def being_deleted(item: Object) -> Object:
    item["metadata"]["deletionTimestamp"] = "now"
    return item


QUOTA = {"type": "ReplicaFailure", "status": "True", "message": "exceeded quota: pods=2"}
NO_NODE = {"type": "PodScheduled", "status": "False", "message": "0/3 nodes are available"}
CRASH = waiting("CrashLoopBackOff", "back-off", restarts=2, exit_code=3)


@pytest.mark.parametrize(
    ("items", "expected"),
    [
        pytest.param(
            [deployment(), replica_set(), pod("a"), pod("b")],
            Progress(True, "2 of 2 new pods ready", {"uid-a": "a", "uid-b": "b"}, "", ""),
            id="complete",
        ),
        pytest.param(
            [deployment(), replica_set(), pod("a"), pod("b", ready=False)],
            Progress(False, "1 of 2 new pods ready", {"uid-a": "a"}, "", ""),
            id="a pod that is not ready",
        ),
        pytest.param(
            [deployment(), replica_set(), replica_set("1"), pod("a"), pod("old", owner="rs1")],
            Progress(False, "1 of 2 new pods ready", {"uid-a": "a"}, "", ""),
            id="an old pod",
        ),
        pytest.param(
            [deployment() | {"status": {"observedGeneration": 3, "replicas": 3, "updatedReplicas": 2,
                                        "availableReplicas": 3}},
             replica_set(), replica_set("1"), pod("a"), pod("b"), pod("old", owner="rs1")],
            Progress(False, "2 of 2 new pods ready", {"uid-a": "a", "uid-b": "b"}, "", ""),
            id="an old pod that has not ended",
        ),
        pytest.param(
            [deployment(), replica_set(), replica_set("1"), pod("a"), pod("b"),
             pod("old", owner="rs1", ready=False, containerStatuses=CRASH)],
            Progress(True, "2 of 2 new pods ready", {"uid-a": "a", "uid-b": "b"}, "", ""),
            id="an old pod that crashes",
        ),
        pytest.param(
            [deployment(), replica_set(), pod("a"), being_deleted(pod("b"))],
            Progress(False, "1 of 2 new pods ready", {"uid-a": "a"}, "", ""),
            id="a pod that is being deleted",
        ),
        pytest.param(
            [deployment(), replica_set(), pod("a"), pod("b"), pod("evicted", phase="Failed", containerStatuses=CRASH)],
            Progress(True, "2 of 2 new pods ready", {"uid-a": "a", "uid-b": "b"}, "", ""),
            id="a pod that was evicted",
        ),
        pytest.param(
            [deployment(generation=4), replica_set(), pod("a"), pod("b", ready=False, containerStatuses=CRASH)],
            Progress(False, "1 of 2 new pods ready", {}, "", ""),
            id="a change that was not observed",
        ),
        pytest.param(
            [deployment(paused=True), replica_set(), pod("a"), pod("b")],
            Progress(False, "2 of 2 new pods ready", {"uid-a": "a", "uid-b": "b"}, "", ""),
            id="paused",
        ),
        pytest.param(
            [deployment(0), replica_set()], Progress(True, "0 of 0 new pods ready", {}, "", ""), id="scaled to none"
        ),
        pytest.param(
            [deployment(3) | {"status": {"observedGeneration": 3, "replicas": 2, "updatedReplicas": 2,
                                         "availableReplicas": 2}},
             replica_set("2", QUOTA), pod("a"), pod("b")],
            Progress(False, "2 of 3 new pods ready", {"uid-a": "a", "uid-b": "b"}, "", "exceeded quota: pods=2"),
            id="quota",
        ),
        pytest.param(
            [deployment(1), replica_set(), pod("a", ready=False, containerStatuses=CRASH)],
            Progress(False, "0 of 1 new pods ready", {},
                     "pod a: CrashLoopBackOff (exit status 3, 2 restarts)", "a: CrashLoopBackOff: back-off"),
            id="a crash",
        ),
        pytest.param(
            [deployment(1), replica_set(),
             pod("a", ready=False, containerStatuses=waiting("CrashLoopBackOff", restarts=1))],
            Progress(False, "0 of 1 new pods ready", {}, "", "a: CrashLoopBackOff"),
            id="a first crash",
        ),
        pytest.param(
            [deployment(1), replica_set(),
             pod("a", ready=False, phase="Pending", containerStatuses=waiting("ImagePullBackOff", "not found"))],
            Progress(False, "0 of 1 new pods ready", {}, "", "a: ImagePullBackOff: not found"),
            id="an image that cannot be pulled",
        ),
        pytest.param(
            [deployment(1), replica_set(),
             pod("a", ready=False, phase="Pending", containerStatuses=waiting("InvalidImageName"))],
            Progress(False, "0 of 1 new pods ready", {}, "pod a: InvalidImageName", "a: InvalidImageName"),
            id="an image that cannot be",
        ),
        pytest.param(
            [deployment(1), replica_set(), pod("a", phase="Pending", conditions=[NO_NODE])],
            Progress(False, "0 of 1 new pods ready", {}, "", "a has no node: 0/3 nodes are available"),
            id="no node",
        ),
        pytest.param(
            [deployment(1), replica_set(),
             pod("a", ready=False, phase="Pending", containerStatuses=waiting("ContainerCreating"))],
            Progress(False, "0 of 1 new pods ready", {}, "", ""),
            id="a normal start",
        ),
        pytest.param([deployment()], Progress(False, "0 of 2 new pods ready", {}, "", ""), id="no ReplicaSet"),
        pytest.param(
            [replica_set(), pod("a")],
            Progress(False, f"Deployment {NAME} is missing", {}, f"somebody has deleted the Deployment {NAME}", ""),
            id="no Deployment",
        ),
    ],
)  # fmt: skip
def test_the_progress_of_a_rollout(items: list[Object], expected: Progress) -> None:
    assert progress_of(items, NAME) == expected


@pytest.mark.parametrize(
    ("now", "wanted", "lines"),
    [
        pytest.param({"a": {"b": 1}}, {"a": {"b": 1}}, [], id="equal"),
        pytest.param({"a": {"b": 1}}, {"a": {"b": 2}}, ["a.b is 1, would be 2"], id="a value"),
        pytest.param({"a": 1}, {}, ["a is 1, would be missing"], id="a value less"),
        pytest.param({}, {"a": "ü"}, ['a is missing, would be "ü"'], id="a value more"),
        pytest.param(
            {"c": [{"name": "x", "v": 1}, {"name": "y"}]},
            {"c": [{"name": "y"}, {"name": "x", "v": 2}]},
            ["c[x].v is 1, would be 2"],
            id="a list of named objects in another order",
        ),
        pytest.param(
            {"c": [{"name": "x"}]}, {"c": []}, ['c[x] is {"name": "x"}, would be missing'], id="a named object less"
        ),
        pytest.param({"c": [1, 2]}, {"c": [2, 1]}, ["c is [1, 2], would be [2, 1]"], id="a list"),
        pytest.param(
            {"c": [{"name": "x", "v": 1}, {"name": "x", "v": 2}]},
            {"c": [{"name": "x", "v": 3}, {"name": "x", "v": 2}]},
            ['c is [{"name": "x", "v": 1}, {"name": "x", "v": 2}], would be'
             ' [{"name": "x", "v": 3}, {"name": "x", "v": 2}]'],
            id="names that are not unique",
        ),
        pytest.param("a" * 200, "b", [f' is "{"a" * 96}..., would be "b"'], id="a long value"),
    ],
)  # fmt: skip
def test_differences_have_a_line_each(now: Any, wanted: Any, lines: list[str]) -> None:
    assert list(compare(now, wanted)) == lines


names = st.sampled_from(["name", "a", "b"])
values = st.recursive(
    st.booleans() | st.integers(0, 2) | st.sampled_from(["x", "y"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
    max_leaves=8,
)


@given(values)
def test_an_object_does_not_differ_from_itself(value: Any) -> None:
    assert not list(compare(value, deepcopy(value)))


def test_what_the_server_counts_is_not_significant() -> None:
    # Given a Deployment as the server returns it
    item = deployment(paused=True)
    item["metadata"] |= {"managedFields": [], "resourceVersion": "1", "creationTimestamp": "now"}
    item["metadata"]["annotations"] |= {"kubernetes.io/change-cause": "x", "team.example/note": "kept"}
    before = deepcopy(item)

    # When it is reduced, then what people have set remains, and the original does not change
    assert significant(item) == {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": NAME, "labels": LABELS, "annotations": {"team.example/note": "kept"}},
        "spec": {"replicas": 2, "template": template()},
    }
    assert item == before


def test_an_object_without_annotations_equals_one_with_ours() -> None:
    ours = {"kind": "Service", "metadata": {"name": "x", "annotations": {"mlops-runtime/release": "1"}}}

    assert significant(ours) == significant({"kind": "Service", "metadata": {"name": "x"}})


@pytest.mark.parametrize(
    ("fields", "paths"),
    [
        pytest.param({"f:replicas": {}}, ["replicas"], id="a field"),
        pytest.param({"f:a": {".": {}, "f:b": {}, "f:c": {}}}, ["a.b", "a.c"], id="inner fields"),
        pytest.param({"f:a": {".": {}}}, ["a"], id="an object as a whole"),
        pytest.param(
            {"f:containers": {'k:{"name":"webservice"}': {".": {}, "f:image": {}}}},
            ["containers[webservice].image"],
            id="a named object of a list",
        ),
        pytest.param(
            {"f:ports": {'k:{"port":80,"protocol":"TCP"}': {"f:name": {}}}}, ["ports[80/TCP].name"], id="a port"
        ),
        pytest.param({"f:finalizers": {'v:"x:y"': {}}}, ['finalizers["x:y"]'], id="an item of a set"),
        pytest.param({"f:labels": {"f:a/b:c": {}}}, ["labels.a/b:c"], id="a name with a colon"),
        pytest.param({}, [], id="nothing"),
    ],
)  # fmt: skip
def test_the_paths_of_managed_fields(fields: Object, paths: list[str]) -> None:
    assert list(leaf_fields(fields)) == paths


@pytest.mark.parametrize(
    ("image", "replicas", "expected"),
    [
        pytest.param("other", 5, ("other", 5), id="both"),
        pytest.param("", None, ("image@new", 2), id="neither"),
        pytest.param("", 0, ("image@new", 0), id="no pods"),
    ],
)
def test_a_manifest_gets_image_and_replicas(image: str, replicas: int | None, expected: tuple[str, int]) -> None:
    manifest = deployment()

    item = completed(manifest, image, replicas)

    sidecar, service = item["spec"]["template"]["spec"]["containers"]
    assert (service["image"], item["spec"]["replicas"]) == expected
    assert sidecar["image"] == "proxy"
    assert manifest == deployment()


def test_other_manifests_stay_as_they_are() -> None:
    service = {"kind": "Service", "metadata": {"name": NAME}, "spec": {}}

    assert completed(service, "other", 5) == service


@pytest.fixture
def cluster(kubectl: KubectlInMemory, clock: Clock) -> ProjectCluster:
    return ProjectCluster(kubectl, "x", rollout_timeout=60, verify_timeout=30, now=clock)


def manifest_of(replicas: int, image: str = "webservice") -> Object:
    """Return the manifest of the Deployment."""
    item = deployment(replicas, image=image)
    del item["status"]
    item["metadata"] = {"name": NAME, "labels": LABELS}
    return item


def release_of(replicas: int, *others: Object, number: int = 4) -> Release:
    return Release(
        number=number, version="v1", commit="", image="image@new", environment="production",
        manifests=[manifest_of(replicas), *others], contract={}, state=State.VERIFIED,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("wanted", "before", "live", "expected"),
    [
        pytest.param(2, 2, 2, 2, id="nobody has scaled it"),
        pytest.param(2, 2, 5, 5, id="somebody has scaled it"),
        pytest.param(2, 2, 0, 2, id="somebody has stopped it"),
        pytest.param(3, 2, 5, 3, id="the project scales it"),
        pytest.param(3, None, 5, 3, id="no release before"),
        pytest.param(3, None, None, 3, id="no Deployment"),
    ],
)
def test_replicas_that_somebody_has_set_are_kept(
    cluster: ProjectCluster,
    kubectl: KubectlInMemory,
    wanted: int,
    before: int | None,
    live: int | None,
    expected: int,
) -> None:
    # Given a Deployment that somebody has perhaps scaled
    if live is not None:
        kubectl.put(deployment(live))

    # When a release is applied
    cluster.apply(release_of(wanted), None if before is None else release_of(before, number=3))

    # Then as many pods are asked for, and a line says so if they are not those of the manifest
    assert kubectl.objects["deployment", NAME]["spec"]["replicas"] == expected
    kept = [f"{live} pods are kept: somebody has scaled {NAME} from 2"] if expected != wanted else []
    assert kubectl.said == kept


def autoscaler_of(minimum: int) -> Object:
    return {"kind": "HorizontalPodAutoscaler", "metadata": {"name": NAME}, "spec": {"minReplicas": minimum}}


def autoscaled(*others: Object) -> Release:
    """Return a release whose manifest leaves the number of pods to an autoscaler."""
    release = release_of(2, *others)
    del release.manifests[0]["spec"]["replicas"]
    return release


def owned_by(manager: str, item: Object) -> Object:
    """Return a Deployment the number of whose pods a field manager has set."""
    item["metadata"]["managedFields"] = [
        {"manager": "kubelet", "fieldsV1": {}},
        {"manager": manager, "fieldsV1": {"f:spec": {"f:replicas": {}}}},
    ]
    return item


@pytest.mark.parametrize(
    ("manager", "live", "handed_over"),
    [
        pytest.param("mlops-runtime", 5, 5, id="a manifest had set it"),
        pytest.param("kube-controller-manager", 5, None, id="the autoscaler has set it"),
        pytest.param("kubectl-patch", 0, 3, id="the pods were stopped"),
    ],
)
def test_an_autoscaler_keeps_the_number_of_pods(
    cluster: ProjectCluster, kubectl: KubectlInMemory, manager: str, live: int, handed_over: int | None
) -> None:
    # Given a Deployment with a number of pods
    kubectl.put(owned_by(manager, deployment(live)))

    # When a release without that number is applied
    cluster.apply(autoscaled(autoscaler_of(3)), release_of(2))

    # Then no manifest has a number, and another manager owns the field before it leaves the manifest
    *before, applied = map(json.loads, kubectl.contents)
    assert [item["spec"] for item in before] == ([] if handed_over is None else [{"replicas": handed_over}])
    managers = [
        arguments[arguments.index("--field-manager") + 1] for arguments in kubectl.commands if "apply" in arguments
    ]
    assert managers == ([] if handed_over is None else ["mlops-runtime-replicas"]) + ["mlops-runtime"]
    assert all("replicas" not in item["spec"] for item in applied["items"])
    assert kubectl.said == []


def test_the_first_release_leaves_the_number_of_pods_to_the_autoscaler(
    cluster: ProjectCluster, kubectl: KubectlInMemory
) -> None:
    cluster.apply(autoscaled(autoscaler_of(3)), None)

    assert "replicas" not in kubectl.objects["deployment", NAME]["spec"]


def test_pods_that_an_autoscaler_adds_are_waited_for(cluster: ProjectCluster, kubectl: KubectlInMemory) -> None:
    # Given a release without a number of pods, of which an autoscaler has asked for a third
    kubectl.put(deployment(3), replica_set(), pod("a"), pod("b"))

    assert cluster.progress().pods == "2 of 3 new pods ready"
    assert not cluster.progress().complete


def test_the_deployment_is_applied_last_paused_and_with_the_image_that_runs(
    cluster: ProjectCluster, kubectl: KubectlInMemory
) -> None:
    # Given a version that runs
    kubectl.put(deployment(image="image@old"))
    service = {"kind": "Service", "metadata": {"name": NAME}, "spec": {}}

    # When another one is applied
    cluster.apply(release_of(2, service), release_of(2))

    # Then pods do not change before everything else has
    (applied,) = kubectl.contents
    *others, last = json.loads(applied)["items"]
    assert others == [service]
    assert last["spec"]["paused"]
    assert last["spec"]["template"] == template("image@old")
    # And the image and the end of the pause follow in this order
    assert kubectl.commands[-2] == ("set", "image", f"deployment/{NAME}", "webservice=image@new")
    live = cluster.live()
    assert live is not None
    assert not live.paused
    assert live.release == 4


@pytest.mark.parametrize("replicas", [None, 0, 3], ids=["those that run", "none", "three"])
def test_differences_are_those_of_the_replicas_that_are_wanted(
    cluster: ProjectCluster, kubectl: KubectlInMemory, replicas: int | None
) -> None:
    kubectl.put(manifest_of(2, "image@new"))
    live = cluster.live()
    assert live is not None

    lines = cluster.differences([manifest_of(7)], live, replicas=replicas)

    expected = [f"Deployment {NAME}: spec.replicas is 2, would be {replicas}"]
    assert lines == ([] if replicas is None else expected)


def test_an_object_that_is_missing_is_a_difference(cluster: ProjectCluster, kubectl: KubectlInMemory) -> None:
    kubectl.put(manifest_of(2, "image@new"))
    live = cluster.live()
    assert live is not None

    service = {"kind": "Service", "metadata": {"name": "s"}, "spec": {}}
    assert cluster.differences([manifest_of(2), service], live) == ["Service s: missing on the cluster"]


def test_fields_that_others_have_set_are_listed(cluster: ProjectCluster, kubectl: KubectlInMemory) -> None:
    item = deployment()
    fields = {"fieldsV1": {"f:spec": {"f:replicas": {}}, "f:metadata": {"f:labels": {}}}}
    item["metadata"]["managedFields"] = [
        {"manager": "mlops-runtime"} | fields,
        {"manager": "kubectl-set"} | fields,
        {"manager": "kube-controller-manager", "subresource": "status"} | fields,
        {"manager": "autoscaler", "subresource": "scale"} | fields,
        {"manager": "kubectl-edit"} | fields,
        {"manager": "other"},
    ]
    kubectl.put(item)

    assert cluster.foreign_fields() == ["spec.replicas (by kubectl-edit)"]


def test_objects_that_only_the_old_release_had_are_removed(cluster: ProjectCluster, kubectl: KubectlInMemory) -> None:
    old, kept = ({"kind": "ConfigMap", "metadata": {"name": name}} for name in ("old", "kept"))
    kubectl.put(old, kept)

    cluster.remove(release_of(2, old, kept), release_of(2, kept))

    assert list(kubectl.objects) == [("configmap", "kept")]


def test_only_the_replica_sets_of_an_image_are_removed(cluster: ProjectCluster, kubectl: KubectlInMemory) -> None:
    kubectl.put(replica_set("1", image="image@old"), replica_set("2"))

    cluster.remove_replica_set("image@new")

    assert list(kubectl.objects) == [("replicaset", "rs1")]


def test_saved_releases_are_read_in_their_order(cluster: ProjectCluster, kubectl: KubectlInMemory) -> None:
    for number in (10, 9, 1):
        cluster.save(release_of(2, number=number))
    kubectl.put({"kind": "ConfigMap", "metadata": {"name": "settings", "labels": {"app": "x"}}})

    assert [release.number for release in cluster.releases()] == [1, 9, 10]
    assert [release.number for release in cluster.snapshot().releases] == [1, 9, 10]


def test_a_verified_release_names_the_champion_of_the_next_training(
    cluster: ProjectCluster, kubectl: KubectlInMemory
) -> None:
    verified = release_of(2).to(State.VERIFIED, artefact="a" * 64)
    cluster.save(verified)
    cluster.save(release_of(2, number=9).to(State.UNDONE, artefact="b" * 64))

    config_map = kubectl.get("configmap", "x-champion")
    assert config_map["data"] == {"CHAMPION": f"champion/{verified.environment}/{'a' * 64}.json"}
    assert config_map["metadata"]["labels"] == {"app": "x", "component": "champion"}


def test_a_damaged_record_is_an_error_of_the_cluster(cluster: ProjectCluster, kubectl: KubectlInMemory) -> None:
    labels = {"app": "x", "component": "release"}
    kubectl.put({"kind": "ConfigMap", "metadata": {"name": "x-release-1", "labels": labels}})

    with pytest.raises(ClusterError, match="ConfigMap x-release-1 holds no release"):
        cluster.releases()


def test_waiting_ends_when_every_pod_is_new(cluster: ProjectCluster, kubectl: KubectlInMemory) -> None:
    kubectl.put(deployment(1), replica_set(), pod("a"))

    cluster.wait()

    assert kubectl.said == []


@pytest.mark.parametrize(
    ("items", "message"),
    [
        pytest.param([replica_set("2", QUOTA)], r"0 of 1 new pods ready after 6\d s: exceeded quota", id="too long"),
        pytest.param(
            [replica_set(), pod("a", ready=False, containerStatuses=CRASH)], "pod a: CrashLoopBackOff", id="a crash"
        ),
    ],
)
def test_waiting_ends_with_the_reason(
    cluster: ProjectCluster, kubectl: KubectlInMemory, items: list[Object], message: str
) -> None:
    kubectl.put(deployment(1), *items)

    with pytest.raises(RolloutError, match=message):
        cluster.wait()


def test_a_namespace_that_exists_is_left_as_it_is(cluster: ProjectCluster, kubectl: KubectlInMemory) -> None:
    theirs = {"kind": "Namespace", "metadata": {"name": "1234", "labels": {"owner": "somebody"}}}
    kubectl.put(theirs)

    cluster.ensure_namespace([{"kind": "Namespace", "metadata": {"name": "1234"}}, manifest_of(2)])

    assert kubectl.objects["namespace", "1234"]["metadata"]["labels"] == {"owner": "somebody"}


def test_a_missing_namespace_is_created(cluster: ProjectCluster, kubectl: KubectlInMemory) -> None:
    cluster.ensure_namespace([{"kind": "Namespace", "metadata": {"name": "1234"}}, manifest_of(2)])

    assert list(kubectl.objects) == [("namespace", "1234")]
