import csv
from collections.abc import Iterable, Sequence
from io import BytesIO, StringIO
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from werkzeug.datastructures import FileStorage

from mlops_runtime.contract import Task
from mlops_runtime.model import Predictor
from mlops_runtime.serving.api.prediction_writer import PredictionWriter
from mlops_runtime.serving.api.problems import InvalidRequestError
from mlops_runtime.serving.api.records import RecordReader
from mlops_runtime.serving.ui import tables
from mlops_runtime.serving.ui.tables import (
    MAX_LISTED_FAULTS,
    Progress,
    TablePrediction,
    csv_text,
    example_table,
    result_file_name,
    unique_names,
    uploaded,
)
from mlops_runtime.tables.source import MAX_COLUMNS
from mlops_runtime.testing.synthetic import CONTRACTS, FIELDS, rows_of_table

NAMES = [field.name for field in FIELDS]
COLUMNS = PredictionWriter(CONTRACTS[Task.BINARY]).columns(errors=True)


@pytest.fixture(scope="module")
def cells(predictor: Predictor) -> list[list[str]]:
    """Some records as rows of a table."""
    _, *rows = csv.reader(StringIO(example_table(predictor.contract, predictor.golden_records)))
    return rows


def table_of(rows: Sequence[Sequence[Any]], delimiter: str = ",") -> bytes:
    return csv_text(rows, delimiter).encode()


def batches_of(
    content: bytes, predictor: Predictor, batch_size: int = 1000, batch_length: int = 1_000_000
) -> list[Progress]:
    """Return the predictions of an uploaded table, batch by batch."""
    contract = predictor.contract
    with uploaded(contract, FileStorage(BytesIO(content), "mine.csv")) as source:
        reader = RecordReader(contract, 1000)
        return list(TablePrediction(contract, source, reader, predictor.predict).run(batch_size, batch_length))


def read(batches: Iterable[Progress], delimiter: str = ",") -> list[list[str]]:
    return list(csv.reader(StringIO("".join(batch.csv for batch in batches)), delimiter=delimiter))


def answer_of(content: bytes, predictor: Predictor, delimiter: str = ",") -> list[list[str]]:
    """Return the table with predictions for an uploaded table."""
    return read(batches_of(content, predictor), delimiter)


def test_faulty_rows_are_marked_and_the_others_predicted(predictor: Predictor, cells: list[list[str]]) -> None:
    # Given a table with rows that are too long, too short, and without required values
    empty = ["" if not field.optional else cell for cell, field in zip(cells[0], FIELDS, strict=True)]
    rows = [cells[0], [*cells[0], "more"], cells[0][:3], empty, cells[0]]

    # When it is predicted
    header, first, *faulty, last = answer_of(table_of([NAMES, *rows]), predictor)

    # Then these rows have an error and no prediction, and every row has as many cells as the header
    assert first == last
    assert first[-1] == ""
    assert {len(row) for row in (first, *faulty)} == {len(header)}
    for row in faulty:
        assert row[-1]
        assert set(row[len(NAMES) : -1]) == {""}


def test_faulty_rows_have_their_number_in_the_file(predictor: Predictor, cells: list[list[str]]) -> None:
    rows = [NAMES, cells[0], [], [*cells[0], "more"]]

    progress = batches_of(table_of(rows), predictor)[1]

    assert [row for row, _ in progress.faults] == [4]
    assert (progress.rows, progress.faulty) == (2, 1)


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_delimiter_is_kept(delimiter: str, predictor: Predictor, cells: list[list[str]]) -> None:
    (_, *rows) = answer_of(table_of([NAMES, *cells], delimiter), predictor, delimiter)

    assert rows == answer_of(table_of([NAMES, *cells]), predictor)[1:]


