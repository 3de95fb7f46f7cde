"""The dashboard, in front of the application on a port of this machine."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from flask import Flask
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


@pytest.mark.parametrize("page", ["What if", "Table", "Model card", "Drift"])
def test_a_page_opens(dashboard: AppTest, page: str) -> None:
    dashboard.segmented_control[0].set_value(page).run()

    assert [*dashboard.exception, *dashboard.error] == []


def test_a_table_is_scored(dashboard: AppTest, app: Flask) -> None:
    table = app.test_client().get("/table").data
    dashboard.segmented_control[0].set_value("Table").run()

    dashboard.file_uploader[0].set_value(("table.csv", table, "text/csv")).run()

    assert "rows have a prediction" in dashboard.success[0].value


@pytest.mark.parametrize("page", ["What if", "Drift"])
def test_it_says_that_the_service_is_away(dashboard: AppTest, monkeypatch: pytest.MonkeyPatch, page: str) -> None:
    monkeypatch.setenv("SERVICE_URL", "http://127.0.0.1:9")

    dashboard.segmented_control[0].set_value(page).run()

    assert "does not answer" in dashboard.error[0].value
