import csv
import gzip
import io
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest

from mlops_runtime.contract import Contract, Kind, LabelPrediction, RecordModel, Task, ValuePrediction
from mlops_runtime.model.artefact import sha256
from mlops_runtime.tables.source import open_source
from mlops_runtime.testing import synthetic as orders
from mlops_runtime.testing.synthetic import LABELS, LAYOUT, TARGET
from mlops_runtime.training import table as reader
from mlops_runtime.training.table import (
    MAX_LISTED,
    MIN_LABEL_ROWS,
    MIN_ROWS,
    Problem,
    Table,
    TableError,
    read_table,
)

Rows = list[list[str]]

ROWS = 40
NAMES = [field.name for field in orders.FIELDS]
of_labels = pytest.mark.parametrize("each_contract", [Task.BINARY, Task.MULTICLASS], indirect=True)
of_values = pytest.mark.parametrize("each_contract", [Task.REGRESSION], indirect=True)
POSITIONS = {field.attribute: index for index, field in enumerate(orders.FIELDS)}


@pytest.fixture
def target(each_contract: Contract) -> str:
    return TARGET[each_contract.task]


@pytest.fixture
def rows(each_contract: Contract) -> Rows:
    """A small valid table of orders with a header and rows of each label."""
    rows = orders.rows_of_table(ROWS, each_contract.task)
    for index, label in enumerate(LABELS[each_contract.task]):
        for cells in rows[1 + 4 * index : 5 + 4 * index]:
            cells[-1] = str(label)
    return rows


@pytest.fixture
def read(each_contract: Contract, tmp_path: Path) -> Callable[[Rows], Any]:
    """A function that writes rows to a file and reads the table."""
    return lambda rows: read_table(each_contract, orders.write_table(tmp_path / "table.csv", rows))


@pytest.fixture
def problems(each_contract: Contract, tmp_path: Path) -> Callable[[Rows | bytes], tuple[Any, ...]]:
    """A function that writes a file and returns the problems of its table."""

    def problems(content: Rows | bytes) -> tuple[Any, ...]:
        path = tmp_path / "table.csv"
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            orders.write_table(path, content)
        with pytest.raises(TableError) as caught:
            read_table(each_contract, path)
        assert str(path) in str(caught.value)
        return tuple(caught.value.problems)

    return problems


def column(table: Any, attribute: str) -> list[float]:
    """Return the column of a numeric field."""
    index = next(index for index, number in enumerate(LAYOUT.numbers) if number.field.attribute == attribute)
    return table.features.numbers[:, index].tolist()  # type: ignore[no-any-return]


def assert_same(actual: Any, expected: Any) -> None:
    """Assert that two tables have the same rows."""
    np.testing.assert_array_equal(actual.features.numbers, expected.features.numbers)
    assert actual.features.categories.tolist() == expected.features.categories.tolist()
    assert actual.features.texts.tolist() == expected.features.texts.tolist()
    assert actual.target.tolist() == expected.target.tolist()
    assert actual.records == expected.records


def test_all_usable_rows_of_the_sample_table_are_read(contract: Contract, data: Path, table: Table) -> None:
    source = open_source(data)
    index = source.header.index(contract.target)
    targets = [cells[index] for _, cells in source.rows()]
    usable = [cell for cell in targets if (cell in contract.labels if contract.labels else cell)]
    assert len(table) == len(table.features) == len(table.target) == len(usable)
    assert len(table.notes) <= len(targets) - len(usable)
    if contract.labels:
        assert [contract.labels[label] for label in table.target] == usable
    else:
        assert np.isfinite(table.target).all()
    assert table.sha256 == sha256(data.read_bytes())
    assert set(table.ignored) == set(source.header) - {*contract.features, contract.target}


def test_every_order_is_read(each_contract: Contract, read: Callable[[Rows], Any]) -> None:
    # given: a table of orders
    written = orders.some_orders(ROWS, seed=4)
    rows = orders.rows_of_table(ROWS, Task.REGRESSION, seed=4)
    labels = LABELS[each_contract.task]
    targets = [str(labels[row % len(labels)]) if labels else f"{row}.5" for row in range(ROWS)]
    # when
    table = read(
        [[*cells[:-1], cell] for cells, cell in zip(rows, [TARGET[each_contract.task], *targets], strict=True)]
    )
    # then
    expected = LAYOUT.encode(written)
    np.testing.assert_array_equal(table.features.numbers, expected.numbers)
    assert table.features.categories.tolist() == expected.categories.tolist()
    assert table.features.texts.tolist() == expected.texts.tolist()
    assert table.target.tolist() == [row % len(labels) if labels else row + 0.5 for row in range(ROWS)]
    assert table.records == dict(enumerate(written))
    assert (table.ignored, table.notes) == ((), ())