def test_other_columns_are_kept(predictor: Predictor, cells: list[list[str]]) -> None:
    # Given a table with other columns, one of which has the name of a new column
    name = COLUMNS[0]
    rows = [[f"id {number}", *row, 'as "it" was, once'] for number, row in enumerate(cells)]

    header, *answered = answer_of(table_of([["id", *NAMES, name], *rows]), predictor)

    assert header == ["id", *NAMES, name, f"predicted_{name}", *COLUMNS[1:]]
    assert [row[: len(rows[0])] for row in answered] == rows


def test_a_batch_ends_after_a_number_of_characters(predictor: Predictor, cells: list[list[str]]) -> None:
    # Given three rows of the same length
    content = table_of([NAMES, *[cells[0]] * 3])
    length = sum(map(len, cells[0]))

    # When a batch may have one character more than a row
    batches = batches_of(content, predictor, batch_length=length + 1)

    # Then it has two rows, and the table is the same
    assert [batch.rows for batch in batches] == [0, 2, 3, 3]
    assert read(batches) == answer_of(content, predictor)


@pytest.mark.parametrize("batch_size", [1, 2, 1000])
def test_the_batch_size_changes_nothing(batch_size: int, predictor: Predictor, cells: list[list[str]]) -> None:
    content = table_of([NAMES, *cells])

    rows = read(batches_of(content, predictor, batch_size))

    # Then the labels are the same; probabilities may differ in their last digit
    label = len(NAMES) + 1
    assert [row[:label] for row in rows] == [row[:label] for row in answer_of(content, predictor)]


def test_progress_counts_rows_and_labels(predictor: Predictor, cells: list[list[str]]) -> None:
    batches = batches_of(table_of([NAMES, *cells]), predictor, 2)

    assert [batch.rows for batch in batches[1:-1]] == [*range(2, len(cells), 2), len(cells)]
    assert sum(sum(batch.labels.values()) for batch in batches) == len(cells)
    assert batches[-1] == Progress(csv="", rows=len(cells), progress=1, done=True)


def test_a_table_of_a_spreadsheet_is_read(predictor: Predictor, cells: list[list[str]]) -> None:
    # Given a byte order mark, blank lines and spaces around names and cells
    rows = [[f" {name}" for name in NAMES], [], *([f"{cell} " for cell in row] for row in cells), []]
    plain = answer_of(table_of([NAMES, *cells]), predictor)

    answered = answer_of(b"\xef\xbb\xbf" + table_of(rows), predictor)

    assert [row[len(NAMES) :] for row in answered] == [row[len(NAMES) :] for row in plain]


def test_a_training_table_is_predicted(predictor: Predictor) -> None:
    # Given rows as training reads them: dates in their format, yes and no, the target as a further column
    rows = rows_of_table(20, Task.BINARY)

    # Then each is predicted, whatever the encoding and the decimal mark
    answered = answer_of(table_of(rows), predictor)
    assert {row[-1] for row in answered[1:]} == {""}
    comma = [
        rows[0],
        *([cell.replace(".", ",") if index < 2 else cell for index, cell in enumerate(row)] for row in rows[1:]),
    ]
    german = csv_text(comma, ";").encode("cp1252")
    assert [row[len(rows[0]) :] for row in answer_of(german, predictor, ";")] == [
        row[len(rows[0]) :] for row in answered
    ]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(b"", "mine.csv is empty", id="empty"),
        pytest.param(b"a,b\n1,2\n", "It lacks Weight", id="other-columns"),
        pytest.param(b"PK\x03\x04", "Excel workbook", id="workbook"),
        pytest.param(b"\x1f\x8b\x08\x00", "save the table as CSV", id="gzip"),
        pytest.param(b"PAR1\x00", "save the table as CSV", id="parquet"),
        pytest.param(b"BZh9", "save the table as CSV", id="bzip2"),
        pytest.param(b"\xfd7zXZ\0", "save the table as CSV", id="xz"),
        pytest.param(b"<!doctype html>", "is an HTML page", id="html"),
        pytest.param(b'[{"a": 1}]', "It lacks Weight", id="json-of-other-columns"),
        pytest.param(b'[{"a": ', "is not valid JSON", id="truncated-json"),
        pytest.param(b"," * 2_000_000 + b"a", f"more than {MAX_COLUMNS:,} columns", id="delimiters"),
    ],
)
def test_a_file_that_is_not_a_table_is_refused(predictor: Predictor, content: bytes, message: str) -> None:
    with pytest.raises(InvalidRequestError, match=message):
        batches_of(content, predictor)


