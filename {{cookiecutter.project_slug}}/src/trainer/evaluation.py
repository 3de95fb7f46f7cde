"""How good an estimator is on rows it has not seen, and how sure we may be of that.

Every metric is computed from a weight for each row: all ones for the value itself, and for a
bootstrap resample the number of times each row was drawn. So thousands of resamples are a few
array operations, and value and interval come from the same code.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.dummy import DummyClassifier
from sklearn.inspection import permutation_importance
from sklearn.pipeline import Pipeline

from trainer.table import Table

from {{cookiecutter.__package}}_model.datamodel import FEATURES
from {{cookiecutter.__package}}_model.metadata import Estimate

RESAMPLES = 2000
CONFIDENCE = 0.95
PERMUTATIONS = 20

METRICS = (
    "accuracy",
    "balanced_accuracy",
    "precision",
    "recall",
    "f1",
    "roc_auc",
    "average_precision",
    "brier",
    "log_loss",
)
LOWER_IS_BETTER = ("brier", "log_loss")


@dataclass(frozen=True, slots=True)
class Outcomes:
    """What is true of each row and what an estimator says of it.

    Attributes:
        truth: shape (rows,), whether the row has the positive label.
        predicted: shape (rows,), whether the estimator gives it the positive label.
        probability: shape (rows,), the estimator's probability of the positive label.
    """

    truth: NDArray[np.bool_]
    predicted: NDArray[np.bool_]
    probability: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Importance:
    """By how much log loss rises when one feature is shuffled: mean and standard deviation over the shuffles."""

    feature: str
    mean: float
    standard_deviation: float


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The held-out rows seen through the estimator.

    Attributes:
        positive: the label that precision and recall are about, the rarer one in training.
        negative: the other label.
        outcomes: truth and prediction, row by row.
        metrics: value and interval of each metric.
        majority: the same metrics of the estimator that ignores the features, always names the
            most common label, and gives each label its share in training as probability.
        importances: of each feature, the highest first.
    """

    positive: str
    negative: str
    outcomes: Outcomes
    metrics: Mapping[str, Estimate]
    majority: Mapping[str, float]
    importances: tuple[Importance, ...]


def evaluate(estimator: Pipeline, training: Table, held_out: Table, seed: int) -> Evaluation:
    """Return the evaluation of a fitted estimator on the held-out rows."""
    values, counts = np.unique(training.labels, return_counts=True)
    # What is rare is what one looks for: precision and recall of the common label flatter a model.
    positive, negative = (str(value) for value in values[np.argsort(counts, kind="stable")])
    majority = DummyClassifier(strategy="prior").fit(training.features, training.labels)
    outcomes = outcomes_of(estimator, held_out, positive)
    return Evaluation(
        positive=positive,
        negative=negative,
        outcomes=outcomes,
        metrics=estimates(outcomes, seed),
        majority=metric_values(outcomes_of(majority, held_out, positive)),
        importances=_importances(estimator, held_out, seed),
    )


def outcomes_of(estimator: Pipeline | DummyClassifier, table: Table, positive: str) -> Outcomes:
    """Return what the estimator says of the rows of a table."""
    column = estimator.classes_.tolist().index(positive)
    return Outcomes(
        truth=table.labels == positive,
        predicted=estimator.predict(table.features) == positive,
        probability=estimator.predict_proba(table.features)[:, column],
    )


def metric_values(outcomes: Outcomes) -> dict[str, float]:
    """Return the value of each metric."""
    weights = np.ones((1, len(outcomes.truth)))
    return {name: float(values[0]) for name, values in weighted_metrics(outcomes, weights).items()}


def estimates(outcomes: Outcomes, seed: int, resamples: int = RESAMPLES) -> dict[str, Estimate]:
    """Return the value of each metric with the bounds of its 95 % interval.

    The interval is the percentile bootstrap of Efron (1979, Bootstrap methods: another look at
    the jackknife, Annals of Statistics 7). Rows are drawn with replacement within each label, so
    that every resample has both. It says how much the metric would vary with other held-out
    rows; the estimator stays as it is.
    """
    weights = _resampled_weights(outcomes.truth, resamples, np.random.default_rng(seed))
    tail = (1 - CONFIDENCE) / 2
    bounds = {
        name: np.quantile(values, (tail, 1 - tail)) for name, values in weighted_metrics(outcomes, weights).items()
    }
    return {
        name: Estimate(value=value, low=float(bounds[name][0]), high=float(bounds[name][1]))
        for name, value in metric_values(outcomes).items()
    }


