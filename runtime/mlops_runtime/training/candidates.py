"""The candidate estimators, and the choice among them by cross-validation within a budget of time."""

import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, zip_longest
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.exceptions import ConvergenceWarning
from sklearn.feature_extraction.text import TfidfTransformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import KFold
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler, TargetEncoder

from mlops_runtime.contract import Contract
from mlops_runtime.model.encoding import Column, ColumnKind
from mlops_runtime.training.fitted_model import outputs_of

FOLDS = 5
FEWER_FOLDS = 3
MANY_ROWS = 5_000
"""From so many rows on there are fewer folds: the loss is known well enough, and time is short."""

SELECTION_ROWS = 20_000
"""Most rows that settings are compared on; the chosen one is fitted on all."""

MAX_ONE_HOT = 20
"""Places that get a column each for a booster; more are encoded by what the target is like where they stand."""

MAX_ONE_HOT_LINEAR = 1000
MAX_ONE_HOT_CELLS = 30_000_000
"""A linear estimator learns a weight for each place, as long as the rows are few enough to hold the columns."""

BOOSTED_TERMS = 300
"""Words of a text that a booster looks at, the commonest: it tries every column at every node."""

SPARSE_DENSITY = 0.3
"""Share of cells that are not zero up to which a linear estimator takes a sparse matrix."""

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

EPSILON = 1e-15
"""Least probability in a logarithm."""


@dataclass(frozen=True, slots=True)
class LearningProblem:
    """What is to be learned: the columns of the matrix, how many labels there are (0: a value), from how many rows."""

    columns: tuple[Column, ...]
    labels: int
    rows: int = 0

    @property
    def loss(self) -> str:
        """The loss that settings are compared by."""
        return "log loss" if self.labels else "root mean squared error"


@dataclass(frozen=True, slots=True)
class Setting:
    """A kind of estimator with its parameters: a booster takes much longer than a linear one."""

    kind: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    boosting: bool = False

    @property
    def name(self) -> str:
        """As people call it."""
        return f"{self.kind} ({', '.join(f'{name}={value}' for name, value in sorted(self.parameters.items()))})"


@dataclass(frozen=True, slots=True)
class Score:
    """Loss of one setting in cross-validation: its mean over the folds and their standard deviation."""

    name: str
    mean: float
    standard_deviation: float


