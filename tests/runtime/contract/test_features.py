import math
from datetime import UTC, date, datetime, time, timedelta, timezone
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_runtime.contract.features import (
    DATE_PARTS,
    MAX_MAGNITUDE,
    MAX_TOKENS,
    Features,
    Layout,
    token_matrix,
    tokens,
)
from mlops_runtime.contract.fields import Integer, RecordModel, field_specs
from mlops_runtime.testing import synthetic as orders
from mlops_runtime.testing.synthetic import LAYOUT, Order, Size

COLUMNS = {(number.field.attribute, number.part): column for column, number in enumerate(LAYOUT.numbers)}


def encoded(**changes: Any) -> Features:
    """Return the features of an order with these values."""
    (order,) = orders.some_orders(1)
    return LAYOUT.encode([order.model_copy(update=changes)])


def number(features: Features, attribute: str, part: str | None = None) -> float:
    return float(features.numbers[0, COLUMNS[attribute, part]])


def test_each_field_has_its_columns_in_the_order_of_the_contract() -> None:
    assert [(column.field.attribute, column.part) for column in LAYOUT.numbers] == [
        *((name, None) for name in ("weight", "margin", "items", "express", "insured", "size")),
        *(("ordered", part) for part in DATE_PARTS),
        *(("paid", part) for part in (*DATE_PARTS, "hour")),
        ("slot", None),
    ]
    assert [field.attribute for field in LAYOUT.categories] == ["courier", "city"]
    assert [field.attribute for field in LAYOUT.texts] == ["remark"]


@pytest.mark.parametrize(
    ("attribute", "value", "expected"),
    [
        pytest.param("weight", 2.5, 2.5, id="number"),
        pytest.param("weight", 1e300, MAX_MAGNITUDE, id="very-large-number"),
        pytest.param("margin", -1e300, -MAX_MAGNITUDE, id="very-small-number"),
        pytest.param("margin", None, math.nan, id="no-number"),
        pytest.param("items", 3.0, 3.0, id="integer"),
        pytest.param("express", True, 1.0, id="true"),
        pytest.param("express", False, 0.0, id="false"),
        pytest.param("insured", None, math.nan, id="no-boolean"),
        pytest.param("size", Size.LARGE, 0.0, id="first-choice"),
        pytest.param("size", Size.SMALL, 2.0, id="last-choice"),
        pytest.param("size", None, -1.0, id="no-choice"),
        pytest.param("slot", time(13, 30, 36), 13.51, id="time"),
        pytest.param("slot", time(23, 59, 59, 999_999), 24.0, id="end-of-the-day"),
    ],
)
def test_a_value_is_encoded_as_a_number(attribute: str, value: Any, expected: float) -> None:
    assert number(encoded(**{attribute: value}), attribute) == pytest.approx(expected, nan_ok=True)


@pytest.mark.parametrize(
    ("day", "parts"),
    [
        pytest.param(date(1970, 1, 1), (0, 1970, 1, 1, 4), id="thursday"),
        pytest.param(date(2024, 2, 29), (19782, 2024, 2, 29, 4), id="leap-day"),
        pytest.param(date(1969, 12, 28), (-4, 1969, 12, 28, 7), id="sunday-before-1970"),
        pytest.param(date.min, (-719162, 1, 1, 1, 1), id="first-day"),
        pytest.param(date.max, (2932896, 9999, 12, 31, 5), id="last-day"),
    ],
)
def test_a_date_is_encoded_as_its_parts(day: date, parts: tuple[int, ...]) -> None:
    features = encoded(ordered=day, paid=datetime.combine(day, time(6, 45)))
    assert tuple(number(features, "ordered", part) for part in DATE_PARTS) == parts
    assert tuple(number(features, "paid", part) for part in DATE_PARTS) == parts
    assert number(features, "paid", "hour") == 6.75


def test_the_parts_of_a_missing_date_or_time_are_missing() -> None:
    features = encoded(ordered=None, paid=None, slot=None)
    assert all(math.isnan(number(features, "ordered", part)) for part in DATE_PARTS)
    assert all(math.isnan(number(features, "paid", part)) for part in (*DATE_PARTS, "hour"))
    assert math.isnan(number(features, "slot"))


