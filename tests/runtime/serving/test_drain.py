import time
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from mlops_runtime.model.predictor import Predictor
from mlops_runtime.serving import drain
from mlops_runtime.serving.app import create_app
from mlops_runtime.serving.settings import Settings


@pytest.fixture
def marker(tmp_path: Path) -> drain.Marker:
    return drain.Marker(tmp_path / "draining")


@pytest.fixture
def draining_client(predictor: Predictor, marker: drain.Marker, tmp_path: Path) -> FlaskClient:
    marker.put()
    return create_app(predictor, Settings(drain_marker=tmp_path / "draining")).test_client()


@pytest.mark.parametrize("path", ["/", "/healthz", "/readyz", "/unknown", "/static/page.css"])
def test_while_it_drains_each_answer_is_the_last_of_its_connection(draining_client: FlaskClient, path: str) -> None:
    with draining_client.get(path) as response:
        assert response.headers["Connection"] == "close"


def test_otherwise_connections_stay_open(client: FlaskClient) -> None:
    assert "Connection" not in client.get("/healthz").headers


def test_predictions_are_still_given_while_it_drains(draining_client: FlaskClient, predictor: Predictor) -> None:
    record = predictor.golden_records[0].record.model_dump(mode="json")

    assert draining_client.post("/v1/predictions", json=record).status_code == 200


def test_a_marker_stands_until_it_is_removed(tmp_path: Path, marker: drain.Marker) -> None:
    # Given a marker that is put up twice
    marker.put()
    marker.put()
    assert drain.Marker(tmp_path / "draining").stands()

    # When it is removed, twice as well
    marker.remove()
    marker.remove()

    # Then it is gone
    assert not drain.Marker(tmp_path / "draining").stands()


def test_the_marker_is_looked_at_from_time_to_time(marker: drain.Marker, monkeypatch: pytest.MonkeyPatch) -> None:
    # Given a marker that was looked at, and then put up
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now)
    assert not marker.stands()
    marker.put()

    # When a moment passes
    now += drain.LOOK_EVERY / 2
    soon = marker.stands()
    now += drain.LOOK_EVERY
    later = marker.stands()

    # Then it is seen with the next look
    assert (soon, later) == (False, True)


def test_the_hook_puts_the_marker_up_and_waits(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    # Given an environment with a place for the marker
    waited: list[float] = []
    monkeypatch.setenv("DRAIN_MARKER", str(tmp_path / "draining"))
    monkeypatch.setenv("DRAIN_SECONDS", "12.5")
    monkeypatch.setattr(time, "sleep", waited.append)

    # When the hook runs
    status = drain.main()

    # Then the marker stands, and the clients had their time
    assert status == 0
    assert waited == [12.5]
    assert (tmp_path / "draining").exists()


@pytest.mark.parametrize(
    ("name", "value"), [("DRAIN_SECONDS", "soon"), ("DRAIN_MARKER", "/dev/null/draining")], ids=["seconds", "marker"]
)
def test_a_hook_that_cannot_work_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    monkeypatch.setattr(time, "sleep", lambda _: None)

    assert drain.main() == 1
    assert value in capsys.readouterr().err
