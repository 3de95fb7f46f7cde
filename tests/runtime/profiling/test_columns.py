from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_runtime.profiling.columns import (
    MAX_CHOICES,
    Column,
    ExcludedColumn,
    Tally,
    infer_column,
    is_ambiguous,
)
from mlops_runtime.profiling.dates import MAX_FORM_LENGTH
from mlops_runtime.profiling.names import MAX_NAME_LENGTH

WORDS = ("red", "green", "blue")


def tally_of(cells: Sequence[str], name: str = "column", decimal: str = ".", max_values: int = 20_000) -> Tally:
    """Return the statistics of cells that are added in chunks of seven."""
    tally = Tally(name, decimal, max_values)
    for start in range(0, len(cells), 7):
        end = min(start + 7, len(cells))
        row_numbers = [tuple(map(str, range(start + first, end + first))) for first in (0, 1)]
        tally.add(tuple(cells[start:end]), row_numbers)
    return tally


def inferred(
    cells: Sequence[str],
    name: str = "column",
    decimal: str = ".",
    day_first: bool = False,
    sampled: bool = False,
    max_values: int = 20_000,
) -> Column | ExcludedColumn:
    return infer_column(tally_of(cells, name, decimal, max_values), day_first, sampled)


def kind(cells: Sequence[str], **arguments: object) -> str | None:
    column = inferred(cells, **arguments)  # type: ignore[arg-type]
    return column.kind if isinstance(column, Column) else None


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        pytest.param(["1.5", "2"], "number", id="decimals"),
        pytest.param(["1e3", "2"], "number", id="exponent"),
        pytest.param(["1,234", "56"], "integer", id="thousands"),
        pytest.param(["-3", "+4", "0"], "integer", id="signs"),
        pytest.param(["2019", "2020", "2019"], "integer", id="years"),
        pytest.param(["1.0", "2.0"], "number", id="floats"),
        pytest.param(["1.0", "", "2.0"], "integer", id="integral-floats-with-gaps"),
        pytest.param(["9007199254740993", "5", "5"], "number", id="integer-beyond-a-float"),
        pytest.param(["$5", "$1,200"], "integer", id="one-currency"),
        pytest.param(["5.5 %", "7 %"], "number", id="percent"),
        pytest.param(["$5", "£5"], "choice", id="two-currencies"),
        pytest.param(["5 %", "0.05"], "choice", id="percent-and-shares"),
        pytest.param(["1/22/14", "12/5/99"], "date", id="year-of-two-digits"),
        pytest.param(["20141013123456", "20150101000000", "20160229235959"], "datetime", id="14-digits"),
        pytest.param(["20141013123456", "20150101000000", "20160230235959"], "integer", id="14-digits-of-no-date"),
        pytest.param(["2020Q1", "2019Q4"], "date", id="quarters"),
        pytest.param(["18.00.00", "23.30.00"], "time", id="times-with-points"),
        pytest.param(["1.10.2", "1.9.13"], "choice", id="versions"),
        pytest.param(["yes", "NO", "No"], "boolean", id="yes-no"),
        pytest.param(["true", "false"], "boolean", id="true-false"),
        pytest.param(["t", "f", "t"], "boolean", id="t-f"),
        pytest.param(["yes", "false"], "choice", id="mixed-boolean-words"),
        pytest.param(WORDS, "choice", id="words"),
        pytest.param(["007", "008"], "choice", id="leading-zeros"),
        pytest.param(["1", "2", "x"], "choice", id="numbers-and-words"),
        pytest.param(["1e400", "2"], "choice", id="numbers-beyond-a-float"),
        pytest.param(["1_0", "2_0"], "choice", id="underscores"),
        pytest.param(["2020-01-05", "2020-12-31"], "date", id="iso-date"),
        pytest.param(["2020-01-05T10:00:00Z", "2020-12-31 23:59"], "datetime", id="iso-datetime"),
        pytest.param(["10:30", "23:59:59"], "time", id="iso-time"),
        pytest.param(["2020-13-01", "2020-01-05"], "choice", id="no-such-month"),
        pytest.param(["25:10", "10:10"], "choice", id="no-such-hour"),
    ],
)
def test_the_kind_is_inferred_from_the_values(cells: Sequence[str], expected: str) -> None:
    assert kind(list(cells) * 30) == expected


