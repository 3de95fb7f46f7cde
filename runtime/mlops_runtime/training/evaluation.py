"""How good a model is on rows it has not seen, and how sure we may be of that.

Every metric is computed from a weight for each row: all ones for the value itself, and for a
bootstrap resample the number of times each row was drawn. So many resamples are a few array
operations, and value and interval come from the same code.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mlops_runtime.contract.fields import Task
from mlops_runtime.model.metadata import Estimate

MAX_RESAMPLES = 2000
MIN_RESAMPLES = 100
RESAMPLED_CELLS = 60_000_000
"""How many weights are drawn in all, each counted once for every label that is ranked: a few seconds of work."""

CHUNK_CELLS = 1_000_000
"""How many weights are in memory at once: with what is computed from them about 100 MB."""

CONFIDENCE = 0.95
ROUNDING = 1e-12
"""Numbers that differ by less than this, in proportion, count as equal."""

METRICS: Mapping[Task, tuple[str, ...]] = {
    Task.BINARY: (
        "accuracy",
        "balanced_accuracy",
        "precision",
        "recall",
        "f1",
        "roc_auc",
        "average_precision",
        "brier",
        "log_loss",
        "skill",
    ),
    Task.MULTICLASS: (
        "accuracy",
        "balanced_accuracy",
        "macro_precision",
        "macro_f1",
        "macro_roc_auc",
        "brier",
        "log_loss",
        "skill",
    ),
    Task.REGRESSION: (
        "r2",
        "mae",
        "rmse",
        "median_absolute_error",
        "coverage",
        "interval_width",
        "skill",
    ),
}
"""The metrics of each task, in the order in which people read them."""

LOWER_IS_BETTER = ("brier", "log_loss", "mae", "rmse", "median_absolute_error", "interval_width")

WeightedMetrics = Callable[[NDArray[np.float64]], dict[str, NDArray[np.float64]]]
"""Takes weights of shape (sets, rows), how often each row counts, and returns each metric, shape (sets,)."""


@dataclass(frozen=True, slots=True)
class LabelOutcomes:
    """What is true of each row and what a model says of it, where that is a label.

    Attributes:
        labels: that the model knows.
        truth: shape (rows,), the place of each row's label among them.
        probabilities: shape (rows, labels), the model's probability of each label.
    """

    labels: tuple[str, ...]
    truth: NDArray[np.intp]
    probabilities: NDArray[np.float64]

    @property
    def predicted(self) -> NDArray[np.intp]:
        """The place of each row's most probable label, the first of equal ones; shape (rows,)."""
        places: NDArray[np.intp] = np.argmax(self.probabilities, axis=1)
        return places


@dataclass(frozen=True, slots=True)
class ValueOutcomes:
    """What is true of each row and what a model says of it, where that is a value.

    Attributes:
        truth: shape (rows,), in the unit of the target, as all of these.
        predicted: shape (rows,).
        low: shape (rows,), lower end of the prediction interval.
        high: shape (rows,), its upper end.
    """

    truth: NDArray[np.float64]
    predicted: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]


