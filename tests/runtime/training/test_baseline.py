from collections.abc import Callable, Sequence
from datetime import date
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from mlops_runtime.contract.features import Features
from mlops_runtime.contract.fields import Kind, Task
from mlops_runtime.model.baseline import Baseline, FieldBaseline, NumberBaseline, ValueBaseline
from mlops_runtime.testing import synthetic as orders
from mlops_runtime.testing.synthetic import CONTRACTS, LABELS, LAYOUT, Order, targets
from mlops_runtime.training import baseline as module
from mlops_runtime.training.baseline import BINS, baseline, prediction_baseline, vocabulary

ROWS = 200
ORDERS = orders.some_orders(ROWS)
FIELDS = {field.attribute: field for field in orders.FIELDS}


@pytest.fixture(scope="module")
def statistics() -> Baseline:
    return of_prices(ORDERS, targets(ORDERS, Task.REGRESSION))


def of_prices(some: list[Order], prices: NDArray[np.float64]) -> Baseline:
    """Return the baseline of orders with prices, which are also the outputs of the model."""
    return baseline(LAYOUT.encode(some), prices, (), prices.reshape(-1, 1))


def numbers_of(baseline: FieldBaseline) -> NumberBaseline:
    assert isinstance(baseline, NumberBaseline)
    return baseline


def values_of(baseline: FieldBaseline) -> ValueBaseline:
    assert isinstance(baseline, ValueBaseline)
    return baseline


def field_of(statistics: Baseline, attribute: str) -> FieldBaseline:
    return statistics.fields[FIELDS[attribute].name]


def test_every_field_is_described(statistics: Baseline) -> None:
    assert statistics.rows == ROWS
    assert list(statistics.fields) == [field.name for field in orders.FIELDS]
    for field in orders.FIELDS:
        values = field.kind in (Kind.BOOLEAN, Kind.CHOICE, Kind.CATEGORY)
        assert isinstance(statistics.fields[field.name], ValueBaseline if values else NumberBaseline)


@pytest.mark.parametrize(
    ("attribute", "number"),
    [
        pytest.param("weight", float, id="number"),
        pytest.param("items", float, id="integer"),
        pytest.param("remark", lambda text: len(text.split()), id="words-of-a-text"),
        pytest.param("ordered", lambda day: (day - date(1970, 1, 1)).days, id="days-of-a-date"),
        pytest.param("paid", lambda moment: (moment.date() - date(1970, 1, 1)).days, id="days-of-a-datetime"),
        pytest.param("slot", lambda slot: slot.hour + slot.minute / 60, id="hour-of-a-time"),
    ],
)
def test_numbers_have_the_statistics_of_numpy(
    attribute: str, number: Callable[[Any], float], statistics: Baseline
) -> None:
    # given
    values = [getattr(order, attribute) for order in ORDERS]
    present = np.array([number(value) for value in values if value is not None], dtype=float)
    # when
    field = numbers_of(field_of(statistics, attribute))
    # then
    assert field.missing_share == pytest.approx(1 - len(present) / ROWS)
    assert field.mean == pytest.approx(present.mean())
    assert field.standard_deviation == pytest.approx(present.std())
    assert (field.minimum, field.maximum) == pytest.approx((present.min(), present.max()))
    assert len(field.bin_shares) == len(field.bin_edges) - 1 == BINS
    assert sum(field.bin_shares) == pytest.approx(1)


@pytest.mark.parametrize(
    ("attribute", "name"),
    [
        pytest.param("express", lambda value: str(value).lower(), id="boolean"),
        pytest.param("insured", lambda value: str(value).lower(), id="optional-boolean"),
        pytest.param("size", str, id="choice"),
        pytest.param("courier", str, id="category"),
        pytest.param("city", str, id="optional-category"),
    ],
)
def test_values_have_their_shares(attribute: str, name: Callable[[Any], str], statistics: Baseline) -> None:
    # given
    present = [name(value) for order in ORDERS if (value := getattr(order, attribute)) is not None]
    # when
    field = values_of(field_of(statistics, attribute))
    # then: the most common value is first
    assert field.missing_share == pytest.approx(1 - len(present) / ROWS)
    known = {value for value in present if present.count(value) > 1}
    assert field.shares == {value: pytest.approx(present.count(value) / len(present)) for value in known}
    assert list(field.shares.values()) == sorted(field.shares.values(), reverse=True)


def test_bins_span_the_bounds_of_the_contract(statistics: Baseline) -> None:
    weight, margin, remark = (numbers_of(field_of(statistics, name)) for name in ("weight", "margin", "remark"))
    assert (weight.bin_edges[0], weight.bin_edges[-1]) == (0, 1000)
    assert (margin.bin_edges[0], margin.bin_edges[-1]) == (margin.minimum, margin.maximum)
    assert (remark.bin_edges[0], remark.bin_edges[-1]) == (0, remark.maximum)


