"""The dashboard of a project, in front of services with fields of every kind."""

import hashlib
import json
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest

from mlops_runtime.dashboard import Client
from mlops_runtime.model import Predictor
from mlops_runtime.serving import create_app
from mlops_runtime.serving.settings import Settings
from mlops_runtime.testing.project import served
from tests.conftest import TEMPLATE

how_to_get_it = "needs Streamlit, which `make test` installs: pip install streamlit"
AppTest: Any = pytest.importorskip("streamlit.testing.v1", reason=how_to_get_it).AppTest
widgets: Any = pytest.importorskip("mlops_runtime.dashboard.widgets")
SCRIPT = TEMPLATE / "{{cookiecutter.project_slug}}/src/dashboard/app.py"
KEY = "a-secret-key"

Open = Callable[[Predictor], Any]


@pytest.fixture
def open_dashboard(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Open]:
    """Return the function that opens the dashboard of a model, whose service requires a key."""
    import streamlit

    (tmp_path / "caller").write_text(hashlib.sha256(KEY.encode()).hexdigest())
    # Each test has a service of its own.
    streamlit.cache_data.clear()
    streamlit.cache_resource.clear()
    with ExitStack() as running:

        def start(predictor: Predictor) -> Any:
            app = create_app(predictor, Settings(api_keys=tmp_path), title="Fate")
            monkeypatch.setenv("SERVICE_URL", running.enter_context(served(app)))
            monkeypatch.setenv("SERVICE_KEY", KEY)
            return AppTest.from_file(str(SCRIPT), default_timeout=120).run()

        yield start


def faults(page: Any) -> list[str]:
    return [element.value for element in (*page.exception, *page.error)]


def test_the_example_of_each_contract_gets_the_prediction_of_the_service(
    open_dashboard: Open, each_predictor: Predictor
) -> None:
    page = open_dashboard(each_predictor)

    assert faults(page) == []
    golden = each_predictor.golden_records[0]
    expected = Client.from_environment().explain(golden.record.model_dump(mode="json"))["prediction"]
    shown = str(expected["label"]) if "label" in expected else widgets.readable(expected["value"])
    assert page.metric[0].value == shown
    # and the key is nowhere on the page
    assert KEY not in repr(page)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        pytest.param(630703.897, "630,704", id="price of a house"),
        pytest.param(-1234.5, "-1,234", id="negative"),
        pytest.param(12.3456, "12.35", id="small"),
        pytest.param(0.0001234567, "0.0001235", id="below one"),
        pytest.param(1e15, "1e+15", id="beyond the digits of a double"),
    ],
)
def test_a_number_has_no_exponent_where_a_person_writes_none(value: float, text: str) -> None:
    assert widgets.readable(value) == text


def test_another_value_and_a_missing_one_are_sent(open_dashboard: Open, predictor: Predictor) -> None:
    page = open_dashboard(predictor)

    page.slider(key="field Weight (kg)").set_value(0.0)
    page.selectbox(key="field Size").set_value(None)
    page.checkbox(key="known Items").uncheck().run()

    assert faults(page) == []
    assert all(widget.key != "field Items" for widget in page.slider)


def test_a_refused_record_says_why(open_dashboard: Open, predictor: Predictor) -> None:
    page = open_dashboard(predictor)

    page.text_input(key="field Slot").set_value("at noon").run()

    (fault,) = faults(page)
    assert fault.startswith("Slot ")


@pytest.mark.parametrize("title", ["What if", "Table", "Model card", "Drift"])
def test_a_wrong_key_is_said_on_each_page(
    open_dashboard: Open, predictor: Predictor, monkeypatch: pytest.MonkeyPatch, title: str
) -> None:
    page = open_dashboard(predictor)
    monkeypatch.setenv("SERVICE_KEY", "another-key")

    page.segmented_control[0].set_value(title).run()
    if title == "Table":
        page.file_uploader[0].set_value(("table.csv", b"a\n1\n", "text/csv")).run()

    (fault,) = faults(page)
    assert fault.startswith("The service does not accept the API key")
    assert "another-key" not in repr(page)


@pytest.mark.parametrize(
    ("name", "content", "fault"),
    [
        pytest.param("book.xlsx", b"PK\x03\x04", "or an Excel workbook: save the table as CSV", id="workbook"),
        pytest.param("other.csv", b"a,b\n1,2\n", "The first row must name the columns", id="other columns"),
        pytest.param("empty.csv", b"", "", id="empty"),
    ],
)
def test_an_odd_table_is_refused(
    open_dashboard: Open, predictor: Predictor, name: str, content: bytes, fault: str
) -> None:
    page = open_dashboard(predictor)
    page.segmented_control[0].set_value("Table").run()

    page.file_uploader[0].set_value((name, content, "text/csv")).run()

    (shown,) = faults(page)
    assert fault in shown


def test_a_table_with_a_faulty_row_is_scored(open_dashboard: Open, predictor: Predictor, data: Path) -> None:
    header, *rows = data.read_text().splitlines()
    faulty = rows[2].replace(rows[2].split(",")[0], "heavy", 1)
    page = open_dashboard(predictor)
    page.segmented_control[0].set_value("Table").run()

    page.file_uploader[0].set_value(("t.csv", "\n".join([header, *rows[:2], faulty]).encode(), "text/csv")).run()

    assert faults(page) == []
    assert page.success[0].value == "2 of 3 rows have a prediction."
    assert list(page.dataframe[0].value["row"]) == [4]


def test_the_drift_of_the_last_day_is_shown(open_dashboard: Open, predictor: Predictor) -> None:
    page = open_dashboard(predictor)
    records = json.dumps([predictor.golden_records[0].record.model_dump(mode="json")] * 500).encode()
    headers = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"}
    urlopen(Request(os.environ["SERVICE_URL"] + "/v1/predictions", records, headers)).close()

    page.segmented_control[0].set_value("Drift").run()

    assert faults(page) == []
    assert (page.metric[0].label, page.metric[0].value) == ("Records of the last day", "500")
    assert list(page.dataframe[0].value.columns) == ["field", "index"]


def test_too_few_records_have_no_index(open_dashboard: Open, predictor: Predictor) -> None:
    page = open_dashboard(predictor)

    page.segmented_control[0].set_value("Drift").run()

    assert page.info[0].value.startswith("No index yet")


def test_a_field_that_differs_is_named() -> None:
    def show() -> None:
        from datetime import UTC, datetime

        from mlops_runtime.dashboard.drift import Drift
        from mlops_runtime.dashboard.widgets import show_index

        show_index([Drift(datetime(2026, 1, 1, tzinfo=UTC), 500, {"one": 0.3, "other": 0.1})])

    page = AppTest.from_function(show).run()

    assert [warning.value for warning in page.warning] == ["one differs from the training rows."]
