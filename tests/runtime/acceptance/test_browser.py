"""The page for people, in a browser."""

import csv
import json
import random
from collections.abc import Callable
from datetime import datetime, timedelta
from io import StringIO
from pathlib import Path

import pytest

from mlops_runtime.contract.features import FIELDS
from mlops_runtime.contract.fields import Kind
from mlops_runtime.serving.ui.tables import iso
from tests.runtime.acceptance.conftest import Browser
from tests.runtime.live_service.conftest import Service, StartService

MANY_ROWS = 2500
"""More rows than go into two requests."""
MANY_CELLS = 200_000
"""Fewer rows are sent where this many cells are reached."""

OF_SWAGGER = ("color-contrast", "nested-interactive", "select-name")
"""Rules that Swagger UI itself breaks, whatever the service describes: its colours, its headlines that hold buttons
within buttons, and its lists of servers and examples without a name."""

TAB, ENTER = "\ue004", "\ue007"
"""Keys, as WebDriver writes them."""

SUBMIT = ".dropped form button"
SCHEMES = [pytest.param(False, id="light"), pytest.param(True, id="dark")]


@pytest.fixture(scope="module")
def example(service: Service) -> list[list[str]]:
    """Return the table that the page offers as an example: its header, and its rows."""
    return list(csv.reader(StringIO(service.ask("GET", "/table").body.decode())))


@pytest.fixture
def faulty_table(example: list[list[str]], tmp_path: Path) -> Path:
    """Return a table with a column of one's own, whose second row has a cell too many."""
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
    """Choose a table and have it predicted."""
    browser.one("#table-file").send_keys(str(path))
    browser.one(SUBMIT).click()
    browser.wait(lambda: browser.one(".results").is_displayed())


def break_form(browser: Browser) -> bool:
    """Send the form with an empty field that must be given; return False where the contract has none."""
    required = [place for place, field in enumerate(FIELDS) if not field.optional]
    if not required:
        return False
    browser.driver.execute_script(f"document.getElementById('field-{required[0]}').value = ''")
    browser.predict()
    return True


def test_a_record_is_predicted_by_keyboard_alone(browser: Browser) -> None:
    # Given the page, and a person without a mouse
    browser.open("/")
    start = browser.one("body")
    start.send_keys(TAB)

    # When they go from control to control to the button and press it
    button = browser.one("form.record > button")
    for _ in range(400):
        active = browser.driver.switch_to.active_element
        if active == button:
            break
        active.send_keys(TAB)
    assert browser.driver.switch_to.active_element == button
    outline = button.value_of_css_property("outline-style")
    page = browser.one("html").id
    button.send_keys(ENTER)
    browser.wait(lambda: browser.one("html").id != page)

    # Then the focus was seen, and the prediction is there
    assert outline != "none"
    assert browser.one(".prediction .headline").text


def test_a_prediction_comes_with_what_drove_it(browser: Browser) -> None:
    browser.open("/")
    browser.predict()

    # Then each row of the table names a field, how it compares, and what it contributes
    rows = browser.texts(".why tbody > tr")
    assert rows
    assert len(browser.texts(".why [role=rowheader]")) >= len(rows)
    assert all(browser.texts(".why .amount"))
    assert browser.one(".why .compared").text


def test_errors_are_said_beside_their_field(browser: Browser) -> None:
    browser.open("/")
    if not break_form(browser):
        pytest.skip("every field of this contract may be empty")

    # Then the page says so, and leads to the field
    browser.one(".problem a").click()
    assert browser.driver.switch_to.active_element.get_attribute("aria-invalid") == "true"


def test_a_table_comes_back_with_its_predictions(browser: Browser, faulty_table: Path) -> None:
    # When a table with a faulty row is sent
    browser.open("/")
    send_table(browser, faulty_table)

    # Then the page tells of that row
    assert "1 faulty" in browser.one(".done").text
    (fault,) = browser.texts(".faults li")
    assert fault.startswith("Row 2: ")
    assert "cells" in fault

    # And the table has the predictions of all others
    browser.one(".results a").click()
    header, rows = read(browser.downloaded())
    assert header[: len(FIELDS)] == [field.name for field in FIELDS]
    assert header[len(FIELDS)] == "note"
    answer = header[len(FIELDS) + 1]
    assert rows[0]["note"] == "good"
    assert [number for number, row in enumerate(rows) if row["error"]] == [1]
    assert [number for number, row in enumerate(rows) if not row[answer]] == [1]


