import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from mlops_runtime.contract import Contract
from mlops_runtime.model import OnnxPredictor, read_artefact
from mlops_runtime.model.artefact import REPORT_FILE
from mlops_runtime.serving.settings import Settings
from tests.runtime.conftest import Run
from tests.runtime.serving.conftest import app_of


def test_the_report_of_the_training_is_served(client: FlaskClient, run: Run) -> None:
    response = client.get("/report")

    assert response.status_code == 200
    assert response.content_type.startswith("text/html")
    assert response.data == run.report.read_bytes()


def test_the_report_can_run_no_script_and_load_nothing(client: FlaskClient) -> None:
    response = client.get("/report")

    policy = response.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert not any(word in policy for word in ("script-src", "http", "img-src", "connect-src", "form-action 'self'"))
    assert "<script" not in response.text
    assert "<img" not in response.text


@pytest.mark.parametrize("content", [None, b"<p>another model's</p>"], ids=["missing", "changed"])
def test_a_report_of_another_model_is_not_served(
    content: bytes | None, contract: Contract, artefact: Path, settings: Settings, tmp_path: Path
) -> None:
    # Given a service whose artefact changes on disk while it runs
    copy = shutil.copytree(artefact, tmp_path / "artefact")
    client = app_of(OnnxPredictor.load(contract, copy), settings).test_client()
    (copy / REPORT_FILE).unlink()
    if content is not None:
        (copy / REPORT_FILE).write_bytes(content)

    # Then the response says that there is none
    response = client.get("/report")
    assert response.status_code == 404
    assert "train and deploy again" in response.get_json()["detail"]


def test_an_artefact_without_a_report_can_be_served(contract: Contract, artefact: Path, settings: Settings) -> None:
    loaded = read_artefact(contract, artefact)
    files = {name: digest for name, digest in loaded.metadata.files.items() if name != REPORT_FILE}
    without = replace(loaded, metadata=loaded.metadata.model_copy(update={"files": files}))
    client = app_of(OnnxPredictor(without), settings).test_client()

    assert client.get("/").status_code == 200
    assert client.get("/report").status_code == 404
