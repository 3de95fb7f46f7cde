import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_runtime.contract import fields
from mlops_runtime.tables.cells import (
    MAX_CATEGORY_LENGTH,
    MAX_TEXT_LENGTH,
    canonicalizer,
    cleaned,
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
        pytest.param("12,34,567.50", ".", "1234567.50", id="groups-of-two"),
        pytest.param("R$ 1.234,50", ",", "1234.50", id="reais"),
        pytest.param("1.234,50\u00a0zł", ",", "1234.50", id="złoty"),
        pytest.param("Rs. 500", ".", "500", id="rupees"),
        pytest.param("₹1,00,000", ".", "100000", id="rupees-by-symbol"),
        pytest.param("CHF 1'234.50", ".", "1234.50", id="code-before"),
        pytest.param("-5 EUR", ".", "-5", id="code-after"),
        pytest.param("1,234원", ".", "1234", id="won"),
        pytest.param("(1,234.50)", ".", "-1234.50", id="brackets"),
        pytest.param("$(5)", ".", "-5", id="brackets-after-the-dollar"),
        pytest.param("($5)", ".", "-5", id="brackets-around-the-dollar"),
        pytest.param("5.50-", ".", "-5.50", id="minus-at-the-end"),
        pytest.param("\u22125.5", ".", "-5.5", id="minus-sign"),
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
        pytest.param("12,34,56", ".", id="groups-of-two-at-the-end"),
        pytest.param("12.34.567", ",", id="groups-of-two-by-point"),
        pytest.param("(-5)", ".", id="minus-in-brackets"),
        pytest.param("-5-", ".", id="two-minuses"),
        pytest.param("(5", ".", id="open-bracket"),
        pytest.param("5)", ".", id="closed-bracket"),
        pytest.param("5 XYZ", ".", id="code-of-no-currency"),
        pytest.param("0,123", ".", id="zero-before-a-comma"),
        pytest.param("0.123", ",", id="zero-before-a-point"),
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


@pytest.mark.parametrize(
    ("cell", "expected"),
    [('="007"', "007"), ('=" a "', "a"), ('="a"&"b"', '="a"&"b"'), ('="', '="'), ("=7", "=7")],
    ids=["code", "blanks", "formula", "start", "number"],
)
def test_a_text_that_is_written_as_a_formula_is_unwrapped(cell: str, expected: str) -> None:
    assert cleaned(cell) == expected


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
