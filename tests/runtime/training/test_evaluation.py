from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from numpy.typing import ArrayLike, NDArray
from sklearn import metrics as reference

from mlops_runtime.contract import Task
from mlops_runtime.training import evaluation
from mlops_runtime.training.evaluation import (
    LOWER_IS_BETTER,
    METRICS,
    LabelOutcomes,
    Outcomes,
    ValueOutcomes,
    estimates,
    evaluate,
    metric_values,
    weighted_metrics,
)

Case = tuple[Task, Outcomes, Outcomes, str | None]
"""A task, the outcomes of a model and of a baseline, and the positive label."""


def label_outcomes(truth: NDArray[np.intp], probabilities: NDArray[np.float64]) -> LabelOutcomes:
    return LabelOutcomes(tuple("abcdefgh"[: probabilities.shape[1]]), truth, probabilities)


def prior_of(outcomes: LabelOutcomes) -> LabelOutcomes:
    """Outcomes of an estimator that predicts the same probabilities for every row."""
    shares = 1 + np.arange(len(outcomes.labels), dtype=float)
    return LabelOutcomes(outcomes.labels, outcomes.truth, np.tile(shares / shares.sum(), (len(outcomes.truth), 1)))


def around(truth: NDArray[np.float64], predicted: NDArray[np.float64], half_width: float) -> ValueOutcomes:
    return ValueOutcomes(truth, predicted, predicted - half_width, predicted + half_width)


@st.composite
def label_cases(draw: st.DrawFn, labels: int) -> Case:
    """Rows with at least two labels, and with ties and zeros among the probabilities."""
    size = draw(st.integers(2, 30))
    truth = draw(
        st.lists(st.integers(0, labels - 1), min_size=size, max_size=size).filter(lambda rows: len({*rows}) > 1)
    )
    row = st.lists(st.integers(0, 4), min_size=labels, max_size=labels).filter(any)
    parts = np.array(draw(st.lists(row, min_size=size, max_size=size)), dtype=float)
    outcomes = label_outcomes(np.array(truth), parts / parts.sum(axis=1, keepdims=True))
    return (
        Task.BINARY if labels == 2 else Task.MULTICLASS,
        outcomes,
        prior_of(outcomes),
        "b" if labels == 2 else None,
    )


@st.composite
def value_cases(draw: st.DrawFn) -> Case:
    size = draw(st.integers(1, 30))
    eighths = st.lists(st.integers(-800, 800), min_size=size, max_size=size)
    truth, predicted = (np.array(draw(eighths)) / 8 for _ in range(2))
    baseline = np.full(size, draw(st.integers(-80, 80)) / 8)
    half_width = draw(st.integers(0, 400)) / 8
    return Task.REGRESSION, around(truth, predicted, half_width), around(truth, baseline, half_width), None


CASES = st.one_of(label_cases(2), label_cases(4), value_cases())


def by_scikit_learn(case: Case, weights: NDArray[np.float64] | None = None) -> dict[str, float]:
    task, outcomes, baseline, positive = case
    options: dict[str, Any] = {"sample_weight": weights}
    if isinstance(outcomes, ValueOutcomes):
        truth, predicted = outcomes.truth, outcomes.predicted
        counted = truth if weights is None else truth[weights > 0]
        error, reference_error = (
            reference.mean_squared_error(truth, values.predicted, **options) for values in (outcomes, baseline)
        )
        return {
            # For a constant truth scikit-learn returns 1 or 0, by whether the predictions equal it.
            "r2": reference.r2_score(truth, predicted, **options) if np.ptp(counted) else 0,
            "mae": reference.mean_absolute_error(truth, predicted, **options),
            "rmse": reference.root_mean_squared_error(truth, predicted, **options),
            "median_absolute_error": np.median(np.repeat(abs(truth - predicted), _times(weights, len(truth)))),
            "coverage": np.average((outcomes.low <= truth) & (truth <= outcomes.high), weights=weights),
            "interval_width": np.average(outcomes.high - outcomes.low, weights=weights),
            "skill": 1 - error / reference_error if reference_error else 0,
        }
    assert isinstance(baseline, LabelOutcomes)
    return by_scikit_learn_of_labels(task, outcomes, baseline, positive, options)