def test_a_table_is_dropped_anywhere_on_the_page(browser: Browser, faulty_table: Path) -> None:
    browser.open("/")

    browser.driver.execute_script(
        "const data = new DataTransfer(); data.items.add(new File([arguments[0]], 'dropped.csv'));"
        "for (const type of ['dragover', 'drop'])"
        "  document.querySelector('h1').dispatchEvent(new DragEvent(type, {dataTransfer: data, bubbles: true}));",
        faulty_table.read_text(),
    )

    browser.wait(lambda: browser.one(".results").is_displayed())
    assert "dropped.csv, 1 faulty" in browser.one(".done").text


def test_a_long_table_goes_in_slices(browser: Browser, example: list[list[str]], tmp_path: Path) -> None:
    # Given a table whose own column has line ends and quotes in it
    header, *rows = example
    count = min(MANY_ROWS, MANY_CELLS // len(header))
    path = written(
        [[*header, "note"], *([*rows[number % len(rows)], f'"{number}",\nnext'] for number in range(count))],
        tmp_path / "long.csv",
    )
    browser.requests()

    # When it is sent
    browser.open("/")
    send_table(browser, path)

    # Then it went in several requests, and comes back whole and in order
    asked = [address for address in browser.requests() if address.endswith("/v1/predictions")]
    assert len(asked) >= count / 1000
    browser.one(".results a").click()
    _, answered = read(browser.downloaded())
    assert [row["note"] for row in answered] == [f'"{number}",\nnext' for number in range(count)]
    assert not any(row["error"] for row in answered)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(b"", "empty", id="empty"),
        pytest.param(b"some,columns\n1,2\n", "It lacks", id="other-columns"),
        pytest.param(b"\xff\xfe\n", "UTF-8", id="another-encoding"),
    ],
)
def test_a_table_that_cannot_be_read_says_why(browser: Browser, content: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "wrong.csv"
    path.write_bytes(content)
    browser.open("/")

    send_table(browser, path)

    assert message in browser.one(".problem-text").text
    assert not browser.one(".results a").is_displayed()


def test_a_busy_service_is_asked_again(
    browser: Browser,
    browse: Callable[[Service], Browser],
    start_service: StartService,
    example: list[list[str]],
    tmp_path: Path,
) -> None:
    # Given a page of a service that takes one record at a time, and no more requests than the page itself needs
    other = browse(start_service(MAX_RECORDS="1", RATE_LIMIT="15", LOG_LEVEL="error"))
    header, *rows = example
    path = written([header, *(rows[number % len(rows)] for number in range(30))], tmp_path / "busy.csv")
    other.open("/")

    # When a table needs more
    send_table(other, path)

    # Then all of it is predicted all the same
    assert other.one(".done").text.startswith("30 rows of busy.csv, none faulty")
    assert len(other.requests()) > 30
    browser.open("/")


def test_a_table_is_read_as_python_reads_it(browser: Browser) -> None:
    # Given texts of all that matters in a table, in pieces
    generator = random.Random(0)
    texts = ["".join(generator.choices('ab,;"\n\r ', k=generator.randrange(20))) for _ in range(500)]
    valid = [text for text in texts if is_strict(text)]
    pieces = [[text[:half], text[half:]] for text in valid for half in [generator.randrange(len(text) + 1)]]
    assert len(valid) > 50

    # When the page reads them
    browser.open("/")
    found = browser.driver.execute_async_script(
        "const done = arguments[arguments.length - 1];"
        "import('/static/csv.js').then(({Reader}) => done(arguments[0].map((pieces) => {"
        "  const reader = new Reader(',');"
        "  return [...pieces.flatMap((piece) => reader.read(piece)), ...reader.end()];"
        "})))",
        pieces,
    )

    # Then it finds the same rows
    assert found == [[row for row in csv.reader(StringIO(text, newline="")) if row] for text in valid]


def test_moments_are_read_as_the_training_table_writes_them(browser: Browser) -> None:
    # Given days and hours of a year, as tables write them
    moments = [datetime(2024, 1, 1) + timedelta(hours=31.3) * number for number in range(280)]  # noqa: DTZ001
    formats = ["%d/%m/%Y", "%d-%b-%y", "%b %d, %Y", "%m/%d/%Y %I:%M %p", "%d.%m.%Y %H:%M:%S"]
    cells = [[moment.strftime(written) for moment in moments] for written in formats]

    # When the page reads them
    browser.open("/")
    found = browser.driver.execute_async_script(
        "const done = arguments[arguments.length - 1];"
        "import('/static/moments.js').then(({isoWriter}) =>"
        "  done(arguments[0].map((written, place) => arguments[1][place].map(isoWriter(written)))))",
        formats,
        cells,
    )

    # Then it finds what the service finds
    for written, own, texts in zip(formats, cells, found, strict=True):
        kind = Kind.DATETIME if "%M" in written else Kind.DATE
        assert texts == [iso(cell, kind, written) for cell in own]


def is_strict(text: str) -> bool:
    try:
        list(csv.reader(StringIO(text, newline=""), strict=True))
    except csv.Error:
        return False
    return True


def test_predictions_are_remembered_by_this_browser_alone(browser: Browser) -> None:
    # When an example is predicted, and the page loaded again
    browser.open("/")
    assert not browser.one(".history").is_displayed()
    browser.predict()
    headline = browser.one(".prediction .headline").text
    sent = browser.one("#field-0").get_attribute("value")
    browser.driver.refresh()

    # Then it is remembered once
    assert browser.texts(".history .headline-kept") == [headline]

    # And fills the form again
    browser.open("/")
    browser.driver.execute_script("document.getElementById('field-0').value = ''")
    browser.one(".history button.link").click()
    assert browser.one("#field-0").get_attribute("value") == sent

    # And is forgotten when the person says so
    assert headline in json.dumps(browser.driver.execute_script("return {...localStorage}"), ensure_ascii=False)
    browser.one(".history .clear").click()
    assert not browser.one(".history").is_displayed()
    assert browser.driver.execute_script("return localStorage.length") == 0


def test_without_javascript_the_page_works_too(
    browser: Browser, browser_without_scripts: Browser, faulty_table: Path
) -> None:
    # Given the answers with JavaScript
    browser.open("/")
    send_table(browser, faulty_table)
    browser.one(".results a").click()
    expected = browser.downloaded()
    browser.predict()
    headline = browser.one(".prediction .headline").text

    # When the same is asked for without it
    other = browser_without_scripts
    other.open("/")
    other.one("#table-file").send_keys(str(faulty_table))
    other.one(SUBMIT).click()

    # Then the same comes back
    assert other.downloaded() == expected
    other.predict()
    assert other.one(".prediction .headline").text == headline
    assert other.texts(".why .amount")
    assert not other.one(".history").is_displayed()


@pytest.mark.parametrize("width", [320, 390])
def test_a_narrow_screen_shows_all_without_scrolling_sideways(browser: Browser, faulty_table: Path, width: int) -> None:
    browser.look(width)

    def widths() -> int:
        found = browser.driver.execute_script("return document.documentElement.scrollWidth")
        assert isinstance(found, int)
        return found

    browser.open("/")
    assert widths() <= width
    send_table(browser, faulty_table)
    assert widths() <= width
    browser.predict()
    assert widths() <= width
    for details in browser.all("details"):
        browser.driver.execute_script("arguments[0].open = true", details)
    assert widths() <= width
    break_form(browser)
    assert widths() <= width
    for path in ("/report", "/docs/"):
        browser.open(path)
        assert widths() <= width


def test_the_page_is_dark_where_a_person_wants_it_so(browser: Browser) -> None:
    def lightness() -> int:
        browser.open("/")
        colour = browser.one("body").value_of_css_property("background-color")
        return sum(int(part) for part in colour[colour.index("(") + 1 : -1].split(",")[:3])

    light = lightness()
    browser.look(dark=True)

    assert light > 600
    assert lightness() < 150


@pytest.mark.parametrize("dark", SCHEMES)
def test_the_page_is_accessible(
    browser: Browser, judge: Callable[..., list[str]], faulty_table: Path, dark: bool
) -> None:
    browser.look(dark=dark)

    # With the form, a table and a prediction
    browser.open("/")
    assert judge() == []
    send_table(browser, faulty_table)
    assert judge() == []
    browser.predict()
    assert judge() == []

    # And with errors, on a phone
    browser.look(390, dark=dark)
    break_form(browser)
    assert judge() == []


@pytest.mark.parametrize("dark", SCHEMES)
def test_the_report_is_accessible(browser: Browser, judge: Callable[..., list[str]], dark: bool) -> None:
    browser.look(dark=dark)

    browser.open("/report")

    assert judge() == []


def test_the_interface_shows_examples_that_can_be_tried(browser: Browser, judge: Callable[..., list[str]]) -> None:
    # Given the operation that predicts
    browser.open("/docs/")
    browser.wait(lambda: browser.all(".opblock-post"))
    assert judge(*OF_SWAGGER) == []
    browser.one(".opblock-post .opblock-summary-control").click()

    # When its example is tried out as it stands
    browser.wait(lambda: browser.all(".try-out__btn"))
    browser.one(".try-out__btn").click()
    browser.wait(lambda: browser.all(".execute"))
    browser.one(".execute").click()

    # Then it is predicted
    status = browser.wait(lambda: browser.texts(".live-responses-table .response-col_status"))
    assert "200" in status[-1]
