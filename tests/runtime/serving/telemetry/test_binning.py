from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_runtime.contract import Features, Task
from mlops_runtime.model import Baseline, NumberBaseline, ValueBaseline
from mlops_runtime.serving.telemetry.binning import (
    MAX_TEXTS,
    MAX_VALUES,
    MISSING,
    OTHER,
    Binning,
    Reference,
    evenly_spaced,
    prediction_reference,
)
from mlops_runtime.testing import synthetic as orders
from mlops_runtime.testing.synthetic import LAYOUT, Order
from mlops_runtime.training.baseline import baseline, vocabulary

ROWS = 400
ORDERS = orders.some_orders(ROWS)
PRICES = orders.targets(ORDERS, Task.REGRESSION)
INDICES = {field.attribute: index for index, field in enumerate(orders.FIELDS)}


@pytest.fixture(scope="module")
def training() -> Baseline:
    return baseline(LAYOUT.encode(ORDERS), PRICES, (), PRICES.reshape(-1, 1))


@pytest.fixture(scope="module")
def binning(training: Baseline) -> Binning:
    return Binning(LAYOUT, training)


def bin_of(binning: Binning, attribute: str, value: Any) -> str:
    """Return the name of the bin that the value of a field falls into."""
    counts = binning.counts(LAYOUT.encode([ORDERS[0].model_copy(update={attribute: value})]))
    reference, start = binning.references[INDICES[attribute]], binning.starts[INDICES[attribute]]
    (index,) = np.flatnonzero(counts[start : start + len(reference.bins)])
    return reference.bins[index]


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


def test_training_rows_have_the_shares_of_the_baseline(binning: Binning) -> None:
    # Given the training rows in small batches, so that each text is counted
    some = LAYOUT.encode(ORDERS)
    groups = [range(first, first + MAX_TEXTS) for first in range(0, ROWS, MAX_TEXTS)]
    # When they are counted
    counts = np.sum([binning.counts(some.take(group)) for group in groups], axis=0)
    # Then each bin has the share that training measured
    for index, reference in enumerate(binning.references):
        start = binning.starts[index]
        measured = counts[start : start + len(reference.bins)] / ROWS
        assert measured == pytest.approx(reference.shares), LAYOUT.fields[index].name


@given(st.lists(st.from_type(Order), min_size=1, max_size=MAX_TEXTS))
def test_each_value_is_in_one_bin(records: list[Order]) -> None:
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
        pytest.param("insured", None, MISSING, id="missing-boolean"),
        pytest.param("size", None, MISSING, id="missing-choice"),
        pytest.param("city", None, MISSING, id="missing-category"),
        pytest.param("remark", None, MISSING, id="missing-text"),
        pytest.param("paid", None, MISSING, id="missing-datetime"),
        pytest.param("express", True, "true", id="boolean"),
        pytest.param("size", orders.Size.MEDIUM, "medium, or so", id="choice"),
        pytest.param("courier", "Möwe", "Möwe", id="category"),
        pytest.param("courier", "Brieftaube", OTHER, id="unseen-category"),
        pytest.param("courier", MISSING, OTHER, id="category-named-missing"),
    ],
)
def test_a_value_is_in_the_bin_of_its_name(binning: Binning, attribute: str, value: Any, name: str) -> None:
    assert bin_of(binning, attribute, value) == name


@pytest.mark.parametrize(
    ("value", "side"), [pytest.param(-1e6, "below", id="below"), pytest.param(1e6, "above", id="above")]
)
def test_values_outside_the_training_range_have_separate_bins(binning: Binning, value: float, side: str) -> None:
    assert bin_of(binning, "margin", value).startswith(side)
    reference = binning.references[INDICES["margin"]]
    assert (reference.shares[0], reference.shares[-2]) == (0, 0)


def test_only_the_most_common_values_have_separate_bins(binning: Binning, training: Baseline) -> None:
    # Given more cities than may have a bin
    city = training.fields["City"]
    assert isinstance(city, ValueBaseline)
    assert len(city.shares) > MAX_VALUES
    # Then the others share a bin
    reference = binning.references[INDICES["city"]]
    assert reference.bins == (*list(city.shares)[:MAX_VALUES], OTHER, MISSING)
    assert bin_of(binning, "city", list(city.shares)[MAX_VALUES]) == OTHER


