import csv
from collections.abc import Sequence
from io import StringIO
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_runtime.contract.features import FIELDS
from mlops_runtime.contract.fields import Kind
from mlops_runtime.model.predictor import Predictor
from mlops_runtime.serving.api.formats import columns
from mlops_runtime.serving.api.problems import InvalidRequestError
from mlops_runtime.serving.ui import tables
from mlops_runtime.serving.ui.tables import Table, iso, line, name_of_answer, new_names, predicted

NAMES = [field.name for field in FIELDS]


@pytest.fixture(scope="module")
def cells(predictor: Predictor) -> list[list[str]]:
    """Return some records of the project as cells."""
    _, *rows = csv.reader(StringIO(tables.example_table(predictor.golden_records)))
    return rows


def table_of(rows: Sequence[Sequence[str]], separator: str = ",") -> bytes:
    return "".join(line(row, separator) for row in rows).encode()


def answer_of(content: bytes, predictor: Predictor, most: int = 1000) -> list[list[str]]:
    """Return the table that a table is answered with."""
    table = Table(content)
    return list(csv.reader(StringIO("".join(predicted(table, predictor.predict, most))), delimiter=table.separator))


def test_faulty_rows_are_marked_and_the_others_predicted(predictor: Predictor, cells: list[list[str]]) -> None:
    # Given a table whose second row is too long, and whose third lacks its values
    required = [not field.optional for field in FIELDS]
    wrong = ["" if needed else cell for cell, needed in zip(cells[0], required, strict=True)]
    rows = [cells[0], [*cells[0], "more"], wrong if any(required) else [*cells[0], "more"], cells[0]]

    # When it is predicted
    header, first, long, other, last = answer_of(table_of([NAMES, *rows]), predictor)

    # Then these two say why, the others have their prediction, and every row has just the columns of the header
    assert first == last
    assert first[-1] == ""
    assert long[-1]
    assert other[-1]
    assert {len(row) for row in (first, long, other)} == {len(header)}
    assert set(long[len(NAMES) : -1]) == {""}


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_a_table_comes_back_as_it_was_separated(separator: str, predictor: Predictor, cells: list[list[str]]) -> None:
    (_, *rows) = answer_of(table_of([NAMES, *cells], separator), predictor)

    assert rows == answer_of(table_of([NAMES, *cells]), predictor)[1:]


def test_other_columns_stay_as_they_are(predictor: Predictor, cells: list[list[str]]) -> None:
    # Given a table with an id before the fields, and a column that is called as one of the answer
    name = columns(errors=True)[0]
    rows = [[f"id {number}", *row, 'as "it" was, once'] for number, row in enumerate(cells)]

    header, *answered = answer_of(table_of([["id", *NAMES, name], *rows]), predictor)

    assert header == ["id", *NAMES, name, f"predicted_{name}", *columns(errors=True)[1:]]
    assert [row[: len(rows[0])] for row in answered] == rows


@pytest.mark.parametrize("most", [1, 2, 1000])
def test_batches_make_no_difference(most: int, predictor: Predictor, cells: list[list[str]]) -> None:
    content = table_of([NAMES, *cells])

    assert answer_of(content, predictor, most) == answer_of(content, predictor)


def test_a_table_out_of_a_spreadsheet_is_read(predictor: Predictor, cells: list[list[str]]) -> None:
    # Given a byte order mark, blank lines and space around names and cells
    rows = [[f" {name}" for name in NAMES], [], *([f"{cell} " for cell in row] for row in cells), []]
    plain = answer_of(table_of([NAMES, *cells]), predictor)

    answered = answer_of(b"\xef\xbb\xbf" + table_of(rows), predictor)

    assert [row[len(NAMES) :] for row in answered] == [row[len(NAMES) :] for row in plain]


@pytest.mark.parametrize(
    ("separator", "cell", "text"),
    [
        pytest.param(";", "1,5", "1.5", id="decimal-comma"),
        pytest.param(";", "-1,5", "-1.5", id="negative"),
        pytest.param(";", "1.5", "1.5", id="point"),
        pytest.param(";", "1,5,2", "1,5,2", id="no-number"),
        pytest.param(",", "1,5", "1,5", id="the-comma-separates"),
    ],
)
def test_where_a_comma_separates_no_cells_it_may_be_that_of_a_number(separator: str, cell: str, text: str) -> None:
    # Given a table with an empty row below its header
    table = Table(table_of([NAMES], separator))

    # Then a cell is read so where the field is a number, and as it is elsewhere
    numbers = [field.kind in (Kind.NUMBER, Kind.INTEGER) for field in FIELDS]
    assert table.record_cells([cell] * len(NAMES)) == [text if number else cell for number in numbers]


@pytest.mark.parametrize(
    ("cell", "kind", "written", "text"),
    [
        pytest.param("31/12/2024", Kind.DATE, "%d/%m/%Y", "2024-12-31", id="date"),
        pytest.param("3-Feb-69", Kind.DATE, "%d-%b-%y", "1969-02-03", id="short-year-and-name-of-month"),
        pytest.param("31.12.2024 13:45", Kind.DATETIME, "%d.%m.%Y %H:%M", "2024-12-31T13:45:00", id="moment"),
        pytest.param("01:45:07 pm", Kind.TIME, "%I:%M:%S %p", "13:45:07", id="time"),
        pytest.param("2024-12-31", Kind.DATE, "%d/%m/%Y", "2024-12-31", id="iso-already"),
        pytest.param("31/02/2024", Kind.DATE, "%d/%m/%Y", "31/02/2024", id="no-date"),
        pytest.param("", Kind.DATE, "%d/%m/%Y", "", id="empty"),
    ],
)
def test_a_moment_is_read_as_the_training_table_writes_it(cell: str, kind: Kind, written: str, text: str) -> None:
    assert iso(cell, kind, written) == text


def test_a_column_that_is_there_twice_is_refused() -> None:
    with pytest.raises(InvalidRequestError, match="there twice"):
        Table(table_of([[*NAMES, NAMES[0]]]))


@given(names=st.lists(st.sampled_from(["a", "b", "predicted_a"]), unique=True), header=st.lists(st.text("ab")))
def test_further_columns_have_names_of_their_own(names: list[str], header: list[str]) -> None:
    found = new_names(names, header)

    assert len(set(found)) == len(names)
    assert not set(found) & set(header)


@given(row=st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\0")), min_size=1))
def test_a_line_is_read_back_as_it_was(row: list[Any]) -> None:
    assert next(csv.reader(StringIO(line(row, ";"), newline=""), delimiter=";")) == row


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("mine.csv", "mine-predictions.csv"),
        ("C:\\my data\\tab.tsv", "C_my data_tab-predictions.csv"),
        ('a"\r\n;b.csv', "a_b-predictions.csv"),
        ("../../etc/passwd", "passwd-predictions.csv"),
    ],
)
def test_the_answer_is_called_after_the_table(name: str, answer: str) -> None:
    assert name_of_answer(name) == answer
