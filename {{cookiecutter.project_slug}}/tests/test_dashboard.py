"""The dashboard, in front of the application on a port of this machine."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from flask import Flask
from mlops_runtime.contract import RecordModel
from mlops_runtime.dashboard.drift import Drift
from mlops_runtime.model import Predictor
from mlops_runtime.testing.project import served
from streamlit.testing.v1 import AppTest

SCRIPT = Path(__file__).parents[1] / "src/dashboard/app.py"


@pytest.fixture(scope="module")
def app(create_app: Callable[[Predictor], Flask], predictor: Predictor) -> Flask:
    """The application."""
    return create_app(predictor)


@pytest.fixture
def dashboard(app: Flask, monkeypatch: pytest.MonkeyPatch) -> Iterator[AppTest]:
    """The dashboard, opened."""
    with served(app) as url:
        monkeypatch.setenv("SERVICE_URL", url)
        yield AppTest.from_file(str(SCRIPT), default_timeout=60).run()


def test_it_shows_the_prediction_of_an_example(dashboard: AppTest) -> None:
    assert [*dashboard.exception, *dashboard.error] == []
    assert dashboard.metric[0].label == "Prediction"


def test_a_table_is_scored(dashboard: AppTest, app: Flask) -> None:
    table = app.test_client().get("/table").data
    dashboard.segmented_control[0].set_value("Table").run()

    dashboard.file_uploader[0].set_value(("table.csv", table, "text/csv")).run()

    assert [*dashboard.exception, *dashboard.error] == []
    assert "rows have a prediction" in dashboard.success[0].value


def test_the_model_card_opens(dashboard: AppTest) -> None:
    dashboard.segmented_control[0].set_value("Model card").run()

    assert [*dashboard.exception, *dashboard.error] == []


def test_drift_is_shown(dashboard: AppTest, app: Flask, record: RecordModel) -> None:
    records = [record.model_dump(mode="json")] * 500
    assert app.test_client().post("/v1/predictions", json=records).status_code == 200

    dashboard.segmented_control[0].set_value("Drift").run()

    assert [*dashboard.exception, *dashboard.error] == []
    assert dashboard.metric[0].label == "Records of the last day"


def test_a_field_that_differs_is_named(dashboard: AppTest, monkeypatch: pytest.MonkeyPatch) -> None:
    drift = Drift(datetime.now(UTC), 500, {"one": 0.3, "other": 0.1})
    monkeypatch.setattr("mlops_runtime.dashboard.drift_of", lambda _: drift)

    dashboard.segmented_control[0].set_value("Drift").run()

    assert [warning.value for warning in dashboard.warning] == ["one differs from the training rows."]


@pytest.mark.parametrize("page", ["What if", "Drift"])
def test_it_says_that_the_service_is_away(dashboard: AppTest, monkeypatch: pytest.MonkeyPatch, page: str) -> None:
    monkeypatch.setenv("SERVICE_URL", "http://127.0.0.1:9")

    dashboard.segmented_control[0].set_value(page).run()

    assert "does not answer" in dashboard.error[0].value
