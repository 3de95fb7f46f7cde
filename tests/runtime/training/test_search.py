import warnings
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import log_loss, root_mean_squared_error

from mlops_runtime.contract.fields import Task
from mlops_runtime.model.encoding import Column, ColumnKind, Encoding
from mlops_runtime.testing import synthetic as orders
from mlops_runtime.testing.synthetic import LABELS, targets
from mlops_runtime.training import search
from mlops_runtime.training.candidates import Candidate, LearningProblem, default_candidates
from mlops_runtime.training.fitted_model import outputs_of
from mlops_runtime.training.search import (
    FOLDS,
    LARGE_TABLE_FOLDS,
    Selection,
    Trial,
    baseline_estimator,
    fold_of_each_row,
    loss_of,
    select_estimator,
)

ROWS = 250
LINEAR = {Task.REGRESSION: "ridge regression"}
STRENGTH = {Task.REGRESSION: "alpha"}
ORDERS = orders.some_orders(ROWS)
ENCODING = Encoding.fitted(orders.LAYOUT.encode(ORDERS))
MATRIX = ENCODING.matrix(orders.LAYOUT.encode(ORDERS))

NUMBER = Column(ColumnKind.NUMBER)
ONE_NUMBER = LearningProblem((NUMBER,), 0)
"""A regression on one numeric column."""


def problem_of(task: Task) -> LearningProblem:
    return LearningProblem(ENCODING.columns, len(LABELS[task]))


def linear(task: Task, strength: float) -> Candidate:
    """Return a linear candidate; with a penalty of 1e9 it learns next to nothing."""
    if task is Task.REGRESSION:
        return Candidate("ridge regression", Ridge(), {"alpha": strength})
    return Candidate("logistic regression", LogisticRegression(max_iter=1000), {"C": 1 / strength})


def boosting(task: Task, iterations: int = 5) -> Candidate:
    """Return a booster with `iterations` trees for each label."""
    kind = HistGradientBoostingRegressor if task is Task.REGRESSION else HistGradientBoostingClassifier
    return Candidate("gradient boosting", kind(early_stopping=False), {"max_iter": iterations, "max_leaf_nodes": 8})


def candidates_of(task: Task) -> tuple[Candidate, ...]:
    return default_candidates(orders.CONTRACTS[task])


def selected(task: Task, candidates: list[Candidate], **more: Any) -> Selection:
    arguments: dict[str, Any] = {"seed": 0, "budget": 1000, "candidates": candidates} | more
    return select_estimator(MATRIX, targets(ORDERS, task), problem_of(task), **arguments)