def test_the_order_of_columns_does_not_matter_and_unknown_columns_are_ignored(
    rows: Rows, read: Callable[[Rows], Any]
) -> None:
    # given: a table with its columns in reverse order and an unknown column
    expected = read(rows)
    reversed_rows = [[*cells[::-1], "extra"] for cells in rows]
    reversed_rows[0][-1] = "Unknown"
    # when
    actual = read(reversed_rows)
    # then
    assert_same(actual, expected)
    assert actual.ignored == ("Unknown",)


def as_text(rows: Rows, delimiter: str = ",", quoting: Literal[0, 1] = csv.QUOTE_MINIMAL) -> str:
    text = io.StringIO()
    csv.writer(text, delimiter=delimiter, quoting=quoting, lineterminator="\n").writerows(rows)
    return text.getvalue()


def with_decimal_commas(rows: Rows) -> Rows:
    """Return rows with decimal commas in the features and the target."""
    numeric = [index for index, field in enumerate(orders.FIELDS) if field.kind in (Kind.NUMBER, Kind.INTEGER)]
    return [
        [cell.replace(".", ",") if index in (*numeric, len(cells) - 1) else cell for index, cell in enumerate(cells)]
        for cells in rows
    ]


def with_other_markers(rows: Rows) -> Rows:
    """Return rows with NA for a missing value, and TRUE and FALSE for yes and no."""
    words = {"": "NA", "yes": "TRUE", "no": "FALSE"}
    return [[words.get(cell, cell) for cell in cells] for cells in rows]


@pytest.mark.parametrize(
    "written",
    [
        pytest.param(lambda rows: as_text(rows).encode("utf-8-sig"), id="byte-order-mark"),
        pytest.param(lambda rows: as_text(rows).replace("\n", "\r\n").encode(), id="windows-line-endings"),
        pytest.param(lambda rows: as_text(rows).replace("\n", "\n\n").encode(), id="empty-lines"),
        pytest.param(lambda rows: as_text(rows).rstrip("\n").encode(), id="no-final-newline"),
        pytest.param(lambda rows: as_text(rows, quoting=csv.QUOTE_ALL).encode(), id="all-quoted"),
        pytest.param(lambda rows: as_text(rows, ";").encode(), id="semicolons"),
        pytest.param(lambda rows: as_text(with_decimal_commas(rows), ";").encode(), id="decimal-commas"),
        pytest.param(lambda rows: as_text(rows, "\t").encode("utf-16"), id="tabs-and-utf-16"),
        pytest.param(lambda rows: as_text(rows).encode("cp1252"), id="cp1252"),
        pytest.param(lambda rows: gzip.compress(as_text(rows).encode()), id="gzip"),
        pytest.param(lambda rows: as_text(with_other_markers(rows)).encode(), id="other-markers"),
        pytest.param(lambda rows: as_text([[f" {cell} " for cell in cells] for cells in rows]).encode(), id="spaces"),
    ],
)
def test_the_format_of_the_file_does_not_matter(
    each_contract: Contract, written: Callable[[Rows], bytes], rows: Rows, read: Callable[[Rows], Any], tmp_path: Path
) -> None:
    # given
    path = tmp_path / "written"
    path.write_bytes(written(rows))
    # when
    table = read_table(each_contract, path)
    # then
    assert_same(table, read(rows))
    assert table.sha256 == sha256(path.read_bytes())