def by_scikit_learn_of_labels(
    task: Task, outcomes: LabelOutcomes, baseline: LabelOutcomes, positive: str | None, options: dict[str, Any]
) -> dict[str, float]:
    truth, predicted, probabilities = outcomes.truth, outcomes.predicted, outcomes.probabilities
    known = np.arange(len(outcomes.labels))
    present = np.unique(truth)
    loss, reference_loss = (
        reference.log_loss(truth, values.probabilities, labels=known, **options) for values in (outcomes, baseline)
    )
    metrics = {
        "accuracy": reference.accuracy_score(truth, predicted, **options),
        "balanced_accuracy": reference.recall_score(
            truth, predicted, labels=present, average="macro", zero_division=0, **options
        ),
        "brier": reference.brier_score_loss(truth, probabilities, labels=known, **options),
        "log_loss": loss,
        "skill": 1 - loss / reference_loss,
    }
    if task is Task.MULTICLASS:
        macro = {"labels": present, "average": "macro", "zero_division": 0} | options
        return metrics | {
            "macro_precision": reference.precision_score(truth, predicted, **macro),
            "macro_f1": reference.f1_score(truth, predicted, **macro),
            "macro_roc_auc": np.mean(
                [reference.roc_auc_score(truth == index, probabilities[:, index], **options) for index in present]
            ),
        }
    is_positive, probability = truth == outcomes.labels.index(str(positive)), probabilities[:, 1]
    predicts_positive = predicted == 1
    return metrics | {
        "precision": reference.precision_score(is_positive, predicts_positive, zero_division=0, **options),
        "recall": reference.recall_score(is_positive, predicts_positive, **options),
        "f1": reference.f1_score(is_positive, predicts_positive, **options),
        "roc_auc": reference.roc_auc_score(is_positive, probability, **options),
        "average_precision": reference.average_precision_score(is_positive, probability, **options),
    }


def _times(weights: NDArray[np.float64] | None, size: int) -> NDArray[np.intp]:
    return np.ones(size, dtype=int) if weights is None else weights.astype(int)


@given(case=CASES)
def test_metrics_equal_those_of_scikit_learn(case: Case) -> None:
    result = metric_values(weighted_metrics(*case), len(case[1].truth))
    assert set(result) == set(METRICS[case[0]])
    assert result == pytest.approx(by_scikit_learn(case), rel=1e-9, abs=1e-9)


@given(case=CASES, data=st.data())
def test_weighted_metrics_equal_those_of_scikit_learn(case: Case, data: st.DataObject) -> None:
    # given: each row drawn 0 to 3 times, and at least one row of each label
    truth = case[1].truth
    weights = np.array(data.draw(st.lists(st.integers(0, 3), min_size=len(truth), max_size=len(truth))), dtype=float)
    strata = truth if isinstance(case[1], LabelOutcomes) else np.zeros(len(truth))
    weights[[np.argmax(strata == stratum) for stratum in np.unique(strata)]] += 1
    # when
    result = {name: values[0] for name, values in weighted_metrics(*case)(weights[None, :]).items()}
    # then
    assert result == pytest.approx(by_scikit_learn(case, weights), rel=1e-9, abs=1e-9)


@given(case=CASES)
def test_the_bounds_of_intervals_are_ordered_and_in_the_range_of_the_metric(case: Case) -> None:
    for name, estimate in estimates(weighted_metrics(*case), case[1], seed=0, resamples=50).items():
        assert np.isfinite([estimate.low, estimate.value, estimate.high]).all()
        assert estimate.low <= estimate.high
        assert name in LOWER_IS_BETTER or estimate.high <= 1 + 1e-12
        assert name in ("skill", "r2") or estimate.low >= 0


def certain(truth: ArrayLike, predicted: ArrayLike, labels: int) -> LabelOutcomes:
    return label_outcomes(np.asarray(truth, dtype=np.intp), np.eye(labels)[np.asarray(predicted, dtype=np.intp)])


