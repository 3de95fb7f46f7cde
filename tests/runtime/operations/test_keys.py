import hashlib
import sys
from base64 import b64decode, b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_runtime.operations import keys
from mlops_runtime.operations.errors import DeployError
from mlops_runtime.operations.keys import Secret, ensure, main
from mlops_runtime.operations.kubectl import ClusterError, Kubectl
from tests.runtime.operations.conftest import KubectlInMemory

SELECTOR = "app=x,component=webservice"


@pytest.fixture(autouse=True)
def settings(kubectl: KubectlInMemory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Set what make puts into the environment, and the cluster in memory behind kubectl."""
    for name, value in {
        "PROJECT": "x",
        "KEYS_SECRET": "keys",
        "CLUSTER": "hospital",
        "AWS_REGION": "eu-central-1",
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(Kubectl, "from_environment", lambda *_: kubectl)


@pytest.fixture
def secret(kubectl: KubectlInMemory) -> Secret:
    return Secret(kubectl, "keys", SELECTOR)


def put(kubectl: KubectlInMemory, *names: str) -> None:
    """Put keys of callers on the cluster."""
    data = {name: b64encode(name.encode()).decode() for name in names}
    # The API server leaves out what is empty.
    kubectl.put({"kind": "Secret", "metadata": {"name": "keys"}} | ({"data": data} if data else {}))


def put_pod(kubectl: KubectlInMemory, name: str, output: str) -> None:
    """Put a running pod with keys on the cluster."""
    labels = {"app": "x", "component": "webservice"}
    kubectl.put({"kind": "Pod", "metadata": {"name": name, "labels": labels}, "status": {"phase": "Running"}})
    kubectl.outputs[name] = output


def on_cluster(kubectl: KubectlInMemory) -> dict[str, str]:
    """Return the content of the Secret."""
    secret = kubectl.objects["secret", "keys"]
    hashes = {name: b64decode(content).decode() for name, content in secret.get("data", {}).items()}
    return hashes | secret.get("stringData", {})


@pytest.mark.parametrize("names", [None, [], ["other"]], ids=["no Secret", "an empty Secret", "another key"])
def test_a_new_key_is_printed_and_its_hash_is_on_the_cluster(
    kubectl: KubectlInMemory, capsys: pytest.CaptureFixture[str], names: list[str] | None
) -> None:
    # Given a cluster with some keys
    if names is not None:
        put(kubectl, *names)

    # When a key is created
    status = main(["--add", "hospital"])

    # Then it is all of standard output, so that it can be piped
    assert status == 0
    key, instructions = capsys.readouterr()
    assert len(key.strip()) == 43  # 256 bits in base64
    assert "Bearer" in instructions
    # And the cluster has its hash beside those of the other keys, and never got the key itself
    assert on_cluster(kubectl)["hospital"] == hashlib.sha256(key.strip().encode()).hexdigest()
    assert sorted(on_cluster(kubectl)) == sorted([*(names or []), "hospital"])
    assert key.strip() not in f"{kubectl.commands}{kubectl.contents}"


@pytest.mark.usefixtures("kubectl")
def test_keys_are_different(capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("one", "other"):
        main(["--add", name])

    first, second = capsys.readouterr().out.split()
    assert first != second


@pytest.mark.parametrize("command", [["--add", "laboratory"], ["--remove", "hospital"]], ids=["add", "remove"])
def test_running_pods_are_made_to_read_the_keys(kubectl: KubectlInMemory, command: list[str]) -> None:
    put(kubectl, "hospital", "other")

    assert main(command) == 0

    *annotate, change = kubectl.commands[-1]
    assert annotate == ["annotate", "pods", "--selector", SELECTOR, "--overwrite"]
    assert change.startswith("api-keys-changed=")


def test_a_key_is_printed_when_the_pods_cannot_be_annotated(
    kubectl: KubectlInMemory, capsys: pytest.CaptureFixture[str]
) -> None:
    # Given a cluster on which pods may not be changed: the fifth command annotates them
    put(kubectl, "other")
    kubectl.failures.extend([None, None, None, None, ClusterError("kubectl annotate pods: no")])

    # When a key is created
    status = main(["--add", "hospital"])

    # Then it is printed, because it is on the cluster, and the error says what follows
    key, errors = capsys.readouterr()
    assert status == 1
    assert on_cluster(kubectl)["hospital"] == hashlib.sha256(key.strip().encode()).hexdigest()
    assert "the pods notice only after a minute: kubectl annotate pods: no" in errors


@pytest.mark.parametrize(
    ("command", "message"),
    [
        pytest.param(["--add", ""], "cannot be the name of a caller: set NAME", id="no name"),
        pytest.param(["--add", "Zoë"], "'Zoë' cannot be the name", id="a letter outside ASCII"),
        pytest.param(["--add", "../x"], "cannot be the name", id="a path"),
        pytest.param(["--add", "x" * 64], "cannot be the name", id="too long"),
        pytest.param(["--add", "operator"], "not operator", id="reserved"),
        pytest.param(["--add", "hospital"], "hospital has a key already: choose another name", id="taken"),
        pytest.param(["--remove", ""], "set NAME to one of: hospital, laboratory", id="removing no name"),
        pytest.param(["--remove", "nobody"], "'nobody' has no key", id="removing an unknown name"),
    ],
)
def test_a_refused_command_changes_nothing(
    kubectl: KubectlInMemory, capsys: pytest.CaptureFixture[str], command: list[str], message: str
) -> None:
    put(kubectl, "hospital", "laboratory")

    assert main(command) == 1
    shown, errors = capsys.readouterr()
    assert shown == ""
    assert message in errors
    assert errors.count("\n") == 1
    assert set(on_cluster(kubectl)) == {"hospital", "laboratory"}


def test_removing_a_key_keeps_the_others(kubectl: KubectlInMemory) -> None:
    put(kubectl, "hospital", "laboratory")

    assert main(["--remove", "hospital"]) == 0
    assert set(on_cluster(kubectl)) == {"laboratory"}


def test_the_last_key_is_not_removed(kubectl: KubectlInMemory, capsys: pytest.CaptureFixture[str]) -> None:
    put(kubectl, "hospital")

    assert main(["--remove", "hospital"]) == 1
    assert "first create another" in capsys.readouterr().err
    assert set(on_cluster(kubectl)) == {"hospital"}


@pytest.mark.parametrize("names", [[], ["b", "a"]], ids=["none", "two"])
def test_the_callers_are_listed(kubectl: KubectlInMemory, capsys: pytest.CaptureFixture[str], names: list[str]) -> None:
    put(kubectl, *names)

    assert main(["--list"]) == 0
    assert capsys.readouterr().out.split() == sorted(names)


def test_the_first_key_is_not_printed_into_a_pipeline(
    kubectl: KubectlInMemory, secret: Secret, capsys: pytest.CaptureFixture[str]
) -> None:
    # When a pipeline, whose log is kept, sets up a service
    created = ensure(secret)

    # Then a key exists, so that the pods start, and nobody sees it
    assert created
    assert list(on_cluster(kubectl)) == ["first"]
    assert capsys.readouterr() == ("", "")


def test_the_first_key_is_printed_on_a_terminal(
    kubectl: KubectlInMemory, secret: Secret, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # When a person sets up a service
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    ensure(secret)

    # Then the key is printed
    key = capsys.readouterr().out.strip()
    assert on_cluster(kubectl) == {"first": hashlib.sha256(key.encode()).hexdigest()}


def test_a_service_with_keys_gets_no_first_key(kubectl: KubectlInMemory, secret: Secret) -> None:
    put(kubectl, "hospital")

    assert not ensure(secret)
    assert list(on_cluster(kubectl)) == ["hospital"]


HASH = "0" * 64


@pytest.mark.parametrize("outputs", [{"a": f"hospital {HASH}\n"}, {"a": "", "b": f"hospital {HASH}\ncat: no\n"}])
def test_a_deleted_secret_is_created_again_with_the_keys_of_a_pod(
    kubectl: KubectlInMemory, secret: Secret, outputs: dict[str, str]
) -> None:
    # Given running pods, the first of which perhaps has lost the keys
    for name, output in outputs.items():
        put_pod(kubectl, name, output)

    # When the Secret is missing, then callers keep their keys
    assert secret.restore()
    assert on_cluster(kubectl) == {"hospital": HASH}
    assert "the Secret keys was missing" in kubectl.said[0]


def test_a_pod_that_cannot_be_asked_does_not_stop_the_search(kubectl: KubectlInMemory, secret: Secret) -> None:
    put_pod(kubectl, "gone", "")
    del kubectl.outputs["gone"]
    put_pod(kubectl, "running", f"hospital {HASH}\n")

    assert secret.restore()
    assert on_cluster(kubectl) == {"hospital": HASH}


def test_without_a_pod_nothing_is_created(kubectl: KubectlInMemory, secret: Secret) -> None:
    assert not secret.restore()
    assert not kubectl.objects


@pytest.mark.parametrize("command", [["--add", "x"], ["--remove", "x"], ["--list"]], ids=["add", "remove", "list"])
def test_a_failing_kubectl_is_an_error(
    kubectl: KubectlInMemory, capsys: pytest.CaptureFixture[str], command: list[str]
) -> None:
    kubectl.failures.extend([None, ClusterError("kubectl get secret: no")])

    assert main(command) == 1
    assert capsys.readouterr().err == "keys: kubectl get secret: no\n"


@pytest.mark.parametrize("name", ["PROJECT", "CLUSTER", "AWS_REGION", "KEYS_SECRET"])
def test_a_missing_setting_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    monkeypatch.delenv(name)

    assert main(["--list"]) == 1
    assert capsys.readouterr().err == f"keys: '{name}' is not set: run this with make\n"


def test_a_platform_whose_settings_cannot_be_used_is_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    def open_store() -> keys.Store:
        raise DeployError("NAMESPACE is not set")

    assert keys.run_command(["--list"], open_store) == 1
    assert capsys.readouterr().err == "keys: NAMESPACE is not set\n"


def test_another_cluster_is_refused(kubectl: KubectlInMemory, monkeypatch: pytest.MonkeyPatch) -> None:
    put(kubectl, "hospital", "other")
    monkeypatch.setenv("CLUSTER", "clinic")

    assert main(["--remove", "other"]) == 1
    assert set(on_cluster(kubectl)) == {"hospital", "other"}


@given(name=st.from_regex(keys.NAME, fullmatch=True))
def test_a_valid_name_is_a_valid_key_of_a_secret(name: str) -> None:
    # Kubernetes allows these characters, and up to 253 of them
    assert len(name) <= 63
    assert set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789-")
