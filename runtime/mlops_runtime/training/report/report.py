"""The report: one HTML file with the metrics, the data and the provenance of a model."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from numpy.typing import NDArray

from mlops_runtime.contract.fields import Task
from mlops_runtime.model.metadata import Interval
from mlops_runtime.training.evaluation import LOWER_IS_BETTER, Evaluation, LabelOutcomes, ValueOutcomes
from mlops_runtime.training.gate import CROSS_VALIDATED_SKILL, Check
from mlops_runtime.training.importance import Importance
from mlops_runtime.training.report import figures
from mlops_runtime.training.search import Score

TEMPLATE = "report.html"

MAX_NAMES = 30
"""Maximum number of fields, or labels of a confusion matrix, that are shown; the rest is counted."""

MAX_NAME_LENGTH = 40
"""A longer name is cut; its title has the whole name."""

METRIC_NOTES: Mapping[str, str] = {
    "accuracy": "share of rows with the right label",
    "balanced_accuracy": "mean recall of the labels",
    "precision": "share of the predicted positives that are positive",
    "recall": "share of the positives that are predicted",
    "f1": "harmonic mean of precision and recall",
    "roc_auc": "chance that a positive row ranks above a negative one",
    "average_precision": "area under precision against recall",
    "macro_precision": "share of the predictions of a label that are right; mean over the labels",
    "macro_f1": "harmonic mean of precision and recall; mean over the labels",
    "macro_roc_auc": "chance that a row of a label ranks above one of another; mean over the labels",
    "brier": "mean squared error of the probabilities",
    "log_loss": "mean negative logarithm of the probability of the true label",
    "r2": "share of the variance that is explained",
    "mae": "mean distance between estimate and true value",
    "rmse": "root of the mean squared distance; large errors count more",
    "median_absolute_error": "half of the errors are smaller",
    "coverage": "share of the true values within their interval",
    "interval_width": "mean width of the intervals",
    "skill": "share by which the loss is below that of ignoring the features",
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
AMOUNTS = ("mae", "rmse", "median_absolute_error", "interval_width")
"""Metrics in the unit of the target; the others are pure numbers."""

KEY_METRICS: Mapping[Task, Sequence[str]] = {
    Task.BINARY: ("accuracy", "recall", "precision", "roc_auc"),
    Task.MULTICLASS: ("accuracy", "balanced_accuracy", "macro_f1", "skill"),
    Task.REGRESSION: ("median_absolute_error", "mae", "r2", "coverage"),
}


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where a model comes from: enough to make it again.

    Attributes:
        version: of the project.
        git_commit: of the project.
        trained_at: in UTC, ISO 8601.
        data: name of the table's file.
        data_sha256: hash of its bytes.
        lock_sha256: hash of the lock file's bytes.
        seed: of split, folds, estimator and resampling.
        libraries: version of each library that takes part.
    """

    version: str
    git_commit: str
    trained_at: str
    data: str
    data_sha256: str
    lock_sha256: str
    seed: int
    libraries: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """Results of one training run.

    Attributes:
        task: what the model predicts.
        target: column of the table that it predicts.
        subject: what a record is, in a sentence.
        features: names of the fields.
        training_rows: number of training rows.
        held_out_rows: number of held-out rows.
        label_counts: of each label its number of training rows and of held-out rows; none for a regression.
        missing: number of missing values of each field that has any.
        notes: sentences about rows or columns that were left out.
        scores: of each candidate in cross-validation, best first.
        search_summary: how many candidates, rows and folds were compared, in sentences.
        loss: name of the loss that candidates are compared by.
        baseline_score: this loss of the estimator that ignores the features.
        evaluation: of the chosen candidate, on the held-out rows.
        importances: of each field, the highest first.
        interval: of a regression.
        checks: one for each floor of the gate.
        provenance: where the model comes from.
    """

    task: Task
    target: str
    subject: str
    features: Sequence[str]
    training_rows: int
    held_out_rows: int
    label_counts: Sequence[tuple[str, int, int]]
    missing: Mapping[str, int]
    notes: Sequence[str]
    scores: Sequence[Score]
    search_summary: str
    loss: str
    baseline_score: float
    evaluation: Evaluation
    importances: Sequence[Importance]
    interval: Interval | None
    checks: Sequence[Check]
    provenance: Provenance

    @property
    def passed(self) -> bool:
        """Whether every floor is met."""
        return all(check.passed for check in self.checks)


