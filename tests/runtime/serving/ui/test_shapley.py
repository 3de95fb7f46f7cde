from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from mlops_runtime.contract.features import LABELS, Features, Layout, features_of
from mlops_runtime.contract.fields import FieldSpec, Kind
from mlops_runtime.model.predictor import Predictor
from mlops_runtime.serving.ui import shapley as module
from mlops_runtime.serving.ui.shapley import MAX_PARTS, Background, Contributions, Outputs, background_of, contributions
from mlops_runtime.testing import synthetic as orders

SEEDS = st.integers(0, 1000)


def even(features: Features) -> Background:
    """Return records as a background in which each weighs the same."""
    return Background(features, np.full(len(features), 1 / len(features)))


def told_apart(features: Features, places: Sequence[int]) -> NDArray[np.float64]:
    """Return a number for the values of each field in each row, shape (rows, fields)."""
    layout = features.layout
    numbers = np.zeros((len(features), len(layout.fields)))
    for column, number in enumerate(layout.numbers):
        numbers[:, layout.fields.index(number.field)] += np.nan_to_num(features.numbers[:, column], nan=-3)
    for fields, strings in ((layout.categories, features.categories), (layout.texts, features.texts)):
        for column, field in enumerate(fields):
            numbers[:, layout.fields.index(field)] = [len(text) for text in strings[:, column]]
    return numbers[:, places]


def amounts(found: Contributions) -> dict[str, float]:
    """Return the contribution of each field, by its name."""
    return {part.fields[0].name: part.amount for part in found.parts}


def tangled(features: Features) -> NDArray[np.float64]:
    """Return an output in which all fields of an order depend on each other."""
    numbers = told_apart(features, range(len(orders.FIELDS)))
    return np.asarray(np.tanh(numbers / 10).prod(axis=1) + np.sin(numbers.sum(axis=1)))


@given(seed=SEEDS)
@settings(max_examples=20)
def test_they_add_up_to_what_is_to_be_explained(seed: int) -> None:
    # Given an order with fields of every kind, and others to compare it with
    record, others = orders.features(1, seed), orders.features(7, seed + 1)
    weights = np.random.default_rng(seed).dirichlet(np.ones(7))

    # When the fields get their contributions
    found = contributions(tangled, record, Background(others, weights))

    # Then nothing is left over
    assert {field.name for part in found.parts for field in part.fields} == {field.name for field in orders.FIELDS}
    assert found.start == pytest.approx(weights @ tangled(others))
    assert found.end == tangled(record)[0]
    assert found.start + sum(part.amount for part in found.parts) == pytest.approx(found.end, abs=1e-9)


@given(seed=SEEDS)
@settings(max_examples=20)
def test_of_a_sum_over_fields_each_contributes_its_own_term(seed: int) -> None:
    record, others = orders.features(1, seed), orders.features(7, seed + 1)
    every = range(len(orders.FIELDS))

    found = contributions(lambda features: told_apart(features, every).sum(axis=1), record, even(others))

    terms = told_apart(record, every)[0] - told_apart(others, every).mean(axis=0)
    expected = {field.name: term for field, term in zip(orders.FIELDS, terms.tolist(), strict=True)}
    assert amounts(found) == pytest.approx(expected, rel=1e-9, abs=1e-6)


@given(seed=SEEDS, place=st.integers(0, len(orders.FIELDS) - 1))
@settings(max_examples=20)
def test_a_field_that_the_model_does_not_look_at_contributes_nothing(seed: int, place: int) -> None:
    record, others = orders.features(1, seed), orders.features(7, seed + 1)
    looked_at = [other for other in range(len(orders.FIELDS)) if other != place]

    found = contributions(lambda features: np.sin(told_apart(features, looked_at).sum(axis=1)), record, even(others))

    assert amounts(found)[orders.FIELDS[place].name] == 0


def test_a_field_that_is_the_same_everywhere_contributes_nothing() -> None:
    record = orders.features(1)

    found = contributions(tangled, record, even(record.take([0, 0])))

    assert set(amounts(found).values()) == {0}


def numeric_layout(count: int) -> Layout:
    return Layout(
        [
            FieldSpec(name=f"x{number}", attribute=f"x{number}", kind=Kind.NUMBER, description="", optional=False)
            for number in range(count)
        ]
    )


