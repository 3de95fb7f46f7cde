"""Odd tables, each dropped on the page of the model that was trained on it, in a browser."""

import csv
from collections.abc import Iterator
from dataclasses import dataclass, replace
from io import StringIO
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from sklearn.linear_model import LogisticRegression, Ridge
from werkzeug.exceptions import NotFound
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.serving import make_server

from mlops_runtime.model import OnnxPredictor
from mlops_runtime.serving import create_app
from mlops_runtime.serving.settings import Settings
from mlops_runtime.tables.source import open_source
from mlops_runtime.training import run
from mlops_runtime.training.candidates import Candidate
from tests.runtime.acceptance.conftest import Browser, checked, driven
from tests.runtime.conftest import training_settings
from tests.runtime.live_service.conftest import Service
from tests.runtime.serving.own_tables import ROWS, TABLES, contract_of, write_table

ANY_SKILL = {"skill": -1e9}

WIDTH = 390
"""Width of the screen of a phone."""
LINE_HEIGHT = 40
"""Maximum height of a link of one line."""

DROP = """
const data = new DataTransfer();
data.items.add(document.getElementById('table-file').files[0]);
for (const type of ['dragover', 'drop'])
  document.querySelector('h1').dispatchEvent(new DragEvent(type, {dataTransfer: data, bubbles: true}));
"""


@dataclass(frozen=True)
class Host:
    """A server of several applications, each below a path prefix.

    Attributes:
        applications: by prefix.
        service: the address.
    """

    applications: dict[str, Any]
    service: Service


@pytest.fixture(scope="module")
def host() -> Iterator[Host]:
    dispatcher = DispatcherMiddleware(NotFound())
    server = make_server("127.0.0.1", 0, dispatcher, threaded=True)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield Host(dispatcher.mounts, Service("127.0.0.1", server.port))
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="module")
def module_browser(host: Host, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    address = f"http://{host.service.host}:{host.service.port}"
    with driven(address, tmp_path_factory.mktemp("downloads")) as browser:
        yield browser


@dataclass(frozen=True)
class Trained:
    """A table, and the page of the model that was trained on it."""

    path: Path
    prefix: str


@pytest.fixture(params=TABLES)
def trained(request: pytest.FixtureRequest, host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Trained:
    """Each table in turn."""
    path = write_table(request.param, tmp_path)
    contract = contract_of(path)
    estimator = LogisticRegression() if contract.labels else Ridge()
    settings = replace(training_settings(tmp_path, path), floors=ANY_SKILL)
    # The report takes longer than the rest, and is not shown.
    monkeypatch.setattr(run, "render_report", lambda *_: "")
    run.train(contract, settings, [Candidate("linear", estimator)])
    prefix = f"/{path.stem}"
    predictor = OnnxPredictor.load(contract, settings.artefact)
    host.applications[prefix] = create_app(predictor, Settings(log_level="error"), title=request.param)
    return Trained(path, prefix)


@pytest.fixture
def browser(trained: Trained, module_browser: Browser) -> Iterator[Browser]:
    """A browser that shows the service of the model."""
    yield from checked(replace(module_browser, base=module_browser.base + trained.prefix))


def test_each_row_of_the_table_is_answered_on_the_page(trained: Trained, host: Host, browser: Browser) -> None:
    # Given the predictions of the API for the file
    response = host.service.request(
        "POST", f"{trained.prefix}/v1/predictions", trained.path.read_bytes(), content_type="text/csv"
    )
    assert response.status == 200, response.body
    names, *expected = csv.reader(StringIO(response.body.decode()))

    # When the file is dropped on the page
    browser.open("/")
    browser.find("#table-file").send_keys(str(trained.path))
    browser.driver.execute_script(DROP)
    browser.wait(lambda: browser.find(".results").is_displayed())

    # Then each row is answered
    assert browser.find(".problem-text").text == ""
    assert browser.find(".done").text == f"{ROWS} rows of {trained.path.name}, none faulty."

    # And the predictions behind the cells of the file, without errors, are those of the API
    browser.find(".results a").click()
    delimiter = open_source(trained.path).delimiter
    header, *rows = csv.reader(StringIO(browser.downloaded()), delimiter=delimiter)
    width = len(header) - len(names) - 1
    assert [name.removeprefix("predicted_") for name in header[width:]] == [*names, "error"]
    assert [row[width:] for row in rows] == [[*cells, ""] for cells in expected]


@pytest.mark.parametrize(
    "trained", ["letters from right to left", "labels of many letters", "names of hundreds of letters"], indirect=True
)
def test_odd_names_and_labels_fit_on_a_phone(browser: Browser) -> None:
    # When a record is predicted on a narrow screen
    browser.resize(WIDTH)
    browser.open("/")
    browser.predict()

    # Then the page is no wider than the screen, and links are not broken into letters
    assert browser.driver.execute_script("return document.documentElement.scrollWidth") <= WIDTH
    assert browser.find(".history button.link").size["height"] <= LINE_HEIGHT

    # And each label is before its probability
    label, words = browser.find(".stored-headline").rect, browser.find(".history .words").rect
    assert words["y"] > label["y"] or words["x"] >= label["x"] + label["width"]
