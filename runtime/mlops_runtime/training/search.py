"""The search: candidates compared by cross-validation, within a budget of time."""

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
from mlops_runtime.training.fitted_model import outputs_of

FOLDS = 5
FEWER_FOLDS = 3
MANY_ROWS = 5_000
"""From so many rows on there are fewer folds: the loss is known well enough, and time is short."""

SELECTION_ROWS = 20_000
"""Maximum number of rows that candidates are compared on; the chosen one is fitted on all."""

BLEND_WEIGHTS = (0.25, 0.5)
"""Of the second best kind; with a greater one it would be the best."""
BLEND_MARGIN = 0.05
BLEND_MARGIN_VALUES = 0.015
"""Share of log loss, and of root mean squared error, that a blend must take away from the best single
estimator: two are harder to explain."""
FOLDS_LOST = 1
"""Folds in which it may be no better."""

PROBED_CELLS = 1_000_000
FEW_ITERATIONS, MORE_ITERATIONS = 1, 4
"""With more cells than these, two short fits of a booster tell how long the others would take."""

NO_LIMIT = 31
"""Leaves that count where a booster has no limit."""

EPSILON = 1e-15
"""Least probability in a logarithm."""


@dataclass(frozen=True, slots=True)
class Score:
    """Loss of one candidate in cross-validation: its mean over the folds and their standard deviation."""

    name: str
    mean: float
    standard_deviation: float


@dataclass(frozen=True, slots=True)
class Trial:
    """A candidate that was tried: its score, and its outputs for each row while that row was held out."""

    candidate: Candidate
    score: Score
    predicted: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Selection:
    """The estimator chosen, and how.

    Attributes:
        estimator: fitted on all training rows.
        scores: of all candidates that were tried, best first.
        baseline: the score of the estimator that ignores the features.
        rows: indices of the rows that candidates were compared on.
        predicted: outputs of the chosen candidate for these rows, each by a fit without that row.
        search: a sentence on how the search went.
    """

    estimator: Any
    scores: tuple[Score, ...]
    baseline: Score
    rows: NDArray[np.intp]
    predicted: NDArray[np.float64]
    search: str

    @property
    def name(self) -> str:
        """Name of the chosen candidate."""
        return self.scores[0].name

    @property
    def skill(self) -> float:
        """Share of the baseline's loss that the chosen candidate takes away, in cross-validation; of squared errors."""
        power = 1 if self.predicted.shape[1] > 1 else 2
        if self.baseline.mean == 0:
            return 0.0
        return float(1 - (self.scores[0].mean / self.baseline.mean) ** power)


def loss_of(outputs: NDArray[np.float64], target: NDArray[Any]) -> float:
    """Return log loss, of shape (rows, labels) against places, or root mean squared error, of (rows, 1)."""
    if outputs.shape[1] == 1:
        return float(np.sqrt(np.mean((outputs[:, 0] - target) ** 2)))
    given = outputs[np.arange(len(target)), target]
    return float(-np.log(np.clip(given, EPSILON, 1)).mean())


def baseline_estimator(labels: int) -> Any:
    """Return the unfitted estimator that ignores the features: the shares of the labels, or the mean."""
    return DummyClassifier(strategy="prior") if labels else DummyRegressor(strategy="mean")


def select_estimator(
    matrix: NDArray[np.float64],
    target: NDArray[Any],
    problem: LearningProblem,
    seed: int,
    budget: float,
    candidates: Sequence[Candidate],
    on_scored: Callable[[Score], None] = lambda _: None,
) -> Selection:
    """Return the candidate with the lowest loss in cross-validation, or a blend of two, fitted on all rows given.

    For labels the loss is log loss and not ROC AUC, because the service answers with a
    probability: AUC looks at the order of the records alone, and a model whose probabilities are
    all too high or too low would pass unseen. A proper scoring rule rewards the true probability
    (Gneiting and Raftery 2007, Strictly proper scoring rules, prediction, and estimation, JASA 102).

    A search that its budget ends depends on the speed of the machine; one that ends before it is
    the same everywhere.

    Args:
        matrix: shape (rows, columns), NaN where a number is missing.
        target: shape (rows,), places of labels or values.
        problem: what the columns and the target are.
        seed: of the folds and of the estimators.
        budget: seconds after which no further candidate is begun, but the first of each kind.
        candidates: to choose from.
        on_scored: called with the score of each candidate, as soon as it is known.

    Raises:
        CandidateError: if a candidate cannot learn the task, be fitted or predict, or two have the same name.
    """
    if not candidates:
        raise CandidateError("there is no candidate to choose from: add one to CANDIDATES in estimators.py")
    for candidate in candidates:
        check_candidate(candidate, problem.labels)
    for name, count in Counter(candidate.name for candidate in candidates).items():
        if count > 1:
            raise CandidateError(f"{count} candidates are called {name}: give each a name or parameters of its own")
    began = time.monotonic()
    rows = _selection_rows(target, problem, seed)
    sample, wanted = matrix[rows], target[rows]
    folds = fold_of_each_row(wanted, problem, seed)
    baseline, _ = _scored("baseline", baseline_estimator(problem.labels), sample, wanted, folds, problem)
    trials: list[Trial] = []
    pace: _Pace | None = None
    skipped = 0
    for candidate in candidates:
        if candidate.boosting and pace is None:
            pace = _pace(candidate, problem, seed, sample, wanted)
        needed = pace.seconds(candidate) * folds.max() if candidate.boosting and pace else 0.0
        # The first of each kind gets a budget of its own: else a slow linear one would keep out all boosters.
        first = all(trial.candidate.kind != candidate.kind for trial in trials)
        if trials and (0.0 if first else time.monotonic() - began) + needed >= budget:
            skipped += 1
            continue
        estimator = candidate.build(problem, seed)
        score, predicted = _scored(candidate.name, estimator, sample, wanted, folds, problem)
        trials.append(Trial(candidate, score, predicted))
        on_scored(score)
    trials.sort(key=lambda trial: trial.score.mean)  # stable: of equal scores the first tried stays first
    weights, best = _blended(trials, wanted, folds)
    scores = [trial.score for trial in trials]
    return Selection(
        estimator=_fit(best.score.name, _built(weights, problem, seed), matrix, target),
        scores=tuple(scores if len(weights) == 1 else [best.score, *scores]),
        baseline=baseline,
        rows=rows,
        predicted=best.predicted,
        search=_search(len(trials), skipped, len(rows), len(target), folds, budget),
    )


