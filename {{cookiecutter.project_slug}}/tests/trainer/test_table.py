from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from trainer.ranges import field_ranges
from trainer.table import LISTED_PROBLEMS, MINIMUM_ROWS, Problem, Table, TableError, read_table

from {{cookiecutter.__package}}_model.datamodel import FEATURES, TARGET, Label
from {{cookiecutter.__package}}_model.metadata import sha256

Rows = list[list[str]]
Write = Callable[[Rows], Path]

FIRST = FEATURES[0]
TARGET_PLACE = len(FEATURES)
REQUIRED = next(field for field in field_ranges() if not field.optional)
OPTIONAL = next((field for field in field_ranges() if field.optional), None)
needs_optional = pytest.mark.skipif(OPTIONAL is None, reason="the contract has no optional field")


def problems_of(path: Path) -> tuple[Problem, ...]:
    with pytest.raises(TableError) as caught:
        read_table(path)
    assert str(path) in str(caught.value)
    return caught.value.problems


def test_the_table_of_the_project_is_read_whole(data: Path, table: Table) -> None:
    lines = data.read_text().splitlines()
    assert len(table.records) == len(table.labels) == len(lines) - 1
    assert table.features.shape == (len(table.records), len(FEATURES))
    assert set(table.labels) == set(Label)
    assert table.sha256 == sha256(data.read_bytes())
    assert set(table.ignored) == set(lines[0].split(",")) - {*FEATURES, TARGET}


def test_values_come_in_the_order_of_the_contract_whatever_the_order_of_the_columns(
    rows: Rows, write_table: Write
) -> None:
    # given: a table, and the same with its columns turned round and one that nobody knows
    expected = read_table(write_table(rows))
    turned = [[*cells[::-1], "extra"] for cells in rows]
    turned[0][-1] = "Unknown"
    # when
    found = read_table(write_table(turned))
    # then
    assert found.records == expected.records
    assert found.labels.tolist() == expected.labels.tolist()
    assert found.ignored == ("Unknown",)


@needs_optional
def test_an_empty_cell_is_a_missing_value_where_the_contract_allows_one(rows: Rows, write_table: Write) -> None:
    place = FEATURES.index(OPTIONAL.name)
    rows[1][place] = ""
    assert np.isnan(read_table(write_table(rows)).features[0, place])


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda content: b"\xef\xbb\xbf" + content, id="byte-order-mark"),
        pytest.param(lambda content: content.replace(b"\n", b"\r\n"), id="windows-line-ends"),
        pytest.param(lambda content: content + b"\n\n", id="empty-lines-at-the-end"),
        pytest.param(lambda content: content.rstrip(b"\n"), id="no-line-end-at-the-end"),
        pytest.param(lambda content: content.replace(b",", b'","').replace(b"\n", b'"\n"')[:-1].join([b'"', b""]),
                     id="all-quoted"),
    ],
)  # fmt: skip
def test_ways_to_write_the_same_table(change: Callable[[bytes], bytes], rows: Rows, write_table: Write) -> None:
    path = write_table(rows)
    expected = read_table(path)
    path.write_bytes(change(path.read_bytes()))
    assert read_table(path).records == expected.records