def test_a_datetime_with_an_offset_is_converted_to_utc() -> None:
    features = encoded(paid=datetime(2024, 1, 1, 1, 30, tzinfo=timezone(timedelta(hours=3))))
    assert [number(features, "paid", part) for part in ("year", "month", "day of the month", "hour")] == [
        2023, 12, 31, 22.5,
    ]  # fmt: skip


@pytest.mark.parametrize(
    "value",
    [
        datetime.min.replace(tzinfo=timezone(timedelta(hours=1))),
        datetime.max.replace(tzinfo=timezone(timedelta(hours=-1))),
    ],
    ids=["first", "last"],
)
def test_a_datetime_out_of_range_in_utc_keeps_its_offset(value: datetime) -> None:
    with pytest.raises(OverflowError):
        value.astimezone(UTC)
    assert number(encoded(paid=value), "paid", "year") == value.year


def test_strings_are_unchanged_and_missing_strings_are_empty() -> None:
    features = encoded(courier="Möwe ", city=None, remark=None)
    assert features.categories.tolist() == [["Möwe ", ""]]
    assert features.texts.tolist() == [[""]]


@given(batch=st.lists(st.from_type(Order), max_size=5))
def test_every_order_has_a_row_of_each_array(batch: list[Order]) -> None:
    features = LAYOUT.encode(batch)
    assert len(features) == len(batch)
    assert features.numbers.shape == (len(batch), len(LAYOUT.numbers))
    assert features.categories.shape == (len(batch), len(LAYOUT.categories))
    assert features.texts.shape == (len(batch), len(LAYOUT.texts))
    assert features.numbers.dtype == np.float64
    assert not np.isinf(features.numbers).any()
    assert all(isinstance(value, str) for strings in (features.categories, features.texts) for value in strings.flat)


@given(batch=st.lists(st.from_type(Order), min_size=1, max_size=5))
def test_an_order_is_encoded_independently_of_its_batch(batch: list[Order]) -> None:
    together, last = LAYOUT.encode(batch), LAYOUT.encode(batch[-1:])
    np.testing.assert_array_equal(together.numbers[-1:], last.numbers)
    assert together.take([len(batch) - 1]).categories.tolist() == last.categories.tolist()
    assert together.take([len(batch) - 1]).texts.tolist() == last.texts.tolist()


def test_records_of_numbers_alone_are_encoded_like_any_other() -> None:
    # given: a contract whose fields are all numeric
    class Plain(RecordModel):
        width: float | None = None
        count: Integer
        glossy: bool | None

    layout = Layout(field_specs(Plain))
    # when
    features = layout.encode([Plain(width=2e40, count=3.0, glossy=True), Plain(count=1.0, glossy=None)])
    # then
    np.testing.assert_array_equal(features.numbers, [[MAX_MAGNITUDE, 3, 1], [np.nan, 1, np.nan]])
    assert list(features.inputs()) == ["numbers"]


def test_the_model_has_inputs_for_the_fields_of_the_contract() -> None:
    # given
    class Words(RecordModel):
        title: orders.Text
        body: orders.Text

    # when
    inputs = Layout(field_specs(Words)).encode([Words(title="One two", body="three")]).inputs()
    # then
    assert {name: matrix.tolist() for name, matrix in inputs.items()} == {
        "text_0": [["one", "two"]],
        "text_1": [["three"]],
    }
    assert set(orders.features(2).inputs()) == {"numbers", "categories", "text_0"}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        pytest.param("", [], id="nothing"),
        pytest.param("a . -", [], id="no-word-of-two-letters"),
        pytest.param("Ring TWICE, ring!", ["ring", "twice", "ring"], id="upper-case-and-marks"),
        pytest.param("über_den Hof 42", ["über_den", "hof", "42"], id="letters-digits-underscores"),
        pytest.param("東京 İstanbul", ["東京", "stanbul"], id="other-scripts"),
        pytest.param("ab " * (MAX_TOKENS + 5), ["ab"] * MAX_TOKENS, id="very-long"),
    ],
)
def test_a_text_is_split_into_words(text: str, words: list[str]) -> None:
    assert tokens(text) == words


def test_texts_become_a_padded_matrix_of_words() -> None:
    assert token_matrix(["two words", "", "three of them"]).tolist() == [
        ["two", "words", ""],
        ["", "", ""],
        ["three", "of", "them"],
    ]
    assert token_matrix(["", ""]).tolist() == [[""], [""]]
    assert token_matrix([]).shape == (0, 1)
