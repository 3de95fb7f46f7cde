"""The page in a browser."""

import csv
import json
from collections.abc import Callable
from io import StringIO
from pathlib import Path

import pytest

from mlops_runtime.testing.synthetic import FIELDS
from tests.runtime.acceptance.conftest import Browser
from tests.runtime.live_service.conftest import Service, StartService

MANY_ROWS = 2500
"""Rows of more than two batches."""

SWAGGER_RULES = ("color-contrast", "nested-interactive", "select-name")
"""Rules of axe-core that Swagger UI violates with any document: its colours, headlines with nested buttons, and lists
of servers and examples without a name."""

TAB, ENTER = "\ue004", "\ue007"
"""Keys in the encoding of WebDriver."""

SUBMIT = ".table-upload form button"
SCHEMES = [pytest.param(False, id="light"), pytest.param(True, id="dark")]


@pytest.fixture(scope="module")
def example(service: Service) -> list[list[str]]:
    """The example table of the page: its header, and its rows."""
    return list(csv.reader(StringIO(service.request("GET", "/table").body.decode())))


@pytest.fixture
def faulty_table(example: list[list[str]], tmp_path: Path) -> Path:
    """A table with a further column, whose second row has a cell too many."""
    header, first, *rest = example
    rows = [[*header, "note"], [*first, "good"], [*first, "too", "many"], *([*row, "good"] for row in rest)]
    return written(rows, tmp_path / "mine.csv")


def written(rows: list[list[str]], path: Path) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(rows)
    return path


def read(text: str) -> tuple[list[str], list[dict[str, str]]]:
    """Return the header and the rows of a table."""
    reader = csv.DictReader(StringIO(text))
    rows = list(reader)
    return list(reader.fieldnames or []), rows


def send_table(browser: Browser, path: Path) -> None:
    """Choose a table and wait for its predictions."""
    browser.find("#table-file").send_keys(str(path))
    browser.find(SUBMIT).click()
    browser.wait(lambda: browser.find(".results").is_displayed())


def send_empty_field(browser: Browser) -> None:
    """Send the form without a required field."""
    index = next(index for index, field in enumerate(FIELDS) if not field.optional)
    browser.driver.execute_script(f"document.getElementById('field-{index}').value = ''")
    browser.predict()


def test_a_record_is_predicted_by_keyboard_alone(browser: Browser) -> None:
    # Given the page, and no mouse
    browser.open("/")
    start = browser.find("body")
    start.send_keys(TAB)

    # When the tab key moves the focus to the button, and it is pressed
    button = browser.find("form.record > button")
    for _ in range(400):
        active = browser.driver.switch_to.active_element
        if active == button:
            break
        active.send_keys(TAB)
    assert browser.driver.switch_to.active_element == button
    outline = button.value_of_css_property("outline-style")
    page = browser.find("html").id
    button.send_keys(ENTER)
    browser.wait(lambda: browser.find("html").id != page)

    # Then the focus was visible, and there is a prediction
    assert outline != "none"
    assert browser.find(".prediction .headline").text


def test_a_prediction_has_an_explanation(browser: Browser) -> None:
    browser.open("/")
    browser.predict()

    # Then each row has a field, its comparison and its contribution
    rows = browser.texts(".why tbody > tr")
    assert rows
    assert len(browser.texts(".why [role=rowheader]")) >= len(rows)
    assert all(browser.texts(".why .amount"))
    assert browser.find(".why .comparison").text


def test_an_error_links_to_its_field(browser: Browser) -> None:
    browser.open("/")
    send_empty_field(browser)

    browser.find(".problem a").click()
    assert browser.driver.switch_to.active_element.get_attribute("aria-invalid") == "true"


def test_a_table_gets_its_predictions(browser: Browser, faulty_table: Path) -> None:
    # When a table with a faulty row is sent
    browser.open("/")
    send_table(browser, faulty_table)

    # Then the page shows that row
    assert "1 faulty" in browser.find(".done").text
    (fault,) = browser.texts(".faults li")
    assert fault.startswith("Row 3: ")
    assert "cells" in fault

    # And the table has the predictions of all other rows
    browser.find(".results a").click()
    header, rows = read(browser.downloaded())
    assert header[: len(FIELDS)] == [field.name for field in FIELDS]
    assert header[len(FIELDS)] == "note"
    response = header[len(FIELDS) + 1]
    assert rows[0]["note"] == "good"
    assert [number for number, row in enumerate(rows) if row["error"]] == [1]
    assert [number for number, row in enumerate(rows) if not row[response]] == [1]


