from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_runtime.contract.features import Features
from mlops_runtime.model.baseline import Baseline, NumberBaseline, ValueBaseline
from mlops_runtime.serving.telemetry.binning import (
    MAX_TEXTS,
    MAX_VALUES,
    MISSING,
    OTHER,
    Binning,
    Reference,
    evenly,
    prediction_reference,
)
from mlops_runtime.testing import synthetic as orders
from mlops_runtime.testing.synthetic import LAYOUT, Order
from mlops_runtime.training.baseline import baseline

ROWS = 400
ORDERS = orders.some_orders(ROWS)
PRICES = orders.targets(ORDERS, orders.Task.REGRESSION)
PLACES = {field.attribute: place for place, field in enumerate(orders.FIELDS)}


@pytest.fixture(scope="module")
def told() -> Baseline:
    return baseline(LAYOUT.encode(ORDERS), PRICES, (), PRICES.reshape(-1, 1))


@pytest.fixture(scope="module")
def binning(told: Baseline) -> Binning:
    return Binning(LAYOUT, told)


def bin_of(binning: Binning, attribute: str, value: Any) -> str:
    """Return the name of the bin that the value of a field falls into."""
    counts = binning.counts(LAYOUT.encode([ORDERS[0].model_copy(update={attribute: value})]))
    reference, start = binning.references[PLACES[attribute]], binning.starts[PLACES[attribute]]
    (place,) = np.flatnonzero(counts[start : start + len(reference.bins)])
    return reference.bins[place]


def numbers(cuts: tuple[float, ...], least: float, most: float) -> NumberBaseline:
    """Return a baseline of numbers in groups of the same size."""
    return NumberBaseline(
        missing_share=0,
        mean=0,
        standard_deviation=1,
        minimum=least,
        maximum=most,
        bin_edges=(least, most),
        bin_shares=(1,),
        cuts=cuts,
        cut_shares=(1 / (len(cuts) + 1),) * (len(cuts) + 1),
    )


def test_training_rows_fall_into_the_bins_as_the_baseline_says(binning: Binning) -> None:
    # Given the training rows, a few at a time so that each text is looked at
    some = LAYOUT.encode(ORDERS)
    groups = [range(first, first + MAX_TEXTS) for first in range(0, ROWS, MAX_TEXTS)]
    # When they are counted
    counts = sum(binning.counts(some.take(group)) for group in groups)
    # Then the shares of each bin are those that the trainer found
    for place, reference in enumerate(binning.references):
        start = binning.starts[place]
        found = counts[start : start + len(reference.bins)] / ROWS
        assert found == pytest.approx(reference.shares), LAYOUT.fields[place].name


@given(st.lists(st.from_type(Order), min_size=1, max_size=MAX_TEXTS))
def test_each_value_of_each_record_falls_into_one_bin(records: list[Order]) -> None:
    binning = Binning(LAYOUT, baseline(LAYOUT.encode(ORDERS), PRICES, (), PRICES.reshape(-1, 1)))
    counts = binning.counts(LAYOUT.encode(records))
    assert np.add.reduceat(counts, binning.starts).tolist() == [len(records)] * len(LAYOUT.fields)


def test_the_shares_of_each_field_add_up_to_1(binning: Binning) -> None:
    for reference in binning.references:
        assert len(reference.bins) == len(set(reference.bins)) == len(reference.shares)
        assert sum(reference.shares) == pytest.approx(1)
        assert min(reference.shares) >= 0


@pytest.mark.parametrize(
    ("attribute", "value", "name"),
    [
        pytest.param("margin", None, MISSING, id="missing-number"),
        pytest.param("insured", None, MISSING, id="missing-flag"),
        pytest.param("size", None, MISSING, id="missing-choice"),
        pytest.param("city", None, MISSING, id="missing-category"),
        pytest.param("remark", None, MISSING, id="missing-text"),
        pytest.param("paid", None, MISSING, id="missing-datetime"),
        pytest.param("express", True, "true", id="flag"),
        pytest.param("size", orders.Size.MEDIUM, "medium, or so", id="choice"),
        pytest.param("courier", "Möwe", "Möwe", id="category"),
        pytest.param("courier", "Brieftaube", OTHER, id="unseen-category"),
        pytest.param("courier", MISSING, OTHER, id="category-that-is-called-missing"),
    ],
)
def test_a_value_falls_into_the_bin_of_its_name(binning: Binning, attribute: str, value: Any, name: str) -> None:
    assert bin_of(binning, attribute, value) == name


