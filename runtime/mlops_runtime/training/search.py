"""The search: candidates compared by cross-validation, within a budget of time."""

import math
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.ensemble import VotingClassifier, VotingRegressor
from sklearn.exceptions import ConvergenceWarning
from sklearn.pipeline import Pipeline

from mlops_runtime.training.candidates import Candidate, CandidateError, LearningProblem, check_candidate
from mlops_runtime.training.error_location import described
from mlops_runtime.training.fitted_model import outputs_of
from mlops_runtime.training.matrix import Matrix, without_empty_columns

FOLDS = 5
LARGE_TABLE_FOLDS = 3
LARGE_TABLE_ROWS = 5_000
"""A larger table has fewer folds: its mean loss varies less, and each fit takes longer."""

MAX_SELECTION_ROWS = 20_000
"""Maximum number of rows to compare candidates on; the chosen candidate is fitted on all rows."""

BLEND_WEIGHTS = (0.25, 0.5)
"""Weights to try for the best candidate of another kind; the overall best keeps at least half."""

LOG_LOSS_BLEND_MARGIN = 0.05
RMSE_BLEND_MARGIN = 0.015
"""Relative reduction of the log loss, and of the root mean squared error, that justifies a blend of two
estimators, which is harder to explain than a single estimator."""

MAX_WORSE_FOLDS = 1
"""Maximum number of folds in which a blend may have the same loss as the single estimator, or a higher loss."""

MIN_TIMED_CELLS = 1_000_000
"""On a larger matrix, two short fits of a booster estimate how long other fits take."""

TIMED_ITERATIONS = (1, 4)
"""Boosting iterations of the two short fits."""

DEFAULT_LEAVES = 31
"""Assumed number of leaves of a tree whose booster sets no maximum."""

PROBABILITY_TOLERANCE = 1e-4
"""Largest accepted distance of a probability from [0, 1], and of a sum of probabilities from 1: the errors of
single precision add up with the number of labels."""

EPSILON = 1e-15
"""Smallest probability to take the logarithm of."""


@dataclass(frozen=True, slots=True)
class Score:
    """Cross-validated loss of a candidate: mean and standard deviation over the folds.

    Attributes:
        name: name of the candidate.
        mean: mean over the folds.
        standard_deviation: standard deviation over the folds.
        converged: whether the estimator converged in all folds.
    """

    name: str
    mean: float
    standard_deviation: float
    converged: bool = True


@dataclass(frozen=True, slots=True)
class Trial:
    """A cross-validated candidate: its score and its out-of-fold outputs, shape (rows, labels) or (rows, 1)."""

    candidate: Candidate
    score: Score
    predicted: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Selection:
    """The result of a search.

    Attributes:
        estimator: the chosen estimator, fitted on all training rows.
        scores: scores of all cross-validated candidates, best first.
        baseline: score of the estimator that ignores the features.
        rows: indices of the rows that candidates were compared on.
        predicted: out-of-fold outputs of the chosen candidate for these rows.
        summary: how many candidates, rows and folds were compared, in sentences.
    """

    estimator: Any
    scores: tuple[Score, ...]
    baseline: Score
    rows: NDArray[np.intp]
    predicted: NDArray[np.float64]
    summary: str

    @property
    def name(self) -> str:
        """Name of the chosen candidate."""
        return self.scores[0].name

    @property
    def skill(self) -> float:
        """Relative reduction of the baseline's cross-validated log loss, or of its mean squared error."""
        power = 1 if self.predicted.shape[1] > 1 else 2
        if self.baseline.mean == 0:
            return 0.0
        return float(1 - (self.scores[0].mean / self.baseline.mean) ** power)


def loss_of(outputs: NDArray[np.float64], target: NDArray[Any]) -> float:
    """Return the log loss of outputs of shape (rows, labels), or the root mean squared error of shape (rows, 1).

    Args:
        outputs: probabilities of labels, or predicted values.
        target: shape (rows,), indices of the true labels, or true values.
    """
    if outputs.shape[1] == 1:
        return float(np.sqrt(np.mean((outputs[:, 0] - target) ** 2)))
    of_true_label = outputs[np.arange(len(target)), target]
    return float(-np.log(np.clip(of_true_label, EPSILON, 1)).mean())


def baseline_estimator(labels: int) -> Any:
    """Return the unfitted estimator that ignores the features and predicts the shares of the labels, or the mean."""
    return DummyClassifier(strategy="prior") if labels else DummyRegressor(strategy="mean")