TINY = [
    pytest.param(Task.BINARY, certain([0, 0, 1], [1, 1, 0], 2), "b", id="binary-all-wrong-and-certain"),
    pytest.param(Task.BINARY, certain([0, 0, 0], [0, 0, 1], 2), "b", id="binary-without-a-positive"),
    pytest.param(Task.BINARY, certain([1], [1], 2), "b", id="binary-with-one-row"),
    pytest.param(Task.MULTICLASS, certain([0, 2, 2], [1, 1, 1], 5), None, id="multiclass-all-wrong-and-certain"),
    pytest.param(Task.MULTICLASS, certain([3, 3, 3], [3, 3, 3], 5), None, id="multiclass-with-one-label"),
    pytest.param(Task.REGRESSION, around(np.full(3, 0.1), np.array([0.1, 0.2, 0]), 0), None, id="constant-truth"),
    pytest.param(Task.REGRESSION, around(np.array([0.1, 0.1, 5]), np.zeros(3), 1), None, id="constant-when-resampled"),
    pytest.param(Task.REGRESSION, around(np.array([-1e99, 0, 1e99]), np.zeros(3), 1e99), None, id="huge-values"),
    pytest.param(Task.REGRESSION, around(np.array([2.5]), np.array([2]), 1), None, id="regression-with-one-row"),
]


@pytest.mark.parametrize(("task", "outcomes", "positive"), TINY)
def test_extreme_cases_are_evaluated_without_a_warning(task: Task, outcomes: Outcomes, positive: str | None) -> None:
    # given: a baseline that is right on the first row, so that its loss is 0 in some resamples
    baseline = outcomes
    if isinstance(outcomes, ValueOutcomes):
        baseline = around(outcomes.truth, np.full(len(outcomes.truth), outcomes.truth[0]), 0)
    # when
    result = evaluate(task, outcomes, baseline, seed=0, positive=positive)
    # then
    assert tuple(sorted(result.metrics)) == tuple(sorted(METRICS[task]))
    numbers = [(estimate.low, estimate.value, estimate.high) for estimate in result.metrics.values()]
    assert np.isfinite(numbers).all()
    assert np.isfinite(list(result.baseline.values())).all()


def test_r2_of_a_constant_truth_is_0() -> None:
    outcomes = around(np.full(3, 0.1), np.array([0.1, 0.2, 0]), 0)
    assert metric_values(weighted_metrics(Task.REGRESSION, outcomes, outcomes), 3)["r2"] == 0


def test_r2_of_a_constant_truth_is_0_in_spite_of_rounding() -> None:
    # given: resamples of a single row, whose mean may differ from its value by rounding
    outcomes = around(np.array([1 / 3, 1000.1]), np.array([0.3, 1000]), 0)
    weights = np.column_stack([np.arange(1.0, 100), np.zeros(99)])
    # then
    assert set(weighted_metrics(Task.REGRESSION, outcomes, outcomes)(weights)["r2"]) == {0}


def test_the_log_loss_of_a_probability_above_1_is_0() -> None:
    outcomes = label_outcomes(np.array([0, 1]), np.array([[1 + 1e-7, 0], [0, 1 + 1e-7]]))
    assert metric_values(weighted_metrics(Task.BINARY, outcomes, prior_of(outcomes), "b"), 2)["log_loss"] == 0


def test_macro_averages_ignore_labels_without_rows() -> None:
    # given: rows with two of three labels, and a prediction of the third label
    outcomes = certain([0, 0, 1, 1], [0, 0, 1, 2], 3)
    # when
    result = metric_values(weighted_metrics(Task.MULTICLASS, outcomes, prior_of(outcomes)), 4)
    # then
    assert result["balanced_accuracy"] == 0.75
    assert result["macro_precision"] == 1
    assert result["macro_f1"] == pytest.approx((1 + 2 / 3) / 2)
    assert result["macro_roc_auc"] == (1 + 0.75) / 2


