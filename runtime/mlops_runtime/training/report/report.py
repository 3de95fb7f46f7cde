"""The report: an HTML file with the metrics, the data and the provenance of a model."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

from mlops_runtime.contract.fields import Task
from mlops_runtime.model.metadata import Interval, Metadata
from mlops_runtime.training.evaluation import LOWER_IS_BETTER, Evaluation, LabelOutcomes, ValueOutcomes
from mlops_runtime.training.gate import CROSS_VALIDATED_SKILL, Check
from mlops_runtime.training.importance import Importance
from mlops_runtime.training.report import figures
from mlops_runtime.training.report.shell import number, report_environment
from mlops_runtime.training.search import Score

TEMPLATE = "report.html"

MAX_NAMES = 30
"""Maximum number of fields, or labels of a confusion matrix, to show; the others are counted."""

METRIC_NOTES: Mapping[str, str] = {
    "accuracy": "share of rows with the correct label",
    "balanced_accuracy": "mean recall of the labels",
    "precision": "share of true positives among the predicted positives",
    "recall": "share of the positive rows that are predicted as positive",
    "f1": "harmonic mean of precision and recall",
    "roc_auc": "probability that a positive row ranks above a negative row",
    "average_precision": "area under the precision-recall curve",
    "macro_precision": "precision; mean over the labels",
    "macro_f1": "F1; mean over the labels",
    "macro_roc_auc": "one-vs-rest ROC AUC; mean over the labels",
    "brier": "mean squared error of the probabilities",
    "log_loss": "mean negative logarithm of the probability of the true label",
    "r2": "share of the variance that the model explains",
    "mae": "mean absolute difference between predicted and true value",
    "rmse": "square root of the mean squared error; large errors have more weight",
    "median_absolute_error": "half of the absolute errors are smaller",
    "coverage": "share of the true values inside their prediction interval",
    "interval_width": "mean width of the prediction intervals",
    "skill": "relative reduction of the loss of an estimator that ignores the features",
    CROSS_VALIDATED_SKILL: "skill in cross-validation on the training rows",
}
METRIC_NAMES: Mapping[str, str] = {
    "roc_auc": "ROC AUC",
    "macro_roc_auc": "Macro ROC AUC",
    "f1": "F1",
    "macro_f1": "Macro F1",
    "brier": "Brier score",
    "r2": "R²",
    "mae": "Mean absolute error",
    "rmse": "Root mean squared error",
    CROSS_VALIDATED_SKILL: "Cross-validated skill",
}
TARGET_UNIT_METRICS = ("mae", "rmse", "median_absolute_error", "interval_width")
"""Metrics in the unit of the target; the others have no unit."""

KEY_METRICS: Mapping[Task, Sequence[str]] = {
    Task.BINARY: ("accuracy", "recall", "precision", "roc_auc"),
    Task.MULTICLASS: ("accuracy", "balanced_accuracy", "macro_f1", "skill"),
    Task.REGRESSION: ("median_absolute_error", "mae", "r2", "coverage"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """Results of a training run.

    Attributes:
        metadata: metadata of the model.
        data: file name of the training table.
        subject: description of a record, in a sentence.
        label_counts: each label with its numbers of training rows and of held-out rows; empty for regression.
        missing: number of missing values of each field with missing values.
        notes: sentences about rows or columns that are not used.
        scores: cross-validated scores of all candidates, best first.
        search_summary: how many candidates, rows and folds were compared, in sentences.
        baseline_score: cross-validated loss of the estimator that ignores the features.
        evaluation: evaluation of the chosen candidate on the held-out rows.
        importances: importance of each field, in descending order.
        checks: one check for each floor of the gate.
    """

    metadata: Metadata
    data: str
    subject: str
    label_counts: Sequence[tuple[str, int, int]]
    missing: Mapping[str, int]
    notes: Sequence[str]
    scores: Sequence[Score]
    search_summary: str
    baseline_score: float
    evaluation: Evaluation
    importances: Sequence[Importance]
    checks: Sequence[Check]

    @property
    def loss(self) -> str:
        """Name of the loss that candidates are compared by."""
        return "log loss" if self.metadata.labels else "root mean squared error"

    @property
    def passed(self) -> bool:
        """Whether all metrics reach their floors."""
        return all(check.passed for check in self.checks)


@dataclass(frozen=True, slots=True)
class Confusion:
    """Confusion matrix.

    Attributes:
        labels: labels with the most rows, in the order of the contract, and a group of all other labels, if any.
        counts: number of rows by true label (rows) and predicted label (columns).
        worst: true label, predicted label, count, and rows of the true label, of the most frequent error, if any.
        others: number of labels in the group of other labels.
    """

    labels: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]
    worst: tuple[str, str, int, int] | None
    others: int


@dataclass(frozen=True, slots=True)
class Bar:
    """The bar of an importance and the line of its standard deviation, in percent of the width."""

    importance: Importance
    left: float
    width: float
    spread_left: float
    spread_width: float


def render_report(findings: Findings) -> str:
    """Return the report as an HTML document without external resources."""
    environment = report_environment(Path(__file__).parent, METRIC_NAMES)
    environment.filters |= {
        "amount": amount,
        "metric": metric_text,
        "loss": _loss_text,
        "increase": increase_text(findings.importances),
    }
    shown = findings.importances[:MAX_NAMES]
    zero, bars = importance_bars(shown)
    return environment.get_template(TEMPLATE).render(
        findings=findings,
        evaluation=findings.evaluation,
        metrics=findings.evaluation.metrics,
        baseline=findings.evaluation.baseline,
        metadata=findings.metadata,
        rows=findings.metadata.rows["held_out"],
        failed=[check for check in findings.checks if not check.passed],
        key_metrics=KEY_METRICS[findings.metadata.task],
        metric_notes=METRIC_NOTES,
        lower_is_better=LOWER_IS_BETTER,
        bars=bars,
        zero=zero,
        less_important=findings.importances[MAX_NAMES:],
        missing=dict(list(findings.missing.items())[:MAX_NAMES]),
        **_task_context(findings),
    )


def _task_context(findings: Findings) -> dict[str, Any]:
    """Return the part of the template's context that depends on the task."""
    evaluation = findings.evaluation
    match evaluation.outcomes:
        case LabelOutcomes() as outcomes if evaluation.positive is not None:
            return _binary_context(outcomes, evaluation, evaluation.positive)
        case LabelOutcomes() as outcomes:
            return _multiclass_context(outcomes)
        case ValueOutcomes() as outcomes:
            return _value_context(outcomes, findings.metadata.interval)
    raise TypeError(f"the report of a table's model cannot show {type(evaluation.outcomes).__name__}")