def select_estimator(
    matrix: Matrix,
    target: NDArray[Any],
    problem: LearningProblem,
    seed: int,
    budget: float,
    candidates: Sequence[Candidate],
    on_scored: Callable[[Trial], None] = lambda _: None,
) -> Selection:
    """Return the candidate with the lowest cross-validated loss, or a blend of two, fitted on all rows.

    A classifier is chosen by log loss, not by ROC AUC, because the service returns probabilities. ROC AUC
    depends on the order of the records only, so it does not notice that all probabilities are too high or
    too low. A proper scoring rule rewards the true probability (Gneiting and Raftery 2007, Strictly proper
    scoring rules, prediction, and estimation, JASA 102).

    The result depends on the speed of the machine only if the budget ends the search.

    Args:
        matrix: shape (rows, columns), NaN where a number is missing.
        target: shape (rows,), indices of labels, or values.
        problem: the columns of the matrix and the number of labels.
        seed: seed of the folds and of the estimators.
        budget: seconds after which only the first candidate of each kind is still tried.
        candidates: estimators to choose from.
        on_scored: called with each candidate after its cross-validation.

    Raises:
        CandidateError: if a candidate cannot learn the task, be fitted or predict, or two have the same name.
    """
    if not candidates:
        raise CandidateError("CANDIDATES is empty: add a candidate to it in estimators.py")
    for candidate in candidates:
        check_candidate(candidate, problem.labels)
    for name, count in Counter(candidate.name for candidate in candidates).items():
        if count > 1:
            raise CandidateError(f"{count} candidates have the name {name}: change the kind or the parameters")
    started = time.monotonic()
    rows = _selection_rows(target, problem, seed)
    # Indexing copies the matrix.
    sample, sample_target = (matrix, target) if len(rows) == len(target) else (matrix[rows], target[rows])
    folds = fold_of_each_row(sample_target, problem, seed)
    baseline, _ = _cross_validate("baseline", baseline_estimator(problem.labels), sample, sample_target, folds, problem)
    trials: list[Trial] = []
    fit_time: _FitTime | None = None
    skipped = 0
    for candidate in candidates:
        expected_seconds = 0.0
        if candidate.boosting:
            fit_time = fit_time or _measure_fit_time(candidate, problem, seed, sample, sample_target)
            expected_seconds = fit_time.seconds(candidate) * folds.max()
        # The first candidate of a kind has the whole budget, so that a slow linear model does not exclude boosters.
        first_of_kind = all(trial.candidate.kind != candidate.kind for trial in trials)
        elapsed = 0.0 if first_of_kind else time.monotonic() - started
        if trials and elapsed + expected_seconds >= budget:
            skipped += 1
            continue
        estimator = candidate.build(problem, seed)
        score, predicted = _cross_validate(candidate.name, estimator, sample, sample_target, folds, problem)
        trials.append(Trial(candidate, score, predicted))
        on_scored(trials[-1])
    trials.sort(key=lambda trial: trial.score.mean)  # stable: among equal scores, the first candidate wins
    weights, best = _best_blend(trials, sample_target, folds)
    scores = [trial.score for trial in trials]
    return Selection(
        estimator=_fit(best.score.name, _build(weights, problem, seed), matrix, target)[0],
        scores=tuple(scores if len(weights) == 1 else [best.score, *scores]),
        baseline=baseline,
        rows=rows,
        predicted=best.predicted,
        summary=_summary(len(trials), skipped, len(rows), len(target), folds, budget),
    )


def _build(weights: Sequence[tuple[float, Candidate]], problem: LearningProblem, seed: int) -> Any:
    """Return the unfitted estimator of a candidate, or a blend that averages the outputs of two by weight.

    A blend by out-of-fold predictions is the stacking of Wolpert (1992, Stacked generalization, Neural
    Networks 5), with a few fixed weights that can hardly overfit.
    """
    parts = [(f"part_{index}", candidate.build(problem, seed)) for index, (_, candidate) in enumerate(weights)]
    if len(parts) == 1:
        return parts[0][1]
    shares = [weight for weight, _ in weights]
    if problem.labels:
        return VotingClassifier(parts, voting="soft", weights=shares)
    return VotingRegressor(parts, weights=shares)