Outcomes = LabelOutcomes | ValueOutcomes


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The held-out rows seen through the model.

    Attributes:
        task: what the model predicts.
        outcomes: truth and prediction, row by row.
        metrics: value and interval of each metric.
        baseline: the same metrics of the estimator that ignores the features: it gives each label
            its share in the training rows as probability, or each row their mean.
        positive: of two labels the one that precision and recall are about; otherwise None.
    """

    task: Task
    outcomes: Outcomes
    metrics: Mapping[str, Estimate]
    baseline: Mapping[str, float]
    positive: str | None


def evaluate(task: Task, outcomes: Outcomes, baseline: Outcomes, seed: int, positive: str | None = None) -> Evaluation:
    """Return the evaluation of a model on the held-out rows.

    Args:
        task: what the model predicts.
        outcomes: of the model.
        baseline: of the estimator that ignores the features, on the same rows.
        seed: of the resampling.
        positive: the label that precision and recall are about, the rarer one in training:
            needed where there are two labels, and only there.

    Raises:
        TypeError: if the outcomes are not those of the task.
        ValueError: if the task is binary and `positive` is none of its labels.
    """
    return Evaluation(
        task=task,
        outcomes=outcomes,
        metrics=estimates(weighted_metrics(task, outcomes, baseline, positive), outcomes, seed),
        baseline=metric_values(weighted_metrics(task, baseline, baseline, positive), len(baseline.truth)),
        positive=positive,
    )


def metric_values(weighted: WeightedMetrics, rows: int) -> dict[str, float]:
    """Return the value of each metric on so many rows, each of which counts once."""
    return {name: float(values[0]) for name, values in weighted(np.ones((1, rows))).items()}


def estimates(
    weighted: WeightedMetrics, outcomes: Outcomes, seed: int, resamples: int | None = None
) -> dict[str, Estimate]:
    """Return the value of each metric with the bounds of its 95 % interval.

    The interval is the percentile bootstrap of Efron (1979, Bootstrap methods: another look at
    the jackknife, Annals of Statistics 7). Rows are drawn with replacement, within each label
    where there are labels, so that every resample has them all. It says how much the metric
    would vary with other held-out rows; the model stays as it is.

    Args:
        weighted: the metrics of these outcomes.
        outcomes: of the model.
        seed: of the resampling.
        resamples: how many; by default the fewer, the more rows and labels there are.
    """
    rows = len(outcomes.truth)
    strata = _strata(outcomes)
    generator = np.random.default_rng(seed)
    left = resamples or affordable_resamples(outcomes)
    drawn: dict[str, list[NDArray[np.float64]]] = {}
    while left:
        sets = min(left, max(CHUNK_CELLS // rows, 1))
        for name, values in weighted(_resampled_weights(rows, strata, sets, generator)).items():
            drawn.setdefault(name, []).append(values)
        left -= sets
    tail = (1 - CONFIDENCE) / 2
    bounds = {name: np.quantile(np.concatenate(values), (tail, 1 - tail)) for name, values in drawn.items()}
    return {
        name: Estimate(value=value, low=float(bounds[name][0]), high=float(bounds[name][1]))
        for name, value in metric_values(weighted, rows).items()
    }


def weighted_metrics(
    task: Task, outcomes: Outcomes, baseline: Outcomes, positive: str | None = None
) -> WeightedMetrics:
    """Return the function that computes the metrics of a task under sets of weights.

    Skill is the share of the baseline's loss that the model saves, the loss being log loss or mean
    squared error: 1 is perfect, 0 no better than the baseline, less than 0 worse (Murphy 1988, Skill
    scores based on the mean square error and their relationships to the correlation coefficient,
    Monthly Weather Review 116). Where the baseline has no loss there is none to save: 0.

    Args:
        task: what the model predicts.
        outcomes: of the model.
        baseline: of the estimator that ignores the features, on the same rows.
        positive: the label that precision and recall are about, where there are two.

    Raises:
        TypeError: if the outcomes are not those of the task.
        ValueError: if the task is binary and `positive` is none of its labels.
    """
    metrics = _task_metrics(task, outcomes, positive)
    losses = np.column_stack([_row_losses(outcomes), _row_losses(baseline)])

    def weighted(weights: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
        loss, reference = (weights @ losses).T
        skill = np.where(reference > 0, 1 - loss / np.where(reference > 0, reference, 1), 0)
        return metrics(weights) | {"skill": skill}

    return weighted


def _task_metrics(task: Task, outcomes: Outcomes, positive: str | None) -> WeightedMetrics:
    """Return the function that computes all metrics of a task but skill, which needs a baseline."""
    match task, outcomes:
        case Task.BINARY, LabelOutcomes():
            if positive not in outcomes.labels:
                raise ValueError(f"positive is {positive!r}: give one of the labels {', '.join(outcomes.labels)}")
            return _binary_metrics(outcomes, outcomes.labels.index(positive))
        case Task.MULTICLASS, LabelOutcomes():
            return _multiclass_metrics(outcomes)
        case Task.REGRESSION, ValueOutcomes():
            return _value_metrics(outcomes)
    raise TypeError(f"{type(outcomes).__name__} are no outcomes of a {task} model")


def _binary_metrics(outcomes: LabelOutcomes, place: int) -> WeightedMetrics:
    """Return the function that computes the metrics of two labels.

    A share of nothing is 0: precision where the positive label is never predicted, recall and
    average precision where no row has it.
    """
    truth, predicted = outcomes.truth == place, outcomes.predicted == place
    losses = _row_losses(outcomes)
    squares = (outcomes.probabilities[:, place] - truth) ** 2
    columns = np.column_stack([truth, predicted, truth & predicted, squares, losses]).astype(np.float64)
    ranking = _ranking(truth, outcomes.probabilities[:, place])

    def weighted(weights: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
        positives, alarms, found, squared, lost = (weights @ columns).T
        total = weights.sum(axis=1)
        negatives = total - positives
        cleared = negatives - (alarms - found)
        present = (positives > 0).astype(np.float64) + (negatives > 0)
        recall = _share(found, positives)
        gained, false = ranking(weights)
        return {
            "accuracy": (found + cleared) / total,
            "balanced_accuracy": (recall + _share(cleared, negatives)) / present,
            "precision": _share(found, alarms),
            "recall": recall,
            "f1": _share(2 * found, positives + alarms),
            "roc_auc": _roc_auc(gained, false),
            "average_precision": _average_precision(gained, false),
            "brier": squared / total,
            "log_loss": lost / total,
        }

    return weighted


def _multiclass_metrics(outcomes: LabelOutcomes) -> WeightedMetrics:
    """Return the function that computes the metrics of several labels.

    Macro averages are over the labels that the rows have: nothing is known of the others.
    The Brier score is the sum over the labels, from 0 to 2 (Brier 1950, Verification of forecasts
    expressed in terms of probability, Monthly Weather Review 78).
    """
    truth, predicted, probabilities = outcomes.truth, outcomes.predicted, outcomes.probabilities
    present = np.unique(truth).tolist()
    held = [np.flatnonzero(truth == place) for place in present]
    named = [np.flatnonzero(predicted == place) for place in present]
    hit = [np.flatnonzero((truth == place) & (predicted == place)) for place in present]
    rankings = [_ranking(truth == place, probabilities[:, place]) for place in present]
    squares = (probabilities**2).sum(axis=1) - 2 * _given_to_truth(outcomes) + 1
    columns = np.column_stack([truth == predicted, squares, _row_losses(outcomes)])

    def weighted(weights: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
        right, squared, lost = (weights @ columns).T
        total = weights.sum(axis=1)
        rows, alarms, found = (_sums(weights, groups) for groups in (held, named, hit))
        # The average is over the labels whose rows weigh anything.
        drawn = np.maximum((rows > 0).sum(axis=1), 1)
        areas = np.column_stack([_roc_auc(*ranking(weights)) for ranking in rankings])
        return {
            "accuracy": right / total,
            "balanced_accuracy": _share(found, rows).sum(axis=1) / drawn,
            "macro_precision": _share(found, alarms).sum(axis=1) / drawn,
            "macro_f1": _share(2 * found, rows + alarms).sum(axis=1) / drawn,
            "macro_roc_auc": (areas * (rows > 0)).sum(axis=1) / drawn,
            "brier": squared / total,
            "log_loss": lost / total,
        }

    return weighted


def _value_metrics(outcomes: ValueOutcomes) -> WeightedMetrics:
    """Return the function that computes the metrics of values.

    R² is 0 where all rows that count have the same true value: there is no variance to explain.
    """
    truth = outcomes.truth
    errors = np.abs(truth - outcomes.predicted)
    # In the order of their error, the median is where half of the weight is reached.
    order = np.argsort(errors, kind="stable")
    ascending = errors[order]
    inside = (outcomes.low <= truth) & (truth <= outcomes.high)
    # Around the mean, a variance is not the small difference of two large numbers.
    centred = truth - truth.mean() if np.ptp(truth) else np.zeros_like(truth)
    least = ROUNDING * float(np.mean(centred**2))
    columns = np.column_stack([errors, errors**2, centred, centred**2, inside, outcomes.high - outcomes.low])

    def weighted(weights: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
        total = weights.sum(axis=1)
        absolute, squared, mean, spread, held, width = (weights @ columns).T / total
        variance = spread - mean**2
        varies = variance > least
        return {
            "r2": np.where(varies, 1 - squared / np.where(varies, variance, 1), 0),
            "mae": absolute,
            "rmse": np.sqrt(squared),
            "median_absolute_error": _weighted_median(ascending, np.take(weights, order, axis=1)),
            "coverage": held,
            "interval_width": width,
        }

    return weighted


def _row_losses(outcomes: Outcomes) -> NDArray[np.float64]:
    """Return the loss of each row, shape (rows,): minus the logarithm of the truth's probability, or the squared error.

    A probability of 0 counts as the machine epsilon, its logarithm would be infinite; one that rounding
    has made greater than 1 counts as 1, its loss would be negative. An error that
    is mere rounding counts as none, or a baseline that is right on all rows would still have a loss.
    """
    if isinstance(outcomes, LabelOutcomes):
        return -np.log(np.clip(_given_to_truth(outcomes), np.finfo(np.float64).eps, 1))
    errors = outcomes.truth - outcomes.predicted
    errors[np.abs(errors) <= ROUNDING * np.abs(outcomes.truth)] = 0
    return errors**2


def _given_to_truth(outcomes: LabelOutcomes) -> NDArray[np.float64]:
    """Return the probability that each row's true label was given, shape (rows,)."""
    return outcomes.probabilities[np.arange(len(outcomes.truth)), outcomes.truth]


