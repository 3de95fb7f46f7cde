import json
from pathlib import Path
from stat import S_IXUSR

import pytest

from mlops_runtime.model import OnnxPredictor
from mlops_runtime.operations import verify
from mlops_runtime.operations.golden import ServiceError
from mlops_runtime.operations.verify import main, operator_key, pod_names, running_pods
from mlops_runtime.operator_key import operator_key_file
from mlops_runtime.serving.settings import Settings
from tests.runtime.operations.conftest import StubService

RUNNING = {"metadata": {"name": "running"}, "status": {"phase": "Running"}}
PENDING = {"metadata": {"name": "pending"}, "status": {"phase": "Pending"}}
DELETED = {"metadata": {"name": "deleted", "deletionTimestamp": "now"}, "status": {"phase": "Running"}}


@pytest.fixture
def kubectl(tmp_path: Path) -> Path:
    """A stub of kubectl: `get` prints pods.json, `exec` key.txt, `port-forward` forwarding.txt."""
    program = tmp_path / "kubectl"
    program.write_text(
        f"""#!/bin/sh
cd {tmp_path}
case "$1" in
    get) cat pods.json ;;
    exec) [ ! -e key.txt ] || cat key.txt ;;
    port-forward) cat forwarding.txt; [ -s forwarding.txt ] && exec sleep 5 ;;
esac
"""
    )
    program.chmod(program.stat().st_mode | S_IXUSR)
    return program


def test_only_running_pods_are_listed() -> None:
    assert pod_names({"items": [RUNNING, PENDING, DELETED]}) == ["running"]


def test_no_running_pod_is_an_error(kubectl: Path) -> None:
    kubectl.with_name("pods.json").write_text(json.dumps({"items": [PENDING]}))

    with pytest.raises(ServiceError, match="no pod is running with the labels app=x"):
        running_pods([str(kubectl)], "app=x")


def test_a_failing_kubectl_is_an_error(kubectl: Path) -> None:
    # Given no pods.json: `cat` fails, and so does the stub
    with pytest.raises(ServiceError, match="cannot list the pods"):
        running_pods([str(kubectl)], "app=x")


def test_show_prints_the_version_of_each_pod(
    kubectl: Path, stub_service: StubService, capsys: pytest.CaptureFixture[str]
) -> None:
    # Given a running pod of version 1.2.0
    url = stub_service({"/version": (200, b'{"version": "1.2.0"}')})
    kubectl.with_name("pods.json").write_text(json.dumps({"items": [RUNNING]}))
    kubectl.with_name("forwarding.txt").write_text(f"Forwarding from {url.removeprefix('http://')} -> 8000\n")

    # When its version is shown
    status = main(["--kubectl", str(kubectl), "--selector", "app=x", "--show"])

    # Then its name and version are printed
    assert status == 0
    assert capsys.readouterr().out == "running runs 1.2.0\n"


@pytest.mark.parametrize(
    ("forwarding", "message"),
    [
        pytest.param("", "cannot reach pod running", id="no forwarding"),
        pytest.param("Forwarding from 127.0.0.1:9 -> 8000\n", "does not answer", id="nothing behind the port"),
    ],
)
def test_a_pod_that_cannot_be_reached_fails_with_one_line(
    kubectl: Path, capsys: pytest.CaptureFixture[str], forwarding: str, message: str
) -> None:
    kubectl.with_name("pods.json").write_text(json.dumps({"items": [RUNNING]}))
    kubectl.with_name("forwarding.txt").write_text(forwarding)

    status = main(["--kubectl", str(kubectl), "--selector", "app=x", "--show"])

    assert status == 1
    errors = capsys.readouterr().err
    assert message in errors
    assert errors.count("\n") == 1


def test_the_operator_key_is_read_in_the_pod(kubectl: Path) -> None:
    kubectl.with_name("key.txt").write_text("secret\n")

    assert operator_key([str(kubectl)], "running") == "secret"


def test_a_pod_without_a_key_needs_none(kubectl: Path) -> None:
    assert operator_key([str(kubectl)], "running") == ""


def test_a_command_that_fails_in_the_pod_is_an_error(kubectl: Path) -> None:
    # Given a key that cannot be read: `cat` fails, and so does the stub
    kubectl.with_name("key.txt").mkdir()

    with pytest.raises(ServiceError, match="cannot run a command in pod running"):
        operator_key([str(kubectl)], "running")


def test_the_operator_key_is_the_file_that_the_service_writes() -> None:
    settings = Settings(port=verify.CONTAINER_PORT)

    assert settings.operator_key == operator_key_file(settings.operator_key.parent, verify.CONTAINER_PORT)
    assert settings.operator_key.name == verify.OPERATOR_KEY.name


@pytest.mark.parametrize("key", ["", "secret"], ids=["without a key", "with a key"])
@pytest.mark.parametrize(
    ("version", "status"), [pytest.param("1.2.0", 0, id="expected"), pytest.param("1.1.0", 1, id="another version")]
)
def test_version_and_golden_predictions_of_each_pod_are_verified(
    kubectl: Path,
    predictor: OnnxPredictor,
    stub_service: StubService,
    monkeypatch: pytest.MonkeyPatch,
    version: str,
    status: int,
    key: str,
) -> None:
    # Given a pod that returns the golden predictions of the artefact, perhaps only with a key
    monkeypatch.setattr(verify, "project_artefact", lambda: predictor.artefact)
    predictions = json.dumps([golden.prediction.model_dump() for golden in predictor.golden_records]).encode()
    url = stub_service(
        {"/version": (200, json.dumps({"version": version}).encode()), "/v1/predictions": (200, predictions)}, key
    )
    kubectl.with_name("key.txt").write_text(key)
    kubectl.with_name("pods.json").write_text(json.dumps({"items": [RUNNING]}))
    kubectl.with_name("forwarding.txt").write_text(f"Forwarding from {url.removeprefix('http://')} -> 8000\n")

    # When version 1.2.0 is verified, then another version fails
    assert main(["--kubectl", str(kubectl), "--selector", "app=x", "--version", "1.2.0"]) == status