@pytest.mark.parametrize(
    ("cells", "date_format", "low"),
    [
        pytest.param(["13/4/2020", "1/2/2020"], "%d/%m/%Y", "2020-02-01", id="day-first"),
        pytest.param(["4/13/2020", "1/2/2020"], "%m/%d/%Y", "2020-01-02", id="month-first"),
        pytest.param(["13.4.2020", "1.2.2020"], "%d.%m.%Y", "2020-02-01", id="points"),
        pytest.param(["2020/4/13", "2020/12/1"], "%Y/%m/%d", "2020-04-13", id="year-first"),
        pytest.param(["2020-4-13", "2020-12-01"], "%Y-%m-%d", "2020-04-13", id="iso-without-zeros"),
        pytest.param(["5-Jan-2020", "6-Feb-2020"], "%d-%b-%Y", "2020-01-05", id="names-of-months"),
        pytest.param(["13/4/2020 7:00", "1/2/2020 19:30"], "%d/%m/%Y %H:%M", "2020-02-01T19:30:00", id="with-time"),
        pytest.param(["4/13/2020 7:00 AM", "1/2/2020 7:30 PM"], "%m/%d/%Y %I:%M %p", "2020-01-02T19:30:00", id="am-pm"),
        pytest.param(["2020-01-05", "2019-12-31"], None, "2019-12-31", id="iso"),
    ],
)
@pytest.mark.parametrize("day_first", [True, False])
def test_the_date_format_is_inferred_from_the_values(
    cells: list[str], date_format: str | None, low: str, day_first: bool
) -> None:
    column = inferred(cells * 5, day_first=day_first)
    assert isinstance(column, Column)
    assert (column.date_format, column.low) == (date_format, low)
    assert not is_ambiguous(tally_of(cells))


@pytest.mark.parametrize(("day_first", "date_format"), [(True, "%d/%m/%Y"), (False, "%m/%d/%Y")])
def test_ambiguous_dates_are_read_in_the_order_of_the_dialect(day_first: bool, date_format: str) -> None:
    cells = ["3/4/2020", "5/6/2020"]
    column = inferred(cells, day_first=day_first)
    assert isinstance(column, Column)
    assert column.date_format == date_format
    assert is_ambiguous(tally_of(cells))


def test_a_date_without_leading_zeros_in_a_later_chunk_changes_the_format() -> None:
    column = inferred(["2020-10-10"] * 8 + ["2020-1-5"])
    assert isinstance(column, Column)
    assert (column.kind, column.date_format, column.low, column.high) == (
        "date",
        "%Y-%m-%d",
        "2020-01-05",
        "2020-10-10",
    )


def test_the_first_line_of_a_field_fits_the_line_length() -> None:
    column = inferred(["Wednesday, 30 September 2020 10:15:30.123456 +0200"] * 5 + ["Sunday, 1 May 2020 9:00"])
    assert isinstance(column, Column)
    assert column.date_format == "%d %b %Y"
    line = f'    {"x" * MAX_NAME_LENGTH}: Annotated[datetime, DateFormat("{"x" * MAX_FORM_LENGTH}")] | None = Field('
    assert len(line) <= 120


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        pytest.param([f"{word}" for word in WORDS for _ in range(5)], "choice", id="each-five-times"),
        pytest.param([f"{word}" for word in WORDS for _ in range(4)], "category", id="each-four-times"),
        pytest.param([*WORDS * 300, "violet"], "category", id="one-singleton-in-901-rows"),
        pytest.param([*WORDS * 400, "violet"], "choice", id="one-singleton-in-1201-rows"),
        pytest.param([f"v{n}" for n in range(MAX_CHOICES)] * 9, "choice", id="maximum-of-choices"),
        pytest.param([f"v{n}" for n in range(MAX_CHOICES + 1)] * 9, "category", id="too-many-values"),
        pytest.param(["x" * 300, "y"] * 9, "category", id="too-long-values"),
        pytest.param([f"v{n // 2}" for n in range(100)], "category", id="half-distinct"),
        pytest.param([f"v{n // 2}" for n in range(20)] + [f"w{n}" for n in range(9)], None, id="mostly-distinct"),
        pytest.param([f"about {n} words" for n in range(50)], "text", id="several-words"),
        pytest.param([f"about {n} words" for n in range(60)] * 9, "category", id="words-that-repeat"),
        pytest.param([f"x {'y' * 40}{n}" if n % 2 else f"{'z' * 90}{n}" for n in range(50)], "text", id="long"),
        pytest.param([f"{n:032x}" for n in range(50)], None, id="one-word-each"),
        pytest.param([f"https://example.org/{'x' * 60}/{n}" for n in range(50)], None, id="addresses"),
    ],
)
def test_strings_are_choices_categories_texts_or_excluded(cells: list[str], expected: str | None) -> None:
    assert kind(cells) == expected