def _share(part: NDArray[np.float64], whole: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return part / whole, 0 where the whole is."""
    return part / np.where(whole > 0, whole, 1)


def _sums(weights: NDArray[np.float64], groups: Sequence[NDArray[np.intp]]) -> NDArray[np.float64]:
    """Return the weight of each group of rows, shape (sets, groups)."""
    return np.column_stack([weights[:, rows].sum(axis=1) for rows in groups])


def _weighted_median(ascending: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the median of values, shape (sets,): the mean of both middle ones if they are two."""
    reached = weights.cumsum(axis=1)
    half = reached[:, -1:] / 2
    below, up_to = np.count_nonzero(reached < half, axis=1), np.count_nonzero(reached <= half, axis=1)
    median: NDArray[np.float64] = (ascending[below] + ascending[up_to]) / 2
    return median


_Ranking = Callable[[NDArray[np.float64]], tuple[NDArray[np.float64], NDArray[np.float64]]]


def _ranking(truth: NDArray[np.bool_], probability: NDArray[np.float64]) -> _Ranking:
    """Return the function that weighs rows in the order of their probability, the highest first.

    It takes weights of shape (sets, rows) and returns the weight of the positive rows, and that of
    the others, at each threshold, both of shape (sets, thresholds).
    """
    order = np.argsort(-probability, kind="stable")
    ranked, positive = probability[order], truth[order].astype(np.float64)
    # Rows of one probability are one threshold.
    starts = np.concatenate(([0], np.flatnonzero(np.diff(ranked)) + 1))

    def weigh(weights: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        ordered = np.take(weights, order, axis=1)
        everything = np.add.reduceat(ordered, starts, axis=1)
        ordered *= positive
        gained = np.add.reduceat(ordered, starts, axis=1)
        return gained, everything - gained

    return weigh


def _roc_auc(gained: NDArray[np.float64], false: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the area under the ROC curve, shape (sets,).

    It is the share of pairs, one row of each kind, that the probabilities put in the right order,
    half for a tie (Hanley and McNeil 1982, Radiology 143); a half where there is no pair.
    """
    pairs = gained.sum(axis=1) * false.sum(axis=1)
    # A positive row is right about all others but those above it, and half of those beside it.
    wrong = (gained * (false.cumsum(axis=1) - false / 2)).sum(axis=1)
    return np.where(pairs > 0, 1 - wrong / np.where(pairs > 0, pairs, 1), 0.5)


def _average_precision(gained: NDArray[np.float64], false: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the precision at each threshold weighted by the recall gained there, shape (sets,)."""
    found = gained.cumsum(axis=1)
    precision = _share(found, found + false.cumsum(axis=1))
    return _share((gained * precision).sum(axis=1), found[:, -1])


def _strata(outcomes: Outcomes) -> list[NDArray[np.intp]]:
    """Return the places of the rows of each label, or of all rows where there are no labels."""
    if isinstance(outcomes, LabelOutcomes):
        return [np.flatnonzero(outcomes.truth == place) for place in np.unique(outcomes.truth).tolist()]
    return [np.arange(len(outcomes.truth))]


def affordable_resamples(outcomes: Outcomes) -> int:
    """Return how many resamples are drawn by default."""
    rankings = len(outcomes.labels) if isinstance(outcomes, LabelOutcomes) and len(outcomes.labels) > 2 else 1
    return int(np.clip(RESAMPLED_CELLS // (len(outcomes.truth) * rankings), MIN_RESAMPLES, MAX_RESAMPLES))


def _resampled_weights(
    rows: int, strata: Sequence[NDArray[np.intp]], sets: int, generator: np.random.Generator
) -> NDArray[np.float64]:
    """Return how often each row is drawn, shape (sets, rows), when a stratum is drawn from as often as it has rows."""
    weights = np.empty((sets, rows))
    for stratum in strata:
        count = len(stratum)
        for drawn, row in zip(generator.integers(count, size=(sets, count)), weights, strict=True):
            row[stratum] = np.bincount(drawn, minlength=count)
    return weights