@pytest.mark.parametrize(
    ("content", "message", "row"),
    [
        pytest.param(b"", "the file is empty", None, id="empty"),
        pytest.param(b"\xef\xbb\xbf", "the file is empty", None, id="only-a-byte-order-mark"),
        pytest.param(b"a,b\n1,\xff\n", "byte 0xff is not UTF-8", 2, id="not-utf-8"),
        pytest.param(b'a,b\n1,"2', "not valid CSV", 2, id="quote-left-open"),
        pytest.param(b"1,2,3\n4,5,6\n", "the first row must be a header", 1, id="no-header"),
    ],
)
def test_a_file_that_is_no_table_is_refused(content: bytes, message: str, row: int | None, tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    header = ",".join([*FEATURES, TARGET]).encode() + b"\n"
    path.write_bytes(content.replace(b"a,b\n", header))
    (problem,) = problems_of(path)
    assert message in problem.message
    assert problem.row == row


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    (problem,) = problems_of(tmp_path / "none.csv")
    assert "No such file" in problem.message


def test_a_folder_is_refused(tmp_path: Path) -> None:
    (problem,) = problems_of(tmp_path)
    assert "directory" in problem.message


def test_another_separator_is_named_as_a_reason(rows: Rows, tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text("\n".join(";".join(cells) for cells in rows))
    (problem,) = problems_of(path)
    assert "separated by commas" in problem.message


@pytest.mark.parametrize("place", [0, TARGET_PLACE], ids=["feature", "target"])
def test_a_misspelt_column_is_refused_with_the_nearest_name(place: int, rows: Rows, write_table: Write) -> None:
    # given
    name = rows[0][place]
    rows[0][place] = name + "s"
    # when
    (problem,) = problems_of(write_table(rows))
    # then
    assert (problem.row, problem.column) == (1, name)
    assert f"did you mean this by '{name}s'?" in problem.message


def test_a_missing_column_is_refused(rows: Rows, write_table: Write) -> None:
    (problem,) = problems_of(write_table([cells[1:] for cells in rows]))
    assert problem == Problem("the header lacks this column", 1, FIRST)


def test_a_column_named_twice_is_refused(rows: Rows, write_table: Write) -> None:
    (problem,) = problems_of(write_table([[*cells, cells[0]] for cells in rows]))
    assert problem == Problem("the header names this column 2 times", 1, FIRST)


def test_a_header_alone_is_refused_for_each_label(rows: Rows, write_table: Write) -> None:
    problems = problems_of(write_table(rows[:1]))
    assert [problem.column for problem in problems] == [TARGET] * len(Label)


@pytest.mark.parametrize(
    ("cell", "reason"),
    [
        pytest.param("", "may have no missing value", id="empty"),
        pytest.param("many", "should be a valid number", id="word"),
        pytest.param(f"{REQUIRED.maximum + 1:g}", "less than or equal to", id="too-high"),
        pytest.param(f"{REQUIRED.minimum - 1:g}", "greater than or equal to", id="too-low"),
        pytest.param("nan", "finite", id="nan"),
        pytest.param("inf", "finite", id="infinite"),
        pytest.param("9" * 200, "less than or equal to", id="very-long"),
    ],
)
def test_a_wrong_cell_is_refused_with_its_place(cell: str, reason: str, rows: Rows, write_table: Write) -> None:
    # given: the cell on line 7 of the file
    rows[6][FEATURES.index(REQUIRED.name)] = cell
    # when
    (problem,) = problems_of(write_table(rows))
    # then
    assert (problem.row, problem.column) == (7, REQUIRED.name)
    assert reason in problem.message
    assert len(problem.message) < 150


@needs_optional
@pytest.mark.parametrize("code", ["NA", "?", "null"])
def test_a_code_for_a_missing_value_is_refused_with_what_to_do(code: str, rows: Rows, write_table: Write) -> None:
    rows[1][FEATURES.index(OPTIONAL.name)] = code
    (problem,) = problems_of(write_table(rows))
    assert "leave the cell empty" in problem.message


@pytest.mark.parametrize("label", ["", "2", "BENIGN?"])
def test_an_unknown_label_is_refused_with_those_known(label: str, rows: Rows, write_table: Write) -> None:
    rows[2][TARGET_PLACE] = label
    (problem,) = problems_of(write_table(rows))
    assert (problem.row, problem.column) == (3, TARGET)
    assert all(known in problem.message for known in Label)


@pytest.mark.parametrize("change", [lambda cells: cells[:-1], lambda cells: [*cells, "1"]], ids=["fewer", "more"])
def test_a_row_with_another_number_of_cells_is_refused(
    change: Callable[[list[str]], list[str]], rows: Rows, write_table: Write
) -> None:
    rows[4] = change(rows[4])
    (problem,) = problems_of(write_table(rows))
    assert problem.row == 5
    assert f"the header has {len(rows[0])}" in problem.message


@pytest.mark.parametrize("count", [0, MINIMUM_ROWS - 1], ids=["none", "one-too-few"])
def test_too_few_rows_of_a_label_are_refused(count: int, rows: Rows, write_table: Write) -> None:
    # given
    rare = min(Label)
    others = [cells for cells in rows if cells[-1] != rare]
    few = [cells for cells in rows if cells[-1] == rare][:count]
    # when
    (problem,) = problems_of(write_table(others + few))
    # then
    assert problem.column == TARGET
    assert f"{count} rows have the label '{rare}'" in problem.message


def test_the_fewest_rows_of_a_label_are_enough(rows: Rows, write_table: Write) -> None:
    rare = min(Label)
    few = [cells for cells in rows if cells[-1] == rare][:MINIMUM_ROWS]
    table = read_table(write_table([cells for cells in rows if cells[-1] != rare] + few))
    assert (table.labels == rare).sum() == MINIMUM_ROWS


@needs_optional
def test_a_column_without_values_is_refused(rows: Rows, write_table: Write) -> None:
    for cells in rows[1:]:
        cells[FEATURES.index(OPTIONAL.name)] = ""
    (problem,) = problems_of(write_table(rows))
    assert problem.column == OPTIONAL.name


def test_all_problems_are_counted_and_the_first_listed(rows: Rows, write_table: Write) -> None:
    # given: twenty-five wrong cells
    for cells in rows[1:26]:
        cells[FEATURES.index(REQUIRED.name)] = "x"
    path = write_table(rows)
    # when
    with pytest.raises(TableError) as caught:
        read_table(path)
    # then
    lines = str(caught.value).splitlines()
    assert lines[0] == f"{path} breaks the contract, 25 problems:"
    assert lines[1].startswith(f"  row 2, column {REQUIRED.name}: 'x' is refused")
    assert len(lines) == LISTED_PROBLEMS + 2
    assert lines[-1] == f"  and {25 - LISTED_PROBLEMS} more"
