from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_runtime.contract import fields
from mlops_runtime.tables.cells import (
    DATE_FORMATS,
    MAX_CATEGORY_LENGTH,
    MAX_TEXT_LENGTH,
    TIME_FORMATS,
    canonicalizer,
    number,
)


def canonical(cell: str, kind: str, decimal: str = ".", date_format: str | None = None) -> str:
    return canonicalizer(kind, decimal, date_format)(cell)


@pytest.mark.parametrize(
    ("cell", "decimal", "expected"),
    [
        pytest.param("5", ".", "5", id="integer"),
        pytest.param("-1.5e-3", ".", "-1.5e-3", id="exponent"),
        pytest.param(".5", ".", ".5", id="no-digit-before-the-point"),
        pytest.param("1,234.5", ".", "1234.5", id="thousands-by-comma"),
        pytest.param("1,234,567", ".", "1234567", id="millions"),
        pytest.param("1 234.5", ".", "1234.5", id="thousands-by-space"),
        pytest.param("1\u202f234,5", ",", "1234.5", id="thousands-by-narrow-space"),
        pytest.param("1'234.5", ".", "1234.5", id="thousands-by-apostrophe"),
        pytest.param("1,5", ",", "1.5", id="decimal-comma"),
        pytest.param("1.234,5", ",", "1234.5", id="thousands-by-point"),
        pytest.param("1.234", ",", "1234", id="point-beside-decimal-commas"),
        pytest.param("-1,5E2", ",", "-1.5E2", id="decimal-comma-and-exponent"),
        pytest.param("$1,200.50", ".", "1200.50", id="dollars"),
        pytest.param("-$5", ".", "-5", id="minus-before-the-dollar"),
        pytest.param("$-5", ".", "-5", id="minus-after-the-dollar"),
        pytest.param("1.200,50 €", ",", "1200.50", id="euros"),
        pytest.param("12 %", ".", "12", id="percent"),
    ],
)
def test_a_number_is_converted_to_a_decimal_point_without_separators(cell: str, decimal: str, expected: str) -> None:
    assert number(cell, decimal) == expected
    assert canonical(cell, "number", decimal) == canonical(cell, "integer", decimal) == expected


@pytest.mark.parametrize(
    ("cell", "decimal"),
    [
        pytest.param("1,5", ".", id="comma-without-three-digits"),
        pytest.param("1.5", ",", id="point-without-three-digits"),
        pytest.param("12,34,567", ".", id="groups-of-two"),
        pytest.param("1_000", ".", id="underscore"),
        pytest.param("٣", ".", id="digits-of-another-script"),
        pytest.param("²", ".", id="superscript"),
        pytest.param("0x10", ".", id="hexadecimal"),
        pytest.param("1.2.3", ".", id="version"),
        pytest.param("-", ".", id="sign"),
        pytest.param("", ".", id="empty"),
        pytest.param("5 kg", ".", id="unit"),
        pytest.param("%", ".", id="unit-alone"),
        pytest.param("$5%", ".", id="two-units"),
        pytest.param("-%5", ".", id="percent-before"),
    ],
)
def test_a_cell_that_is_not_a_number_is_unchanged(cell: str, decimal: str) -> None:
    assert number(cell, decimal) is None
    assert canonical(cell, "number", decimal) == cell


@given(value=st.floats(allow_nan=False, allow_infinity=False), decimal=st.sampled_from(".,"))
def test_every_float_is_read(value: float, decimal: str) -> None:
    text = number(repr(value).replace(".", decimal), decimal)
    assert text is not None
    assert float(text) == value


@pytest.mark.parametrize(
    ("cell", "expected"),
    [("Yes", "true"), ("no", "false"), ("T", "true"), ("f", "false"), ("TRUE", "true"), ("n", "false"), ("1", "true")],
)
def test_booleans_are_converted_to_true_and_false(cell: str, expected: str) -> None:
    assert canonical(cell, "boolean") == expected


@pytest.mark.parametrize(
    ("kind", "max_length"), [("category", MAX_CATEGORY_LENGTH), ("text", MAX_TEXT_LENGTH), ("choice", 30_000)]
)
def test_strings_are_truncated_to_the_maximum_length_of_the_contract(kind: str, max_length: int) -> None:
    assert canonical("x" * 30_000, kind) == "x" * max_length


def test_the_maximum_lengths_equal_those_of_the_contract() -> None:
    class Record(fields.RecordModel):
        category: fields.Category
        text: fields.Text

    assert [field.max_length for field in fields.field_specs(Record)] == [MAX_CATEGORY_LENGTH, MAX_TEXT_LENGTH]


@pytest.mark.parametrize(
    ("cell", "kind", "date_format", "expected"),
    [
        pytest.param("2020-02-29", "date", None, "2020-02-29", id="iso"),
        pytest.param("5/3/2020", "date", "%d/%m/%Y", "2020-03-05", id="day-first"),
        pytest.param("5/3/2020", "date", "%m/%d/%Y", "2020-05-03", id="month-first"),
        pytest.param("05.03.2020", "date", "%d.%m.%Y", "2020-03-05", id="points"),
        pytest.param("5 MAR 2020", "date", "%d %b %Y", "2020-03-05", id="name-of-the-month"),
        pytest.param("Mar 5, 2020", "date", "%b %d, %Y", "2020-03-05", id="american-name"),
        pytest.param("5/3/2020 7:05", "datetime", "%d/%m/%Y %H:%M", "2020-03-05T07:05:00", id="with-time"),
        pytest.param("5/3/2020 12:05:09 AM", "datetime", "%d/%m/%Y %I:%M:%S %p", "2020-03-05T00:05:09", id="midnight"),
        pytest.param("12:00 pm", "time", "%I:%M %p", "12:00:00", id="noon"),
        pytest.param("7:05", "time", "%H:%M", "07:05:00", id="one-digit-hour"),
        pytest.param("31/2/2020", "date", "%d/%m/%Y", "31/2/2020", id="no-such-day"),
        pytest.param("13:00 pm", "time", "%I:%M %p", "13:00 pm", id="no-such-hour"),
        pytest.param("soon", "date", "%d/%m/%Y", "soon", id="word"),
    ],
)
def test_dates_are_converted_to_iso_8601(cell: str, kind: str, date_format: str | None, expected: str) -> None:
    assert canonical(cell, kind, ".", date_format) == expected


@given(
    value=st.datetimes(min_value=datetime(1000, 1, 1)).map(lambda value: value.replace(microsecond=0)),  # noqa: DTZ001
    date_part=st.sampled_from(DATE_FORMATS),
    time_part=st.sampled_from(TIME_FORMATS),
)
def test_each_format_agrees_with_strptime(value: datetime, date_part: str, time_part: str) -> None:
    date_format = f"{date_part} {time_part}"
    cell = value.strftime(date_format)
    expected = datetime.strptime(cell, date_format).isoformat()  # noqa: DTZ007
    assert canonical(cell, "datetime", ".", date_format) == expected
