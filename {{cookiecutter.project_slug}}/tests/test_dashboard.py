"""The dashboard, in front of the application on a port of this machine."""

import pytest
from flask.testing import FlaskClient
from streamlit.testing.v1 import AppTest


@pytest.mark.parametrize("page", ["What if", "Table", "Model card", "Drift"])
def test_a_page_opens(dashboard: AppTest, page: str) -> None:
    dashboard.segmented_control[0].set_value(page).run()

    assert [*dashboard.exception, *dashboard.error] == []


def test_a_table_is_scored(dashboard: AppTest, client: FlaskClient) -> None:
    table = client.get("/table").data
    dashboard.segmented_control[0].set_value("Table").run()

    dashboard.file_uploader[0].set_value(("table.csv", table, "text/csv")).run()

    assert "rows have a prediction" in dashboard.success[0].value


@pytest.mark.parametrize("page", ["What if", "Drift"])
def test_it_says_that_the_service_is_away(dashboard: AppTest, monkeypatch: pytest.MonkeyPatch, page: str) -> None:
    monkeypatch.setenv("SERVICE_URL", "http://127.0.0.1:9")

    dashboard.segmented_control[0].set_value(page).run()

    assert "does not answer" in dashboard.error[0].value
