"""The dashboard, in front of the application on a port of this machine."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from flask import Flask
from mlops_runtime.model import Predictor
from mlops_runtime.testing.project import served
from streamlit.testing.v1 import AppTest

APP = Path(__file__).parents[1] / "src/dashboard/app.py"


@pytest.fixture
def dashboard(
    create_app: Callable[[Predictor], Flask], predictor: Predictor, monkeypatch: pytest.MonkeyPatch
) -> Iterator[AppTest]:
    """The dashboard, opened."""
    with served(create_app(predictor)) as url:
        monkeypatch.setenv("SERVICE_URL", url)
        yield AppTest.from_file(str(APP), default_timeout=60).run()


def test_it_shows_a_prediction_of_the_example(dashboard: AppTest) -> None:
    assert not dashboard.exception
    assert not dashboard.error
    assert dashboard.metric[0].label == "Prediction"


@pytest.mark.parametrize("page", ["Table", "Model card", "Drift"])
def test_each_page_opens(dashboard: AppTest, page: str) -> None:
    dashboard.segmented_control[0].set_value(page).run()

    assert not dashboard.exception
    assert not [error.value for error in dashboard.error]


def test_it_says_that_the_service_is_away(dashboard: AppTest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SERVICE_URL", "http://127.0.0.1:9")

    dashboard.run()

    assert "does not answer" in dashboard.error[0].value
