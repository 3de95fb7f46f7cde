import base64
import hashlib
import json
from dataclasses import replace
from typing import Any

import pytest

from mlops_runtime.operations.dashboard import Dashboard
from mlops_runtime.operations.errors import DeployError
from mlops_runtime.operations.keys import KeysError
from mlops_runtime.operations.kubectl import Object
from mlops_runtime.operations.settings import Settings
from tests.runtime.operations.conftest import Clock, KubectlInMemory

ENVIRONMENT = {"PROJECT": "x", "TEAM": "ward", "ENVIRONMENT": "production", "KEYS_SECRET": "x-webservice-keys"}
LABELS = {"app": "x", "component": "dashboard"}
DEPLOYMENT, POD, SECRET = ("deployment", "x-dashboard"), "x-dashboard-1", ("secret", "x-dashboard-key")


def deployment(revision: int) -> Object:
    """Return a Deployment whose pod is ready."""
    return {
        "kind": "Deployment",
        "metadata": {
            "name": "x-dashboard", "labels": LABELS, "uid": "d", "generation": 1,
            "annotations": {"deployment.kubernetes.io/revision": str(revision)},
        },
        "spec": {"replicas": 1},
        "status": {"observedGeneration": 1, "replicas": 1, "updatedReplicas": 1, "availableReplicas": 1},
    }  # fmt: skip


@pytest.fixture
def cluster(kubectl: KubectlInMemory) -> KubectlInMemory:
    """A cluster with the service, and with the pod that the dashboard of revision 2 gets."""
    replica_set: dict[str, Any] = {"name": "x-dashboard-rs", "uid": "r", "labels": LABELS}
    pod: dict[str, Any] = {"name": POD, "uid": "p", "labels": LABELS}
    kubectl.put(
        {"kind": "Secret", "metadata": {"name": "x-webservice-keys"}, "data": {"first": "aGFzaA=="}},
        {
            "kind": "ReplicaSet",
            "metadata": replica_set
            | {"ownerReferences": [{"uid": "d"}], "annotations": {"deployment.kubernetes.io/revision": "2"}},
        },
        {
            "kind": "Pod",
            "metadata": pod | {"ownerReferences": [{"uid": "r"}]},
            "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]},
        },
    )
    kubectl.outputs[POD] = "1.2.3\n"
    return kubectl


@pytest.fixture
def dashboard(cluster: KubectlInMemory, clock: Clock) -> Dashboard:
    made = Dashboard(Settings(ENVIRONMENT), cluster)
    made.clock = replace(made.clock, now=clock)
    return made


def test_a_first_deploy_gives_the_dashboard_a_key_of_its_own(
    cluster: KubectlInMemory, dashboard: Dashboard, capsys: pytest.CaptureFixture[str]
) -> None:
    dashboard.deploy([deployment(2)])

    # The Secret of the dashboard has the key, and that of the service its hash
    key = cluster.objects[SECRET]["stringData"]["key"]
    stored = cluster.objects["secret", "x-webservice-keys"]["data"]
    assert base64.b64decode(stored["dashboard"]).decode() == hashlib.sha256(key.encode()).hexdigest()
    assert stored["first"] == "aGFzaA=="
    # and the key is in no list of processes and in no log
    output = capsys.readouterr().out
    assert key not in f"{cluster.commands}{cluster.said}{output}"
    assert "reaches version 1.2.3 of the service" in output


def test_a_second_deploy_keeps_the_key(cluster: KubectlInMemory, dashboard: Dashboard) -> None:
    dashboard.deploy([deployment(2)])
    before = json.dumps([cluster.objects[SECRET], cluster.objects["secret", "x-webservice-keys"]])

    dashboard.deploy([deployment(2)])

    assert json.dumps([cluster.objects[SECRET], cluster.objects["secret", "x-webservice-keys"]]) == before


@pytest.mark.parametrize(
    ("there", "restarts"),
    [pytest.param(False, False, id="the first dashboard"), pytest.param(True, True, id="a key that was replaced")],
)
def test_pods_that_run_read_a_new_key(
    cluster: KubectlInMemory, dashboard: Dashboard, *, there: bool, restarts: bool
) -> None:
    if there:
        cluster.put(deployment(2))

    dashboard.deploy([deployment(2)])

    assert (("rollout", "restart", "deployment/x-dashboard") in cluster.commands) == restarts


def test_a_key_that_was_removed_is_named_before_anything_is_changed(
    cluster: KubectlInMemory, dashboard: Dashboard
) -> None:
    cluster.put({"kind": "Secret", "metadata": {"name": "x-dashboard-key"}})

    with pytest.raises(KeysError, match=r"kubectl delete secret x-dashboard-key --namespace 1234, then deploy again"):
        dashboard.deploy([deployment(2)])

    assert DEPLOYMENT not in cluster.objects
    assert "dashboard" not in cluster.objects["secret", "x-webservice-keys"]["data"]


@pytest.mark.parametrize(
    ("before", "outcome", "undone"),
    [
        pytest.param(None, "kubectl describe deployment x-dashboard says more", False, id="the first one"),
        pytest.param(1, "the dashboard before runs again", True, id="another one before"),
        pytest.param(2, "it was not changed by this deploy", False, id="the same one before"),
    ],
)
def test_a_dashboard_that_does_not_reach_the_service_is_undone(
    cluster: KubectlInMemory, dashboard: Dashboard, before: int | None, outcome: str, *, undone: bool
) -> None:
    if before:
        cluster.put(deployment(before))
    del cluster.outputs[POD]

    with pytest.raises(DeployError, match=f"does not reach the service: .*; {outcome}; the service is not affected"):
        dashboard.deploy([deployment(2)])

    undo = ("rollout", "undo", "deployment/x-dashboard", "--to-revision=1")
    assert (undo in cluster.commands) == undone