def test_a_value_named_like_a_special_bin_is_counted_as_other() -> None:
    # Given a field of which some training rows have the value "(missing)"
    courier = ValueBaseline(missing_share=0.5, shares={MISSING: 0.6, "Möwe": 0.4})
    known = baseline(LAYOUT.encode(ORDERS), PRICES, (), PRICES.reshape(-1, 1))
    fields = known.fields | {"Courier": courier}
    # When
    binning = Binning(LAYOUT, known.model_copy(update={"fields": fields}))
    # Then it is not counted as a missing value
    reference = binning.references[INDICES["courier"]]
    assert reference.bins == ("Möwe", OTHER, MISSING)
    assert reference.shares == pytest.approx((0.2, 0.3, 0.5))
    assert bin_of(binning, "courier", MISSING) == OTHER


def test_a_field_without_training_values_has_a_single_bin_for_values() -> None:
    # Given training rows without a margin
    some = LAYOUT.encode([order.model_copy(update={"margin": None}) for order in ORDERS])
    binning = Binning(LAYOUT, baseline(some, PRICES, (), PRICES.reshape(-1, 1)))
    # Then
    assert binning.references[INDICES["margin"]] == Reference(("any", MISSING), (0, 1))
    assert bin_of(binning, "margin", 5.0) == "any"


@pytest.mark.parametrize(
    ("known", "names"),
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
def test_bins_of_numbers_are_named_after_their_edges(known: NumberBaseline, names: list[str]) -> None:
    assert list(prediction_reference(known, ()).bins) == names


def test_each_label_has_a_bin_even_if_it_was_never_predicted() -> None:
    known = ValueBaseline(missing_share=0, shares={"b": 1})
    assert prediction_reference(known, ("a", "b")) == Reference(("a", "b"), (0, 1))


@given(st.integers(1, 5000), st.integers(1, 300))
def test_sampled_rows_are_evenly_spaced(rows: int, limit: int) -> None:
    places = evenly_spaced(rows, limit).tolist()
    assert len(places) == min(rows, limit)
    assert places[0] == 0
    assert places[-1] < rows
    steps = {after - before for before, after in pairwise(places)}
    assert all(step in (rows // len(places), rows // len(places) + 1) for step in steps)


def test_rows_without_texts_and_categories_are_counted() -> None:
    # Given a contract of numbers alone
    layout = type(LAYOUT)([field for field in LAYOUT.fields if field.attribute in ("weight", "margin")])
    known = baseline(LAYOUT.encode(ORDERS), PRICES, (), PRICES.reshape(-1, 1))
    none = np.empty((2, 0), dtype=object)
    # Then
    assert Binning(layout, known).counts(Features(layout, np.ones((2, 2)), none, none)).sum() == 4


def test_unknown_words_are_counted_beside_the_words_of_a_text() -> None:
    # Given a vocabulary, and held-out texts of which one in two has an unknown word among two
    known = baseline(LAYOUT.encode(ORDERS), PRICES, (), PRICES.reshape(-1, 1))
    words = vocabulary(["Leave it", "at the door"], ["leave now", "the door"] * 40)
    binning = Binning(LAYOUT, known.model_copy(update={"vocabularies": {"Remark": words}}))
    texts = ["leave it", "leave now", "call me", "", None]
    # When texts are counted
    counts = binning.counts(LAYOUT.encode([ORDERS[0].model_copy(update={"remark": text}) for text in texts]))
    # Then the share of their unknown words has bins of its own, after those of the fields
    assert words.words == ("at", "door", "it", "leave", "the")
    assert binning.names == (*(field.name for field in LAYOUT.fields), "Remark: unknown words")
    counted = dict(zip(binning.references[-1].bins, counts[binning.starts[-1] :].tolist(), strict=True))
    assert counted == {"below 0": 0, "0 to 0.5": 1, "0.5 to 0.5": 1, "above 0.5": 1, MISSING: 2}
    assert sum(binning.references[-1].shares) == pytest.approx(1)