@pytest.mark.parametrize(
    ("predicted", "skill"),
    [
        pytest.param([1.0, 2, 3], 1, id="perfect"),
        pytest.param([2.0, 2, 2], 0, id="equal-to-the-baseline"),
        pytest.param([3.0, 2, 1], -3, id="worse"),
        pytest.param([1.5, 2, 2.5], 0.75, id="half-the-error"),
    ],
)
def test_skill_is_the_relative_reduction_of_the_loss(predicted: list[float], skill: float) -> None:
    truth = np.array([1.0, 2, 3])
    model, baseline = around(truth, np.array(predicted), 1), around(truth, np.full(3, 2.0), 1)
    assert metric_values(weighted_metrics(Task.REGRESSION, model, baseline), 3)["skill"] == pytest.approx(skill)


def test_skill_is_0_if_the_loss_of_the_baseline_is_0() -> None:
    # given: a mean that equals the truth except for rounding
    truth = np.full(3, 0.1 + 0.2)
    model, baseline = around(truth, np.zeros(3), 1), around(truth, np.full(3, 0.3), 1)
    # then
    assert metric_values(weighted_metrics(Task.REGRESSION, model, baseline), 3)["skill"] == 0


def test_the_baseline_has_the_same_metrics() -> None:
    outcomes = label_outcomes(np.array([0, 0, 1]), np.array([[0.9, 0.1], [0.8, 0.2], [0.3, 0.7]]))
    result = evaluate(Task.BINARY, outcomes, prior_of(outcomes), seed=0, positive="a")
    assert set(result.baseline) == set(result.metrics)
    assert result.baseline["skill"] == 0
    assert result.baseline["roc_auc"] == 0.5
    assert result.baseline["accuracy"] == pytest.approx(1 / 3)
    assert result.metrics["skill"].value > 0


@pytest.mark.parametrize("positive", [None, "", "c"])
def test_the_positive_label_must_be_a_label(positive: str | None) -> None:
    outcomes = certain([0, 1], [0, 1], 2)
    with pytest.raises(ValueError, match="not one of the labels a, b"):
        evaluate(Task.BINARY, outcomes, outcomes, seed=0, positive=positive)


@pytest.mark.parametrize(
    ("task", "outcomes"),
    [
        pytest.param(Task.REGRESSION, certain([0, 1], [0, 1], 2), id="labels-for-values"),
        pytest.param(Task.MULTICLASS, around(np.ones(2), np.ones(2), 1), id="values-for-labels"),
    ],
)
def test_outcomes_that_do_not_match_the_task_are_refused(task: Task, outcomes: Outcomes) -> None:
    with pytest.raises(TypeError, match=f"a {task} task cannot have"):
        evaluate(task, outcomes, outcomes, seed=0)


def test_the_interval_agrees_with_a_plain_bootstrap() -> None:
    # given: stratified resamples, each evaluated by scikit-learn
    generator = np.random.default_rng(7)
    truth = np.arange(120) < 40
    probability = np.clip(generator.normal(0.35 + 0.3 * truth, 0.2), 0.01, 0.99)
    rows = label_outcomes(truth.astype(int), np.column_stack([1 - probability, probability]))
    resampled = []
    for _ in range(600):
        indices = np.concatenate([generator.choice(np.flatnonzero(side), side.sum()) for side in (truth, ~truth)])
        resampled.append(reference.roc_auc_score(truth[indices], probability[indices]))
    # when
    result = estimates(weighted_metrics(Task.BINARY, rows, rows, "b"), rows, seed=0)["roc_auc"]
    # then
    assert (result.low, result.high) == pytest.approx(np.quantile(resampled, (0.025, 0.975)), abs=0.015)


def test_the_interval_of_a_mean_agrees_with_its_standard_error() -> None:
    generator = np.random.default_rng(3)
    rows = around(generator.normal(size=400), np.zeros(400), 1)
    result = estimates(weighted_metrics(Task.REGRESSION, rows, rows), rows, seed=0)["mae"]
    errors = abs(rows.truth)
    assert (result.high - result.low) / 2 == pytest.approx(1.96 * errors.std() / 20, rel=0.08)


