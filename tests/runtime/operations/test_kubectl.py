import json
from pathlib import Path
from shlex import quote
from stat import S_IXUSR

import pytest

from mlops_runtime.operations.kubectl import (
    RETRY_INTERVAL,
    ClusterError,
    ConflictError,
    ForbiddenError,
    Kubectl,
    UnauthorizedError,
    UnreachableError,
    error_of,
)
from tests.runtime.operations.conftest import Clock, KubectlInMemory


@pytest.mark.parametrize(
    ("stderr", "expected"),
    [
        pytest.param(
            "The connection to the server 127.0.0.1:6443 was refused - did you specify the right host or port?",
            UnreachableError,
            id="connection refused",
        ),
        pytest.param(
            "Unable to connect to the server: dial tcp 10.0.0.1:443: i/o timeout", UnreachableError, id="timeout"
        ),
        pytest.param(
            "Unable to connect to the server: dial tcp 10.0.0.1:443: connect: network is unreachable",
            UnreachableError,
            id="no network",
        ),
        pytest.param(
            "Unable to connect to the server: net/http: TLS handshake timeout", UnreachableError, id="TLS timeout"
        ),
        pytest.param(
            "Error from server (ServiceUnavailable): the server is currently unable to handle the request",
            UnreachableError,
            id="unavailable",
        ),
        pytest.param("error: unexpected EOF", UnreachableError, id="connection cut"),
        pytest.param(
            "Error from server (InternalError): etcdserver: leader changed", UnreachableError, id="no leader"
        ),
        pytest.param(
            "error: You must be logged in to the server (Unauthorized)", UnauthorizedError, id="credentials expired"
        ),
        pytest.param(
            "Unable to connect to the server: getting credentials: exec: executable aws failed with exit code 255",
            UnauthorizedError,
            id="no credentials",
        ),
        pytest.param(
            'Error from server (AlreadyExists): leases "x-deploy" already exists', ConflictError, id="exists already"
        ),
        pytest.param(
            "Error from server (Conflict): Operation cannot be fulfilled on leases: the object has been modified",
            ConflictError,
            id="changed since",
        ),
        pytest.param(
            'Error from server (Forbidden): User "a" cannot list secrets: token expired', ForbiddenError, id="no right"
        ),
        pytest.param(
            "Unable to connect to the server: x509: expired: i/o timeout", ClusterError, id="certificate"
        ),
        pytest.param(
            'admission webhook "policy" denied the request: registry says 401 Unauthorized', ClusterError, id="webhook"
        ),
        pytest.param('Error from server (NotFound): deployments "x" not found', ClusterError, id="not found"),
        pytest.param("", ClusterError, id="no message"),
    ],
)  # fmt: skip
def test_errors_are_told_apart(stderr: str, expected: type[ClusterError]) -> None:
    assert type(error_of(["get", "lease", "x"], stderr)) is expected


@pytest.mark.parametrize(
    ("stderr", "message"),
    [
        pytest.param("Warning: old\nerror: no file\nWarning: x\n", "kubectl get lease: no file", id="warnings"),
        pytest.param("E1129 02:00:00.1 memcache.go:1] x\nno\n", "kubectl get lease: no", id="log lines"),
        pytest.param("Warning: alone", "kubectl get lease: Warning: alone", id="a warning alone"),
        pytest.param(
            "no answer\ncommand terminated with exit code 1", "kubectl get lease: no answer", id="program in a pod"
        ),
        pytest.param(
            "command terminated with exit code 1",
            "kubectl get lease: command terminated with exit code 1",
            id="silent program in a pod",
        ),
        pytest.param("", "kubectl get lease: no message", id="nothing"),
        pytest.param(
            "Error from server (Forbidden): no",
            "kubectl get lease: Error from server (Forbidden): no;"
            " infrastructure/rbac.yaml has the rights that commands need",
            id="no right",
        ),
        pytest.param(
            "Error from server (Forbidden): exceeded quota",
            "kubectl get lease: Error from server (Forbidden): exceeded quota",
            id="quota",
        ),
    ],
)  # fmt: skip
def test_the_message_has_the_reason_alone(stderr: str, message: str) -> None:
    assert str(error_of(["get", "lease", "x"], stderr)) == message


@pytest.mark.parametrize(
    "failure", [UnreachableError("away"), UnauthorizedError("expired")], ids=["API server away", "credentials expired"]
)
def test_a_command_is_repeated_until_the_api_server_answers(
    kubectl: KubectlInMemory, clock: Clock, failure: ClusterError
) -> None:
    # Given two failures that pass
    kubectl.put({"kind": "Lease", "metadata": {"name": "x"}})
    kubectl.failures.extend([failure, failure])
    before = clock()

    # When an object is read, then it is returned after two waits, of which one line tells
    assert kubectl.get("lease", "x")["metadata"]["name"] == "x"
    assert len(kubectl.commands) == 3
    assert clock() - before == 2 * RETRY_INTERVAL
    assert kubectl.said == [f"{failure}; trying for 600 s"]