def weighted_metrics(outcomes: Outcomes, weights: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
    """Return each metric under each set of weights.

    Precision and F1 are 0 where the positive label is never predicted. Probabilities of 0 and 1
    are moved inwards by the machine epsilon for log loss, which would else be infinite.

    Args:
        outcomes: of n rows, with both labels among them.
        weights: shape (sets, n), how often each row counts.

    Returns:
        For each metric, shape (sets,).
    """
    truth, predicted, probability = outcomes.truth, outcomes.predicted, outcomes.probability
    true_positives = weights @ (truth & predicted)
    false_positives = weights @ (~truth & predicted)
    positives, negatives = weights @ truth, weights @ ~truth
    true_negatives = negatives - false_positives
    total = positives + negatives
    recall = true_positives / positives
    epsilon = np.finfo(np.float64).eps
    given_to_truth = np.clip(np.where(truth, probability, 1 - probability), epsilon, 1 - epsilon)
    roc_auc, average_precision = _ranking_metrics(outcomes, weights)
    return {
        "accuracy": (true_positives + true_negatives) / total,
        "balanced_accuracy": (recall + true_negatives / negatives) / 2,
        "precision": true_positives / np.maximum(true_positives + false_positives, 1),
        "recall": recall,
        "f1": 2 * true_positives / (positives + true_positives + false_positives),
        "roc_auc": roc_auc,
        "average_precision": average_precision,
        "brier": weights @ (probability - truth) ** 2 / total,
        "log_loss": -(weights @ np.log(given_to_truth)) / total,
    }


def _ranking_metrics(
    outcomes: Outcomes, weights: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return ROC AUC and average precision, each of shape (sets,).

    ROC AUC is the share of pairs, one row of each label, that the probabilities put in the right
    order, half for a tie (Hanley and McNeil 1982, Radiology 143). Average precision is the
    precision at each threshold weighted by the recall gained there.
    """
    order = np.argsort(-outcomes.probability, kind="stable")
    ranked = outcomes.probability[order]
    # Rows of one probability are one threshold.
    starts = np.concatenate(([0], np.flatnonzero(np.diff(ranked)) + 1))
    truth = outcomes.truth[order]
    gained = np.add.reduceat(weights[:, order] * truth, starts, axis=1)
    false = np.add.reduceat(weights[:, order] * ~truth, starts, axis=1)
    positives, negatives = gained.sum(axis=1), false.sum(axis=1)
    below = negatives[:, None] - false.cumsum(axis=1)
    roc_auc = (gained * (below + false / 2)).sum(axis=1) / (positives * negatives)
    found = gained.cumsum(axis=1)
    precision = found / np.maximum(found + false.cumsum(axis=1), 1)
    return roc_auc, (gained * precision).sum(axis=1) / positives


def _resampled_weights(truth: NDArray[np.bool_], resamples: int, generator: np.random.Generator) -> NDArray[np.float64]:
    weights = np.empty((resamples, len(truth)))
    for rows in (truth, ~truth):
        count = np.count_nonzero(rows)
        weights[:, rows] = generator.multinomial(count, np.full(count, 1 / count), size=resamples)
    return weights


def _importances(estimator: Pipeline, held_out: Table, seed: int) -> tuple[Importance, ...]:
    """Return the permutation importances (Breiman 2001, Random forests, Machine Learning 45)."""
    result = permutation_importance(
        estimator,
        held_out.features,
        held_out.labels,
        scoring="neg_log_loss",
        n_repeats=PERMUTATIONS,
        random_state=seed,
    )
    importances = [
        Importance(name, float(mean), float(spread))
        for name, mean, spread in zip(FEATURES, result.importances_mean, result.importances_std, strict=True)
    ]
    return tuple(sorted(importances, key=lambda importance: importance.mean, reverse=True))
