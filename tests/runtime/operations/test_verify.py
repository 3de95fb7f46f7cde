import json
import tempfile
from pathlib import Path
from stat import S_IXUSR

import pytest

from mlops_runtime.operations import verify
from mlops_runtime.operations.golden import ServiceError
from mlops_runtime.operations.verify import main, operator_key, pod_names, running_pods
from mlops_runtime.serving.settings import Settings
from tests.runtime.operations.conftest import ServiceThatAnswers

RUNNING = {"metadata": {"name": "running"}, "status": {"phase": "Running"}}
PENDING = {"metadata": {"name": "pending"}, "status": {"phase": "Pending"}}
LEAVING = {"metadata": {"name": "leaving", "deletionTimestamp": "now"}, "status": {"phase": "Running"}}


@pytest.fixture
def kubectl(tmp_path: Path) -> Path:
    """A kubectl of a few lines: `get` prints pods.json, `exec` key.txt, `port-forward` what forwarding.txt says."""
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


def test_pods_that_wait_or_leave_are_left_out() -> None:
    assert pod_names({"items": [RUNNING, PENDING, LEAVING]}) == ["running"]


def test_no_running_pod_is_an_error(kubectl: Path) -> None:
    kubectl.with_name("pods.json").write_text(json.dumps({"items": [PENDING]}))

    with pytest.raises(ServiceError, match="no pod is running with the labels app=x"):
        running_pods([str(kubectl)], "app=x")


def test_a_failing_kubectl_is_an_error(kubectl: Path) -> None:
    # Given no pods.json: `cat` fails, and with it this kubectl
    with pytest.raises(ServiceError, match="cannot list the pods"):
        running_pods([str(kubectl)], "app=x")


def test_show_prints_the_version_of_each_pod(
    kubectl: Path, service_that_answers: ServiceThatAnswers, capsys: pytest.CaptureFixture[str]
) -> None:
    # Given one running pod that says it is 1.2.0
    url = service_that_answers({"/version": (200, b'{"version": "1.2.0"}')})
    kubectl.with_name("pods.json").write_text(json.dumps({"items": [RUNNING]}))
    kubectl.with_name("forwarding.txt").write_text(f"Forwarding from {url.removeprefix('http://')} -> 8000\n")

    # When it is shown
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
def test_a_pod_out_of_reach_fails_with_one_line(
    kubectl: Path, capsys: pytest.CaptureFixture[str], forwarding: str, message: str
) -> None:
    kubectl.with_name("pods.json").write_text(json.dumps({"items": [RUNNING]}))
    kubectl.with_name("forwarding.txt").write_text(forwarding)

    status = main(["--kubectl", str(kubectl), "--selector", "app=x", "--show"])

    assert status == 1
    errors = capsys.readouterr().err
    assert message in errors
    assert errors.count("\n") == 1


def test_whoever_may_run_commands_in_a_pod_has_its_key(kubectl: Path) -> None:
    kubectl.with_name("key.txt").write_text("secret\n")

    assert operator_key([str(kubectl)], "running") == "secret"


def test_a_version_without_keys_is_asked_without_one(kubectl: Path) -> None:
    assert operator_key([str(kubectl)], "running") == ""


def test_a_pod_that_takes_no_command_is_an_error(kubectl: Path) -> None:
    # Given a key that cannot be read: `cat` fails, and with it this kubectl
    kubectl.with_name("key.txt").mkdir()

    with pytest.raises(ServiceError, match="cannot run a command in pod running"):
        operator_key([str(kubectl)], "running")


def test_the_key_of_the_operator_is_where_the_service_puts_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", "/tmp")  # noqa: S108 - as in the container

    assert str(Settings(port=verify.CONTAINER_PORT).operator_key) == verify.OPERATOR_KEY


@pytest.mark.parametrize("key", ["", "secret"], ids=["without a key", "with a key"])
@pytest.mark.parametrize(
    ("version", "status"), [pytest.param("1.2.0", 0, id="expected"), pytest.param("1.1.0", 1, id="another version")]
)
def test_each_pod_is_asked_for_version_and_golden_predictions(
    kubectl: Path,
    artefact: Path,
    service_that_answers: ServiceThatAnswers,
    monkeypatch: pytest.MonkeyPatch,
    version: str,
    status: int,
    key: str,
) -> None:
    # Given a pod that answers as the artefact does, to who shows its key
    golden = verify.golden_records(artefact)
    monkeypatch.setattr(verify, "golden_records", lambda: golden)
    predictions = json.dumps([one.prediction.model_dump() for one in golden]).encode()
    url = service_that_answers(
        {"/version": (200, json.dumps({"version": version}).encode()), "/v1/predictions": (200, predictions)}, key
    )
    kubectl.with_name("key.txt").write_text(key)
    kubectl.with_name("pods.json").write_text(json.dumps({"items": [RUNNING]}))
    kubectl.with_name("forwarding.txt").write_text(f"Forwarding from {url.removeprefix('http://')} -> 8000\n")

    # When version 1.2.0 is verified, then only that version passes
    assert main(["--kubectl", str(kubectl), "--selector", "app=x", "--version", "1.2.0"]) == status
