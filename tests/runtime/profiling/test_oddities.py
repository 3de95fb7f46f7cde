"""Odd cells, sentinels, and values that differ in notation: what the profile says, and that training agrees."""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from types import ModuleType

import pytest

from mlops_runtime.profiling.profile import Profile, profile
from mlops_runtime.profiling.render.datamodel import render
from mlops_runtime.training.table import Table, read_table

WriteColumns = Callable[..., Path]
Import = Callable[[str], ModuleType]
Trained = Callable[..., tuple[Profile, Table]]


def noise(rows: int) -> list[str]:
    return [f"{(37 * row) % 1009 / 7:.2f}" for row in range(rows)]


def labels(rows: int) -> list[str]:
    return ["yes" if row % 3 else "no" for row in range(rows)]


@pytest.fixture
def trained(write_columns: WriteColumns, import_contract: Import) -> Trained:
    """Return a function that profiles a table with a column, and reads it for training."""

    def run(y: Sequence[str] | None = None, **columns: Sequence[str]) -> tuple[Profile, Table]:
        rows = len(next(iter(columns.values()))) if columns else len(y or ())
        path = write_columns(**columns, noise=noise(rows), y=y or labels(rows))
        table = profile(path, "y")
        return table, read_table(import_contract(render(table)).CONTRACT, path)

    return run


@pytest.mark.parametrize("rows", [200, 9_900, 10_100, 45_000])
@pytest.mark.parametrize("position", [0, 57, -1], ids=["first", "among", "last"])
def test_one_odd_cell_costs_no_column(rows: int, position: int, trained: Trained) -> None:
    # given
    cells = [f"{row + 0.25:.2f}" for row in range(rows)]
    cells[position] = "3.0M"
    # when
    table, training = trained(x=cells)
    # then
    column = table.columns[0]
    assert (column.name, column.kind, column.missing, column.optional) == ("x", "number", 1, True)
    row = (position % rows) + 2
    assert (
        f"1 cell of 'x', '3.0M' in row {row}, is no number, though the others are: counts as missing" in table.warnings
    )
    assert len(training) == rows
    assert training.notes == (
        f"1 cell of x, the first '3.0M' in row {row}, cannot be read in this column: counted as missing.",
    )


@pytest.mark.parametrize(
    ("odd", "kind"),
    [pytest.param(10, "number", id="ten-percent"), pytest.param(11, None, id="eleven-percent")],
)
def test_a_column_of_numbers_has_at_most_ten_percent_odd_cells(odd: int, kind: str | None, trained: Trained) -> None:
    cells = [f"{row}.5" if row % 100 >= odd else f"about {row}" for row in range(300)]
    table, _ = trained(x=cells)
    assert [column.kind for column in table.columns if column.name == "x" and column.kind == "number"] == [
        kind for kind in [kind] if kind
    ]


@pytest.mark.parametrize(
    ("good", "odd", "kind"),
    [
        pytest.param(["3", "4", "8"], "three", "integer", id="integers"),
        pytest.param(["$5", "$1200", "$7.50"], "on request", "number", id="amounts"),
        pytest.param(["2020-01-05", "2020-02-06", "2019-12-31"], "soon", "date", id="dates"),
        pytest.param(["5/13/2020", "6/14/2020", "7/15/2020"], "13/5/2020", "date", id="another-order"),
        pytest.param(["2020-01-05 10:00", "2020-02-06 11:00"], "31.12.", "datetime", id="date-times"),
        pytest.param(["10:00", "11:30", "23:59"], "25:00", "time", id="times"),
    ],
)
def test_odd_cells_of_each_kind_are_missing(good: list[str], odd: str, kind: str, trained: Trained) -> None:
    # given two odd cells
    cells = [good[row % len(good)] for row in range(90)]
    cells[5] = cells[9] = odd
    # when
    table, training = trained(x=cells)
    # then
    assert (table.columns[0].kind, table.columns[0].missing) == (kind, 2)
    assert any(f"2 cells of 'x', such as {odd!r} in row 7, are no " in warning for warning in table.warnings)
    assert len(training) == 90


@pytest.mark.parametrize(
    ("positions", "sentence"),
    [
        pytest.param([4], "1 cell of 'x' is 'unknown', in row 6: counts as missing", id="one"),
        pytest.param(
            [4, 9],
            "2 cells of 'x', the first 'unknown' in row 6, are words for a missing value: count as missing",
            id="two",
        ),
    ],
)
def test_a_word_among_numbers_is_named(positions: list[int], sentence: str, trained: Trained) -> None:
    cells = [str(row * 7 % 90) for row in range(200)]
    for position in positions:
        cells[position] = "unknown"
    table, training = trained(x=cells)
    assert table.columns[0].kind == "integer"
    assert sentence in table.warnings
    assert len(training) == 200