def test_each_kind_of_failure_is_said(kubectl: KubectlInMemory) -> None:
    kubectl.failures.extend([UnreachableError("away"), UnauthorizedError("expired"), UnauthorizedError("expired")])

    kubectl.get("lease", "x")

    assert kubectl.said == ["away; trying for 600 s", "expired; trying for 600 s"]


@pytest.mark.parametrize("failure", [UnreachableError("away"), UnauthorizedError("expired")], ids=["away", "expired"])
def test_a_failure_that_lasts_ends_the_command(failure: ClusterError) -> None:
    kubectl = KubectlInMemory(api_timeout=0, failures=[failure])

    with pytest.raises(type(failure), match=str(failure)):
        kubectl.run("get", "lease", "x")
    assert len(kubectl.commands) == 1


@pytest.mark.parametrize("failure", [ConflictError("changed"), ClusterError("refused")], ids=["conflict", "refused"])
def test_a_failure_that_stays_is_not_tried_again(kubectl: KubectlInMemory, failure: ClusterError) -> None:
    kubectl.failures.append(failure)

    with pytest.raises(type(failure), match=str(failure)):
        kubectl.run("get", "lease", "x")
    assert len(kubectl.commands) == 1


def test_no_object_is_empty(kubectl: KubectlInMemory) -> None:
    assert kubectl.get("lease", "x") == {}


@pytest.mark.parametrize(
    ("name", "wanted"),
    [("hospital", "hospital"), ("arn:aws:eks:eu-central-1:1:cluster/hospital", "hospital")],
    ids=["name", "ARN"],
)
def test_the_cluster_of_the_project_passes(name: str, wanted: str) -> None:
    KubectlInMemory(cluster=name).check_cluster(wanted, "eu-central-1")


@pytest.mark.parametrize(
    "name",
    [
        "",
        "clinic",
        "my-hospital",
        "x:cluster/hospital",
        "arn:aws:eks:eu:1:cluster/my-hospital",
        "arn:aws:eks:us:1:cluster/hospital",
    ],
)
def test_another_cluster_is_refused(name: str) -> None:
    with pytest.raises(ClusterError, match=f"kubectl is set to the cluster {name!r}, not to hospital"):
        KubectlInMemory(cluster=name).check_cluster("hospital", "eu")


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """A stub of kubectl, in a folder with a space: prints its arguments and input, or fails with `broken`."""
    path = tmp_path / "a folder" / "kubectl"
    path.parent.mkdir()
    path.write_text('#!/bin/sh\ncase "$*" in *broken*) echo "error: broken" >&2; exit 1 ;; esac\necho "$@"; cat\n')
    path.chmod(path.stat().st_mode | S_IXUSR)
    return path


def test_options_come_from_the_settings_of_make(program: Path) -> None:
    kubectl = Kubectl.from_environment({"KUBECTL": f"{quote(str(program))} --context 'a b'", "NAMESPACE": "here"})

    assert kubectl.once("get", "pods", stdin="input") == (
        "--context a b --namespace here --request-timeout 20s get pods\ninput"
    )


@pytest.mark.parametrize("command", [{}, {"KUBECTL": ""}], ids=["unset", "empty"])
def test_kubectl_is_the_default(command: dict[str, str]) -> None:
    assert Kubectl.from_environment({"NAMESPACE": "here"} | command).command == ("kubectl",)


@pytest.mark.parametrize("environment", [{}, {"NAMESPACE": ""}], ids=["unset", "empty"])
def test_the_namespace_is_required(environment: dict[str, str]) -> None:
    with pytest.raises(ClusterError, match="NAMESPACE is not set: run this with make"):
        Kubectl.from_environment(environment)


def test_a_command_that_fails_is_an_error(program: Path) -> None:
    with pytest.raises(ClusterError, match=r"^kubectl get broken: broken$"):
        Kubectl([str(program)], "here").once("get", "broken", stdin="")


def test_a_kubectl_that_is_missing_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ClusterError, match="kubectl does not start: No such file or directory; see make doctor"):
        Kubectl([str(tmp_path / "kubectl")], "here").once("get", "pods")


def test_json_is_asked_for_and_read(kubectl: KubectlInMemory) -> None:
    item = {"kind": "Lease", "metadata": {"name": "ü"}}

    assert kubectl.json("apply", "--dry-run=server", "--filename", "-", stdin=json.dumps(item))["items"] == [item]
    assert kubectl.commands[0][-2:] == ("--output", "json")
