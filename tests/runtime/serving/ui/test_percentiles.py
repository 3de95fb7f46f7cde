from datetime import UTC, date, datetime, time, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_runtime.model.baseline import NumberBaseline, ValueBaseline
from mlops_runtime.serving.ui.percentiles import MAX_STRIPES, as_number, compared

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
FLAGS = ValueBaseline(missing_share=0, shares={"false": 0.25, "true": 0.75})


@pytest.mark.parametrize(
    ("value", "words", "own"),
    [
        pytest.param(5, "close to 50 %", 0, id="least"),
        pytest.param(30, "higher than 50 %", 1, id="above-most"),
        pytest.param(99.0, "higher than all", None, id="beyond"),
        pytest.param(95.0, "higher than 95 %", 3, id="greatest"),
        pytest.param(4.9, "lower than all", None, id="below"),
        pytest.param(None, "missing, as in 20 %", None, id="missing"),
    ],
)
def test_a_number_is_compared_by_its_bin(value: float | None, words: str, own: int | None) -> None:
    found = compared(value, AGES)

    assert (found.words, found.own) == (words, own)
    assert found.shares == (() if value is None else AGES.bin_shares)


def test_a_low_number_is_lower_than_most() -> None:
    rising = AGES.model_copy(update={"bin_shares": AGES.bin_shares[::-1]})

    assert compared(10, rising).words == "lower than 95 %"


def test_of_a_skewed_field_groups_of_the_same_size_tell_more_than_bins() -> None:
    skewed = AGES.model_copy(
        update={"bin_shares": (1, 0, 0, 0), "cuts": (1, 2, 4), "cut_shares": (0.25, 0.25, 0.25, 0.25), "minimum": 0}
    )

    assert [compared(age, skewed).words for age in (0.5, 1, 3, 4)] == [
        "lower than 75 %",
        "lower than 50 %",
        "higher than 50 %",
        "higher than 75 %",
    ]


def test_the_last_edge_belongs_to_the_last_bin() -> None:
    assert compared(100, AGES.model_copy(update={"maximum": 100})).own == 3


@given(value=st.floats(allow_nan=False, allow_infinity=False))
def test_every_number_has_its_place(value: float) -> None:
    found = compared(value, AGES)

    assert (found.own is None) == (not AGES.minimum <= value <= AGES.maximum)
    if found.own is not None:
        assert AGES.bin_edges[found.own] <= value <= AGES.bin_edges[found.own + 1]


def test_without_a_training_value_there_is_nothing_to_compare_with() -> None:
    assert compared(3, EMPTY).words == "no training row has a value"
    assert compared(None, EMPTY).words == "missing, as in 100 %"


def test_a_value_that_is_never_missing_is_missing_as_in_none() -> None:
    assert compared(None, CITIES).words == "missing, as in none"


@pytest.mark.parametrize(
    ("value", "words", "own"),
    [
        pytest.param("c0", "as in 50 %", 0, id="commonest"),
        pytest.param("c13", "as in under 1 %", MAX_STRIPES - 1, id="rare"),
        pytest.param("elsewhere", "not known from training", None, id="unknown"),
    ],
)
def test_a_category_is_compared_by_its_share(value: str, words: str, own: int | None) -> None:
    found = compared(value, CITIES)

    assert (found.words, found.own) == (words, own)
    assert len(found.shares) == MAX_STRIPES
    assert own is None or found.shares[own] == CITIES.shares[value]


def test_a_flag_is_compared_by_its_share() -> None:
    assert compared(True, FLAGS).words == "as in 75 %"


@pytest.mark.parametrize(
    ("value", "number"),
    [
        pytest.param(2.5, 2.5, id="number"),
        pytest.param(date(1970, 1, 11), 10, id="date"),
        pytest.param(datetime(1970, 1, 11, 23, tzinfo=UTC), 10, id="moment"),
        pytest.param(datetime(1970, 1, 11, 23, tzinfo=timezone(timedelta(hours=-2))), 11, id="moment-with-an-offset"),
        pytest.param(time(13, 30), 13.5, id="time"),
        pytest.param("Ring twice, please!", 3, id="text"),
    ],
)
def test_what_is_no_number_is_compared_as_one(value: Any, number: float) -> None:
    assert as_number(value) == number