def test_codes_with_leading_zeros_are_no_numbers(trained: Trained) -> None:
    table, _ = trained(zip=[f"{1000 + 97 * row % 90000:05}" for row in range(400)])
    assert "zip" not in [column.name for column in table.columns if column.kind in ("number", "integer")]


def test_a_value_that_is_no_number_is_named(trained: Trained) -> None:
    # given a target with one cell that is no number
    target = [f"{row * 7 % 501}.5" for row in range(300)]
    target[41] = "12 kg"
    # when
    table, training = trained(y=target, x=noise(300)[::-1])
    # then
    assert table.task == "regression"
    assert "1 cell of 'y', '12 kg' in row 43, is no number: its row is excluded" in table.warnings
    assert len(training) == 299


def test_words_beside_integers_are_labels_if_they_are_repeated(trained: Trained) -> None:
    table, _ = trained(y=[*(str(row % 30) for row in range(600)), *["other"] * 30], x=noise(630)[::-1])
    assert table.task == "multiclass"
    assert "other" in table.labels


@pytest.mark.parametrize(
    ("form", "notation"),
    [
        pytest.param("{0} bhp", "numbers with 'bhp'", id="unit"),
        pytest.param("{0}.{1}M", "numbers with 'M'", id="millions"),
        pytest.param("<{0}", "numbers with '<'", id="bound"),
        pytest.param("{0}:{1:02}:00", "durations", id="hours"),
        pytest.param("PT{0}H{1}M", "durations", id="iso-8601"),
        pytest.param("{0} days 0{1}:00:00", "durations", id="pandas"),
        pytest.param("{0}h {1}m", "durations", id="letters"),
        pytest.param("R{0}", None, id="code"),
        pytest.param("0{0} 12", None, id="telephone"),
        pytest.param("{0}-{1}", None, id="interval"),
    ],
)
def test_amounts_that_are_read_as_words_are_named(form: str, notation: str | None, trained: Trained) -> None:
    table, _ = trained(a=[form.format(n % 40 + 24, n % 7) for n in range(200)])
    named = [warning for warning in table.warnings if "plain numbers" in warning]
    assert len(named) == (notation is not None)
    assert notation is None or f"'a' contains {notation} and is " in named[0]


def test_a_mark_in_some_rows_is_a_choice(trained: Trained) -> None:
    marks = {"few": ["", *"x" * 199], "rare": [*"x" * 4, *[""] * 196], "mark": ["x", "", ""] * 66 + ["x"] * 2}
    table, _ = trained(**marks)
    assert [(column.name, column.kind, column.optional) for column in table.columns][:1] == [("mark", "choice", True)]
    assert [name for name, _ in table.excluded] == ["few", "rare"]


@pytest.mark.parametrize(
    ("values", "sentinel", "found"),
    [
        pytest.param([f"{row % 97}.5" for row in range(400)], "-999", True, id="minus-999"),
        pytest.param([f"{row % 97 / 10:.1f}" for row in range(400)], "-200", True, id="minus-200"),
        pytest.param([str(row % 90 + 10) for row in range(400)], "9999", True, id="9999"),
        pytest.param([str(row % 5 + 1) for row in range(400)], "99", True, id="99-on-a-scale"),
        pytest.param([str(row % 61 + 1950) for row in range(400)], "0", True, id="year-0"),
        pytest.param([str(row % 90) for row in range(400)], "100", False, id="near"),
        pytest.param([("1", "2", "5", "10")[row % 4] for row in range(400)], "50", False, id="coins"),
        pytest.param([f"{row % 97}.5" for row in range(400)], "-5", False, id="negative"),
    ],
)
def test_a_sentinel_is_warned_about(values: list[str], sentinel: str, found: bool, trained: Trained) -> None:
    values = list(values)
    for row in (3, 50, 200):
        values[row] = sentinel
    table, _ = trained(x=values)
    warnings = [warning for warning in table.warnings if warning.startswith(f"3 cells of 'x' are {sentinel}, far from")]
    assert len(warnings) == found
    assert all(f'add Missing("{sentinel}") to its field in datamodel.py' in warning for warning in warnings)


def test_a_single_outlier_is_no_sentinel(trained: Trained) -> None:
    table, _ = trained(x=["-999", *(f"{row % 97}.5" for row in range(400))])
    assert not any("far from the others" in warning for warning in table.warnings)


@pytest.mark.parametrize("name", ["", "Unnamed: 0", "Unnamed: 0.1"])
def test_an_exported_index_with_gaps_is_excluded(name: str, write_columns: WriteColumns) -> None:
    path = write_columns(**{name: range(7, 607, 3), "x": noise(200), "y": labels(200)})
    table = profile(path, "y")
    assert [column.name for column in table.columns] == ["x"]
    assert table.excluded[0][1] == "it is the index of the rows: 200 of 200 values are distinct"


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        pytest.param(["0", "1", "0.0", "1.0", "0", "1"], ("0", "1"), id="integers-and-floats"),
        pytest.param(["0.0", "1.0"], ("0.0", "1.0"), id="floats"),
        pytest.param(["1", "01", "2", "02", "1", "2"], ("1", "2"), id="zeros"),
    ],
)
def test_labels_that_are_equal_as_numbers_are_one(
    cells: list[str], expected: tuple[str, ...], trained: Trained
) -> None:
    table, training = trained(y=cells * 40, x=noise(len(cells) * 40)[::-1])
    assert (table.task, table.labels) == ("binary", expected)
    assert len(training) == len(cells) * 40


