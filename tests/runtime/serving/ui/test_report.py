import shutil
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from mlops_runtime.model.artefact import REPORT_FILE
from mlops_runtime.model.predictor import Predictor
from mlops_runtime.serving.app import create_app
from mlops_runtime.serving.settings import Settings
from tests.conftest import Run


def test_the_report_of_the_training_is_shown(client: FlaskClient, run: Run) -> None:
    response = client.get("/report")

    assert response.status_code == 200
    assert response.content_type.startswith("text/html")
    assert response.data == run.report.read_bytes()


def test_the_report_can_run_and_fetch_nothing(client: FlaskClient) -> None:
    response = client.get("/report")

    policy = response.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert not any(word in policy for word in ("script-src", "http", "img-src", "connect-src", "form-action 'self'"))
    assert "<script" not in response.text
    assert "<img" not in response.text


@pytest.mark.parametrize("content", [None, b"<p>another model's</p>"], ids=["missing", "another"])
def test_a_report_of_another_model_is_not_shown(
    content: bytes | None, artefact: Path, settings: Settings, tmp_path: Path
) -> None:
    # Given a service that runs, and whose artefact is then changed on disk
    copy = shutil.copytree(artefact, tmp_path / "artefact")
    client = create_app(Predictor.load(copy), settings).test_client()
    (copy / REPORT_FILE).unlink()
    if content is not None:
        (copy / REPORT_FILE).write_bytes(content)

    # Then it says that it has none
    response = client.get("/report")
    assert response.status_code == 404
    assert "train and deploy again" in response.get_json()["detail"]


def test_an_artefact_without_a_report_can_be_served(artefact: Path, settings: Settings) -> None:
    loaded = Predictor.load(artefact)
    files = {name: digest for name, digest in loaded.metadata.files.items() if name != REPORT_FILE}
    metadata = loaded.metadata.model_copy(update={"files": files})
    model = (artefact / "model.onnx").read_bytes()
    client = create_app(
        Predictor(model, metadata, loaded.baseline, loaded.golden_records, artefact), settings
    ).test_client()

    assert client.get("/").status_code == 200
    assert client.get("/report").status_code == 404