@pytest.mark.parametrize(
    "case", [pytest.param((Task.BINARY, "b"), id="labels"), pytest.param((Task.REGRESSION, None), id="values")]
)
def test_the_seed_determines_the_interval(case: tuple[Task, str | None]) -> None:
    task, positive = case
    truth, slope = np.arange(40) % 3 == 0, np.linspace(1, 0, 40)
    rows = (
        label_outcomes(truth.astype(int), np.column_stack([slope, 1 - slope]))
        if positive
        else around(slope, truth.astype(float), 0.5)
    )
    weighted = weighted_metrics(task, rows, rows, positive)
    assert estimates(weighted, rows, seed=1) == estimates(weighted, rows, seed=1)
    assert estimates(weighted, rows, seed=1) != estimates(weighted, rows, seed=2)


def test_more_rows_give_a_narrower_interval() -> None:
    truth = np.arange(60) < 20
    predicted = truth ^ (np.arange(60) % 7 == 0)
    widths = []
    for times in (1, 16):
        rows = certain(np.tile(truth, times), np.tile(predicted, times), 2)
        accuracy = estimates(weighted_metrics(Task.BINARY, rows, rows, "b"), rows, seed=0)["accuracy"]
        widths.append(accuracy.high - accuracy.low)
    assert widths[1] == pytest.approx(widths[0] / 4, rel=0.15)


def test_resamples_are_drawn_in_chunks_that_fit_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    # given: chunks of 7 sets of weights
    monkeypatch.setattr(evaluation, "CHUNK_CELLS", 7 * 20)
    rows = around(np.arange(20.0), np.ones(20), 2)
    weighted = weighted_metrics(Task.REGRESSION, rows, rows)
    sizes: list[int] = []

    def counted(weights: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
        sizes.append(len(weights))
        assert (weights.sum(axis=1) == 20).all()
        return weighted(weights)

    # when
    estimates(counted, rows, seed=0, resamples=20)
    # then: the additional set of ones gives the values of the metrics
    assert sorted(sizes) == [1, 6, 7, 7]


def test_resamples_are_stratified_by_label() -> None:
    rows = certain([0] * 5 + [1] * 2 + [3], [0] * 8, 4)

    def checked(weights: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
        assert (np.add.reduceat(weights, [0, 5, 7], axis=1) == [5, 2, 1]).all()
        return {}

    assert estimates(checked, rows, seed=0, resamples=30) == {}


@pytest.mark.parametrize(
    ("rows", "labels", "minimum", "maximum"),
    [
        pytest.param(100, 2, 2000, 2000, id="small-table"),
        pytest.param(250_000, 2, 200, 300, id="many-rows"),
        pytest.param(5000, 26, 400, 500, id="many-labels"),
        pytest.param(5_000_000, 2, 100, 100, id="very-many-rows"),
    ],
)
def test_the_number_of_resamples_decreases_with_rows_and_labels(
    rows: int, labels: int, minimum: int, maximum: int
) -> None:
    truth = np.zeros(rows, dtype=np.intp)
    outcomes = LabelOutcomes(tuple(map(str, range(labels))), truth, np.zeros((rows, 0)))
    assert minimum <= evaluation.affordable_resamples(outcomes) <= maximum


@given(case=label_cases(2))
def test_the_order_of_two_labels_does_not_matter(case: Case) -> None:
    # given: rows without equal probabilities, for which the first label would win
    task, outcomes, baseline, _ = case
    assert isinstance(outcomes, LabelOutcomes)
    decided = outcomes.probabilities[:, 0] != 0.5
    assume(decided.any())
    outcomes = LabelOutcomes(outcomes.labels, outcomes.truth[decided], outcomes.probabilities[decided])
    baseline = prior_of(outcomes)
    # when
    reordered, reordered_baseline = (
        LabelOutcomes(("b", "a"), 1 - rows.truth, rows.probabilities[:, ::-1]) for rows in (outcomes, baseline)
    )
    # then
    size = len(outcomes.truth)
    expected = metric_values(weighted_metrics(task, outcomes, baseline, "b"), size)
    assert metric_values(weighted_metrics(task, reordered, reordered_baseline, "b"), size) == pytest.approx(expected)