@dataclass(frozen=True, slots=True)
class LabelQuality:
    """Metrics of one label; None where there is no row to divide by."""

    label: str
    precision: float | None
    recall: float | None
    f1: float | None
    rows: int


@dataclass(frozen=True, slots=True)
class Confusion:
    """Confusion matrix.

    Attributes:
        labels: those with the most rows, in the contract's order; then one for all others, if there are any.
        counts: a row for each true label, a column for each predicted label.
        worst: the most frequent error: true label, predicted label, its count, rows of the true label; or None.
        others: number of labels that the last one stands for.
    """

    labels: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]
    worst: tuple[str, str, int, int] | None
    others: int


@dataclass(frozen=True, slots=True)
class Bar:
    """The importance of a field as a bar: its place and that of its spread, in percent of the width."""

    importance: Importance
    left: float
    width: float
    spread_left: float
    spread_width: float


def render_report(findings: Findings) -> str:
    """Return the report as one HTML document that loads nothing else.

    Raises:
        ValueError: if a regression has no interval.
    """
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "name": _name,
        "brief": brief,
        "percent": percent,
        "number": number,
        "amount": amount,
        "metric": metric_text,
        "loss": _loss_text,
        "rise": rise_text(findings.importances),
    }
    shown = findings.importances[:MAX_NAMES]
    zero, bars = importance_bars(shown)
    return environment.get_template(TEMPLATE).render(
        findings=findings,
        evaluation=findings.evaluation,
        metrics=findings.evaluation.metrics,
        baseline=findings.evaluation.baseline,
        rows=findings.held_out_rows,
        failed=[check for check in findings.checks if not check.passed],
        key_metrics=KEY_METRICS[findings.task],
        metric_notes=METRIC_NOTES,
        lower_is_better=LOWER_IS_BETTER,
        bars=bars,
        zero=zero,
        less_important=findings.importances[MAX_NAMES:],
        missing=dict(list(findings.missing.items())[:MAX_NAMES]),
        **_task_context(findings),
    )


def _task_context(findings: Findings) -> dict[str, Any]:
    """Return what the page says of one task alone."""
    evaluation = findings.evaluation
    match evaluation.outcomes:
        case LabelOutcomes() as outcomes if evaluation.positive is not None:
            return _binary_context(outcomes, evaluation, evaluation.positive)
        case LabelOutcomes() as outcomes:
            return _multiclass_context(outcomes)
        case ValueOutcomes() as outcomes:
            return _value_context(outcomes, findings.interval)