def line(rows: int, seed: int = 0) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return a matrix with one column and a target that is a linear function of it."""
    matrix = np.random.default_rng(seed).normal(size=(rows, 1))
    return matrix, 2 * matrix[:, 0] + 1


@pytest.mark.parametrize("task", orders.TASKS)
def test_the_candidate_with_the_lowest_loss_is_chosen(task: Task) -> None:
    # given: a candidate with an extreme penalty, and a useful candidate
    regularized, useful = linear(task, 1e9), linear(task, 1)
    trials: list[Trial] = []
    # when
    selection = selected(task, [regularized, useful], on_scored=trials.append)
    # then
    assert selection.name == useful.name
    assert [trial.candidate for trial in trials] == [regularized, useful]
    assert list(selection.scores) == [trial.score for trial in trials[::-1]]
    assert selection.scores[0].mean < selection.scores[1].mean
    assert selection.scores[1].mean == pytest.approx(selection.baseline.mean, rel=0.05)
    assert 0.2 < selection.skill < 1
    assert selection.summary == f"2 candidates were compared on all training rows in {FOLDS} folds."


def test_the_first_of_two_equal_candidates_wins() -> None:
    first, second = (Candidate(kind, Ridge(), {"alpha": 1.0}) for kind in ("ridge regression", "the same"))
    assert selected(Task.REGRESSION, [first, second]).name == first.name


@pytest.mark.parametrize(("iterations", "converged"), [(1000, True), (1, False)], ids=["enough", "too-few"])
def test_the_score_tells_whether_the_candidate_converged(iterations: int, converged: bool) -> None:
    candidate = Candidate("mine", LogisticRegression(max_iter=iterations))
    assert [score.converged for score in selected(Task.BINARY, [candidate]).scores] == [converged]


class WarningClassifier(DummyClassifier):  # type: ignore[misc]
    """An estimator that warns of something else than convergence."""

    def fit(self, matrix: Any, target: Any) -> Any:
        warnings.warn("odd rows", RuntimeWarning, stacklevel=1)
        return super().fit(matrix, target)


def test_other_warnings_of_an_estimator_are_shown() -> None:
    with pytest.warns(RuntimeWarning, match="odd rows"):
        selection = selected(Task.BINARY, [Candidate("mine", WarningClassifier())])
    assert selection.scores[0].converged


@pytest.mark.parametrize("task", orders.TASKS)
def test_the_score_is_the_mean_loss_of_the_out_of_fold_outputs(task: Task) -> None:
    # when
    selection = selected(task, [linear(task, 1)])
    # then
    target = targets(ORDERS, task)
    folds = fold_of_each_row(target, problem_of(task), 0)
    losses = [loss_of(selection.predicted[folds == fold], target[folds == fold]) for fold in range(FOLDS)]
    assert selection.rows.tolist() == list(range(ROWS))
    assert selection.scores[0].mean == pytest.approx(np.mean(losses))
    assert selection.scores[0].standard_deviation == pytest.approx(np.std(losses))
    # and: the loss on the rows that the estimator was fitted on is lower
    fitted = outputs_of(selection.estimator, MATRIX, len(LABELS[task]))
    assert loss_of(fitted, target) < selection.scores[0].mean


def test_a_spent_budget_ends_the_search(monkeypatch: pytest.MonkeyPatch) -> None:
    # given: four candidates of ten seconds each
    now = [0.0]
    monkeypatch.setattr(search, "time", SimpleNamespace(monotonic=lambda: now[0]))
    candidates = [linear(Task.REGRESSION, strength) for strength in (1, 2, 3, 4)]

    def pass_time(_: Trial) -> None:
        now[0] += 10

    # when
    selection = selected(Task.REGRESSION, candidates, budget=15, on_scored=pass_time)
    # then
    assert {score.name for score in selection.scores} == {candidate.name for candidate in candidates[:2]}
    assert selection.summary.endswith("2 candidates were skipped to stay within the budget of 15 seconds.")


def test_a_budget_of_0_allows_one_candidate() -> None:
    selection = selected(Task.REGRESSION, [linear(Task.REGRESSION, 1), linear(Task.REGRESSION, 2)], budget=0)
    assert selection.name == linear(Task.REGRESSION, 1).name
    assert selection.summary.startswith("1 candidate was compared on all training rows")


def test_a_booster_that_would_exceed_the_budget_is_skipped(monkeypatch: pytest.MonkeyPatch) -> None:
    # given: each tree takes a second, so a booster of 100 trees takes the whole budget
    now = [0.0]
    fit = HistGradientBoostingClassifier.fit

    def slow_fit(booster: HistGradientBoostingClassifier, *rows: NDArray[Any]) -> HistGradientBoostingClassifier:
        now[0] += booster.max_iter
        return fit(booster, *rows)

    monkeypatch.setattr(HistGradientBoostingClassifier, "fit", slow_fit)
    monkeypatch.setattr(search, "time", SimpleNamespace(monotonic=lambda: now[0]))
    monkeypatch.setattr(search, "MIN_TIMED_CELLS", 1)
    candidates = [linear(Task.BINARY, 1), boosting(Task.BINARY, 100), boosting(Task.BINARY, 2), linear(Task.BINARY, 2)]
    # when
    selection = selected(Task.BINARY, candidates, budget=100)
    # then
    assert {score.name for score in selection.scores} == {candidates[index].name for index in (0, 2, 3)}
    assert selection.summary.endswith("1 candidate was skipped to stay within the budget of 100 seconds.")


@pytest.mark.parametrize("task", orders.TASKS)
def test_a_booster_that_fits_into_the_budget_is_tried(task: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "MIN_TIMED_CELLS", 1)
    assert len(selected(task, [linear(task, 1), boosting(task, 2)]).scores) == 2


def test_a_large_table_is_sampled_for_the_comparison_but_not_for_the_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    # given
    monkeypatch.setattr(search, "MAX_SELECTION_ROWS", 100)
    matrix, target = line(1000)
    # when
    selection = select_estimator(matrix, target, ONE_NUMBER, 0, 1000, [linear(Task.REGRESSION, 1e-9)])
    # then
    assert len(selection.rows) == len(set(selection.rows.tolist())) == len(selection.predicted) == 100
    assert np.all(np.diff(selection.rows) > 0)
    assert selection.rows.max() > 900
    assert "100 of the 1,000 training rows" in selection.summary
    assert selection.estimator["columns"].named_transformers_["numbers"]["scaler"].n_samples_seen_ == 1000


def test_the_sample_is_stratified_by_label(monkeypatch: pytest.MonkeyPatch) -> None:
    # given
    monkeypatch.setattr(search, "MAX_SELECTION_ROWS", 100)
    matrix, _ = line(1000)
    target = np.repeat([0, 1, 2], [700, 290, 10])
    # when
    selection = select_estimator(matrix, target, LearningProblem((NUMBER,), 3), 0, 1000, [linear(Task.MULTICLASS, 1)])
    # then
    assert np.bincount(target[selection.rows]) == pytest.approx([70, 29, 1], abs=1)


@pytest.mark.parametrize("seed", range(3))
def test_folds_differ_by_at_most_one_row_of_a_label(seed: int) -> None:
    target = np.random.default_rng(seed).permutation(np.repeat([0, 1, 2], [101, 50, 3]))
    folds = fold_of_each_row(target, LearningProblem((), 3), seed)
    for label in range(3):
        counts = np.bincount(folds[target == label], minlength=FOLDS)
        assert counts.max() - counts.min() <= 1


def test_folds_of_a_regression_differ_by_at_most_one_row() -> None:
    folds = fold_of_each_row(np.arange(103.0), ONE_NUMBER, 0)
    assert sorted(np.bincount(folds)) == [20, 20, 21, 21, 21]
    assert folds[:20].tolist() != sorted(folds[:20])


def test_the_seed_determines_the_folds() -> None:
    target = np.arange(50.0)
    first, again, other = (fold_of_each_row(target, ONE_NUMBER, seed).tolist() for seed in (1, 1, 2))
    assert first == again
    assert first != other


def test_a_large_table_has_fewer_folds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "LARGE_TABLE_ROWS", 20)
    assert fold_of_each_row(np.arange(20.0), ONE_NUMBER, 0).max() + 1 == FOLDS
    assert fold_of_each_row(np.arange(21.0), ONE_NUMBER, 0).max() + 1 == LARGE_TABLE_FOLDS


@pytest.mark.parametrize("task", orders.TASKS)
def test_twelve_rows_are_enough(task: Task) -> None:
    # given: the minimum number of rows
    matrix = MATRIX[:12]
    target = np.arange(12.0) if task is Task.REGRESSION else np.sort(np.arange(12) % len(LABELS[task]))
    # when
    problem = problem_of(task)
    candidates = [candidate for candidate in candidates_of(task) if "300" not in candidate.name]
    selection = select_estimator(matrix, target, problem, 0, 1000, candidates)
    # then
    assert {candidate.name for candidate in candidates} <= {score.name for score in selection.scores}
    assert all(np.isfinite(score.mean) for score in selection.scores)


@pytest.mark.parametrize("candidate", [linear(Task.BINARY, 1), boosting(Task.BINARY)], ids=["linear", "boosting"])
@pytest.mark.parametrize(
    "counts",
    [[248, 2], [249, 1], [100, 100, 48, 2], [200, 49, 1], [248, 1, 1]],
    ids=lambda counts: "-".join(map(str, counts)),
)
def test_a_label_with_one_or_two_rows_is_learned(counts: list[int], candidate: Candidate) -> None:
    # given: a fold without training rows of the rare label
    target = np.repeat(np.arange(len(counts)), counts)
    # when
    selection = select_estimator(MATRIX, target, LearningProblem(ENCODING.columns, len(counts)), 0, 1000, [candidate])
    # then
    assert selection.estimator.classes_.tolist() == list(range(len(counts)))
    assert selection.predicted.sum(axis=1) == pytest.approx(np.ones(ROWS))
    assert np.isfinite(selection.scores[0].mean)


@pytest.mark.parametrize("task", orders.TASKS)
def test_default_candidates_alternate_between_linear_and_boosting(task: Task) -> None:
    candidates = candidates_of(task)
    assert [candidate.boosting for candidate in candidates[:4]] == [False, True, False, True]
    assert len({candidate.name for candidate in candidates}) == len(candidates)
    assert candidates[0].kind == LINEAR.get(task, "logistic regression")
    assert candidates[0].name == f"{candidates[0].kind} ({STRENGTH.get(task, 'C')}=1.0)"


@pytest.mark.parametrize("task", orders.TASKS)
@pytest.mark.parametrize("index", [0, 1], ids=["linear", "boosting"])
@pytest.mark.parametrize("present", [0, 1], ids=["no-value", "one-value"])
def test_a_column_without_values_does_not_fail_the_fit(present: int, index: int, task: Task) -> None:
    # given: a column with no value, or with a single value, which a fold holds out
    problem = problem_of(task)
    matrix = MATRIX.copy()
    matrix[present:, 0] = np.nan
    # when
    selection = select_estimator(matrix, targets(ORDERS, task), problem, 0, 1000, [candidates_of(task)[index]])
    # then: an estimator fitted without values ignores the column
    records = matrix[:2].copy()
    records[:, 0] = [np.nan, 5.0]
    records[:, 1:] = matrix[0, 1:]
    outputs = outputs_of(selection.estimator, records, problem.labels)
    assert np.isfinite(outputs).all()
    assert present or outputs[0] == pytest.approx(outputs[1])


@pytest.mark.parametrize("task", orders.TASKS)
@pytest.mark.parametrize("index", [0, 1], ids=["linear", "boosting"])
def test_every_kind_predicts_a_row_without_values(task: Task, index: int) -> None:
    # given
    problem = problem_of(task)
    fitted = candidates_of(task)[index].build(problem, 0).fit(MATRIX, targets(ORDERS, task))
    empty_row = np.where([column.kind is ColumnKind.NUMBER for column in problem.columns], np.nan, -1.0)
    empty_row[[column.kind is ColumnKind.TERM for column in problem.columns]] = 0
    # then
    outputs = outputs_of(fitted, empty_row.reshape(1, -1), problem.labels)
    assert outputs.shape == (1, problem.labels or 1)
    assert np.isfinite(outputs).all()


def test_a_label_without_training_rows_has_the_probability_0() -> None:
    # given: four labels, two of them without rows
    matrix, value = line(50)
    candidate = linear(Task.MULTICLASS, 1)
    fitted = candidate.build(LearningProblem((NUMBER,), 4), 0).fit(matrix, np.where(value > 1, 3, 1))
    # when
    outputs = outputs_of(fitted, matrix, 4)
    # then
    assert (outputs[:, [0, 2]] == 0).all()
    assert outputs.sum(axis=1) == pytest.approx(np.ones(50))


def test_losses_equal_those_of_scikit_learn() -> None:
    # given
    generator = np.random.default_rng(0)
    probabilities = generator.dirichlet([1, 1, 1], 40)
    labels = generator.integers(3, size=40)
    values, truth = generator.normal(size=(2, 40))
    # then
    assert loss_of(probabilities, labels) == pytest.approx(log_loss(labels, probabilities, labels=[0, 1, 2]))
    assert loss_of(values.reshape(-1, 1), truth) == pytest.approx(root_mean_squared_error(truth, values))


def test_the_log_loss_of_a_probability_of_0_is_finite() -> None:
    assert 30 < loss_of(np.array([[1.0, 0.0]]), np.array([1])) < 40


def test_the_baseline_ignores_the_features() -> None:
    target = np.repeat([0, 1], [30, 10])
    matrix = np.zeros((40, 1))
    assert outputs_of(baseline_estimator(2).fit(matrix, target), matrix[:1], 2).tolist() == [[0.75, 0.25]]
    assert outputs_of(baseline_estimator(0).fit(matrix, target * 4.0), matrix[:1], 0).tolist() == [[1.0]]


def test_skill_is_the_relative_reduction_of_the_baseline_loss() -> None:
    matrix, target = line(40)
    value = select_estimator(matrix, target, ONE_NUMBER, 0, 1000, [linear(Task.REGRESSION, 1e6)])
    assert value.skill == pytest.approx(1 - (value.scores[0].mean / value.baseline.mean) ** 2)
    label = selected(Task.BINARY, [linear(Task.BINARY, 1)])
    assert label.skill == pytest.approx(1 - label.scores[0].mean / label.baseline.mean)


def test_skill_is_0_where_the_baseline_has_no_loss() -> None:
    matrix, _ = line(40)
    selection = select_estimator(matrix, np.full(40, 3.0), ONE_NUMBER, 0, 1000, [linear(Task.REGRESSION, 1)])
    assert selection.skill == 0