def _binary_context(outcomes: LabelOutcomes, evaluation: Evaluation, positive: str) -> dict[str, Any]:
    index = outcomes.labels.index(positive)
    truth, predicted = outcomes.truth == index, outcomes.predicted == index
    probability = outcomes.probabilities[:, index]
    auc, precision = (evaluation.metrics[name].value for name in ("roc_auc", "average_precision"))
    return {
        "positive": positive,
        "negative": outcomes.labels[1 - index],
        "confusion": {
            "true_positive": int(np.count_nonzero(truth & predicted)),
            "false_negative": int(np.count_nonzero(truth & ~predicted)),
            "false_positive": int(np.count_nonzero(~truth & predicted)),
            "true_negative": int(np.count_nonzero(~truth & ~predicted)),
        },
        "figures": {
            "roc": figures.roc_figure(truth, predicted, probability, auc),
            "precision_recall": figures.precision_recall_figure(truth, predicted, probability, precision),
            "calibration": figures.calibration_figure(truth, probability),
        },
    }


def _multiclass_context(outcomes: LabelOutcomes) -> dict[str, Any]:
    correct = outcomes.truth == outcomes.predicted
    return {
        "correct": int(np.count_nonzero(correct)),
        "confusion": confusion(outcomes),
        "label_metrics": label_metrics(outcomes),
        "figures": {"calibration": figures.calibration_figure(correct, outcomes.probabilities.max(axis=1))},
    }