def _built(weights: Sequence[tuple[float, Candidate]], problem: LearningProblem, seed: int) -> Any:
    """Return the unfitted estimator of one candidate, or a blend that averages the outputs of several by weight.

    Blending by the predictions of cross-validation is the stacking of Wolpert (1992, Stacked
    generalization, Neural Networks 5), with weights that cannot overfit.
    """
    parts = [(f"part_{place}", candidate.build(problem, seed)) for place, (_, candidate) in enumerate(weights)]
    if len(parts) == 1:
        return parts[0][1]
    shares = [weight for weight, _ in weights]
    return (
        VotingClassifier(parts, voting="soft", weights=shares)
        if problem.labels
        else VotingRegressor(parts, weights=shares)
    )


def _blended(
    trials: Sequence[Trial], target: NDArray[Any], folds: NDArray[np.intp]
) -> tuple[list[tuple[float, Candidate]], Trial]:
    """Return candidates with their weights, and the trial that stands for them together.

    That is the best candidate alone, unless a blend with the best one of another kind is better by a
    margin, and in nearly every fold.

    Args:
        trials: best first.
        target: shape (rows,), of the rows that were held out in turn.
        folds: shape (rows,), in which fold each row was held out.
    """
    best = trials[0]
    other = next((trial for trial in trials if trial.candidate.kind != best.candidate.kind), None)
    chosen, chosen_trial = [(1.0, best.candidate)], best
    if other is None:
        return chosen, chosen_trial
    margin = BLEND_MARGIN if best.predicted.shape[1] > 1 else BLEND_MARGIN_VALUES
    least = best.score.mean * (1 - margin)
    for weight in BLEND_WEIGHTS:
        predicted = (1 - weight) * best.predicted + weight * other.predicted
        losses, alone = (
            np.array([loss_of(outputs[outside], target[outside]) for _, outside in _each_fold(folds)])
            for outputs in (predicted, best.predicted)
        )
        # What helps in some folds and harms in others is chance.
        if losses.mean() < least and np.count_nonzero(losses >= alone) <= FOLDS_LOST:
            least = float(losses.mean())
            name = f"{1 - weight:.0%} {best.candidate.name} + {weight:.0%} {other.candidate.name}"
            chosen = [(1 - weight, best.candidate), (weight, other.candidate)]
            chosen_trial = Trial(best.candidate, Score(name, least, float(losses.std())), predicted)
    return chosen, chosen_trial


def _search(tried: int, skipped: int, sample: int, rows: int, folds: NDArray[np.intp], budget: float) -> str:
    compared = "all" if sample == rows else f"{sample:,} of the {rows:,}"
    candidates = "1 candidate was" if tried == 1 else f"{tried} candidates were"
    text = f"{candidates} compared on {compared} training rows in {folds.max() + 1} folds."
    if skipped:
        untried = "1 more was not tried: it" if skipped == 1 else f"{skipped} more were not tried: they"
        text += f" {untried} did not fit into the budget of {budget:g} seconds."
    return text


def _selection_rows(target: NDArray[Any], problem: LearningProblem, seed: int) -> NDArray[np.intp]:
    """Return the places of the rows to compare candidates on, ascending."""
    if len(target) <= SELECTION_ROWS:
        return np.arange(len(target))
    order = _shuffled(target, problem, seed)
    every = np.linspace(0, len(order) - 1, SELECTION_ROWS).astype(np.intp)
    return np.sort(order[every])