def numeric(rows: NDArray[np.float64]) -> Features:
    """Return numbers as rows of a contract with nothing else."""
    none = np.empty((len(rows), 0), dtype=object)
    return Features(numeric_layout(rows.shape[1]), rows, none, none)


def product(features: Features) -> NDArray[np.float64]:
    return np.asarray(features.numbers.prod(axis=1))


def test_fields_that_act_alike_contribute_alike() -> None:
    # Given two numbers and their product: 2 times 3 instead of 1 times 1
    record, others = numeric(np.array([[2.0, 3.0]])), numeric(np.array([[1.0, 1.0]]))

    # Then each contributes what it changes, with and without the other
    found = contributions(product, record, even(others))
    assert amounts(found) == pytest.approx({"x0": (1 + 3) / 2, "x1": (2 + 4) / 2})

    # And those that are alike the same
    alike = contributions(product, numeric(np.full((1, 4), 2.0)), even(numeric(np.ones((1, 4)))))
    assert list(amounts(alike).values()) == pytest.approx([15 / 4] * 4)


def test_drawn_orders_come_near_to_all_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    # Given so few fields that all their orders are tried, and then only a part of these
    generator = np.random.default_rng(0)
    record, others = numeric(generator.uniform(1, 2, (1, 6))), numeric(generator.uniform(0, 1, (3, 6)))
    exact = amounts(contributions(product, record, even(others)))
    monkeypatch.setattr(module, "MAX_ROWS", 600)

    # Then the contributions differ by a fraction
    drawn = amounts(contributions(product, record, even(others)))
    assert drawn != exact
    assert drawn == pytest.approx(exact, abs=0.05 * float(product(record)[0]))


def test_the_same_record_gets_the_same_contributions() -> None:
    record, others = orders.features(1), orders.features(7, 1)

    assert contributions(tangled, record, even(others)) == contributions(tangled, record, even(others))


def counted(outputs: Outputs, sizes: list[int]) -> Outputs:
    """Return the outputs, and note how many cells each question has."""

    def ask(features: Features) -> NDArray[np.float64]:
        sizes.append(features.numbers.size)
        return outputs(features)

    return ask


@pytest.mark.parametrize("count", [MAX_PARTS, MAX_PARTS + 1, 1_700, 9_000])
def test_a_wide_record_is_explained_with_bounded_work(count: int) -> None:
    # Given a record of many fields, of which three matter
    weights = np.zeros(count)
    weights[[1, 4, 9]] = [3, -5, 1]
    record, others = numeric(np.ones((1, count))), numeric(np.zeros((5, count)))
    sizes: list[int] = []

    # When it is explained
    found = contributions(counted(lambda features: features.numbers @ weights, sizes), record, even(others))

    # Then these are the parts that come first, and the others are one
    assert [part.fields[0].name for part in found.parts[:3]] == ["x4", "x1", "x9"]
    assert [part.amount for part in found.parts[:3]] == pytest.approx([-5, 3, 1])
    assert len(found.parts) <= MAX_PARTS
    assert sum(len(part.fields) for part in found.parts) == count
    assert sum(part.amount for part in found.parts) == pytest.approx(-1)

    # And the model was asked within bounds
    assert max(sizes) <= max(module.CELLS_OF_RUN, count * len(others.numbers))
    assert sum(sizes) <= 1.5 * module.MAX_CELLS


def test_golden_records_weigh_as_much_as_their_labels(predictor: Predictor) -> None:
    background = background_of(predictor.golden_records, predictor.baseline)

    assert len(background.features) == len(predictor.golden_records)
    assert background.weights.sum() == pytest.approx(1)
    assert (background.weights >= 0).all()


def test_every_golden_record_of_the_project_is_explained(predictor: Predictor) -> None:
    background = background_of(predictor.golden_records, predictor.baseline)

    for golden in predictor.golden_records[:3]:
        found = contributions(
            lambda features: predictor.outputs(features)[:, len(LABELS) // 2], features_of([golden.record]), background
        )

        assert found.start + sum(part.amount for part in found.parts) == pytest.approx(found.end)