def _binary_context(outcomes: LabelOutcomes, evaluation: Evaluation, positive: str) -> dict[str, Any]:
    place = outcomes.labels.index(positive)
    truth, predicted = outcomes.truth == place, outcomes.predicted == place
    probability = outcomes.probabilities[:, place]
    auc, precision = (evaluation.metrics[name].value for name in ("roc_auc", "average_precision"))
    return {
        "positive": positive,
        "negative": outcomes.labels[1 - place],
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
    right = outcomes.truth == outcomes.predicted
    return {
        "right": int(np.count_nonzero(right)),
        "confusion": confusion(outcomes),
        "qualities": label_qualities(outcomes),
        "figures": {"calibration": figures.calibration_figure(right, outcomes.probabilities.max(axis=1))},
    }


def _value_context(outcomes: ValueOutcomes, interval: Interval | None) -> dict[str, Any]:
    if interval is None:
        raise ValueError("a regression has intervals: give the findings theirs")
    return {
        "interval": interval,
        "most_points": figures.MAX_POINTS,
        "logarithmic": figures.linear_reach(outcomes) is not None,
        "inside": int(np.count_nonzero((outcomes.low <= outcomes.truth) & (outcomes.truth <= outcomes.high))),
        "figures": {
            "actual": figures.actual_figure(outcomes),
            "residuals": figures.residual_figure(outcomes),
            "errors": figures.error_histogram(outcomes),
            "intervals": figures.interval_figure(outcomes),
        },
    }


def confusion_counts(outcomes: LabelOutcomes) -> NDArray[np.intp]:
    """Return the confusion matrix, shape (labels, labels): a row for each true label."""
    count = len(outcomes.labels)
    pairs = outcomes.truth * count + outcomes.predicted
    return np.bincount(pairs, minlength=count * count).reshape(count, count)


def confusion(outcomes: LabelOutcomes) -> Confusion:
    """Return the confusion matrix, with at most `MAX_NAMES` labels."""
    counts = confusion_counts(outcomes)
    errors = counts * (1 - np.eye(len(counts), dtype=np.intp))
    worst = None
    if errors.any():
        true, said = np.unravel_index(errors.argmax(), errors.shape)
        worst = (outcomes.labels[true], outcomes.labels[said], int(errors[true, said]), int(counts[true].sum()))
    others = 0
    names: tuple[str, ...] = outcomes.labels
    if len(names) > MAX_NAMES:
        common = np.argsort(-counts.sum(axis=1), kind="stable")
        kept, folded = np.sort(common[: MAX_NAMES - 1]), common[MAX_NAMES - 1 :]
        others = len(folded)
        groups = [*([place] for place in kept.tolist()), folded.tolist()]
        counts = np.array([[counts[np.ix_(true, said)].sum() for said in groups] for true in groups])
        names = (*(outcomes.labels[place] for place in kept.tolist()), f"{others} others")
    return Confusion(names, tuple(tuple(row) for row in counts.tolist()), worst, others)


def label_qualities(outcomes: LabelOutcomes) -> tuple[LabelQuality, ...]:
    """Return the metrics of each label, in the contract's order."""
    counts = confusion_counts(outcomes)
    return tuple(
        LabelQuality(
            label,
            _share(counts[place, place], counts[:, place].sum()),
            _share(counts[place, place], counts[place].sum()),
            _share(2 * counts[place, place], counts[place].sum() + counts[:, place].sum()),
            int(counts[place].sum()),
        )
        for place, label in enumerate(outcomes.labels)
    )


def _share(part: np.intp, whole: np.intp) -> float | None:
    return float(part / whole) if whole else None


def importance_bars(importances: Sequence[Importance]) -> tuple[float, tuple[Bar, ...]]:
    """Return where zero is, in percent of the width, and the bar of each importance."""
    lowest = min((found.mean - found.standard_deviation for found in importances), default=0.0)
    highest = max((found.mean + found.standard_deviation for found in importances), default=0.0)
    start = min(lowest, 0.0)
    width = (max(highest, 0.0) - start) or 1.0

    def place(value: float) -> float:
        return round(100 * (value - start) / width, 2)

    bars = []
    for found in importances:
        left, right = sorted((place(0), place(found.mean)))
        low, high = place(found.mean - found.standard_deviation), place(found.mean + found.standard_deviation)
        bars.append(Bar(found, left, round(right - left, 2), low, round(high - low, 2)))
    return place(0), tuple(bars)


def brief(name: str, longest: int = MAX_NAME_LENGTH) -> Markup:
    """Return a name out of the table as an element: cut if it is long, and apart from text of another direction."""
    if len(name) <= longest:
        return Markup("<bdi>{}</bdi>").format(_breakable(name))
    return Markup('<bdi title="{}">{}…</bdi>').format(name, _breakable(name[: longest - 1].rstrip()))


def _breakable(name: str) -> Markup:
    """Return a name that may be broken after an underscore, where people would break it."""
    return Markup("_<wbr>").join(name.split("_"))


def percent(share: float) -> str:
    """Return a share in percent."""
    return f"{100 * share:.1f} %"


def number(value: float, places: int = 3) -> str:
    """Return a pure number with so many places after the point, or in powers of ten if it is large."""
    # Adding 0 takes the sign from a zero.
    return f"{round(value, places) + 0:.{places}f}" if abs(value) < 1000 else f"{value:.3g}"


def amount(value: float) -> str:
    """Return an amount in the unit of the target with four significant digits, or all those before the point."""
    if value == 0 or not 1e-4 <= abs(value) < 1e9:
        return f"{value:.4g}"
    return f"{value:,.{max(3 - math.floor(math.log10(abs(value))), 0)}f}"


def rise_text(importances: Sequence[Importance]) -> Callable[[float], str]:
    """Return the function that writes importances with as many places as the greatest of them needs."""
    greatest = max((abs(found.mean) for found in importances), default=0)
    if not 1e-6 < greatest < 1e9:
        return lambda value: f"{value:.3g}"
    places = max(2 - math.floor(math.log10(greatest)), 0)
    return lambda value: f"{round(value, places) + 0:,.{places}f}"


def metric_text(value: float, name: str) -> str:
    """Return the value of a metric as people read it."""
    return amount(value) if name in AMOUNTS else number(value)


def _loss_text(value: float, task: Task) -> str:
    """Return a loss as people read it: of values it has the unit of the target."""
    return amount(value) if task is Task.REGRESSION else number(value)


def _name(metric: str) -> str:
    return METRIC_NAMES.get(metric, metric.replace("_", " ").capitalize())