@dataclass(frozen=True, slots=True)
class Blend:
    """Two fitted estimators whose outputs are averaged by weight: where they err differently, they err less.

    Blending by the predictions of cross-validation is the stacking of Wolpert (1992, Stacked
    generalization, Neural Networks 5), with weights that cannot overfit.
    """

    parts: tuple[tuple[float, Pipeline], ...]

    @property
    def classes_(self) -> NDArray[np.intp]:
        """Labels that they know: both have seen the same rows."""
        classes: NDArray[np.intp] = self.parts[0][1].classes_
        return classes

    def predict_proba(self, matrix: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the probabilities, shape (rows, classes)."""
        return np.asarray(sum(weight * part.predict_proba(matrix) for weight, part in self.parts), dtype=np.float64)

    def predict(self, matrix: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the values, shape (rows,)."""
        return np.asarray(sum(weight * part.predict(matrix) for weight, part in self.parts), dtype=np.float64)


@dataclass(frozen=True, slots=True)
class Trial:
    """A setting that was tried: its score, and its outputs for each row while that was held out."""

    setting: Setting
    score: Score
    predicted: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Selection:
    """The estimator chosen, and how.

    Attributes:
        estimator: fitted on all training rows.
        scores: of all settings that were tried, best first.
        baseline: the score of the estimator that ignores the features.
        rows: places of the rows that settings were compared on.
        predicted: outputs of the chosen setting for these rows, each by a fit that had not seen it.
        search: a sentence on how the search went.
    """

    estimator: Pipeline | Blend
    scores: tuple[Score, ...]
    baseline: Score
    rows: NDArray[np.intp]
    predicted: NDArray[np.float64]
    search: str

    @property
    def name(self) -> str:
        """Name of the chosen estimator, with its setting."""
        return self.scores[0].name

    @property
    def skill(self) -> float:
        """Share of the baseline's loss that the chosen setting takes away, in cross-validation; of squared errors."""
        power = 1 if self.predicted.shape[1] > 1 else 2
        if self.baseline.mean == 0:
            return 0.0
        return float(1 - (self.scores[0].mean / self.baseline.mean) ** power)


# Of equal scores the first wins: simpler kinds come first.
LINEAR = ({"C": 1.0}, {"C": 0.1}, {"C": 10.0}, {"C": 3.0}, {"C": 0.3}, {"C": 0.01})
RIDGE = ({"alpha": 1.0}, {"alpha": 10.0}, {"alpha": 0.1}, {"alpha": 3.0}, {"alpha": 30.0}, {"alpha": 100.0})
BOOSTING = (
    {"learning_rate": 0.1, "max_iter": 100, "max_leaf_nodes": 31},
    {"learning_rate": 0.05, "max_iter": 100, "max_leaf_nodes": 6},
    {"learning_rate": 0.05, "max_iter": 300, "max_leaf_nodes": 15},
    {"learning_rate": 0.1, "max_iter": 300, "max_leaf_nodes": 31},
)


def settings_for(problem: LearningProblem) -> tuple[Setting, ...]:
    """Return the settings to try, the most promising of each kind first."""
    linear, grid = ("logistic regression", LINEAR) if problem.labels else ("ridge regression", RIDGE)
    simple = [Setting(linear, parameters) for parameters in grid]
    boosters = [Setting("gradient boosting", parameters, boosting=True) for parameters in BOOSTING]
    in_turn = chain.from_iterable(zip_longest(simple, boosters))
    return tuple(setting for setting in in_turn if setting is not None)


def build(setting: Setting, problem: LearningProblem, seed: int) -> Pipeline:
    """Return the unfitted pipeline of a setting."""
    parameters = dict(setting.parameters)
    if setting.boosting:
        kind = HistGradientBoostingClassifier if problem.labels else HistGradientBoostingRegressor
        estimator = kind(early_stopping=False, random_state=seed, **parameters)
    elif problem.labels:
        estimator = LogisticRegression(max_iter=1000, random_state=seed, **parameters)
    else:
        estimator = Ridge(random_state=seed, **parameters)
    return Pipeline([("columns", _columns(problem, seed, scaled=not setting.boosting)), ("estimator", estimator)])


def _columns(problem: LearningProblem, seed: int, *, scaled: bool) -> ColumnTransformer:
    """Return what makes the estimator's columns from those of the matrix.

    A booster takes numbers as they are, missing ones included, and counts of words. A linear
    estimator gets the median for a missing number, a column that says so, and all of them scaled;
    words count by the logarithm of how often they stand in a text, and by how few texts have them
    (Spärck Jones 1972, A statistical interpretation of term specificity and its application in
    retrieval, Journal of Documentation 28).
    """
    numbers = [place for place, column in enumerate(problem.columns) if column.kind is ColumnKind.NUMBER]
    most_terms = len(problem.columns) if scaled else BOOSTED_TERMS
    terms = [
        place
        for place, column in enumerate(problem.columns)
        if column.kind is ColumnKind.TERM and column.rank < most_terms
    ]
    places = {place: column.places for place, column in enumerate(problem.columns) if column.kind is ColumnKind.PLACE}
    most_places = MAX_ONE_HOT
    if scaled:
        most_places = max(MAX_ONE_HOT, min(MAX_ONE_HOT_LINEAR, MAX_ONE_HOT_CELLS // max(problem.rows, 1)))
    few = [place for place, count in places.items() if count <= most_places]
    many = [place for place, count in places.items() if count > most_places]
    prepared: Any = "passthrough"
    weighted: Any = "passthrough"
    if scaled:
        weighted = TfidfTransformer(sublinear_tf=True)
        imputer = SimpleImputer(strategy="median", add_indicator=True, keep_empty_features=True)
        prepared = Pipeline([("imputer", imputer), ("scaler", StandardScaler())])
    one_hot = OneHotEncoder(
        categories=[np.arange(max(places[place], 1), dtype=np.float64) for place in few],
        handle_unknown="ignore",
        sparse_output=scaled,
    )
    # The rows of a fold may lack a rare label: how many there are is told by the rows.
    kind = "auto" if problem.labels else "continuous"
    targets = TargetEncoder(target_type=kind, cv=KFold(FOLDS, shuffle=True, random_state=seed))
    return ColumnTransformer(
        [
            (name, transformer, chosen)
            for name, transformer, chosen in (
                ("numbers", prepared, numbers),
                ("few", one_hot, few),
                ("many", targets, many),
                ("terms", weighted, terms),
            )
            if chosen
        ],
        # Words and one-hot columns are nearly all zeros, which linear estimators pass over; a booster can't.
        sparse_threshold=SPARSE_DENSITY if scaled else 0,
    )


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
    settings: Sequence[Setting] | None = None,
    on_scored: Callable[[Score], None] = lambda _: None,
) -> Selection:
    """Return the setting with the lowest loss in cross-validation, or a blend of two, fitted on all rows given.

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
        budget: seconds after which no further setting is begun, but the first of each kind.
        settings: to choose from; by default those for the problem.
        on_scored: called with the score of each setting, as soon as it is known.
    """
    settings = settings_for(problem) if settings is None else settings
    began = time.monotonic()
    rows = _selection_rows(target, problem, seed)
    sample, wanted = matrix[rows], target[rows]
    folds = fold_of_each_row(wanted, problem, seed)
    baseline, _ = _scored("baseline", lambda: baseline_estimator(problem.labels), sample, wanted, folds, problem)
    trials: list[Trial] = []
    pace: _Pace | None = None
    skipped = 0
    for setting in settings:
        if setting.boosting and pace is None:
            pace = _pace(setting, problem, seed, sample, wanted)
        needed = pace.seconds(setting) * folds.max() if setting.boosting and pace else 0.0
        # The first of each kind gets a budget of its own: else a slow linear one would keep out all boosters.
        first = all(trial.setting.boosting != setting.boosting for trial in trials)
        if trials and (0.0 if first else time.monotonic() - began) + needed >= budget:
            skipped += 1
            continue
        estimator = build(setting, problem, seed)
        score, predicted = _scored(setting.name, lambda: clone(estimator), sample, wanted, folds, problem)  # noqa: B023
        trials.append(Trial(setting, score, predicted))
        on_scored(score)
    trials.sort(key=lambda trial: trial.score.mean)  # stable: of equal scores the first tried stays first
    weights, best = _blended(trials, wanted, folds)
    parts = tuple((weight, _fit(build(setting, problem, seed), matrix, target)) for weight, setting in weights)
    scores = [trial.score for trial in trials]
    return Selection(
        estimator=parts[0][1] if len(parts) == 1 else Blend(parts),
        scores=tuple(scores if len(parts) == 1 else [best.score, *scores]),
        baseline=baseline,
        rows=rows,
        predicted=best.predicted,
        search=_search(len(trials), skipped, len(rows), len(target), folds, budget),
    )


def _blended(
    trials: Sequence[Trial], target: NDArray[Any], folds: NDArray[np.intp]
) -> tuple[list[tuple[float, Setting]], Trial]:
    """Return settings with their weights, and the trial they amount to.

    That is the best setting alone, unless a blend of the best linear one and the best booster is
    better by a margin, and in nearly every fold.

    Args:
        trials: best first.
        target: shape (rows,), of the rows that were held out in turn.
        folds: shape (rows,), in which fold each row was held out.
    """
    best = trials[0]
    other = next((trial for trial in trials if trial.setting.boosting != best.setting.boosting), None)
    chosen, chosen_trial = [(1.0, best.setting)], best
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
            name = f"{1 - weight:.0%} {best.setting.name} + {weight:.0%} {other.setting.name}"
            chosen = [(1 - weight, best.setting), (weight, other.setting)]
            chosen_trial = Trial(best.setting, Score(name, least, float(losses.std())), predicted)
    return chosen, chosen_trial


def _search(tried: int, skipped: int, sample: int, rows: int, folds: NDArray[np.intp], budget: float) -> str:
    compared = "all" if sample == rows else f"{sample:,} of the {rows:,}"
    settings = "1 setting was" if tried == 1 else f"{tried} settings were"
    text = f"{settings} compared on {compared} training rows in {folds.max() + 1} folds."
    if skipped:
        untried = "1 more was not tried: it" if skipped == 1 else f"{skipped} more were not tried: they"
        text += f" {untried} did not fit into the budget of {budget:g} seconds."
    return text


def _selection_rows(target: NDArray[Any], problem: LearningProblem, seed: int) -> NDArray[np.intp]:
    """Return the places of the rows to compare settings on, ascending."""
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
    fresh: Callable[[], Any],
    matrix: NDArray[np.float64],
    target: NDArray[Any],
    folds: NDArray[np.intp],
    problem: LearningProblem,
) -> tuple[Score, NDArray[np.float64]]:
    """Return the score of an estimator, and its outputs for each row while it was held out."""
    predicted = np.empty((len(target), problem.labels or 1))
    losses = []
    for inside, outside in _each_fold(folds):
        fitted = _fit(fresh(), matrix[inside], target[inside])
        predicted[outside] = outputs_of(fitted, matrix[outside], problem.labels)
        losses.append(loss_of(predicted[outside], target[outside]))
    return Score(name, float(np.mean(losses)), float(np.std(losses))), predicted


def _each_fold(folds: NDArray[np.intp]) -> Iterator[tuple[NDArray[np.bool_], NDArray[np.bool_]]]:
    for number in range(int(folds.max()) + 1):
        outside = folds == number
        yield ~outside, outside


def _fit(estimator: Any, matrix: NDArray[np.float64], target: NDArray[Any]) -> Any:
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
        return estimator.fit(matrix, target)


@dataclass(frozen=True, slots=True)
class _Pace:
    """How long boosters take.

    Attributes:
        start: seconds before the first tree.
        leaf: seconds for a leaf in each tree of one iteration.
    """

    start: float
    leaf: float

    def seconds(self, setting: Setting) -> float:
        """Return about how long one fit takes."""
        leaves: int = setting.parameters["max_iter"] * setting.parameters["max_leaf_nodes"]
        return self.start + self.leaf * leaves


def _pace(
    setting: Setting, problem: LearningProblem, seed: int, matrix: NDArray[np.float64], target: NDArray[Any]
) -> _Pace:
    """Return the pace of boosters on these rows, by two short fits; that of a small matrix is not worth a look."""
    if matrix.size * max(problem.labels, 1) < PROBED_CELLS:
        return _Pace(0.0, 0.0)
    few, more = (
        _seconds(build(setting, problem, seed).set_params(estimator__max_iter=iterations), matrix, target)
        for iterations in (FEW_ITERATIONS, MORE_ITERATIONS)
    )
    each = max(more - few, 0.0) / (MORE_ITERATIONS - FEW_ITERATIONS)
    return _Pace(max(few - each, 0.0), each / setting.parameters["max_leaf_nodes"])


def _seconds(estimator: Pipeline, matrix: NDArray[np.float64], target: NDArray[Any]) -> float:
    began = time.monotonic()
    _fit(estimator, matrix, target)
    return time.monotonic() - began


def default_candidates(contract: Contract) -> tuple[Setting, ...]:
    """Return the candidates for the task of a contract: linear estimators and histogram gradient boosting."""
    return settings_for(LearningProblem((), len(contract.labels)))