@pytest.mark.parametrize(
    ("value", "side"), [pytest.param(-1e6, "below", id="below-all"), pytest.param(1e6, "above", id="above-all")]
)
def test_what_lies_beyond_all_that_training_saw_has_bins_of_its_own(binning: Binning, value: float, side: str) -> None:
    assert bin_of(binning, "margin", value).startswith(side)
    reference = binning.references[PLACES["margin"]]
    assert (reference.shares[0], reference.shares[-2]) == (0, 0)


def test_only_the_commonest_values_have_bins_of_their_own(binning: Binning, told: Baseline) -> None:
    # Given more cities than may have one
    city = told.fields["City"]
    assert isinstance(city, ValueBaseline)
    assert len(city.shares) > MAX_VALUES
    # Then the others share one
    reference = binning.references[PLACES["city"]]
    assert reference.bins == (*list(city.shares)[:MAX_VALUES], OTHER, MISSING)
    assert bin_of(binning, "city", list(city.shares)[MAX_VALUES]) == OTHER


def test_a_value_with_the_name_of_a_special_bin_is_counted_with_the_others() -> None:
    # Given a field of which some training rows have the value "(missing)"
    courier = ValueBaseline(missing_share=0.5, shares={MISSING: 0.6, "Möwe": 0.4})
    told = baseline(LAYOUT.encode(ORDERS), PRICES, (), PRICES.reshape(-1, 1))
    fields = told.fields | {"Courier": courier}
    # When
    binning = Binning(LAYOUT, told.model_copy(update={"fields": fields}))
    # Then it is not taken for a missing one
    reference = binning.references[PLACES["courier"]]
    assert reference == Reference(("Möwe", OTHER, MISSING), (0.2, pytest.approx(0.3), 0.5))
    assert bin_of(binning, "courier", MISSING) == OTHER


def test_a_field_without_a_value_in_training_has_a_bin_for_any() -> None:
    # Given training rows without a margin
    some = LAYOUT.encode([order.model_copy(update={"margin": None}) for order in ORDERS])
    binning = Binning(LAYOUT, baseline(some, PRICES, (), PRICES.reshape(-1, 1)))
    # Then
    assert binning.references[PLACES["margin"]] == Reference(("any", MISSING), (0, 1))
    assert bin_of(binning, "margin", 5.0) == "any"


@pytest.mark.parametrize(
    ("told", "names"),
    [
        pytest.param(numbers((), 5, 5), ["below 5", "5 to 5", "above 5"], id="one-value"),
        pytest.param(numbers((2, 3), 1, 9), ["below 1", "1 to 2", "2 to 3", "3 to 9", "above 9"], id="few-values"),
        pytest.param(
            numbers((1000000.5,), 1000000, 1000001),
            ["below 1000000", "1000000 to 1000000.5", "1000000.5 to 1000001", "above 1000001"],
            id="many-digits",
        ),
    ],
)
def test_bins_of_numbers_are_called_by_their_edges(told: NumberBaseline, names: list[str]) -> None:
    assert list(prediction_reference(told, ()).bins) == names


def test_predictions_have_a_bin_for_each_label_those_never_predicted_included() -> None:
    told = ValueBaseline(missing_share=0, shares={"b": 1})
    assert prediction_reference(told, ("a", "b")) == Reference(("a", "b"), (0, 1))


@given(st.integers(1, 5000), st.integers(1, 300))
def test_some_rows_are_spread_evenly_over_all(rows: int, most: int) -> None:
    places = evenly(rows, most).tolist()
    assert len(places) == min(rows, most)
    assert places[0] == 0
    assert places[-1] < rows
    steps = {after - before for before, after in pairwise(places)}
    assert all(step in (rows // len(places), rows // len(places) + 1) for step in steps)


def test_rows_without_texts_and_categories_are_counted() -> None:
    # Given a contract of numbers alone
    layout = type(LAYOUT)([field for field in LAYOUT.fields if field.attribute in ("weight", "margin")])
    told = baseline(LAYOUT.encode(ORDERS), PRICES, (), PRICES.reshape(-1, 1))
    none = np.empty((2, 0), dtype=object)
    # Then
    assert Binning(layout, told).counts(Features(layout, np.ones((2, 2)), none, none)).sum() == 4
