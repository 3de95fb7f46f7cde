import json
from hashlib import sha256
from pathlib import Path
from stat import S_IXUSR
from typing import Any

import pytest

from mlops_runtime.model import OnnxPredictor
from mlops_runtime.operations import verify
from mlops_runtime.operations.golden import ServiceError, WrongPredictionError
from mlops_runtime.operations.kubectl import ClusterError, Kubectl
from mlops_runtime.operations.verify import PodFiles, read_pod, verify_pod, version_of
from mlops_runtime.operator_key import operator_key_file
from mlops_runtime.serving.settings import Settings
from tests.runtime.operations.conftest import KubectlInMemory, StubService

METADATA = '{\n "hashes": {}\n}'


@pytest.fixture
def stub_kubectl(tmp_path: Path) -> Kubectl:
    """A stub of kubectl: `exec` prints files.txt, `port-forward` forwarding.txt."""
    program = tmp_path / "kubectl"
    program.write_text(
        f"""#!/bin/sh
cd {tmp_path}
case "$*" in
    "--namespace here"*" exec pod-a "*) cat files.txt ;;
    "--namespace here port-forward pod/pod-a :8000") cat forwarding.txt
        if [ -s forwarding.txt ]; then exec sleep 5; else echo "no route" >&2; exit 1; fi ;;
    *) echo "no such pod" >&2; exit 1 ;;
esac
"""
    )
    program.chmod(program.stat().st_mode | S_IXUSR)
    return Kubectl([str(program)], "here")


def files_of_pod(golden_records: Any, key: str = "") -> str:
    """Return what the shell script prints in a pod."""
    return f"{key}\n{json.dumps(golden_records, indent=1)}\n{METADATA}\n"


def put(kubectl: Kubectl, files: str, url: str) -> None:
    """Set what the stub of kubectl prints for a pod whose service is at a URL."""
    folder = Path(kubectl.command[0]).parent
    (folder / "files.txt").write_text(files)
    (folder / "forwarding.txt").write_text(f"Forwarding from {url.removeprefix('http://')} -> 8000\n" if url else "")


@pytest.mark.parametrize("key", ["", "secret"], ids=["without a key", "with a key"])
@pytest.mark.parametrize("golden_records", [[], [{"record": {"a": "ü\n"}}]], ids=["no record", "a record"])
def test_the_files_of_a_pod_are_read(kubectl: KubectlInMemory, key: str, golden_records: list[dict[str, Any]]) -> None:
    kubectl.outputs["pod-a"] = files_of_pod(golden_records, key)

    assert read_pod(kubectl, "pod-a") == PodFiles(key, golden_records, sha256(METADATA.encode()).hexdigest())


@pytest.mark.parametrize(
    "content",
    [
        pytest.param("", id="nothing"),
        pytest.param("<html>", id="no JSON"),
        # A missing file prints nothing, and the metadata come first
        pytest.param(METADATA, id="metadata alone"),
    ],
)
def test_an_image_without_golden_records_is_an_error(kubectl: KubectlInMemory, content: str) -> None:
    kubectl.outputs["pod-a"] = f"\n\n{content}\n"

    with pytest.raises(ServiceError, match="the image of pod pod-a has no golden records"):
        read_pod(kubectl, "pod-a")


def test_a_pod_that_has_ended_is_an_error(kubectl: KubectlInMemory) -> None:
    with pytest.raises(ClusterError, match="pod-a"):
        read_pod(kubectl, "pod-a")


def test_the_operator_key_is_the_file_that_the_service_writes() -> None:
    settings = Settings(port=verify.CONTAINER_PORT)

    assert settings.operator_key == operator_key_file(settings.operator_key.parent, verify.CONTAINER_PORT)
    assert settings.operator_key.name == verify.OPERATOR_KEY.name


@pytest.mark.parametrize("key", ["", "secret"], ids=["without a key", "with a key"])
def test_version_and_golden_predictions_of_a_pod_are_verified(
    stub_kubectl: Kubectl, predictor: OnnxPredictor, stub_service: StubService, key: str
) -> None:
    # Given a pod that returns its golden predictions, perhaps only with a key
    golden_records = [predictor.golden_records[0].model_dump(mode="json")]
    predictions = json.dumps(golden_records[0]["prediction"]).encode()
    url = stub_service({"/version": (200, b'{"version": "1.2.0"}'), "/v1/predictions": (200, predictions)}, key)
    put(stub_kubectl, files_of_pod(golden_records, key), url)

    # When its version is expected, then it passes
    assert verify_pod(stub_kubectl, "pod-a", "1.2.0").golden_records == golden_records

    # When another one is, then the error names the pod, not the forwarded port
    with pytest.raises(WrongPredictionError, match=r"^pod pod-a runs version 1\.2\.0, not 1\.3\.0$"):
        verify_pod(stub_kubectl, "pod-a", "1.3.0")


def test_a_pod_that_predicts_something_else_is_wrong(
    stub_kubectl: Kubectl, predictor: OnnxPredictor, stub_service: StubService
) -> None:
    golden_records = [predictor.golden_records[0].model_dump(mode="json")]
    url = stub_service({"/version": (200, b'{"version": "1.2.0"}'), "/v1/predictions": (200, b"[]")})
    put(stub_kubectl, files_of_pod(golden_records), url)

    with pytest.raises(WrongPredictionError, match=r"^pod pod-a predicts \[\] for golden record 0, not"):
        verify_pod(stub_kubectl, "pod-a", "1.2.0")


def test_the_version_of_a_pod_is_shown(stub_kubectl: Kubectl, stub_service: StubService) -> None:
    put(stub_kubectl, "secret\n", stub_service({"/version": (200, b'{"version": "1.2.0"}')}, "secret"))

    assert version_of(stub_kubectl, "pod-a") == "1.2.0"


@pytest.mark.parametrize(
    ("pod", "url", "message"),
    [
        pytest.param("pod-a", "", "kubectl cannot reach pod pod-a: no route", id="no forwarding"),
        pytest.param("pod-a", "http://127.0.0.1:9", "does not answer", id="nothing behind the port"),
        pytest.param("pod-b", "", "kubectl exec pod-b: no such pod", id="no such pod"),
    ],
)
def test_why_a_pod_cannot_be_asked_for_its_version_is_said(
    stub_kubectl: Kubectl, pod: str, url: str, message: str
) -> None:
    put(stub_kubectl, "\n", url)

    with pytest.raises((ServiceError, ClusterError), match=message):
        version_of(stub_kubectl, pod)