def fold_of_each_row(target: NDArray[Any], problem: LearningProblem, seed: int) -> NDArray[np.intp]:
    """Return the number of the fold that each row belongs to, shape (rows,).

    The rows of a label are dealt out in turn, so that the folds differ by one row of it at most,
    however few there are.
    """
    count = FOLDS if len(target) <= MANY_ROWS else FEWER_FOLDS
    folds = np.empty(len(target), dtype=np.intp)
    folds[_shuffled(target, problem, seed)] = np.arange(len(target)) % count
    return folds


def _shuffled(target: NDArray[Any], problem: LearningProblem, seed: int) -> NDArray[np.intp]:
    """Return the places of the rows in random order, those of one label side by side."""
    order = np.random.default_rng(seed).permutation(len(target))
    return order[np.argsort(target[order], kind="stable")] if problem.labels else order


def _scored(
    name: str,
    estimator: Any,
    matrix: NDArray[np.float64],
    target: NDArray[Any],
    folds: NDArray[np.intp],
    problem: LearningProblem,
) -> tuple[Score, NDArray[np.float64]]:
    """Return the score of an estimator, and its outputs for each row while it was held out."""
    predicted = np.empty((len(target), problem.labels or 1))
    losses = []
    for inside, outside in _each_fold(folds):
        fitted = _fit(name, clone(estimator), matrix[inside], target[inside])
        predicted[outside] = _outputs(name, fitted, matrix[outside], problem)
        losses.append(loss_of(predicted[outside], target[outside]))
    return Score(name, float(np.mean(losses)), float(np.std(losses))), predicted


def _each_fold(folds: NDArray[np.intp]) -> Iterator[tuple[NDArray[np.bool_], NDArray[np.bool_]]]:
    for number in range(int(folds.max()) + 1):
        outside = folds == number
        yield ~outside, outside


def _fit(name: str, estimator: Any, matrix: NDArray[np.float64], target: NDArray[Any]) -> Any:
    if target.dtype.kind == "i" and (target == target[0]).all():
        # A fold may hold out the only row of the other label: what is left of two is nothing to tell apart.
        return baseline_estimator(1).fit(matrix, target)
    empty = np.isnan(matrix).all(axis=0)
    if empty.any():
        # A booster fails on a column without any value. One of equal values teaches as little, without failing.
        matrix = np.where(empty, 0.0, matrix)
    with warnings.catch_warnings():
        # A fit that stops early has a higher loss, and the loss decides.
        warnings.simplefilter("ignore", ConvergenceWarning)
        try:
            return estimator.fit(matrix, target)
        except Exception as error:  # an estimator of anybody's may raise anything
            reason = str(error).partition("\n")[0]
            raise CandidateError(f"{name} cannot be fitted: {reason or type(error).__name__}") from error


def _outputs(name: str, fitted: Any, matrix: NDArray[np.float64], problem: LearningProblem) -> NDArray[np.float64]:
    try:
        outputs = outputs_of(fitted, matrix, problem.labels)
    except Exception as error:  # an estimator of anybody's may raise anything
        raise CandidateError(f"{name} cannot predict: {error}") from error
    if not np.isfinite(outputs).all():
        raise CandidateError(f"{name} predicts values that are not finite: leave it out of the candidates")
    return outputs


@dataclass(frozen=True, slots=True)
class _Pace:
    """How long boosters take.

    Attributes:
        start: seconds before the first tree.
        leaf: seconds for a leaf in each tree of one iteration.
    """

    start: float
    leaf: float

    def seconds(self, candidate: Candidate) -> float:
        """Return about how long one fit takes."""
        leaves: int = _parameter(candidate, "max_iter") * _parameter(candidate, "max_leaf_nodes")
        return self.start + self.leaf * leaves


def _pace(
    candidate: Candidate, problem: LearningProblem, seed: int, matrix: NDArray[np.float64], target: NDArray[Any]
) -> _Pace:
    """Return the pace of boosters on these rows, by two short fits; that of a small matrix is not worth a look."""
    if matrix.size * max(problem.labels, 1) < PROBED_CELLS:
        return _Pace(0.0, 0.0)
    few, more = (
        _seconds(
            candidate.name, candidate.build(problem, seed).set_params(estimator__max_iter=iterations), matrix, target
        )
        for iterations in (FEW_ITERATIONS, MORE_ITERATIONS)
    )
    each = max(more - few, 0.0) / (MORE_ITERATIONS - FEW_ITERATIONS)
    return _Pace(max(few - each, 0.0), each / _parameter(candidate, "max_leaf_nodes"))


def _parameter(candidate: Candidate, name: str) -> int:
    parameters = candidate.estimator.get_params() | dict(candidate.parameters)
    value: int = parameters[name] or NO_LIMIT
    return value


def _seconds(name: str, estimator: Pipeline, matrix: NDArray[np.float64], target: NDArray[Any]) -> float:
    began = time.monotonic()
    _fit(name, estimator, matrix, target)
    return time.monotonic() - began
