from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from mlops_runtime.contract import Features, FieldSpec, Kind, Layout
from mlops_runtime.model import Predictor
from mlops_runtime.serving.ui import shapley as module
from mlops_runtime.serving.ui.shapley import MAX_PARTS, Background, Contributions, Outputs, background_of, contributions
from mlops_runtime.testing import synthetic as orders

SEEDS = st.integers(0, 1000)


def equal_weights(features: Features) -> Background:
    """Return records as a background with equal weights."""
    return Background(features, np.full(len(features), 1 / len(features)))


def numbers_of(features: Features, indices: Sequence[int]) -> NDArray[np.float64]:
    """Return a number for each field of each row, shape (rows, fields)."""
    layout = features.layout
    numbers = np.zeros((len(features), len(layout.fields)))
    for column, number in enumerate(layout.numbers):
        numbers[:, layout.fields.index(number.field)] += np.nan_to_num(features.numbers[:, column], nan=-3)
    for fields, strings in ((layout.categories, features.categories), (layout.texts, features.texts)):
        for column, field in enumerate(fields):
            numbers[:, layout.fields.index(field)] = [len(text) for text in strings[:, column]]
    return numbers[:, indices]


def amounts(result: Contributions) -> dict[str, float]:
    """Return the contribution of each field, by its name."""
    return {part.fields[0].name: part.amount for part in result.parts}


def interacting(features: Features) -> NDArray[np.float64]:
    """Return an output in which all fields of an order interact."""
    numbers = numbers_of(features, range(len(orders.FIELDS)))
    return np.asarray(np.tanh(numbers / 10).prod(axis=1) + np.sin(numbers.sum(axis=1)))


@given(seed=SEEDS)
@settings(max_examples=20)
def test_contributions_add_up_to_the_difference_of_outputs(seed: int) -> None:
    # Given an order with fields of every kind, and a background
    record, others = orders.features(1, seed), orders.features(7, seed + 1)
    weights = np.random.default_rng(seed).dirichlet(np.ones(7))

    # When it is explained
    result = contributions(interacting, record, Background(others, weights))

    # Then the contributions lead from the mean output to that of the order
    assert {field.name for part in result.parts for field in part.fields} == {field.name for field in orders.FIELDS}
    assert result.mean == pytest.approx(weights @ interacting(others))
    assert result.output == interacting(record)[0]
    assert result.mean + sum(part.amount for part in result.parts) == pytest.approx(result.output, abs=1e-9)


@given(seed=SEEDS)
@settings(max_examples=20)
def test_each_field_of_a_sum_contributes_its_term(seed: int) -> None:
    record, others = orders.features(1, seed), orders.features(7, seed + 1)
    every = range(len(orders.FIELDS))

    result = contributions(lambda features: numbers_of(features, every).sum(axis=1), record, equal_weights(others))

    terms = numbers_of(record, every)[0] - numbers_of(others, every).mean(axis=0)
    expected = {field.name: term for field, term in zip(orders.FIELDS, terms.tolist(), strict=True)}
    assert amounts(result) == pytest.approx(expected, rel=1e-9, abs=1e-6)


@given(seed=SEEDS, index=st.integers(0, len(orders.FIELDS) - 1))
@settings(max_examples=20)
def test_a_field_that_the_model_ignores_contributes_nothing(seed: int, index: int) -> None:
    record, others = orders.features(1, seed), orders.features(7, seed + 1)
    used = [other for other in range(len(orders.FIELDS)) if other != index]

    result = contributions(
        lambda features: np.sin(numbers_of(features, used).sum(axis=1)), record, equal_weights(others)
    )

    assert amounts(result)[orders.FIELDS[index].name] == 0


def test_a_field_that_is_equal_in_all_records_contributes_nothing() -> None:
    record = orders.features(1)

    result = contributions(interacting, record, equal_weights(record.take([0, 0])))

    assert set(amounts(result).values()) == {0}


def numeric_layout(count: int) -> Layout:
    return Layout(
        [
            FieldSpec(name=f"x{number}", attribute=f"x{number}", kind=Kind.NUMBER, description="", optional=False)
            for number in range(count)
        ]
    )


