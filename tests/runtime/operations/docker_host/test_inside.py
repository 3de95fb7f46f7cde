import hashlib
import json
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from mlops_runtime.operations.docker_host import inside
from mlops_runtime.operations.docker_host.inside import main
from tests.runtime.operations.conftest import StubService

PREDICTION = {"label": "a", "probability": 0.9, "probabilities": {"a": 0.9, "b": 0.1}}
GOLDEN = [{"record": {"x": 1}, "prediction": PREDICTION}]
METADATA = '{"version": "v1"}\n'


@pytest.fixture(autouse=True)
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inside, "INTERVAL", 0.001)
    monkeypatch.setattr(inside, "GRACE", 0.05)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The files of a container."""
    artefact = tmp_path / "app/model/x_model/artefact"
    artefact.mkdir(parents=True)
    (artefact / "metadata.json").write_text(METADATA)
    (artefact / "golden.json").write_text(json.dumps(GOLDEN))
    (tmp_path / "tmp").mkdir()
    (tmp_path / "tmp/webservice-8000.key").write_text("secret\n")
    return tmp_path


def answers(version: str = "v1", label: str = "a") -> dict[str, tuple[int, bytes]]:
    prediction: dict[str, Any] = PREDICTION | {"label": label}
    return {
        "/version": (200, json.dumps({"version": version}).encode()),
        "/v1/predictions": (200, json.dumps(prediction).encode()),
    }


def test_a_replica_that_is_right_is_verified(root: Path, stub_service: StubService) -> None:
    result = main(["verify", "v1"], root, stub_service(answers(), "secret"))

    assert result == {"records": 1, "artefact": hashlib.sha256(METADATA.strip().encode()).hexdigest()}


@pytest.mark.parametrize(
    ("responses", "message"),
    [(answers(version="v2"), "runs version v2, not v1"), (answers(label="b"), "for golden record 0")],
    ids=["another version", "another prediction"],
)
def test_a_replica_that_is_wrong_says_how(
    root: Path, stub_service: StubService, responses: dict[str, tuple[int, bytes]], message: str
) -> None:
    assert message in main(["verify", "v1"], root, stub_service(responses, "secret"))["wrong"]


def test_a_replica_that_does_not_answer_is_no_wrong_one(root: Path, stub_service: StubService) -> None:
    assert "does not answer" in main(["verify", "v1"], root, stub_service(answers(), "another"))["error"]


def test_an_image_without_golden_records_is_said(root: Path, stub_service: StubService) -> None:
    (root / "app/model/x_model/artefact/golden.json").unlink()

    assert "no golden records" in main(["verify", "v1"], root, stub_service(answers()))["error"]


def test_the_version_is_asked_for(root: Path, stub_service: StubService) -> None:
    assert main(["version"], root, stub_service(answers("v7"), "secret")) == {"version": "v7"}


def test_a_busy_service_is_no_failure(root: Path, stub_service: StubService) -> None:
    result = main(["watch", "v1", "0.01"], root, proxy=through(stub_service({"/version": (429, b"")}, "secret")))

    assert "sent none of" in result["error"]


def through(url: str) -> tuple[str, int]:
    """Return host and port of a stub in the place of the proxy."""
    parts = urlsplit(url)
    return str(parts.hostname), int(parts.port or 0)


def test_a_replica_that_the_proxy_asks_is_seen(root: Path, stub_service: StubService) -> None:
    result = main(["watch", "v1", "0.05"], root, proxy=through(stub_service(answers(), "secret")))

    assert result["own"] == result["asked"] >= 1


@pytest.mark.parametrize(
    ("responses", "key", "kind", "message"),
    [
        (answers(), "of another replica", "error", "the proxy sent none of"),
        ({"/version": (502, b"")}, "secret", "error", "through the proxy, a request got status 502"),
        (answers("v2"), "secret", "wrong", "through the proxy, version v2 answers, not v1"),
    ],
    ids=["never asked", "bad gateway", "another version"],
)
def test_traffic_that_goes_wrong_is_said(
    root: Path, stub_service: StubService, responses: dict[str, tuple[int, bytes]], key: str, kind: str, message: str
) -> None:
    result = main(["watch", "v1", "0.01"], root, proxy=through(stub_service(responses, key)))

    assert message in result[kind]


def test_a_proxy_that_is_not_there_is_said(root: Path) -> None:
    assert "the proxy does not answer" in main(["watch", "v1", "0.01"], root, proxy=("127.0.0.1", 9))["error"]