def test_a_choice_has_all_values_and_a_category_the_most_frequent() -> None:
    choice, category = inferred(list("aabbbc") * 9), inferred([*"aabbbc" * 9, *"defg"])
    assert isinstance(choice, Column)
    assert isinstance(category, Column)
    assert choice.most_common == (("b", 27), ("a", 18), ("c", 9))
    assert category.most_common == (("b", 27), ("a", 18), ("c", 9), ("d", 1), ("e", 1))


@pytest.mark.parametrize(
    ("cells", "name", "reason"),
    [
        pytest.param(["", "NA", "nan"], "x", "all values are missing", id="empty"),
        pytest.param(["5", "5", " 5 "], "x", "its only value is '5'", id="constant"),
        pytest.param(["5", "", "5"], "x", "its only value is '5'", id="constant-with-gaps"),
        pytest.param(list(map(str, range(30))), "x", "it numbers the rows", id="from-0"),
        pytest.param(list(map(str, range(1, 31))), "x", "it numbers the rows", id="from-1"),
        pytest.param([str(7 * n) for n in range(30)], "customerID", "it is an identifier: 30 of 30", id="named"),
        pytest.param([str(10**17 + n) for n in range(30)], "x", "it is an identifier: 30 of 30", id="beyond-a-float"),
        pytest.param([f"k{n}" for n in range(30)], "x", "it is an identifier: 30 of 30", id="strings"),
    ],
)  # fmt: skip
def test_a_column_without_information_is_excluded_with_the_reason(cells: list[str], name: str, reason: str) -> None:
    column = inferred(cells, name)
    assert isinstance(column, ExcludedColumn)
    assert column.reason.startswith(reason)


@pytest.mark.parametrize(
    ("cells", "name"),
    [
        pytest.param([str(7 * n) for n in range(30)], "price", id="another-name"),
        pytest.param([str(n % 5) for n in range(30)], "shop_id", id="values-that-repeat"),
        pytest.param([f"{n}.5" for n in range(30)], "index", id="decimals"),
        pytest.param([str(n) for n in range(2, 32)], "x", id="numbers-from-2"),
        pytest.param([str(n) for n in (*range(29), 30)], "x", id="numbers-with-a-gap"),
    ],
)
def test_numbers_that_are_not_an_identifier_are_included(cells: list[str], name: str) -> None:
    assert isinstance(inferred(cells, name), Column)


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (["yes", "no"], "category"),
        (WORDS, "category"),
        (["1", "2", "5"], "number"),
        (["2020-01-01", "2020-02-01"], "date"),
    ],
    ids=["boolean", "choice", "integer", "date"],
)
def test_the_kinds_of_a_sample_are_less_strict(cells: Sequence[str], expected: str) -> None:
    column = inferred(list(cells) * 50, sampled=True)
    assert isinstance(column, Column)
    assert (column.kind, column.optional) == (expected, True)


@pytest.mark.parametrize(
    ("cells", "expected"), [(["1", "2.5"], False), (["1", "", "2.5"], True)], ids=["complete", "gaps"]
)
def test_a_column_with_gaps_is_optional(cells: list[str], expected: bool) -> None:
    column = inferred(cells)
    assert isinstance(column, Column)
    assert (column.optional, column.missing) == (expected, cells.count(""))


@pytest.mark.parametrize("distinct", [50, 5_000, 60_000])
def test_many_distinct_values_are_estimated(distinct: int) -> None:
    # given: consecutive numbers, which a poor hash function distributes unevenly
    tally = Tally("x", ".", max_values=100)
    for start in range(0, distinct, 500):
        tally.add([f"{1000 + n}" for n in range(start, min(start + 500, distinct))] * 2)
    # then
    assert tally.distinct == pytest.approx(distinct, rel=0.1)
    assert tally.distinct_share == pytest.approx(0.5, rel=0.1)


@given(cells=st.lists(st.sampled_from(["1", "2.5", "1,000", "", "x", "yes", "no", "2020-01-05", "0"]), max_size=40))
def test_the_column_does_not_depend_on_the_chunks(cells: list[str]) -> None:
    # given
    one_chunk, chunks = Tally("x", ".", 100), Tally("x", ".", 100)
    # when
    one_chunk.add(cells)
    for cell in cells:
        chunks.add([cell])
    # then
    assert infer_column(one_chunk, True, False) == infer_column(chunks, True, False)


@pytest.mark.parametrize(("cells", "zeros"), [(["0", "0.0", "5", "-0"], 3), (["1", "10", "0.01"], 0)])
def test_zeros_of_any_notation_are_counted(cells: list[str], zeros: int) -> None:
    assert tally_of(cells).numbers.zeros == zeros