@given(damage=st.lists(st.tuples(st.integers(0, 400), st.binary(max_size=3)), max_size=5))
def test_a_damaged_table_is_answered_or_refused(
    damage: list[tuple[int, bytes]], predictor: Predictor, cells: list[list[str]]
) -> None:
    content = table_of([NAMES, *cells[:5]])
    for position, piece in damage:
        content = content[:position] + piece + content[position + len(piece) :]
    try:
        assert batches_of(content, predictor)[-1].done
    except InvalidRequestError as error:
        assert "\n" not in str(error)  # noqa: PT017 - either is right


def test_an_unreadable_row_ends_the_table_with_the_reason(predictor: Predictor, cells: list[list[str]]) -> None:
    # Given a table with a quotation mark that is not closed
    content = table_of([NAMES, cells[0], cells[1]]) + b'"open'

    # When it is predicted
    batches = batches_of(content, predictor)

    # Then the rows before it are predicted, and the last line says why there are no more
    assert batches[-1].rows == 2
    assert "is not valid CSV" in batches[-1].problem
    assert read(batches)[-1][-1] == batches[-1].problem


def test_a_table_without_rows_says_so(predictor: Predictor) -> None:
    assert batches_of(table_of([NAMES]), predictor)[-1].problem == "The table has no row below its header."


def test_reading_stops_after_many_faulty_rows(predictor: Predictor, monkeypatch: pytest.MonkeyPatch) -> None:
    # Given a table with a fault in each row
    monkeypatch.setattr(tables, "MAX_FAULTY_ROWS", 50)
    content = table_of([NAMES, *[["x"] + [""] * (len(NAMES) - 1)] * 1000])

    # When it is predicted
    batches = batches_of(content, predictor, 20)

    # Then it ends early, and lists the first faults of each batch
    assert batches[-1].rows == 60
    assert "50 rows are faulty" in batches[-1].problem
    assert {len(batch.faults) for batch in batches[1:-1]} == {MAX_LISTED_FAULTS}


def test_the_temporary_file_of_a_table_is_removed(predictor: Predictor, cells: list[list[str]]) -> None:
    with uploaded(predictor.contract, FileStorage(BytesIO(table_of([NAMES, *cells])), "../a b.csv")) as source:
        assert source.path.exists()

    assert not source.path.parent.exists()


@given(names=st.lists(st.sampled_from(["a", "b", "predicted_a"]), unique=True), header=st.lists(st.text("ab")))
def test_new_columns_have_unique_names(names: list[str], header: list[str]) -> None:
    new = unique_names(names, header)

    assert len(set(new)) == len(names)
    assert not set(new) & set(header)


@given(row=st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\0")), min_size=1))
def test_csv_can_be_parsed_again(row: list[Any]) -> None:
    assert next(csv.reader(StringIO(csv_text([row], ";"), newline=""), delimiter=";")) == row


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("mine.csv", "mine-predictions.csv"),
        ("C:\\my data\\tab.tsv", "C_my data_tab-predictions.csv"),
        ('a"\r\n;b.csv', "a_b-predictions.csv"),
        ("../../etc/passwd", "passwd-predictions.csv"),
        ("", "table-predictions.csv"),
    ],
)
def test_the_result_file_is_named_after_the_table(name: str, answer: str) -> None:
    assert result_file_name(name) == answer
