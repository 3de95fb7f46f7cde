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
    canonical,
    number,
)


@pytest.mark.parametrize(
    ("cell", "decimal", "expected"),
    [
        pytest.param("5", ".", "5", id="whole"),
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
        pytest.param("$-5", ".", "-5", id="minus-behind-the-dollar"),
        pytest.param("1.200,50 €", ",", "1200.50", id="euros"),
        pytest.param("12 %", ".", "12", id="percent"),
    ],
)
def test_numbers_are_written_as_programs_do(cell: str, decimal: str, expected: str) -> None:
    assert number(cell, decimal) == expected
    assert canonical(cell, "number", decimal) == canonical(cell, "integer", decimal) == expected


@pytest.mark.parametrize(
    ("cell", "decimal"),
    [
        pytest.param("1,5", ".", id="comma-that-groups-nothing"),
        pytest.param("1.5", ",", id="point-that-groups-nothing"),
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
def test_what_is_no_number_is_left_as_it_is(cell: str, decimal: str) -> None:
    assert number(cell, decimal) is None
    assert canonical(cell, "number", decimal) == cell


@given(value=st.floats(allow_nan=False, allow_infinity=False), decimal=st.sampled_from(".,"))
def test_every_number_that_a_program_writes_is_read_back(value: float, decimal: str) -> None:
    found = number(repr(value).replace(".", decimal), decimal)
    assert found is not None
    assert float(found) == value


@pytest.mark.parametrize(
    ("cell", "expected"),
    [("Yes", "true"), ("no", "false"), ("T", "true"), ("f", "false"), ("TRUE", "true"), ("n", "false"), ("1", "1")],
)
def test_flags_are_true_and_false(cell: str, expected: str) -> None:
    assert canonical(cell, "boolean") == expected


@pytest.mark.parametrize(
    ("kind", "longest"), [("category", MAX_CATEGORY_LENGTH), ("text", MAX_TEXT_LENGTH), ("choice", 30_000)]
)
def test_strings_are_cut_where_the_contract_would_refuse_them(kind: str, longest: int) -> None:
    assert canonical("x" * 30_000, kind) == "x" * longest


def test_the_lengths_are_those_of_the_contract() -> None:
    class Record(fields.RecordModel):
        category: fields.Category
        text: fields.Text

    assert [field.max_length for field in fields.field_specs(Record)] == [MAX_CATEGORY_LENGTH, MAX_TEXT_LENGTH]


@pytest.mark.parametrize(
    ("cell", "kind", "written", "expected"),
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
def test_dates_are_written_in_iso_8601(cell: str, kind: str, written: str | None, expected: str) -> None:
    assert canonical(cell, kind, ".", written) == expected


@given(
    moment=st.datetimes(min_value=datetime(1000, 1, 1)).map(lambda moment: moment.replace(microsecond=0)),  # noqa: DTZ001
    day=st.sampled_from(DATE_FORMATS),
    clock=st.sampled_from(TIME_FORMATS),
)
def test_each_format_is_the_one_of_strftime(moment: datetime, day: str, clock: str) -> None:
    written = f"{day} {clock}"
    cell = moment.strftime(written)
    assert canonical(cell, "datetime", ".", written) == datetime.strptime(cell, written).isoformat()  # noqa: DTZ007
