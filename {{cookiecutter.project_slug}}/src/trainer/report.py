"""The report: one HTML file that says how good the model is, on what data, and what it is made of."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from trainer import figures
from trainer.estimators import Score
from trainer.evaluation import LOWER_IS_BETTER, Evaluation
from trainer.gate import Check
from trainer.table import Table

from {{cookiecutter.__package}}_model.datamodel import FEATURES, Record

TEMPLATE = "report.html"

METRIC_NOTES: Mapping[str, str] = {
    "accuracy": "share of all rows named rightly",
    "balanced_accuracy": "the same, each label counting equally",
    "precision": "of those named positive, share that is",
    "recall": "of those that are positive, share found",
    "f1": "harmonic mean of precision and recall",
    "roc_auc": "chance that a positive row ranks above a negative one",
    "average_precision": "area under precision against recall",
    "brier": "mean squared error of the probability",
    "log_loss": "surprise at the truth; punishes false certainty",
}
METRIC_NAMES: Mapping[str, str] = {"roc_auc": "ROC AUC", "f1": "F1", "brier": "Brier score"}


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


@dataclass(frozen=True, slots=True)
class Findings:
    """All that one training run found out."""

    training: Table
    held_out: Table
    scores: Sequence[Score]
    evaluation: Evaluation
    checks: Sequence[Check]
    provenance: Provenance

    @property
    def passed(self) -> bool:
        """Whether every floor is met."""
        return all(check.passed for check in self.checks)


def render_report(findings: Findings) -> str:
    """Return the report as one HTML document that loads nothing else."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"name": _name, "percent": _percent, "number": _number}
    evaluation = findings.evaluation
    outcomes = evaluation.outcomes
    return environment.get_template(TEMPLATE).render(
        findings=findings,
        evaluation=evaluation,
        subject=(Record.__doc__ or "").strip(),
        features=FEATURES,
        counts=_counts(findings),
        missing=_missing(findings),
        confusion=_confusion(evaluation),
        metric_notes=METRIC_NOTES,
        lower_is_better=LOWER_IS_BETTER,
        figures={
            "roc": figures.roc_figure(outcomes, evaluation.metrics["roc_auc"].value),
            "precision_recall": figures.precision_recall_figure(
                outcomes, evaluation.metrics["average_precision"].value
            ),
            "calibration": figures.calibration_figure(outcomes),
            "importance": figures.importance_figure(evaluation.importances),
        },
    )


def _confusion(evaluation: Evaluation) -> dict[str, int]:
    truth, predicted = evaluation.outcomes.truth, evaluation.outcomes.predicted
    return {
        "true_positive": int(np.count_nonzero(truth & predicted)),
        "false_negative": int(np.count_nonzero(truth & ~predicted)),
        "false_positive": int(np.count_nonzero(~truth & predicted)),
        "true_negative": int(np.count_nonzero(~truth & ~predicted)),
    }


def _counts(findings: Findings) -> list[tuple[str, int, int]]:
    """Return each label with its number of training rows and of held-out rows."""
    return [
        (label, int((findings.training.labels == label).sum()), int((findings.held_out.labels == label).sum()))
        for label in (findings.evaluation.positive, findings.evaluation.negative)
    ]


def _missing(findings: Findings) -> dict[str, int]:
    """Return the number of missing values of each feature that has any."""
    features = np.vstack([findings.training.features, findings.held_out.features])
    counts = np.isnan(features).sum(axis=0).tolist()
    return {name: count for name, count in zip(FEATURES, counts, strict=True) if count}


def _name(metric: str) -> str:
    return METRIC_NAMES.get(metric, metric.replace("_", " ").capitalize())


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _number(value: float) -> str:
    return f"{value:.3f}"
