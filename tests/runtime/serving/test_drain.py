import time
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from mlops_runtime.model import Predictor
from mlops_runtime.serving import drain
from mlops_runtime.serving.settings import Settings
from tests.runtime.serving.conftest import app_of


@pytest.fixture
def marker(tmp_path: Path) -> drain.Marker:
    return drain.Marker(tmp_path / "draining")


@pytest.fixture
def draining_client(predictor: Predictor, marker: drain.Marker, tmp_path: Path) -> FlaskClient:
    marker.create()
    return app_of(predictor, Settings(drain_marker=tmp_path / "draining")).test_client()


@pytest.mark.parametrize("path", ["/", "/healthz", "/readyz", "/unknown", "/static/page.css"])
def test_each_response_closes_its_connection_while_the_service_drains(draining_client: FlaskClient, path: str) -> None:
    with draining_client.get(path) as response:
        assert response.headers["Connection"] == "close"


def test_connections_stay_open_while_the_service_does_not_drain(client: FlaskClient) -> None:
    assert "Connection" not in client.get("/healthz").headers


def test_predictions_are_made_while_the_service_drains(draining_client: FlaskClient, predictor: Predictor) -> None:
    record = predictor.golden_records[0].record.model_dump(mode="json")

    assert draining_client.post("/v1/predictions", json=record).status_code == 200


def test_a_marker_exists_until_it_is_removed(tmp_path: Path, marker: drain.Marker) -> None:
    # Given a marker that is created twice
    marker.create()
    marker.create()
    assert drain.Marker(tmp_path / "draining").exists()

    # When it is removed twice
    marker.remove()
    marker.remove()

    # Then it is gone
    assert not drain.Marker(tmp_path / "draining").exists()


def test_the_marker_is_checked_at_intervals(marker: drain.Marker, monkeypatch: pytest.MonkeyPatch) -> None:
    # Given a marker that is created after a check
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now)
    assert not marker.exists()
    marker.create()

    # When less than the interval passes, and then more
    now += drain.CHECK_INTERVAL / 2
    soon = marker.exists()
    now += drain.CHECK_INTERVAL
    later = marker.exists()

    # Then the next check finds it
    assert (soon, later) == (False, True)


def test_the_hook_creates_the_marker_and_waits(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    # Given an environment with a path for the marker
    waited: list[float] = []
    monkeypatch.setenv("DRAIN_MARKER", str(tmp_path / "draining"))
    monkeypatch.setenv("DRAIN_SECONDS", "12.5")
    monkeypatch.setattr(time, "sleep", waited.append)

    # When the hook runs
    status = drain.main()

    # Then the marker exists, and clients had time to disconnect
    assert status == 0
    assert waited == [12.5]
    assert (tmp_path / "draining").exists()


@pytest.mark.parametrize(
    ("name", "value"), [("DRAIN_SECONDS", "soon"), ("DRAIN_MARKER", "/dev/null/draining")], ids=["seconds", "marker"]
)
def test_a_hook_that_fails_reports_the_reason(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    monkeypatch.setattr(time, "sleep", lambda _: None)

    assert drain.main() == 1
    assert value in capsys.readouterr().err
