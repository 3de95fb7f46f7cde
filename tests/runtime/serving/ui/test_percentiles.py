from datetime import UTC, date, datetime, time, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_runtime.contract import Task
from mlops_runtime.model import Baseline, NumberBaseline, ValueBaseline
from mlops_runtime.serving.ui.percentiles import MAX_BARS, Comparison, compare, compare_number, compare_value
from mlops_runtime.testing.synthetic import CONTRACTS, Order, Size, some_orders

AGES = NumberBaseline(
    missing_share=0.2,
    mean=30,
    standard_deviation=10,
    minimum=5,
    maximum=95,
    bin_edges=(0, 25, 50, 75, 100),
    bin_shares=(0.5, 0.3, 0.15, 0.05),
)
EMPTY = NumberBaseline(missing_share=1, mean=0, standard_deviation=0, minimum=0, maximum=0, bin_edges=(), bin_shares=())
CITIES = ValueBaseline(missing_share=0, shares={f"c{number}": 1 / 2 ** (number + 1) for number in range(14)})
BOOLEANS = ValueBaseline(missing_share=0, shares={"false": 0.25, "true": 0.75})


ORDER = some_orders(1)[0]


def comparison_of(name: str, value: Any, known: NumberBaseline | ValueBaseline) -> Comparison:
    """Return the comparison of a value of an order, given the baseline of its field."""
    contract = CONTRACTS[Task.BINARY]
    (attribute,) = (field.attribute for field in contract.fields if field.name == name)
    order = Order.model_construct(**{**vars(ORDER), attribute: value})
    fields = {field.name: CITIES for field in contract.fields} | {name: known}
    baseline = Baseline(rows=10, fields=fields, target=AGES, predictions=AGES)
    return compare(contract.encode([order]), baseline)[name]


@pytest.mark.parametrize(
    ("value", "words", "index"),
    [
        pytest.param(5, "close to 50 %", 0, id="least"),
        pytest.param(30, "higher than 50 %", 1, id="above-most"),
        pytest.param(99.0, "higher than all", None, id="above-all"),
        pytest.param(95.0, "higher than 95 %", 3, id="greatest"),
        pytest.param(4.9, "lower than all", None, id="below-all"),
    ],
)
def test_a_number_is_compared_by_its_bin(value: float, words: str, index: int | None) -> None:
    assert compare_number(value, AGES) == Comparison(words, AGES.bin_shares, index)


def test_a_low_number_is_lower_than_most() -> None:
    rising = AGES.model_copy(update={"bin_shares": AGES.bin_shares[::-1]})

    assert compare_number(10, rising).words == "lower than 95 %"


def test_a_skewed_field_is_compared_by_groups_of_equal_size() -> None:
    skewed = AGES.model_copy(
        update={"bin_shares": (1, 0, 0, 0), "cuts": (1, 2, 4), "cut_shares": (0.25, 0.25, 0.25, 0.25), "minimum": 0}
    )

    assert [compare_number(age, skewed).words for age in (0.5, 1, 3, 4)] == [
        "lower than 75 %",
        "lower than 50 %",
        "higher than 50 %",
        "higher than 75 %",
    ]


def test_the_last_edge_belongs_to_the_last_bin() -> None:
    assert compare_number(100, AGES.model_copy(update={"maximum": 100})).index == 3


@given(value=st.floats(allow_nan=False, allow_infinity=False))
def test_a_number_is_in_its_bin(value: float) -> None:
    index = compare_number(value, AGES).index

    assert (index is None) == (not AGES.minimum <= value <= AGES.maximum)
    if index is not None:
        assert AGES.bin_edges[index] <= value <= AGES.bin_edges[index + 1]


@pytest.mark.parametrize(
    ("value", "words", "index"),
    [
        pytest.param("c0", "same as 50 %", 0, id="most-common"),
        pytest.param("c13", "same as under 1 %", MAX_BARS - 1, id="rare"),
        pytest.param("elsewhere", "not in the training rows", None, id="unknown"),
    ],
)
def test_a_category_is_compared_by_its_share(value: str, words: str, index: int | None) -> None:
    comparison = compare_value(value, CITIES)

    assert (comparison.words, comparison.index) == (words, index)
    assert len(comparison.shares) == MAX_BARS
    assert index is None or comparison.shares[index] == CITIES.shares[value]


@pytest.mark.parametrize(
    ("known", "words"),
    [
        pytest.param(AGES, "missing, as in 20 %", id="sometimes-missing"),
        pytest.param(CITIES, "missing, as in none", id="never-missing"),
        pytest.param(EMPTY, "missing, as in 100 %", id="always-missing"),
    ],
)
@pytest.mark.parametrize("name", ["Margin %", "Insured", "Size", "City", "Remark", "Paid at"])
def test_a_missing_value_is_compared_with_missing_values(
    name: str, known: NumberBaseline | ValueBaseline, words: str
) -> None:
    assert comparison_of(name, None, known) == Comparison(words)


def test_a_field_without_values_in_training_is_not_compared() -> None:
    assert compare_number(3, EMPTY).words == "no training row has a value"


@pytest.mark.parametrize(
    ("name", "value", "known", "words"),
    [
        pytest.param("Insured", True, BOOLEANS, "same as 75 %", id="boolean"),
        pytest.param(
            "Size", Size.SMALL, ValueBaseline(missing_share=0, shares={"small": 1}), "same as 100 %", id="choice"
        ),
        pytest.param("City", "c0", CITIES, "same as 50 %", id="category"),
    ],
)
def test_a_value_is_compared_by_its_name(name: str, value: Any, known: ValueBaseline, words: str) -> None:
    assert comparison_of(name, value, known).words == words


@pytest.mark.parametrize(
    ("name", "value", "number"),
    [
        pytest.param("Margin %", 2.5, 2.5, id="number"),
        pytest.param("Ordered", date(1970, 1, 11), 10, id="date"),
        pytest.param("Paid at", datetime(1970, 1, 11, 23, tzinfo=UTC), 10, id="datetime"),
        pytest.param("Paid at", datetime(1970, 1, 11, 23, tzinfo=timezone(timedelta(hours=-2))), 11, id="offset"),
        pytest.param("Slot", time(13, 30), 13.5, id="time"),
        pytest.param("Remark", "Ring twice, please!", 3, id="text"),
    ],
)
def test_a_value_of_another_kind_is_compared_as_the_number_in_its_baseline(
    name: str, value: Any, number: float
) -> None:
    # Given a baseline whose second bin starts at this number
    bounds = {"minimum": number - 1, "maximum": number + 1}
    known = AGES.model_copy(update=bounds | {"bin_edges": (number - 1, number, number + 1), "bin_shares": (0.5, 0.5)})

    assert comparison_of(name, value, known).index == 1


@pytest.mark.parametrize(
    "value",
    [
        pytest.param(datetime(9999, 12, 31, 23, 59, 59, tzinfo=timezone(timedelta(hours=-23, minutes=-59))), id="end"),
        pytest.param(datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=23, minutes=59))), id="start"),
    ],
)
def test_the_first_and_last_date_are_compared(value: datetime) -> None:
    words = comparison_of("Paid at", value, AGES).words

    assert words == ("higher than all" if value.year == 9999 else "lower than all")