def _value_context(outcomes: ValueOutcomes, interval: Interval | None) -> dict[str, Any]:
    return {
        "interval": interval,
        "max_points": figures.MAX_POINTS,
        "logarithmic": figures.linear_threshold(outcomes) is not None,
        "inside": int(np.count_nonzero((outcomes.low <= outcomes.truth) & (outcomes.truth <= outcomes.high))),
        "figures": {
            "actual": figures.actual_figure(outcomes),
            "residuals": figures.residual_figure(outcomes),
            "residual_histogram": figures.residual_histogram(outcomes),
            "intervals": figures.interval_figure(outcomes),
        },
    }


def confusion(outcomes: LabelOutcomes) -> Confusion:
    """Return the confusion matrix, with at most `MAX_NAMES` labels."""
    counts = confusion_matrix(outcomes.truth, outcomes.predicted, labels=range(len(outcomes.labels)))
    errors = counts * (1 - np.eye(len(counts), dtype=np.intp))
    worst = None
    if errors.any():
        true, predicted = np.unravel_index(errors.argmax(), errors.shape)
        worst = (
            outcomes.labels[true],
            outcomes.labels[predicted],
            int(errors[true, predicted]),
            int(counts[true].sum()),
        )
    others = 0
    names: tuple[str, ...] = outcomes.labels
    if len(names) > MAX_NAMES:
        common = np.argsort(-counts.sum(axis=1), kind="stable")
        kept, grouped = np.sort(common[: MAX_NAMES - 1]), common[MAX_NAMES - 1 :]
        others = len(grouped)
        groups = [*([index] for index in kept.tolist()), grouped.tolist()]
        counts = np.array([[counts[np.ix_(rows, columns)].sum() for columns in groups] for rows in groups])
        names = (*(outcomes.labels[index] for index in kept.tolist()), f"{others} others")
    return Confusion(names, tuple(tuple(row) for row in counts.tolist()), worst, others)


def label_metrics(outcomes: LabelOutcomes) -> list[tuple[Any, ...]]:
    """Return each label with precision, recall, F1 and number of rows; a metric is NaN if its denominator is 0."""
    labels = range(len(outcomes.labels))
    metrics = precision_recall_fscore_support(outcomes.truth, outcomes.predicted, labels=labels, zero_division=np.nan)
    return list(zip(outcomes.labels, *(values.tolist() for values in metrics), strict=True))


def importance_bars(importances: Sequence[Importance]) -> tuple[float, tuple[Bar, ...]]:
    """Return the position of zero, in percent of the width, and the bar of each importance."""
    lowest = min((each.mean - each.standard_deviation for each in importances), default=0.0)
    highest = max((each.mean + each.standard_deviation for each in importances), default=0.0)
    start = min(lowest, 0.0)
    width = (max(highest, 0.0) - start) or 1.0

    def position(value: float) -> float:
        return round(100 * (value - start) / width, 2)

    bars = []
    for importance in importances:
        mean, deviation = importance.mean, importance.standard_deviation
        left, right = sorted((position(0), position(mean)))
        low, high = position(mean - deviation), position(mean + deviation)
        bars.append(Bar(importance, left, round(right - left, 2), low, round(high - low, 2)))
    return position(0), tuple(bars)


def amount(value: float) -> str:
    """Return a value in the unit of the target with at least four significant digits."""
    if value == 0 or not 1e-4 <= abs(value) < 1e9:
        return f"{value:.4g}"
    return f"{value:,.{max(3 - math.floor(math.log10(abs(value))), 0)}f}"


def increase_text(importances: Sequence[Importance]) -> Callable[[float], str]:
    """Return the function that formats importances with the decimals that the greatest of them needs."""
    greatest = max((abs(importance.mean) for importance in importances), default=0)
    if not 1e-6 < greatest < 1e9:
        return lambda value: f"{value:.3g}"
    decimals = max(2 - math.floor(math.log10(greatest)), 0)
    return lambda value: f"{round(value, decimals) + 0:,.{decimals}f}"


def metric_text(value: float, name: str) -> str:
    """Return the value of a metric as text."""
    return amount(value) if name in TARGET_UNIT_METRICS else number(value)


def _loss_text(value: float, task: Task) -> str:
    """Return a loss as text; that of a regression has the unit of the target."""
    return amount(value) if task is Task.REGRESSION else number(value)