@pytest.mark.parametrize("size", [1, 7, ROWS, ROWS + 1])
def test_the_size_of_a_chunk_does_not_matter(
    size: int, rows: Rows, read: Callable[[Rows], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = read(rows)
    monkeypatch.setattr(reader, "CHUNK", size)
    assert_same(read(rows), expected)


@pytest.mark.parametrize(("max_records", "every"), [(ROWS, 1), (ROWS - 1, 2), (12, 4), (3, 16)])
def test_evenly_spaced_rows_of_a_large_table_are_kept_as_records(
    max_records: int, every: int, rows: Rows, read: Callable[[Rows], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = read(rows).records
    monkeypatch.setattr(reader, "MAX_RECORDS", max_records)
    assert read(rows).records == {row: expected[row] for row in range(0, ROWS, every)}


def test_take_returns_rows_with_their_records(rows: Rows, read: Callable[[Rows], Any]) -> None:
    table = read(rows)
    taken = table.take([5, 2, 5])
    assert len(taken) == 3
    assert taken.target.tolist() == [table.target[row] for row in (5, 2, 5)]
    assert column(taken, "weight") == [column(table, "weight")[row] for row in (5, 2, 5)]
    assert taken.records == {0: table.records[5], 1: table.records[2], 2: table.records[5]}


def test_an_empty_cell_is_a_missing_value(rows: Rows, read: Callable[[Rows], Any]) -> None:
    for field, index in POSITIONS.items():
        if orders.FIELDS[index].optional:
            rows[3][index] = "" if field != "remark" else " "
    table = read(rows)
    assert all(np.isnan(column(table, field)[2]) for field in ("margin", "items", "insured", "paid"))
    assert column(table, "size")[2] == -1
    assert (table.features.categories[2, 1], table.features.texts[2, 0]) == ("", "")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(b"", "is empty", id="empty"),
        pytest.param(b"\xef\xbb\xbf", "", id="only-a-byte-order-mark"),
        pytest.param(b"a,b\n1,\x00\n", "is not text", id="binary"),
        pytest.param(b"\xd0\xcf\x11\xe0", "Excel", id="workbook"),
        pytest.param(b"1,2,3\n4,5,6\n", "the first row must be a header", id="no-header"),
    ],
)
def test_a_file_without_a_table_is_refused(content: bytes, message: str, problems: Callable[..., Any]) -> None:
    (problem,) = problems(content)
    assert message in problem.message


@pytest.mark.parametrize("end", ['"open', "cell," * 30 + "cell"], ids=["unclosed-quote", "more-cells-than-columns"])
def test_a_malformed_row_is_refused_with_its_number(end: str, rows: Rows, problems: Callable[..., Any]) -> None:
    (problem,) = problems((as_text(rows) + end).encode())
    assert f"row {ROWS + 2}" in problem.message


@pytest.mark.parametrize("name", ["none.csv", "."], ids=["no-file", "folder"])
def test_a_path_that_is_not_a_file_is_refused(each_contract: Contract, name: str, tmp_path: Path) -> None:
    with pytest.raises(TableError, match=r"does not exist|is an empty folder"):
        read_table(each_contract, tmp_path / name)


def test_a_file_that_cannot_be_read_is_refused(each_contract: Contract, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path, _: int) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(reader, "open_source", refuse)
    with pytest.raises(TableError, match="cannot be read: Permission denied"):
        read_table(each_contract, Path("table.csv"))


@pytest.mark.parametrize("index", [0, -1], ids=["feature", "target"])
def test_a_misspelt_column_is_refused_with_the_closest_name(
    index: int, rows: Rows, problems: Callable[..., Any]
) -> None:
    # given
    name = rows[0][index]
    rows[0][index] = name + "s"
    # when
    (problem,) = problems(rows)
    # then
    assert (problem.row, problem.column) == (1, name)
    assert f"rename '{name}s' if it is this column" in problem.message


def test_every_missing_column_is_named(rows: Rows, problems: Callable[..., Any]) -> None:
    assert [str(problem) for problem in problems([cells[2:] for cells in rows])] == [
        f"row 1, column {name}: the header does not have this column" for name in NAMES[:2]
    ]


@pytest.mark.parametrize(
    ("field", "cell", "reason"),
    [
        pytest.param("weight", "", "requires a value", id="missing-number"),
        pytest.param("express", "", "requires a value", id="missing-boolean"),
        pytest.param("courier", "NA", "requires a value", id="missing-category"),
        pytest.param("ordered", "?", "requires a value", id="missing-date"),
        pytest.param("weight", "heavy", "no finite number", id="word-for-a-number"),
        pytest.param("weight", "-0.5", "greater than or equal to 0", id="too-low"),
        pytest.param("weight", "1000.5", "less than or equal to 1000", id="too-high"),
        pytest.param("weight", "9" * 200, "less than or equal to 1000", id="much-too-high"),
        pytest.param("weight", "1e999", "no finite number", id="infinite"),
        pytest.param("items", "2.5", "multiple of 1", id="fraction-for-an-integer"),
        pytest.param("express", "perhaps", "valid boolean", id="invalid-boolean"),
        pytest.param("size", "enormous", "'large'", id="unknown-choice"),
        pytest.param("ordered", "31/02/2024", "no date", id="invalid-day"),
        pytest.param("ordered", "12/31/2024", "no date", id="month-before-day"),
        pytest.param("ordered", "yesterday", "no date", id="word-for-a-date"),
        pytest.param("slot", "25:00:00", "time", id="invalid-hour"),
    ],
)
def test_an_invalid_cell_is_refused_with_its_row_and_column(
    field: str, cell: str, reason: str, rows: Rows, problems: Callable[..., Any]
) -> None:
    # given: an invalid cell in row 7 of the file
    rows[6][POSITIONS[field]] = cell
    # when
    (problem,) = problems(rows)
    # then
    assert (problem.row, problem.column) == (7, NAMES[POSITIONS[field]])
    assert reason in problem.message
    assert len(problem.message) < 200


def test_the_row_of_a_problem_is_its_line_in_the_file(rows: Rows, problems: Callable[..., Any]) -> None:
    # given: a remark of three lines, an empty line, and then an invalid cell
    rows[2][POSITIONS["remark"]] = "ring\ntwice\nplease"
    rows.insert(4, [])
    rows[6][POSITIONS["weight"]] = "heavy"
    # then
    (problem,) = problems(rows)
    assert problem.row == 9


def test_rows_without_a_target_are_dropped_with_a_note(rows: Rows, target: str, read: Callable[[Rows], Any]) -> None:
    whole = read(rows)
    assert len(read([*rows, [*rows[1][:-1], ""]])) == ROWS
    assert read([*rows, [*rows[1][:-1], ""]]).notes == (f"1 row without a value in {target}: not used.",)
    several = read([rows[0], *([*rows[1][:-1], "NA"] for _ in range(3)), *rows[1:]])
    assert several.notes == (f"3 rows without a value in {target}: not used.",)
    assert_same(several, whole)


@of_labels
def test_an_unknown_label_is_refused(
    each_contract: Contract, rows: Rows, target: str, problems: Callable[..., Any]
) -> None:
    (problem,) = problems([*rows, *([[*rows[1][:-1], "elsewhere"]] * MIN_LABEL_ROWS)])
    assert (problem.row, problem.column) == (ROWS + 2, target)
    assert problem.message.startswith("'elsewhere' is not a label of the contract")
    assert all(repr(str(label)) in problem.message for label in LABELS[each_contract.task])


@of_labels
def test_an_unknown_label_with_a_single_row_is_dropped_with_a_note(
    rows: Rows, target: str, read: Callable[[Rows], Any]
) -> None:
    actual = read([*rows, [*rows[1][:-1], "elsewhere"]])
    assert_same(actual, read(rows))
    assert actual.notes == (f"These values of {target} have a single row each, which is not used: 'elsewhere'.",)


@of_labels
def test_the_first_of_many_dropped_labels_are_named(rows: Rows, read: Callable[[Rows], Any]) -> None:
    rare = [[*rows[1][:-1], f"rare {number}"] for number in range(MAX_LISTED + 3)]
    (note,) = read([*rows, *rare]).notes
    assert "'rare 0', 'rare 1'" in note
    assert "'rare 9' and 3 more." in note


@of_labels
def test_the_target_has_the_indices_of_labels(each_contract: Contract, rows: Rows, read: Callable[[Rows], Any]) -> None:
    labels = [str(label) for label in LABELS[each_contract.task]]
    assert read(rows).target.tolist() == [labels.index(cells[-1]) for cells in rows[1:]]


@pytest.mark.parametrize(
    ("decimal", "delimiter", "cells", "value"),
    [
        pytest.param(".", ";", ["1,234", "2,345"], 1234, id="a-comma-beside-semicolons"),
        pytest.param(",", "\t", ["1.234", "2.345"], 1234, id="a-point"),
        pytest.param(",", "\t", ["1.234", "2.5"], 1.234, id="a-point-and-one-that-tells"),
        pytest.param(".", ";", ["1,234", "2,5"], 1.234, id="a-comma-and-one-that-tells"),
    ],
)
def test_a_number_that_tells_no_decimal_mark_has_that_of_the_contract(
    decimal: str, delimiter: str, cells: list[str], value: float, tmp_path: Path
) -> None:
    # Given a contract, and another table than the one from which it was derived
    class Measured(RecordModel):
        x: float

    contract = Contract(Measured, ValuePrediction, Task.REGRESSION, "y", decimal=decimal)
    path = tmp_path / "table.csv"
    path.write_text(f"x{delimiter}y\n" + "".join(f"{cells[n % 2]}{delimiter}{n}\n" for n in range(20)))

    # Then its numbers are read as in requests
    assert read_table(contract, path).features.numbers[0, 0] == value


@of_values
@pytest.mark.parametrize("value", ["elsewhere", "1e999", "1,2,3", "12 kg", "0x10"])
def test_a_row_whose_value_is_no_number_is_dropped_with_a_note(
    value: str, rows: Rows, target: str, read: Callable[[Rows], Any]
) -> None:
    rows[2][-1] = value
    table = read(rows)
    assert len(table) == ROWS - 1
    assert table.notes == (
        f"1 cell of {target}, the first {value!r} in row 3, cannot be read in this column: not used.",
    )


@of_values
def test_a_target_of_words_is_refused(rows: Rows, target: str, problems: Callable[..., Any]) -> None:
    for cells in rows[1::3]:
        cells[-1] = "high"
    (problem,) = problems(rows)
    assert (problem.row, problem.column) == (2, target)
    assert problem.message.startswith("'high' is no finite number, and neither are ")


@pytest.mark.parametrize(
    ("field", "cell"),
    [
        pytest.param("margin", "3.0M", id="number"),
        pytest.param("margin", "1e999", id="infinite"),
        pytest.param("items", "several", id="integer"),
        pytest.param("paid", "yesterday", id="datetime"),
    ],
)
def test_an_odd_cell_is_missing_with_a_note(field: str, cell: str, rows: Rows, read: Callable[[Rows], Any]) -> None:
    # given two odd cells, and the same table with empty ones
    whole = [list(cells) for cells in rows]
    for row in (6, 9):
        rows[row][POSITIONS[field]] = cell
        whole[row][POSITIONS[field]] = ""
    # when
    table = read(rows)
    # then
    name = NAMES[POSITIONS[field]]
    assert table.notes == (
        f"2 cells of {name}, the first {cell!r} in row 7, cannot be read in this column: counted as missing.",
    )
    assert_same(table, read(whole))


def test_a_column_of_odd_cells_is_refused(rows: Rows, problems: Callable[..., Any]) -> None:
    for cells in rows[1::2]:
        cells[POSITIONS["margin"]] = "much"
    (problem,) = problems(rows)
    assert problem.column == NAMES[POSITIONS["margin"]]
    assert problem.message.startswith("'much' is no finite number, and neither are ")


@of_labels
def test_labels_that_are_equal_as_numbers_are_one(rows: Rows, tmp_path: Path) -> None:
    # given a contract with numbers as labels, and a table with two notations
    class Label(StrEnum):
        ZERO = "0"
        ONE = "1"

    class Prediction(LabelPrediction):
        label: Label

    contract = Contract(orders.Order, Prediction, Task.BINARY, "y")
    targets = ["0", "1", "0.0", "1.0", "1e0", "+1"] * ROWS
    table = [[*cells[:-1], cell] for cells, cell in zip(rows, ["y", *targets], strict=False)]
    # when
    read = read_table(contract, orders.write_table(tmp_path / "table.csv", table))
    # then
    assert read.target.tolist() == ([0, 1, 0, 1, 1, 1] * ROWS)[:ROWS]


@of_values
@pytest.mark.parametrize(
    ("cell", "value"), [("-3", -3.0), ("1e3", 1000.0), ("+.5", 0.5), ("1e-300", 1e-300), ("1,234.5", 1234.5)]
)
def test_values_may_be_any_finite_numbers(cell: str, value: float, rows: Rows, read: Callable[[Rows], Any]) -> None:
    rows[1][-1] = cell
    assert read(rows).target[0] == value


@of_values
def test_a_constant_target_is_refused(rows: Rows, target: str, problems: Callable[..., Any]) -> None:
    (problem,) = problems([rows[0], *([*cells[:-1], "7"] for cells in rows[1:])])
    assert problem.column == target
    assert "all rows have the same value" in problem.message


@pytest.mark.parametrize("count", [0, 1, MIN_ROWS - 1])
def test_too_few_rows_are_refused(count: int, rows: Rows, problems: Callable[..., Any]) -> None:
    first, *_ = problems(rows[: 1 + count])
    assert str(first) == f"the table has {count} usable rows; training needs at least {MIN_ROWS}"


def test_the_minimum_number_of_rows_is_enough(each_contract: Contract, rows: Rows, read: Callable[[Rows], Any]) -> None:
    labels = LABELS[each_contract.task] or ("1", "2")
    few = rows[: 1 + MIN_ROWS]
    for index, cells in enumerate(few[1:]):
        cells[-1] = str(labels[index % len(labels)])
    assert len(read(few)) == MIN_ROWS


@of_labels
@pytest.mark.parametrize("count", range(MIN_LABEL_ROWS))
def test_too_few_rows_of_a_label_are_refused(
    count: int, each_contract: Contract, rows: Rows, target: str, problems: Callable[..., Any]
) -> None:
    rare = str(LABELS[each_contract.task][-1])
    few = [cells for cells in rows if cells[-1] == rare][:count]
    (problem,) = problems([*(cells for cells in rows if cells[-1] != rare), *few])
    assert problem.column == target
    assert (
        problem.message
        == f"the label {rare!r} has {count} {'row' if count == 1 else 'rows'}; training needs at least {MIN_LABEL_ROWS}"
    )


@of_labels
def test_the_minimum_number_of_rows_of_a_label_is_enough(
    each_contract: Contract, rows: Rows, read: Callable[[Rows], Any]
) -> None:
    rare = str(LABELS[each_contract.task][-1])
    few = [cells for cells in rows if cells[-1] == rare][:MIN_LABEL_ROWS]
    table = read([*(cells for cells in rows if cells[-1] != rare), *few])
    assert np.count_nonzero(table.target == len(LABELS[each_contract.task]) - 1) == MIN_LABEL_ROWS


def test_a_message_counts_all_problems_and_lists_the_first(each_contract: Contract, rows: Rows, tmp_path: Path) -> None:
    # given: 25 invalid cells
    for cells in rows[1:26]:
        cells[POSITIONS["weight"]] = "x"
    path = orders.write_table(tmp_path / "table.csv", rows)
    # when
    with pytest.raises(TableError) as caught:
        read_table(each_contract, path)
    # then
    lines = str(caught.value).splitlines()
    assert lines[0] == f"{path} breaks the contract, 25 problems:"
    assert lines[1].startswith("  row 2, column Weight (kg): 'x' breaks the contract")
    assert len(lines) == MAX_LISTED + 2
    assert lines[-1] == f"  and {25 - MAX_LISTED} more"


def test_reading_stops_after_many_problems(
    rows: Rows, problems: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader, "MAX_PROBLEMS", 12)
    for cells in rows[1:]:
        cells[POSITIONS["weight"]] = "x"
    assert [problem.row for problem in problems(rows)] == list(range(2, 14))


@pytest.mark.parametrize(
    ("max_rows", "step"),
    [
        pytest.param(400, 1, id="all-rows"),
        pytest.param(380, 1, id="slightly-more-rows"),
        pytest.param(200, 2, id="twice-as-many-rows"),
        pytest.param(100, 4, id="four-times-as-many-rows"),
    ],
)
def test_a_long_file_is_sampled_with_a_note(max_rows: int, step: int, each_contract: Contract, tmp_path: Path) -> None:
    # given: 400 rows, in blocks of ten with the same target
    rows = orders.rows_of_table(400, each_contract.task)
    cycle = [str(label) for label in LABELS[each_contract.task]] or ["1", "2"]
    for index, cells in enumerate(rows[1:]):
        cells[-1] = cycle[index // 10 % len(cycle)]
    path = orders.write_table(tmp_path / "table.csv", rows)
    # when
    table = read_table(each_contract, path, max_rows)
    # then
    whole = column(read_table(each_contract, path), "weight")
    assert column(table, "weight") == whole[step - 1 :: step]
    assert [note.startswith(f"One in {step} of about ") for note in table.notes] == [True] * (step > 1)


@pytest.mark.parametrize(
    ("problem", "text"),
    [
        (Problem("it is wrong"), "it is wrong"),
        (Problem("it is wrong", 3), "row 3: it is wrong"),
        (Problem("it is wrong", column="b"), "column b: it is wrong"),
        (Problem("it is wrong", 3, "b"), "row 3, column b: it is wrong"),
    ],
)
def test_a_problem_names_its_row_and_column(problem: Problem, text: str) -> None:
    assert str(problem) == text


def test_a_message_counts_a_single_problem(each_contract: Contract, rows: Rows, tmp_path: Path) -> None:
    rows[1][POSITIONS["weight"]] = "x"
    with pytest.raises(TableError, match="breaks the contract, 1 problem:\n"):
        read_table(each_contract, orders.write_table(tmp_path / "table.csv", rows))
