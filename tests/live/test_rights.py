"""The rights of viewers, operators and deployers, as the cluster sees them."""

import json
import subprocess
from collections.abc import Iterator

import pytest

from tests.live.site import remove_namespace
from tests.live.workbench import Workbench

pytestmark = pytest.mark.cluster

NAMESPACE = "mlops-template-rights"
FOREIGN = f"{NAMESPACE}-foreign"
ROLES = ("viewer", "operator", "deployer")

# What is asked for, and the first of the roles that may do it; None: nobody.
REQUESTS = [
    ("get deployments.apps/oncology-webservice", "viewer"),
    ("list deployments.apps", "viewer"),
    ("list replicasets.apps", "viewer"),
    ("list pods", "viewer"),
    ("list events", "viewer"),
    ("list configmaps", "viewer"),
    ("get pods/oncology-webservice-x --subresource log", "viewer"),
    ("get leases.coordination.k8s.io/oncology-deploy", "viewer"),
    ("get jobs.batch/oncology-trainer", "viewer"),
    ("patch deployments.apps/oncology-webservice", "operator"),
    ("create deployments.apps", "operator"),
    ("delete replicasets.apps/oncology-webservice-x", "operator"),
    ("create pods --subresource exec", "operator"),
    ("get pods/oncology-webservice-x --subresource exec", "operator"),
    ("create pods --subresource portforward", "operator"),
    ("get pods/oncology-webservice-x --subresource portforward", "operator"),
    ("patch pods/oncology-webservice-x", "operator"),
    ("create configmaps", "operator"),
    ("patch configmaps/oncology-release-1", "operator"),
    ("delete configmaps/oncology-release-1", "operator"),
    ("patch services/oncology-webservice", "operator"),
    ("patch serviceaccounts/oncology-webservice", "operator"),
    ("patch poddisruptionbudgets.policy/oncology-webservice", "operator"),
    ("patch horizontalpodautoscalers.autoscaling/oncology-webservice", "operator"),
    ("patch networkpolicies.networking.k8s.io/oncology-webservice", "operator"),
    ("patch ingresses.networking.k8s.io/oncology-webservice", "operator"),
    ("get secrets/oncology-webservice-keys", "operator"),
    ("patch secrets/oncology-webservice-keys", "operator"),
    ("create secrets", "operator"),
    ("create leases.coordination.k8s.io", "operator"),
    ("update leases.coordination.k8s.io/oncology-deploy", "operator"),
    (f"get namespaces/{NAMESPACE}", "deployer"),
    ("patch deployments.apps/oncology-webservice --subresource scale", None),
    ("create jobs.batch", "deployer"),
    ("delete jobs.batch/oncology-trainer", "deployer"),
    ("list secrets", None),
    ("get secrets/other", None),
    ("patch secrets/other", None),
    ("delete secrets/oncology-webservice-keys", None),
    ("update leases.coordination.k8s.io/other", None),
    ("delete pods/oncology-webservice-x", None),
    ("create pods", None),
    ("create serviceaccounts/oncology-webservice --subresource token", None),
    ("create roles.rbac.authorization.k8s.io", None),
    ("create rolebindings.rbac.authorization.k8s.io", None),
    ("create namespaces", None),
    (f"patch namespaces/{NAMESPACE}", None),
    ("list nodes", None),
    ("list pods --namespace default", None),
    ("get secrets/oncology-webservice-keys --namespace default", None),
    ("create deployments.apps --namespace default", None),
    ("get namespaces/default --namespace default", None),
    ("list pods --all-namespaces", None),
]


def kubectl(*arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["kubectl", *arguments], capture_output=True, text=True, check=check)


def labels(namespace: str) -> dict[str, str]:
    content: dict[str, str] = json.loads(kubectl("get", "namespace", namespace, "--output", "json").stdout)["metadata"][
        "labels"
    ]
    return content


@pytest.fixture(scope="module")
def provisioned(bare_workbench: Workbench) -> Iterator[Workbench]:
    """A project whose roles are on the cluster, in a namespace that was missing before."""
    for name in (NAMESPACE, FOREIGN):
        remove_namespace(name)
    result = bare_workbench.make("provision.rbac", NAMESPACE=NAMESPACE)
    assert result.returncode == 0, result.stdout + result.stderr
    yield bare_workbench
    for name in (NAMESPACE, FOREIGN):
        remove_namespace(name, wait=False)


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize(("request_", "first"), REQUESTS, ids=[request for request, _ in REQUESTS])
def test_each_role_may_do_what_its_commands_need(
    provisioned: Workbench, role: str, request_: str, first: str | None
) -> None:
    del provisioned
    who = ("--as", "tester", "--as-group", f"oncology:{role}", "--namespace", NAMESPACE)

    answer = kubectl(*who, "auth", "can-i", *request_.split(), check=False)

    expected = first is not None and ROLES.index(role) >= ROLES.index(first)
    assert answer.stdout.strip() == ("yes" if expected else "no"), answer.stderr


@pytest.mark.parametrize("group", ["oncology:other", "other:deployer"])
def test_other_groups_may_do_nothing(provisioned: Workbench, group: str) -> None:
    del provisioned

    answer = kubectl(
        "--as", "tester", "--as-group", group, "auth", "can-i", "list", "pods", "--namespace", NAMESPACE, check=False
    )

    assert answer.stdout.strip() == "no"


def test_the_namespace_is_created_with_its_labels(provisioned: Workbench) -> None:
    del provisioned

    assert labels(NAMESPACE).items() >= {"app": "oncology", "pod-security.kubernetes.io/enforce": "restricted"}.items()


def test_a_namespace_of_somebody_else_is_left_as_it_is(provisioned: Workbench) -> None:
    # Given a namespace with labels of its own
    kubectl("create", "namespace", FOREIGN)
    kubectl("label", "namespace", FOREIGN, "team=other", "pod-security.kubernetes.io/enforce=baseline")
    before = labels(FOREIGN)

    # When the project gets its rights in it, twice
    for _ in range(2):
        result = provisioned.make("provision.rbac", NAMESPACE=FOREIGN)
        assert result.returncode == 0, result.stderr

    # Then it has the roles, and the labels of before
    assert labels(FOREIGN) == before
    roles = kubectl("get", "roles", "--namespace", FOREIGN, "--output", "name").stdout.split()
    assert roles == [f"role.rbac.authorization.k8s.io/oncology-{role}" for role in sorted(ROLES)]


def test_who_may_not_create_a_namespace_is_told_so(provisioned: Workbench) -> None:
    result = provisioned.make(
        "provision.rbac",
        NAMESPACE=f"{NAMESPACE}-missing",
        KUBECTL="kubectl --as tester --as-group oncology:deployer",
    )

    assert result.returncode != 0
    assert "namespaces is forbidden" in result.stderr