def test_a_choice_with_a_single_row_is_kept_but_a_category_is_not() -> None:
    # given: a choice and a category with a single row, and others with three rows
    four = [ORDERS[0].model_copy(update={"size": orders.Size.LARGE, "city": "common"})] * 3
    four.append(four[0].model_copy(update={"size": orders.Size.SMALL, "city": "rare"}))
    # when
    statistics = of_prices(four, np.arange(4.0))
    # then
    assert values_of(field_of(statistics, "size")).shares == {"large": 0.75, "small": 0.25}
    assert values_of(field_of(statistics, "city")).shares == {"common": 0.75}


def test_only_the_most_common_values_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_VALUES", 3)
    statistics = of_prices(ORDERS, targets(ORDERS, Task.REGRESSION))
    city = values_of(field_of(statistics, "city"))
    assert len(city.shares) == 3
    assert sum(city.shares.values()) < 1


def test_the_statistics_of_a_field_without_values_are_valid_json() -> None:
    # given
    some = LAYOUT.encode(ORDERS)
    numbers = np.full_like(some.numbers, np.nan)
    numbers[:, [index for index, number in enumerate(LAYOUT.numbers) if number.field.kind is Kind.CHOICE]] = -1
    strings = [np.full_like(array, "") for array in (some.categories, some.texts)]
    # when
    statistics = baseline(Features(LAYOUT, numbers, *strings), np.ones(ROWS), (), np.ones((ROWS, 1)))
    # then
    assert all(field.missing_share == 1 for field in statistics.fields.values())
    assert Baseline.model_validate_json(statistics.model_dump_json()) == statistics


def test_a_constant_field_has_bins() -> None:
    statistics = of_prices(ORDERS[:1] * 3, np.array([5.0] * 3))
    assert sum(numbers_of(field_of(statistics, "margin")).bin_shares) == pytest.approx(1)
    target = numbers_of(statistics.target)
    assert (target.minimum, target.maximum) == (5, 5)


@pytest.mark.parametrize("task", orders.TASKS)
def test_the_target_is_described_like_a_field(task: Task) -> None:
    target = targets(ORDERS, task)
    outputs = np.ones((ROWS, len(LABELS[task]) or 1))
    statistics = baseline(LAYOUT.encode(ORDERS), target, LABELS[task], outputs).target
    if task is Task.REGRESSION:
        assert numbers_of(statistics).mean == pytest.approx(target.mean())
    else:
        shares = {str(label): pytest.approx(np.mean(target == index)) for index, label in enumerate(LABELS[task])}
        assert values_of(statistics).shares == shares


def test_predictions_are_described_by_the_outputs_for_held_out_rows() -> None:
    # given: outputs for three rows, none of them with the third label
    outputs = np.array([[0.5, 0.3, 0.2], [0.1, 0.6, 0.3], [0.2, 0.5, 0.3]])
    # when
    labels = baseline(LAYOUT.encode(ORDERS), np.full(ROWS, 2), ("a", "b", "c"), outputs).predictions
    values = baseline(LAYOUT.encode(ORDERS), np.zeros(ROWS), (), np.array([[1.0], [2.0], [6.0]])).predictions
    # then
    assert values_of(labels).shares == {"b": pytest.approx(2 / 3), "a": pytest.approx(1 / 3)}
    values = numbers_of(values)
    assert (values.minimum, values.mean, values.maximum) == (1, 3, 6)


@pytest.mark.parametrize(
    ("values", "cuts", "shares"),
    [
        pytest.param(np.arange(200.0), np.arange(20.0, 200, 20), [0.1] * 10, id="distinct"),
        pytest.param([0.0] * 190 + [1.0, 2.0, 3.0, 4.0, 900.0] * 2, [1.0], [0.95, 0.05], id="mostly-equal"),
        pytest.param([7.0] * 200, [], [1.0], id="constant"),
        pytest.param([1.0] * 100 + [2.0] * 40 + [3.0] * 60, [2.0, 3.0], [0.5, 0.2, 0.3], id="few-values"),
        pytest.param(np.arange(60.0), [20.0, 40.0], [1 / 3] * 3, id="few-rows"),
        pytest.param(np.arange(3.0), [], [1.0], id="three-rows"),
    ],
)
def test_cuts_divide_numbers_into_groups_of_similar_size(
    values: Sequence[float], cuts: Sequence[float], shares: Sequence[float]
) -> None:
    # given: prices of some orders
    statistics = numbers_of(of_prices(ORDERS[: len(values)], np.asarray(values)).target)
    # then
    assert list(statistics.cuts) == list(cuts)
    assert list(statistics.cut_shares) == pytest.approx(shares)


def test_predictions_have_the_share_of_each_label() -> None:
    first, second, *_ = LABELS[Task.BINARY]
    predictions = CONTRACTS[Task.BINARY].predictions_adapter.validate_python(
        [{"label": label, "probability": 1, "probabilities": {label: 1}} for label in (first, second, first, first)]
    )

    assert prediction_baseline(predictions).shares == {first: 0.75, second: 0.25}


def test_a_vocabulary_has_the_words_of_training_and_the_unknown_share_of_held_out_texts() -> None:
    words = vocabulary(["Leave it", "at the DOOR"], ["leave now", "at the door", ""])

    assert words.words == ("at", "door", "it", "leave", "the")
    assert (words.unknown.minimum, words.unknown.maximum) == (0, 0.5)
    assert words.unknown.missing_share == pytest.approx(1 / 3)