def numeric(rows: NDArray[np.float64]) -> Features:
    """Return rows of a contract of numbers."""
    none = np.empty((len(rows), 0), dtype=object)
    return Features(numeric_layout(rows.shape[1]), rows, none, none)


def product(features: Features) -> NDArray[np.float64]:
    return np.asarray(features.numbers.prod(axis=1))


def test_symmetric_fields_contribute_equally() -> None:
    # Given two numbers and their product: 2 times 3 instead of 1 times 1
    record, others = numeric(np.array([[2.0, 3.0]])), numeric(np.array([[1.0, 1.0]]))

    # Then each contributes the mean of its effects with and without the other
    result = contributions(product, record, equal_weights(others))
    assert amounts(result) == pytest.approx({"x0": (1 + 3) / 2, "x1": (2 + 4) / 2})

    # And equal fields contribute equally
    alike = contributions(product, numeric(np.full((1, 4), 2.0)), equal_weights(numeric(np.ones((1, 4)))))
    assert list(amounts(alike).values()) == pytest.approx([15 / 4] * 4)


def test_random_orders_approximate_all_orders(monkeypatch: pytest.MonkeyPatch) -> None:
    # Given so few fields that all orders are used, and then only some of them
    generator = np.random.default_rng(0)
    record, others = numeric(generator.uniform(1, 2, (1, 6))), numeric(generator.uniform(0, 1, (3, 6)))
    exact = amounts(contributions(product, record, equal_weights(others)))
    monkeypatch.setattr(module, "MAX_ROWS", 600)

    # Then the contributions differ little
    drawn = amounts(contributions(product, record, equal_weights(others)))
    assert drawn != exact
    assert drawn == pytest.approx(exact, abs=0.05 * float(product(record)[0]))


def test_the_same_record_gets_the_same_contributions() -> None:
    record, others = orders.features(1), orders.features(7, 1)

    assert contributions(interacting, record, equal_weights(others)) == contributions(
        interacting, record, equal_weights(others)
    )


def with_sizes(outputs: Outputs, sizes: list[int]) -> Outputs:
    """Return a function that also appends the number of values of each call to a list."""

    def ask(features: Features) -> NDArray[np.float64]:
        sizes.append(features.numbers.size)
        return outputs(features)

    return ask


@pytest.mark.parametrize("count", [MAX_PARTS, MAX_PARTS + 1, 1_700, 9_000])
def test_a_record_with_many_fields_is_explained_with_bounded_work(count: int) -> None:
    # Given a record with many fields, of which the model uses three
    weights = np.zeros(count)
    weights[[1, 4, 9]] = [3, -5, 1]
    record, others = numeric(np.ones((1, count))), numeric(np.zeros((5, count)))
    sizes: list[int] = []

    # When it is explained
    result = contributions(
        with_sizes(lambda features: features.numbers @ weights, sizes), record, equal_weights(others)
    )

    # Then these are the first parts, and the others are one part
    assert [part.fields[0].name for part in result.parts[:3]] == ["x4", "x1", "x9"]
    assert [part.amount for part in result.parts[:3]] == pytest.approx([-5, 3, 1])
    assert len(result.parts) <= MAX_PARTS
    assert sum(len(part.fields) for part in result.parts) == count
    assert sum(part.amount for part in result.parts) == pytest.approx(-1)

    # And the work of the model is bounded
    assert max(sizes) <= max(module.MAX_CELLS_PER_CALL, count * len(others.numbers))
    assert sum(sizes) <= 1.5 * module.MAX_CELLS


def test_the_background_has_the_golden_records_with_weights(predictor: Predictor) -> None:
    background = background_of(predictor)

    assert len(background.features) == len(predictor.golden_records)
    assert background.weights.sum() == pytest.approx(1)
    assert (background.weights >= 0).all()


def test_golden_records_are_explained(each_predictor: Predictor) -> None:
    background = background_of(each_predictor)
    labels = each_predictor.contract.labels

    for golden in each_predictor.golden_records[:3]:
        result = contributions(
            lambda features: each_predictor.outputs(features)[:, len(labels) // 2],
            each_predictor.contract.encode([golden.record]),
            background,
        )

        assert result.mean + sum(part.amount for part in result.parts) == pytest.approx(result.output)
