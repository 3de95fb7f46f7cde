import json
import math
from pathlib import Path
from unittest.mock import patch

import pytest
from flask.testing import FlaskClient

from mlops_runtime.model import Predictor
from mlops_runtime.model.metadata import Estimate, Metadata
from mlops_runtime.serving.drain import Marker
from mlops_runtime.serving.settings import Settings
from tests.runtime.serving.conftest import app_of


def test_a_process_that_runs_is_alive(client: FlaskClient) -> None:
    response = client.get("/healthz")

    assert (response.status_code, response.json) == (200, {"status": "alive"})


def test_a_model_with_its_golden_predictions_is_ready(client: FlaskClient) -> None:
    response = client.get("/readyz")

    assert (response.status_code, response.json) == (200, {"status": "ready"})


def test_a_model_without_its_golden_predictions_is_not_ready(client: FlaskClient, predictor: Predictor) -> None:
    # Given a model that predicts something else
    with patch.object(predictor, "gives_golden_predictions", return_value=False):
        # When the probes ask
        ready, alive = client.get("/readyz"), client.get("/healthz")

    # Then the pod gets no requests, and is not restarted either, as that would not help
    assert ready.status_code == 503
    assert ready.content_type == "application/problem+json"
    assert "golden" in json.loads(ready.data)["detail"]
    assert alive.status_code == 200


def test_a_service_that_drains_is_alive_but_not_ready(predictor: Predictor, tmp_path: Path) -> None:
    # Given a service that is about to stop
    settings = Settings(drain_marker=tmp_path / "draining")
    Marker(settings.marker).create()
    client = app_of(predictor, settings).test_client()

    # Then it gets no new requests
    assert client.get("/readyz").status_code == 503
    assert client.get("/healthz").status_code == 200


def test_the_version_names_the_release_and_its_model(client: FlaskClient, predictor: Predictor) -> None:
    response = client.get("/version")

    assert response.get_json()["version"] == "1.2.3"
    assert Metadata.model_validate_json(json.dumps(response.get_json()["model"])) == predictor.metadata


def test_a_metric_that_could_not_be_measured_is_null(predictor: Predictor, settings: Settings) -> None:
    # Given a model of whose metrics one is not a number
    unmeasured = Estimate(value=math.nan, low=math.nan, high=math.nan)
    metadata = predictor.metadata.model_copy(update={"metrics": {"unmeasured": unmeasured}})

    # When the version is requested
    with patch.object(predictor, "metadata", metadata):
        response = app_of(predictor, settings).test_client().get("/version")

    # Then the response is JSON, which has no NaN
    assert b"NaN" not in response.data
    assert response.get_json()["model"]["metrics"]["unmeasured"]["value"] is None


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/version"])
def test_head_returns_headers_without_a_body(client: FlaskClient, path: str) -> None:
    response = client.head(path)

    assert (response.status_code, response.data) == (200, b"")
