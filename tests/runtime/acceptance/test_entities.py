"""The page of a model that finds entities, in a browser."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.runtime.acceptance.conftest import Browser, checked, driven
from tests.runtime.acceptance.test_browser import read, send_table
from tests.runtime.live_service.conftest import ARTEFACT, Service, running_service
from tests.runtime.lookup_model import write_artefact

TEXT = "Dear Zoë,\n\n<b>Ada Lovelace</b> works for Acme in Kraków 😀.\nשלום רחל, מה שלומך?\n" + "Acme! " * 40


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service that finds entities."""
    folder = tmp_path_factory.mktemp("entities")
    settings = {"APPLICATION": "entities", "DRAIN_MARKER": str(folder / "draining"), "LOG_LEVEL": "error"}
    with running_service({ARTEFACT: str(write_artefact(folder / "artefact"))} | settings) as service:
        yield service


@pytest.fixture(scope="module")
def page_of_texts(texts: Service, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with driven(f"http://{texts.host}:{texts.port}", tmp_path_factory.mktemp("downloads")) as browser:
        yield browser


@pytest.fixture
def browser(page_of_texts: Browser) -> Iterator[Browser]:
    """A browser that shows the service of this module."""
    yield from checked(page_of_texts)


def find_entities(browser: Browser, text: str) -> None:
    """Send a text, and wait for the page with its entities."""
    browser.driver.execute_script("document.getElementById('field-0').value = arguments[0]", text)
    browser.predict()


def marks(browser: Browser) -> list[str]:
    """Return the first marks, each with its label."""
    return [text.replace("\n", " ") for text in browser.texts("mark")[:5]]


def test_entities_are_marked_on_any_screen_and_accessible(
    browser: Browser, serious_findings: Callable[..., list[str]]
) -> None:
    for width, dark in ((1280, False), (390, True)):
        # When the entities of a text are found
        browser.resize(width, dark=dark)
        browser.open("/")
        find_entities(browser, TEXT)
        browser.find(".entities summary").click()

        # Then each is marked, with its label as text
        assert marks(browser) == ["Zoë PERSON", "Ada Lovelace PERSON", "Acme ORG", "Kraków PLACE", "רחל PERSON"]
        assert browser.find("#field-0").get_attribute("value") == TEXT.strip()

        # And nothing is wider than the screen, or hard to perceive
        assert browser.driver.execute_script("return document.documentElement.scrollWidth") <= width
        assert serious_findings() == []


def test_annotated_lines_get_their_entities(browser: Browser, tmp_path: Path) -> None:
    # Given lines as for training
    lines = [{"text": "Zoë left", "entities": [{"start": 0, "end": 3, "label": "PERSON"}]}, {"text": "x"}]
    path = tmp_path / "mine.jsonl"
    path.write_text("\n".join(map(json.dumps, lines)))

    # When they are sent
    browser.open("/")
    send_table(browser, path)

    # Then a table with entities is offered
    assert "2 rows of mine.jsonl, none faulty" in browser.find(".done").text
    assert "PERSON: 1" in browser.find(".counts").text
    browser.find(".results a").click()
    _, rows = read(browser.downloaded())
    assert [json.loads(row["predicted_entities"]) for row in rows] == [
        [{"text": "Zoë", "label": "PERSON", "start": 0, "end": 3}],
        [],
    ]


def test_entities_are_marked_without_javascript(texts: Service, tmp_path: Path) -> None:
    with driven(f"http://{texts.host}:{texts.port}", tmp_path, scripts=False) as page:
        page.open("/?example=PLACE")
        page.predict()

        assert "Kraków PLACE" in marks(page)
