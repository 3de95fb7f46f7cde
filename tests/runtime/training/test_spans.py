"""Outcomes of predictions of spans."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import precision_recall_fscore_support

from mlops_runtime.contract import Task
from mlops_runtime.training.evaluation import METRICS, evaluate, metric_values, weighted_metrics
from mlops_runtime.training.gate import CROSS_VALIDATED_SKILL, floored_metrics
from mlops_runtime.training.spans import SpanOutcomes

LABELS = ("ORG", "PER")
NOTHING = len(LABELS)


def outcomes_of(texts: list[list[tuple[int, int]]]) -> SpanOutcomes:
    """Return the outcomes of texts with pairs of true and predicted label, where `NOTHING` is no span."""
    counts = np.zeros((3, len(texts), len(LABELS) + 1))
    for row, pairs in enumerate(texts):
        for truth, predicted in pairs:
            counts[0, row, truth] += 1
            counts[1, row, predicted] += 1
            counts[2, row, truth] += truth == predicted
    return SpanOutcomes(LABELS, *counts[:, :, :NOTHING])


spans = st.integers(0, NOTHING)
texts = st.lists(st.lists(st.tuples(spans, spans), max_size=6), min_size=1, max_size=8)


@given(texts)
def test_metrics_equal_those_of_scikit_learn(texts: list[list[tuple[int, int]]]) -> None:
    # given
    outcomes = outcomes_of(texts)
    truth, predicted = np.array([pair for text in texts for pair in text], dtype=int).reshape(-1, 2).T
    expected = [
        precision_recall_fscore_support(truth, predicted, labels=[0, 1], average=average, zero_division=0)[:3]
        if len(truth)
        else (0, 0, 0)
        for average in ("micro", None)
    ]
    # when
    metrics = metric_values(outcomes.task_metrics(Task.ENTITIES, None), outcomes.rows)
    of_labels = outcomes.label_metrics()(np.ones((1, outcomes.rows)))
    # then
    np.testing.assert_allclose([metrics[name] for name in ("precision", "recall", "f1")], expected[0])
    for name, values in zip(("precision", "recall", "f1"), expected[1] if len(truth) else [(0, 0)] * 3, strict=True):
        np.testing.assert_allclose(of_labels[name][0], values)


@given(texts, st.data())
def test_the_weight_of_a_text_counts_like_copies_of_it(texts: list[list[tuple[int, int]]], data: st.DataObject) -> None:
    # given
    weights = data.draw(st.lists(st.integers(0, 3), min_size=len(texts), max_size=len(texts)).filter(any))
    outcomes = outcomes_of(texts)
    copies = outcomes_of([text for text, count in zip(texts, weights, strict=True) for _ in range(count)])
    # when
    weighted = weighted_metrics(Task.ENTITIES, outcomes, outcomes)(np.array([weights], dtype=float))
    # then
    for name, value in metric_values(weighted_metrics(Task.ENTITIES, copies, copies), copies.rows).items():
        np.testing.assert_allclose(weighted[name], value)


def test_skill_is_the_share_of_the_way_from_the_baseline_to_perfection() -> None:
    # given: F1 of 0.5 and of 0.75
    baseline = outcomes_of([[(0, 0), (1, NOTHING)], [(0, 1), (1, 1)]] * 2)
    model = outcomes_of([[(0, 0), (1, 1)], [(0, 1), (1, 1)]] * 2)
    # when
    evaluation = evaluate(Task.ENTITIES, model, baseline, seed=0)
    # then
    assert evaluation.baseline["f1"] == pytest.approx(4 / 7)
    assert evaluation.metrics["f1"].value == pytest.approx(3 / 4)
    assert evaluation.metrics["skill"].value == pytest.approx(1 - (1 / 4) / (3 / 7))
    assert evaluation.metrics["exact_texts"].value == 0.5
    assert set(evaluation.metrics) == set(METRICS[Task.ENTITIES])
    assert evaluation.metrics["f1"].low <= 3 / 4 <= evaluation.metrics["f1"].high


def test_no_floor_is_for_a_cross_validation_that_does_not_take_place() -> None:
    assert floored_metrics(Task.ENTITIES) == METRICS[Task.ENTITIES]
    assert CROSS_VALIDATED_SKILL in floored_metrics(Task.BINARY)


def test_outcomes_are_those_of_the_numbers_that_they_give() -> None:
    outcomes = outcomes_of([[(0, 0), (1, 0)], []])
    truth, predicted = outcomes.numbers()

    again = SpanOutcomes.from_rows(LABELS, truth, predicted)

    assert predicted.shape == (2, SpanOutcomes.width(LABELS))
    for name in ("true", "predicted", "correct"):
        np.testing.assert_array_equal(getattr(again, name), getattr(outcomes, name))


@pytest.mark.parametrize(
    ("truth", "predicted", "message"),
    [
        pytest.param([1], [[1, 0, 1, 0, 2, 0]], "more correct spans than", id="more-correct-than-true"),
        pytest.param([1], [[1, 0, 1, 0, -1, 0]], "more correct spans than", id="negative"),
        pytest.param([2], [[1, 0, 1, 0, 1, 0]], "not the number of true spans", id="another-truth"),
    ],
)
def test_impossible_numbers_are_refused(truth: list[float], predicted: list[list[float]], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SpanOutcomes.check(LABELS, truth, predicted)


def test_outcomes_of_another_task_are_refused() -> None:
    with pytest.raises(TypeError, match="a binary task cannot have SpanOutcomes"):
        outcomes_of([[(0, 0)]]).task_metrics(Task.BINARY, None)