def test_labels_that_differ_in_case_are_warned_about(trained: Trained) -> None:
    table, _ = trained(y=["Yes", "YES", "yes", "No", "NO", "no"] * 20, x=noise(120)[::-1])
    assert table.labels == ("NO", "No", "YES", "Yes", "no", "yes")
    assert any(
        "'NO', 'No', 'no' and 1 more such groups differ only in case and are different labels of 'y'" in warning
        for warning in table.warnings
    )


def test_values_that_differ_in_case_are_warned_about(trained: Trained) -> None:
    table, _ = trained(town=["Bonn", "bonn", "Ulm"] * 40)
    assert any("'Bonn', 'bonn' differ only in case and are different values of 'town'" in w for w in table.warnings)


@pytest.mark.parametrize("blank", ["\u00a0", "\u2009", "\u200b", "\ufeff", "\u2060", "\u00ad", "\u200e", "  "])
@pytest.mark.parametrize("form", ["{0}south east", "south east{0}", "south{0} east"])
def test_blanks_and_invisible_characters_make_no_new_value(blank: str, form: str, trained: Trained) -> None:
    # given
    cells = ["south east", form.format(blank), "north"] * 40
    # when
    table, training = trained(y=cells, x=noise(120)[::-1], area=cells)
    # then
    assert table.labels == ("north", "south east")
    assert [value for value, _ in table.columns[1].most_common] == ["south east", "north"]
    assert len(training) == 120


MOMENTS = [datetime(2015, 1, 1, 4, 5, 6) + timedelta(days=17 * row, minutes=31 * row) for row in range(150)]  # noqa: DTZ001


@pytest.mark.parametrize(
    ("form", "kind"),
    [
        pytest.param("%Y-%m-%d %H:%M:%S UTC", "datetime", id="bigquery"),
        pytest.param("%Y-%m-%d %H:%M:%S+00", "datetime", id="postgres"),
        pytest.param("%Y-%m-%dT%H:%M:%S+0000", "datetime", id="basic-offset"),
        pytest.param("%Y%m%dT%H%M%S", "datetime", id="basic"),
        pytest.param("%Y-%m-%dT%H:%M:%S.1234567", "datetime", id="dotnet"),
        pytest.param("%Y%m%d", "date", id="eight-digits"),
        pytest.param("%d/%b/%Y:%H:%M:%S -0700", "datetime", id="apache"),
        pytest.param("%d%b%Y", "date", id="sas-date"),
        pytest.param("%d%b%Y:%H:%M:%S", "datetime", id="sas"),
        pytest.param("%a %b %d %H:%M:%S %Y", "datetime", id="ctime"),
        pytest.param("%B %d %Y", "date", id="long-month"),
        pytest.param("%d %B %Y %I:%M%p", "datetime", id="am-pm"),
        pytest.param("%B %Y", "date", id="month-and-year"),
        pytest.param("%Y-%m", "date", id="year-and-month"),
    ],
)
def test_dates_of_any_form_are_dates_in_training(form: str, kind: str, trained: Trained) -> None:
    table, training = trained(when=[moment.strftime(form) for moment in MOMENTS])
    column = table.columns[0]
    assert (column.name, column.kind, column.missing) == ("when", kind, 0)
    assert str(column.low).startswith("2015-01-01")
    assert len(training) == len(MOMENTS)


def test_a_column_may_mix_dates_and_date_times(trained: Trained) -> None:
    cells = [moment.strftime("%Y-%m-%d" if row % 2 else "%Y-%m-%d %H:%M") for row, moment in enumerate(MOMENTS)]
    table, training = trained(when=cells)
    assert (table.columns[0].kind, len(training)) == ("datetime", len(MOMENTS))


@pytest.mark.parametrize(
    ("cells", "name"),
    [
        pytest.param([f"{2000 + row}-{(row + 1) % 100:02}" for row in range(12)] * 10, "season", id="seasons"),
        pytest.param([str(20200101 + 7 * row) for row in range(120)], "amount", id="amounts"),
        pytest.param([f"202001{row % 28 + 1:02}" for row in range(120)], "invoice_no", id="numbers"),
        pytest.param([f"{row % 9}.{row % 7}" for row in range(120)], "version", id="versions"),
    ],
)
def test_numbers_and_spans_are_no_dates(cells: list[str], name: str, trained: Trained) -> None:
    table, _ = trained(**{name: cells})
    assert not [column for column in table.columns if column.kind in ("date", "datetime", "time")]