def test_a_table_can_be_dropped_anywhere_on_the_page(browser: Browser, faulty_table: Path) -> None:
    browser.open("/")

    browser.driver.execute_script(
        "const data = new DataTransfer(); data.items.add(new File([arguments[0]], 'dropped.csv'));"
        "for (const type of ['dragover', 'drop'])"
        "  document.querySelector('h1').dispatchEvent(new DragEvent(type, {dataTransfer: data, bubbles: true}));",
        faulty_table.read_text(),
    )

    browser.wait(lambda: browser.find(".results").is_displayed())
    assert "dropped.csv, 1 faulty" in browser.find(".done").text


def test_a_long_table_is_predicted_in_one_request(browser: Browser, example: list[list[str]], tmp_path: Path) -> None:
    # Given a table of several batches, with line ends and quotation marks in a further column
    header, *rows = example
    count = MANY_ROWS
    path = written(
        [[*header, "note"], *([*rows[number % len(rows)], f'"{number}",\nnext'] for number in range(count))],
        tmp_path / "long.csv",
    )
    browser.requests()

    # When it is sent
    browser.open("/")
    send_table(browser, path)

    # Then the table with predictions is complete and in order
    assert len([address for address in browser.requests() if address.endswith("/table")]) == 1
    browser.find(".results a").click()
    _, answered = read(browser.downloaded())
    assert [row["note"] for row in answered] == [f'"{number}",\nnext' for number in range(count)]
    assert not any(row["error"] for row in answered)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(b"", "empty", id="empty"),
        pytest.param(b"some,columns\n1,2\n", "It lacks", id="other-columns"),
        pytest.param(b"PK\x03\x04", "Excel workbook", id="workbook"),
    ],
)
def test_a_table_that_cannot_be_read_shows_why(browser: Browser, content: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "wrong.csv"
    path.write_bytes(content)
    browser.open("/")

    send_table(browser, path)

    assert message in browser.find(".problem-text").text
    assert not browser.find(".results a").is_displayed()


def test_an_upload_is_retried_while_the_service_is_busy(
    browser: Browser, browse: Callable[[Service], Browser], start_service: StartService, faulty_table: Path
) -> None:
    # Given a page of a service whose rate limit is reached
    other = browse(start_service(RATE_LIMIT="0.3", LOG_LEVEL="error"))
    other.open("/")
    script = "const done = arguments[0]; fetch('/version').then((response) => done(response.status))"
    other.wait(lambda: other.driver.execute_async_script(script) == 429)

    # When a table is sent
    send_table(other, faulty_table)

    # Then it is predicted nevertheless, after another try
    assert "1 faulty" in other.find(".done").text
    assert len([address for address in other.requests() if address.endswith("/table")]) > 1
    browser.open("/")


def test_a_prediction_of_a_table_can_be_cancelled(browser: Browser, faulty_table: Path) -> None:
    # Given a service that does not respond
    browser.open("/")
    browser.driver.execute_script(
        "window.fetch = (url, {signal}) => new Promise((_, reject) =>"
        "  signal.addEventListener('abort', () => reject(signal.reason)))"
    )
    browser.find("#table-file").send_keys(str(faulty_table))
    browser.find(SUBMIT).click()

    # When the person cancels
    browser.wait(lambda: browser.find(".working button").is_displayed())
    browser.find(".working button").click()

    # Then the page says so
    browser.wait(lambda: browser.find(".results").is_displayed())
    assert browser.find(".problem-text").text == "Cancelled."
    assert not browser.find(".working").is_displayed()


def test_predictions_are_stored_in_the_browser(browser: Browser) -> None:
    # When a record is predicted and the page loaded again
    browser.open("/")
    assert not browser.find(".history").is_displayed()
    browser.predict()
    headline = browser.find(".prediction .headline").text
    sent = browser.find("#field-0").get_attribute("value")
    browser.driver.refresh()

    # Then the prediction is stored once
    assert browser.texts(".history .stored-headline") == [headline]

    # And it fills the form again
    browser.open("/")
    browser.driver.execute_script("document.getElementById('field-0').value = ''")
    browser.find(".history button.link").click()
    assert browser.find("#field-0").get_attribute("value") == sent

    # And it can be removed
    assert headline in json.dumps(browser.driver.execute_script("return {...localStorage}"), ensure_ascii=False)
    browser.find(".history .clear").click()
    assert not browser.find(".history").is_displayed()
    assert browser.driver.execute_script("return localStorage.length") == 0


def test_the_page_works_without_javascript(
    browser: Browser, browser_without_scripts: Browser, faulty_table: Path
) -> None:
    # Given the results with JavaScript
    browser.open("/")
    send_table(browser, faulty_table)
    browser.find(".results a").click()
    expected = browser.downloaded()
    browser.predict()
    headline = browser.find(".prediction .headline").text

    # When the same is done without it
    other = browser_without_scripts
    other.open("/")
    other.find("#table-file").send_keys(str(faulty_table))
    other.find(SUBMIT).click()

    # Then the results are equal
    assert other.downloaded() == expected
    other.predict()
    assert other.find(".prediction .headline").text == headline
    assert other.texts(".why .amount")
    assert not other.find(".history").is_displayed()


@pytest.mark.parametrize("width", [320, 390])
def test_a_narrow_screen_needs_no_horizontal_scrolling(browser: Browser, faulty_table: Path, width: int) -> None:
    browser.resize(width)

    def widths() -> int:
        scroll_width = browser.driver.execute_script("return document.documentElement.scrollWidth")
        assert isinstance(scroll_width, int)
        return scroll_width

    browser.open("/")
    assert widths() <= width
    send_table(browser, faulty_table)
    assert widths() <= width
    browser.predict()
    assert widths() <= width
    for details in browser.find_all("details"):
        browser.driver.execute_script("arguments[0].open = true", details)
    assert widths() <= width
    send_empty_field(browser)
    assert widths() <= width
    for path in ("/report", "/docs/"):
        browser.open(path)
        assert widths() <= width


def test_the_page_has_a_dark_scheme(browser: Browser) -> None:
    def lightness() -> int:
        browser.open("/")
        colour = browser.find("body").value_of_css_property("background-color")
        return sum(int(part) for part in colour[colour.index("(") + 1 : -1].split(",")[:3])

    light = lightness()
    browser.resize(dark=True)

    assert light > 600
    assert lightness() < 150


@pytest.mark.parametrize("dark", SCHEMES)
def test_the_page_is_accessible(
    browser: Browser, serious_findings: Callable[..., list[str]], faulty_table: Path, dark: bool
) -> None:
    browser.resize(dark=dark)

    # Form, table and prediction
    browser.open("/")
    assert serious_findings() == []
    send_table(browser, faulty_table)
    assert serious_findings() == []
    browser.predict()
    assert serious_findings() == []

    # Errors, on a phone
    browser.resize(390, dark=dark)
    send_empty_field(browser)
    assert serious_findings() == []


@pytest.mark.parametrize("dark", SCHEMES)
def test_the_report_is_accessible(browser: Browser, serious_findings: Callable[..., list[str]], dark: bool) -> None:
    browser.resize(dark=dark)

    browser.open("/report")

    assert serious_findings() == []


def test_examples_of_the_api_can_be_tried(browser: Browser, serious_findings: Callable[..., list[str]]) -> None:
    # Given the operation that predicts
    browser.open("/docs/")
    browser.wait(lambda: browser.find_all(".opblock-post"))
    assert serious_findings(*SWAGGER_RULES) == []
    browser.find(".opblock-post .opblock-summary-control").click()

    # When its example is sent
    browser.wait(lambda: browser.find_all(".try-out__btn"))
    browser.find(".try-out__btn").click()
    browser.wait(lambda: browser.find_all(".execute"))
    browser.find(".execute").click()

    # Then it is predicted
    status = browser.wait(lambda: browser.texts(".live-responses-table .response-col_status"))
    assert "200" in status[-1]