def _best_blend(
    trials: Sequence[Trial], target: NDArray[Any], folds: NDArray[np.intp]
) -> tuple[list[tuple[float, Candidate]], Trial]:
    """Return candidates with their weights, and their trial as one estimator.

    A blend of the best candidate and the best candidate of another kind must reduce the loss by a
    margin and in nearly every fold. Otherwise the best candidate has all the weight.

    Args:
        trials: cross-validated candidates, best first.
        target: shape (rows,).
        folds: shape (rows,), the fold that each row belongs to.
    """
    best = trials[0]
    other = next((trial for trial in trials if trial.candidate.kind != best.candidate.kind), None)
    blend, blend_trial = [(1.0, best.candidate)], best
    if other is None:
        return blend, blend_trial
    margin = LOG_LOSS_BLEND_MARGIN if best.predicted.shape[1] > 1 else RMSE_BLEND_MARGIN
    lowest = best.score.mean * (1 - margin)
    for weight in BLEND_WEIGHTS:
        predicted = (1 - weight) * best.predicted + weight * other.predicted
        losses, alone = (
            np.array([loss_of(outputs[held_out], target[held_out]) for _, held_out in _splits(folds)])
            for outputs in (predicted, best.predicted)
        )
        # A blend that helps in some folds and harms in others may be better by chance.
        if losses.mean() < lowest and np.count_nonzero(losses >= alone) <= MAX_WORSE_FOLDS:
            lowest = float(losses.mean())
            name = f"{1 - weight:.0%} {best.candidate.name} + {weight:.0%} {other.candidate.name}"
            blend = [(1 - weight, best.candidate), (weight, other.candidate)]
            blend_trial = Trial(best.candidate, Score(name, lowest, float(losses.std())), predicted)
    return blend, blend_trial


def _summary(tried: int, skipped: int, sample: int, rows: int, folds: NDArray[np.intp], budget: float) -> str:
    compared = "all" if sample == rows else f"{sample:,} of the {rows:,}"
    candidates = "1 candidate was" if tried == 1 else f"{tried} candidates were"
    text = f"{candidates} compared on {compared} training rows in {folds.max() + 1} folds."
    if skipped:
        untried = "1 candidate was" if skipped == 1 else f"{skipped} candidates were"
        text += f" {untried} skipped to stay within the budget of {budget:g} seconds."
    return text


def _selection_rows(target: NDArray[Any], problem: LearningProblem, seed: int) -> NDArray[np.intp]:
    """Return the indices of the rows to compare candidates on, ascending."""
    if len(target) <= MAX_SELECTION_ROWS:
        return np.arange(len(target))
    order = _shuffled(target, problem, seed)
    evenly_spaced = np.linspace(0, len(order) - 1, MAX_SELECTION_ROWS).astype(np.intp)
    return np.sort(order[evenly_spaced])


def fold_of_each_row(target: NDArray[Any], problem: LearningProblem, seed: int) -> NDArray[np.intp]:
    """Return the index of the fold that each row belongs to, shape (rows,).

    The rows of a label go to the folds in turn, so that the numbers of rows of a label in two folds
    differ by at most 1. `StratifiedKFold` warns about a label with fewer rows than folds.
    """
    count = FOLDS if len(target) <= LARGE_TABLE_ROWS else LARGE_TABLE_FOLDS
    folds = np.empty(len(target), dtype=np.intp)
    folds[_shuffled(target, problem, seed)] = np.arange(len(target)) % count
    return folds


def _shuffled(target: NDArray[Any], problem: LearningProblem, seed: int) -> NDArray[np.intp]:
    """Return the indices of the rows in random order, grouped by label."""
    order = np.random.default_rng(seed).permutation(len(target))
    return order[np.argsort(target[order], kind="stable")] if problem.labels else order


def _cross_validate(
    name: str,
    estimator: Any,
    matrix: Matrix,
    target: NDArray[Any],
    folds: NDArray[np.intp],
    problem: LearningProblem,
) -> tuple[Score, NDArray[np.float64]]:
    """Return the score and the out-of-fold outputs of an estimator."""
    predicted = np.empty((len(target), problem.labels or 1))
    losses, converged = [], []
    for training, held_out in _splits(folds):
        fitted, fit_converged = _fit(name, clone(estimator), matrix[training], target[training])
        converged.append(fit_converged)
        predicted[held_out] = _outputs(name, fitted, matrix[held_out], problem)
        losses.append(loss_of(predicted[held_out], target[held_out]))
    return Score(name, float(np.mean(losses)), float(np.std(losses)), all(converged)), predicted


