import csv
import gzip
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest

from mlops_runtime.contract import Contract, Kind, Task
from mlops_runtime.model.artefact import sha256
from mlops_runtime.tables.source import open_source
from mlops_runtime.testing import synthetic as orders
from mlops_runtime.testing.synthetic import LABELS, LAYOUT, TARGET
from mlops_runtime.training import table as reader
from mlops_runtime.training.table import (
    LISTED_PROBLEMS,
    MINIMUM_LABEL_ROWS,
    MINIMUM_ROWS,
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
PLACES = {field.attribute: place for place, field in enumerate(orders.FIELDS)}


@pytest.fixture
def target(each_contract: Contract) -> str:
    return TARGET[each_contract.task]


@pytest.fixture
def rows(each_contract: Contract) -> Rows:
    """A small valid table of orders: a header, then the rows; some of each label."""
    rows = orders.rows_of_table(ROWS, each_contract.task)
    for place, label in enumerate(LABELS[each_contract.task]):
        for cells in rows[1 + 4 * place : 5 + 4 * place]:
            cells[-1] = str(label)
    return rows


@pytest.fixture
def read(each_contract: Contract, tmp_path: Path) -> Callable[[Rows], Any]:
    """A function that writes rows to a file, and returns the table that is read from it."""
    return lambda rows: read_table(each_contract, orders.write_table(tmp_path / "table.csv", rows))


@pytest.fixture
def problems(each_contract: Contract, tmp_path: Path) -> Callable[[Rows | bytes], tuple[Any, ...]]:
    """A function that writes a file, and returns the problems for which it is refused."""

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
    """Return the numbers of a field."""
    place = next(place for place, number in enumerate(LAYOUT.numbers) if number.field.attribute == attribute)
    return table.features.numbers[:, place].tolist()  # type: ignore[no-any-return]


def assert_same(found: Any, expected: Any) -> None:
    """Fail unless two tables hold the same rows."""
    np.testing.assert_array_equal(found.features.numbers, expected.features.numbers)
    assert found.features.categories.tolist() == expected.features.categories.tolist()
    assert found.features.texts.tolist() == expected.features.texts.tolist()
    assert found.target.tolist() == expected.target.tolist()
    assert found.records == expected.records


def test_the_table_of_the_project_is_read_whole(contract: Contract, data: Path, table: Table) -> None:
    source = open_source(data)
    place = source.header.index(contract.target)
    told = [cells[place] for _, cells in source.rows()]
    usable = [cell for cell in told if (cell in contract.labels if contract.labels else cell)]
    assert len(table) == len(table.features) == len(table.target) == len(usable)
    assert len(table.notes) <= len(told) - len(usable)
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


def test_columns_may_come_in_another_order_with_some_that_nobody_knows(rows: Rows, read: Callable[[Rows], Any]) -> None:
    # given: a table, and the same with its columns turned round and one that nobody knows
    expected = read(rows)
    turned = [[*cells[::-1], "extra"] for cells in rows]
    turned[0][-1] = "Unknown"
    # when
    found = read(turned)
    # then
    assert_same(found, expected)
    assert found.ignored == ("Unknown",)


def as_text(rows: Rows, delimiter: str = ",", quoting: Literal[0, 1] = csv.QUOTE_MINIMAL) -> str:
    text = io.StringIO()
    csv.writer(text, delimiter=delimiter, quoting=quoting, lineterminator="\n").writerows(rows)
    return text.getvalue()


def with_decimal_commas(rows: Rows) -> Rows:
    """Return rows whose numbers have a comma; those of the target, too."""
    places = [place for place, field in enumerate(orders.FIELDS) if field.kind in (Kind.NUMBER, Kind.INTEGER)]
    return [
        [cell.replace(".", ",") if place in (*places, len(cells) - 1) else cell for place, cell in enumerate(cells)]
        for cells in rows
    ]


def with_other_words(rows: Rows) -> Rows:
    """Return rows that say NA for a missing value, and TRUE and FALSE for yes and no."""
    words = {"": "NA", "yes": "TRUE", "no": "FALSE"}
    return [[words.get(cell, cell) for cell in cells] for cells in rows]


@pytest.mark.parametrize(
    "written",
    [
        pytest.param(lambda rows: as_text(rows).encode("utf-8-sig"), id="byte-order-mark"),
        pytest.param(lambda rows: as_text(rows).replace("\n", "\r\n").encode(), id="windows-line-ends"),
        pytest.param(lambda rows: as_text(rows).replace("\n", "\n\n").encode(), id="empty-lines"),
        pytest.param(lambda rows: as_text(rows).rstrip("\n").encode(), id="no-line-end-at-the-end"),
        pytest.param(lambda rows: as_text(rows, quoting=csv.QUOTE_ALL).encode(), id="all-quoted"),
        pytest.param(lambda rows: as_text(rows, ";").encode(), id="semicolons"),
        pytest.param(lambda rows: as_text(with_decimal_commas(rows), ";").encode(), id="decimal-commas"),
        pytest.param(lambda rows: as_text(rows, "\t").encode("utf-16"), id="tabs-and-utf-16"),
        pytest.param(lambda rows: as_text(rows).encode("cp1252"), id="cp1252"),
        pytest.param(lambda rows: gzip.compress(as_text(rows).encode()), id="gzip"),
        pytest.param(lambda rows: as_text(with_other_words(rows)).encode(), id="other-words"),
        pytest.param(lambda rows: as_text([[f" {cell} " for cell in cells] for cells in rows]).encode(), id="spaces"),
    ],
)
def test_ways_to_write_the_same_table(
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
def test_a_table_is_the_same_however_many_rows_are_records_at_the_same_time(
    size: int, rows: Rows, read: Callable[[Rows], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = read(rows)
    monkeypatch.setattr(reader, "CHUNK", size)
    assert_same(read(rows), expected)


@pytest.mark.parametrize(("most", "every"), [(ROWS, 1), (ROWS - 1, 2), (12, 4), (3, 16)])
def test_of_many_rows_some_stay_records(
    most: int, every: int, rows: Rows, read: Callable[[Rows], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = read(rows).records
    monkeypatch.setattr(reader, "KEPT_RECORDS", most)
    assert read(rows).records == {row: expected[row] for row in range(0, ROWS, every)}


def test_rows_are_taken_with_their_records(rows: Rows, read: Callable[[Rows], Any]) -> None:
    table = read(rows)
    taken = table.take([5, 2, 5])
    assert len(taken) == 3
    assert taken.target.tolist() == [table.target[row] for row in (5, 2, 5)]
    assert column(taken, "weight") == [column(table, "weight")[row] for row in (5, 2, 5)]
    assert taken.records == {0: table.records[5], 1: table.records[2], 2: table.records[5]}


def test_an_empty_cell_is_a_missing_value(rows: Rows, read: Callable[[Rows], Any]) -> None:
    for field, place in PLACES.items():
        if orders.FIELDS[place].optional:
            rows[3][place] = "" if field != "remark" else " "
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
        pytest.param(b"PK\x03\x04", "Excel", id="workbook"),
        pytest.param(b"1,2,3\n4,5,6\n", "the first row must be a header", id="no-header"),
    ],
)
def test_a_file_that_is_no_table_is_refused(content: bytes, message: str, problems: Callable[..., Any]) -> None:
    (problem,) = problems(content)
    assert message in problem.message


@pytest.mark.parametrize("end", ['"open', "cell," * 30 + "cell"], ids=["quote-left-open", "more-cells-than-columns"])
def test_a_row_that_is_none_is_refused_with_its_number(end: str, rows: Rows, problems: Callable[..., Any]) -> None:
    (problem,) = problems((as_text(rows) + end).encode())
    assert f"row {ROWS + 2}" in problem.message


@pytest.mark.parametrize("place", ["none.csv", "."], ids=["no-file", "folder"])
def test_what_is_no_file_is_refused(each_contract: Contract, place: str, tmp_path: Path) -> None:
    with pytest.raises(TableError, match=r"does not exist|is a folder"):
        read_table(each_contract, tmp_path / place)


def test_a_file_that_cannot_be_read_is_refused(each_contract: Contract, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path, _: int) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(reader, "open_source", refuse)
    with pytest.raises(TableError, match="cannot be read: Permission denied"):
        read_table(each_contract, Path("table.csv"))


@pytest.mark.parametrize("place", [0, -1], ids=["feature", "target"])
def test_a_misspelt_column_is_refused_with_the_nearest_name(
    place: int, rows: Rows, problems: Callable[..., Any]
) -> None:
    # given
    name = rows[0][place]
    rows[0][place] = name + "s"
    # when
    (problem,) = problems(rows)
    # then
    assert (problem.row, problem.column) == (1, name)
    assert f"did you mean this by '{name}s'?" in problem.message


def test_every_missing_column_is_named(rows: Rows, problems: Callable[..., Any]) -> None:
    assert [str(problem) for problem in problems([cells[2:] for cells in rows])] == [
        f"row 1, column {name}: the header lacks this column" for name in NAMES[:2]
    ]


@pytest.mark.parametrize(
    ("field", "cell", "reason"),
    [
        pytest.param("weight", "", "may have no missing value", id="missing-number"),
        pytest.param("express", "", "may have no missing value", id="missing-flag"),
        pytest.param("courier", "NA", "may have no missing value", id="missing-category"),
        pytest.param("ordered", "?", "may have no missing value", id="missing-date"),
        pytest.param("weight", "heavy", "valid number", id="word-for-a-number"),
        pytest.param("weight", "-0.5", "greater than or equal to 0", id="too-low"),
        pytest.param("weight", "1000.5", "less than or equal to 1000", id="too-high"),
        pytest.param("weight", "9" * 200, "less than or equal to 1000", id="much-too-high"),
        pytest.param("margin", "1e999", "finite", id="no-finite-number"),
        pytest.param("items", "2.5", "multiple of 1", id="part-of-a-whole"),
        pytest.param("express", "perhaps", "valid boolean", id="no-flag"),
        pytest.param("size", "enormous", "'large'", id="unknown-choice"),
        pytest.param("ordered", "31/02/2024", "date", id="no-such-day"),
        pytest.param("ordered", "12/31/2024", "date", id="month-and-day-the-other-way-round"),
        pytest.param("paid", "yesterday", "datetime", id="word-for-a-datetime"),
        pytest.param("slot", "25:00:00", "time", id="no-such-hour"),
    ],
)
def test_a_wrong_cell_is_refused_with_its_place(
    field: str, cell: str, reason: str, rows: Rows, problems: Callable[..., Any]
) -> None:
    # given: the cell on line 7 of the file
    rows[6][PLACES[field]] = cell
    # when
    (problem,) = problems(rows)
    # then
    assert (problem.row, problem.column) == (7, NAMES[PLACES[field]])
    assert reason in problem.message
    assert len(problem.message) < 200


def test_a_row_is_told_by_its_line_in_the_file(rows: Rows, problems: Callable[..., Any]) -> None:
    # given: a remark of three lines, a line without a cell, and a wrong cell below
    rows[2][PLACES["remark"]] = "ring\ntwice\nplease"
    rows.insert(4, [])
    rows[6][PLACES["weight"]] = "heavy"
    # then
    (problem,) = problems(rows)
    assert problem.row == 9


def test_rows_without_a_target_are_left_out_with_a_note(rows: Rows, target: str, read: Callable[[Rows], Any]) -> None:
    whole = read(rows)
    assert len(read([*rows, [*rows[1][:-1], ""]])) == ROWS
    assert read([*rows, [*rows[1][:-1], ""]]).notes == (f"1 row is without a value in {target}: left out.",)
    several = read([rows[0], *([*rows[1][:-1], "NA"] for _ in range(3)), *rows[1:]])
    assert several.notes == (f"3 rows are without a value in {target}: left out.",)
    assert_same(several, whole)


@of_labels
def test_a_label_that_the_contract_lacks_is_refused(
    each_contract: Contract, rows: Rows, target: str, problems: Callable[..., Any]
) -> None:
    (problem,) = problems([*rows, *([[*rows[1][:-1], "elsewhere"]] * MINIMUM_LABEL_ROWS)])
    assert (problem.row, problem.column) == (ROWS + 2, target)
    assert problem.message.startswith("'elsewhere' is no label of the contract")
    assert all(repr(str(label)) in problem.message for label in LABELS[each_contract.task])


@of_labels
def test_a_label_of_one_row_is_left_out_with_a_note(rows: Rows, target: str, read: Callable[[Rows], Any]) -> None:
    found = read([*rows, [*rows[1][:-1], "elsewhere"]])
    assert_same(found, read(rows))
    assert found.notes == (f"Only one row each has the {target} 'elsewhere': too few to learn from, left out.",)


@of_labels
def test_of_many_rare_labels_the_first_are_named(rows: Rows, read: Callable[[Rows], Any]) -> None:
    rare = [[*rows[1][:-1], f"rare {number}"] for number in range(LISTED_PROBLEMS + 3)]
    (note,) = read([*rows, *rare]).notes
    assert "'rare 0', 'rare 1'" in note
    assert "'rare 9' and 3 more:" in note


@of_labels
def test_a_label_is_its_place_in_the_contract(each_contract: Contract, rows: Rows, read: Callable[[Rows], Any]) -> None:
    labels = [str(label) for label in LABELS[each_contract.task]]
    assert read(rows).target.tolist() == [labels.index(cells[-1]) for cells in rows[1:]]


@of_values
@pytest.mark.parametrize("value", ["elsewhere", "1e999", "1,2,3", "12 kg", "0x10"])
def test_a_value_that_is_no_finite_number_is_refused(
    value: str, rows: Rows, target: str, problems: Callable[..., Any]
) -> None:
    rows[2][-1] = value
    assert [str(problem) for problem in problems(rows)] == [f"row 3, column {target}: {value!r} is no finite number"]


@of_values
@pytest.mark.parametrize(
    ("cell", "value"), [("-3", -3.0), ("1e3", 1000.0), ("+.5", 0.5), ("1e-300", 1e-300), ("1,234.5", 1234.5)]
)
def test_values_may_be_any_finite_numbers(cell: str, value: float, rows: Rows, read: Callable[[Rows], Any]) -> None:
    rows[1][-1] = cell
    assert read(rows).target[0] == value


@of_values
def test_values_that_are_all_the_same_are_refused(rows: Rows, target: str, problems: Callable[..., Any]) -> None:
    (problem,) = problems([rows[0], *([*cells[:-1], "7"] for cells in rows[1:])])
    assert problem.column == target
    assert "every row has the same value" in problem.message


@pytest.mark.parametrize("count", [0, 1, MINIMUM_ROWS - 1])
def test_too_few_rows_are_refused(count: int, rows: Rows, problems: Callable[..., Any]) -> None:
    first, *_ = problems(rows[: 1 + count])
    assert str(first) == f"rows that can be used: {count}; training needs {MINIMUM_ROWS} or more"


def test_the_fewest_rows_are_enough(each_contract: Contract, rows: Rows, read: Callable[[Rows], Any]) -> None:
    labels = LABELS[each_contract.task] or ("1", "2")
    few = rows[: 1 + MINIMUM_ROWS]
    for place, cells in enumerate(few[1:]):
        cells[-1] = str(labels[place % len(labels)])
    assert len(read(few)) == MINIMUM_ROWS


@of_labels
@pytest.mark.parametrize("count", range(MINIMUM_LABEL_ROWS))
def test_too_few_rows_of_a_label_are_refused(
    count: int, each_contract: Contract, rows: Rows, target: str, problems: Callable[..., Any]
) -> None:
    rare = str(LABELS[each_contract.task][-1])
    few = [cells for cells in rows if cells[-1] == rare][:count]
    (problem,) = problems([*(cells for cells in rows if cells[-1] != rare), *few])
    assert problem.column == target
    assert problem.message == f"rows with the label {rare!r}: {count}; training needs {MINIMUM_LABEL_ROWS} or more"


@of_labels
def test_the_fewest_rows_of_a_label_are_enough(
    each_contract: Contract, rows: Rows, read: Callable[[Rows], Any]
) -> None:
    rare = str(LABELS[each_contract.task][-1])
    few = [cells for cells in rows if cells[-1] == rare][:MINIMUM_LABEL_ROWS]
    table = read([*(cells for cells in rows if cells[-1] != rare), *few])
    assert np.count_nonzero(table.target == len(LABELS[each_contract.task]) - 1) == MINIMUM_LABEL_ROWS


def test_all_problems_are_counted_and_the_first_listed(each_contract: Contract, rows: Rows, tmp_path: Path) -> None:
    # given: twenty-five wrong cells
    for cells in rows[1:26]:
        cells[PLACES["weight"]] = "x"
    path = orders.write_table(tmp_path / "table.csv", rows)
    # when
    with pytest.raises(TableError) as caught:
        read_table(each_contract, path)
    # then
    lines = str(caught.value).splitlines()
    assert lines[0] == f"{path} breaks the contract, 25 problems:"
    assert lines[1].startswith("  row 2, column Weight (kg): 'x' is refused")
    assert len(lines) == LISTED_PROBLEMS + 2
    assert lines[-1] == f"  and {25 - LISTED_PROBLEMS} more"


def test_after_many_problems_reading_stops(
    rows: Rows, problems: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader, "MAX_PROBLEMS", 12)
    for cells in rows[1:]:
        cells[PLACES["weight"]] = "x"
    assert [problem.row for problem in problems(rows)] == list(range(2, 14))


@pytest.mark.parametrize(
    ("most_rows", "step"),
    [
        pytest.param(400, 1, id="as-many-as-there-are"),
        pytest.param(380, 1, id="a-few-too-many"),
        pytest.param(200, 2, id="twice-as-many"),
        pytest.param(100, 4, id="four-times-as-many"),
    ],
)
def test_of_a_long_file_one_row_out_of_several_is_read_with_a_note(
    most_rows: int, step: int, each_contract: Contract, tmp_path: Path
) -> None:
    # given: four hundred rows, each target on ten of them in turn
    rows = orders.rows_of_table(400, each_contract.task)
    cycle = [str(label) for label in LABELS[each_contract.task]] or ["1", "2"]
    for place, cells in enumerate(rows[1:]):
        cells[-1] = cycle[place // 10 % len(cycle)]
    path = orders.write_table(tmp_path / "table.csv", rows)
    # when
    table = read_table(each_contract, path, most_rows)
    # then
    whole = column(read_table(each_contract, path), "weight")
    assert column(table, "weight") == whole[step - 1 :: step]
    assert [note.startswith(f"One row in {step} was read") for note in table.notes] == [True] * (step > 1)


@pytest.mark.parametrize(
    ("problem", "text"),
    [
        (Problem("it is wrong"), "it is wrong"),
        (Problem("it is wrong", 3), "row 3: it is wrong"),
        (Problem("it is wrong", column="b"), "column b: it is wrong"),
        (Problem("it is wrong", 3, "b"), "row 3, column b: it is wrong"),
    ],
)
def test_a_problem_says_where_it_is(problem: Problem, text: str) -> None:
    assert str(problem) == text


def test_one_problem_is_not_many(each_contract: Contract, rows: Rows, tmp_path: Path) -> None:
    rows[1][PLACES["weight"]] = "x"
    with pytest.raises(TableError, match="breaks the contract, 1 problem:\n"):
        read_table(each_contract, orders.write_table(tmp_path / "table.csv", rows))