def _splits(folds: NDArray[np.intp]) -> Iterator[tuple[NDArray[np.bool_], NDArray[np.bool_]]]:
    """Yield masks of the training rows and of the held-out rows of each fold."""
    for fold in range(int(folds.max()) + 1):
        held_out = folds == fold
        yield ~held_out, held_out


def _fit(name: str, estimator: Any, matrix: Matrix, target: NDArray[Any]) -> tuple[Any, bool]:
    """Return the fitted estimator, and whether it converged."""
    if target.dtype.kind == "i" and (target == target[0]).all():
        # A fold may hold out the only row of a label. Classifiers refuse training rows with a single label.
        return baseline_estimator(1).fit(matrix, target), True
    matrix = without_empty_columns(matrix)
    with warnings.catch_warnings(record=True) as caught:
        # The score has this warning; shown for each fit, it would hide all other lines.
        warnings.simplefilter("always", ConvergenceWarning)
        try:
            fitted = estimator.fit(matrix, target)
        except Exception as error:  # third-party estimators may raise any exception
            raise CandidateError(f"{name} cannot be fitted: {described(error)}") from error
    others = [warning for warning in caught if not issubclass(warning.category, ConvergenceWarning)]
    for warning in others:
        warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)
    return fitted, len(others) == len(caught)


def _outputs(name: str, fitted: Any, matrix: Matrix, problem: LearningProblem) -> NDArray[np.float64]:
    try:
        outputs = outputs_of(fitted, matrix, problem.labels)
    except Exception as error:  # third-party estimators may raise any exception
        raise CandidateError(f"{name} cannot predict: {described(error)}") from error
    if not np.isfinite(outputs).all():
        raise CandidateError(f"{name} predicts values that are not finite: leave it out of the candidates")
    if problem.labels:
        _check_probabilities(name, outputs)
    return outputs


def _check_probabilities(name: str, outputs: NDArray[np.float64]) -> None:
    beyond = outputs[np.abs(outputs - 0.5) > 0.5 + PROBABILITY_TOLERANCE]
    if len(beyond):
        raise CandidateError(
            f"{name} predicts the probability {beyond[0]:g}, which is not between 0 and 1: correct its predict_proba"
        )
    sums = outputs.sum(axis=1)
    wrong = sums[np.abs(sums - 1) > PROBABILITY_TOLERANCE]
    if len(wrong):
        raise CandidateError(
            f"{name} predicts probabilities with a sum of {wrong[0]:g}, which is not 1: divide each row by its sum"
        )


@dataclass(frozen=True, slots=True)
class _FitTime:
    """Time that the fit of a booster takes, in seconds.

    Attributes:
        constant: time before the first tree.
        per_leaf: time of one iteration, divided by the maximum number of leaves of a tree.
    """

    constant: float
    per_leaf: float

    def seconds(self, candidate: Candidate) -> float:
        """Return an estimate for one fit of a candidate."""
        leaves: int = _parameter(candidate, "max_iter") * _parameter(candidate, "max_leaf_nodes")
        return self.constant + self.per_leaf * leaves


def _measure_fit_time(
    candidate: Candidate, problem: LearningProblem, seed: int, matrix: Matrix, target: NDArray[Any]
) -> _FitTime:
    """Return the time that boosters take on these rows, measured by two short fits; 0 for a small matrix."""
    if math.prod(matrix.shape) * max(problem.labels, 1) < MIN_TIMED_CELLS:
        return _FitTime(0.0, 0.0)
    shorter, longer = (
        _seconds(
            candidate.name, candidate.build(problem, seed).set_params(estimator__max_iter=iterations), matrix, target
        )
        for iterations in TIMED_ITERATIONS
    )
    per_iteration = max(longer - shorter, 0.0) / (TIMED_ITERATIONS[1] - TIMED_ITERATIONS[0])
    return _FitTime(max(shorter - per_iteration, 0.0), per_iteration / _parameter(candidate, "max_leaf_nodes"))


def _parameter(candidate: Candidate, name: str) -> int:
    parameters = candidate.estimator.get_params() | dict(candidate.parameters)
    value: int = parameters[name] or DEFAULT_LEAVES
    return value


def _seconds(name: str, estimator: Pipeline, matrix: Matrix, target: NDArray[Any]) -> float:
    started = time.monotonic()
    _fit(name, estimator, matrix, target)
    return time.monotonic() - started
