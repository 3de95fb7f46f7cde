"""A training run from the table to the artefact."""

import json
import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from mlops_runtime.contract.features import FEATURES, LABELS, Features
from mlops_runtime.contract.fields import Kind, Task
from mlops_runtime.model import metadata as artefact
from mlops_runtime.model.encoding import Encoding
from mlops_runtime.model.onnx_predictor import OnnxModel
from mlops_runtime.model.predictor import interval_bounds
from mlops_runtime.training.artefact_folder import prepare_folder, replace_folder
from mlops_runtime.training.baseline import baseline
from mlops_runtime.training.candidates import (
    LearningProblem,
    Score,
    Selection,
    Setting,
    baseline_estimator,
    loss_of,
    outputs_of,
    select_estimator,
)
from mlops_runtime.training.evaluation import Evaluation, LabelOutcomes, Outcomes, ValueOutcomes, evaluate
from mlops_runtime.training.export import onnx_model
from mlops_runtime.training.gate import Check, check_floors
from mlops_runtime.training.golden import golden_records
from mlops_runtime.training.importance import importances
from mlops_runtime.training.interval import conformal_interval
from mlops_runtime.training.parity import check_parity, drawn_features
from mlops_runtime.training.report.report import Findings, Provenance, render_report
from mlops_runtime.training.split import split_table
from mlops_runtime.training.table import MAX_ROWS, Problem, Table, TableError, read_table

LIBRARIES = ("numpy", "onnx", "onnxruntime", "pydantic", "scikit-learn")

ONE_THREAD_CELLS = 5_000_000
"""Matrices of up to so many cells are fitted by one thread: several would wait for one another
longer than they work, the more so on a busy machine."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What a training run is told.

    Attributes:
        data: the training table.
        artefact: folder that the artefact is put into.
        report: HTML file that the report is written to.
        metrics: JSON file that the metrics are written to.
        lock: lock file of the environment.
        floors: least value of metrics on the held-out rows.
        seed: of split, folds, estimator and resampling.
        test_share: share of the rows that is held out.
        max_rows: most rows of the table to take, evenly spread over it.
        budget: seconds after which no further setting of an estimator is tried.
        version: of the project.
        commit: git commit of the project.
    """

    data: Path
    artefact: Path
    report: Path
    metrics: Path
    lock: Path
    floors: dict[str, float]
    seed: int
    test_share: float
    max_rows: int = MAX_ROWS
    budget: float
    version: str
    commit: str


class GateError(RuntimeError):
    """The gate refuses the model; carries the checks that it failed."""

    def __init__(self, failed: Sequence[Check]) -> None:
        self.failed = tuple(failed)
        super().__init__(f"the gate refuses the model: {'; '.join(str(check) for check in failed)}")


@dataclass(frozen=True, slots=True)
class Listener:
    """Who is told how far a run is."""

    on_read: Callable[[Table], None] = lambda _: None
    on_scored: Callable[[Score], None] = lambda _: None
    on_evaluated: Callable[[Findings], None] = lambda _: None


@dataclass(frozen=True, slots=True)
class Model:
    """An estimator with all that turns features into its outputs."""

    encoding: Encoding
    selection: Selection

    def outputs(self, features: Features) -> NDArray[np.float64]:
        """Return what the estimator says of each row, shape (rows, labels) or (rows, 1)."""
        return outputs_of(self.selection.estimator, self.encoding.matrix(features), len(LABELS))


def train(
    settings: Settings, listener: Listener | None = None, candidates: Sequence[Setting] | None = None
) -> artefact.Metadata:
    """Make an artefact, and return its metadata.

    The exported model is the one that was evaluated, fitted on the training rows alone: a second
    one, fitted on all rows, might be better, but nobody would have measured it.

    Args:
        settings: what to make it from, and where.
        listener: is told how far the run is.
        candidates: settings of estimators to choose from; by default those for the task.

    Raises:
        TableError: if the table breaks the contract; nothing was written.
        ParityError: if the exported model and the estimator differ; nothing was written.
        GateError: if a metric is below its floor; report and metrics were written, the artefact was not.
        ArtefactError: if the artefact cannot be put into its folder.
        OSError: if a file cannot be read or written.
    """
    listener = listener or Listener()
    lock_sha256 = artefact.sha256(settings.lock.read_bytes())
    prepare_folder(settings.artefact)
    table = read_table(settings.data, settings.max_rows)
    listener.on_read(table)
    cells = len(table) * len(FEATURES)
    with threadpool_limits(limits=1 if cells <= ONE_THREAD_CELLS else None):
        return _train(settings, listener, candidates, table, lock_sha256)


def _train(
    settings: Settings,
    listener: Listener,
    candidates: Sequence[Setting] | None,
    table: Table,
    lock_sha256: str,
) -> artefact.Metadata:
    training, held_out = split_table(table, settings.seed, settings.test_share, len(LABELS))
    model = _fitted(training, settings, candidates, listener)
    content = onnx_model(model.encoding, model.selection.estimator, len(LABELS))
    exported = OnnxModel(content)
    _check_parity(exported, model, table, settings.seed)
    interval, evaluation = _evaluated(model, training, held_out, settings.seed)
    values = {name: estimate.value for name, estimate in evaluation.metrics.items()}
    values["cross_validated_skill"] = model.selection.skill
    findings = Findings(
        task=TASK,
        target=TARGET,
        subject=(Record.__doc__ or "").strip(),
        features=FEATURES,
        training_rows=len(training),
        held_out_rows=len(held_out),
        label_counts=_label_counts(training, held_out),
        missing=_missing(table.features),
        notes=_notes(table),
        scores=model.selection.scores,
        search=model.selection.search,
        loss="log loss" if LABELS else "root mean squared error",
        baseline_score=model.selection.baseline.mean,
        evaluation=evaluation,
        # The exported model is asked: it gives the same answers, and many times as fast.
        importances=importances(
            exported.outputs,
            held_out.features,
            lambda rows, outputs: loss_of(outputs, held_out.target[rows]),
            settings.seed,
        ),
        interval=interval,
        checks=check_floors(values, settings.floors),
        provenance=_provenance(settings, table, lock_sha256),
    )
    listener.on_evaluated(findings)
    report = render_report(findings)
    made = {artefact.MODEL_FILE: content, artefact.REPORT_FILE: report.encode()}
    metadata = None
    if findings.passed:
        metadata, contents = _artefact(findings, model, made, training, held_out)
        replace_folder(settings.artefact, contents)
    _write_text(settings.metrics, metrics_json(findings))
    _write_text(settings.report, report)
    if metadata is None:
        raise GateError([check for check in findings.checks if not check.passed])
    return metadata


def _fitted(training: Table, settings: Settings, candidates: Sequence[Setting] | None, listener: Listener) -> Model:
    encoding = Encoding.fitted(training.features)
    if not encoding.columns:
        raise TableError(settings.data, [Problem("no word stands in two rows: there is nothing to learn from")])
    selection = select_estimator(
        encoding.matrix(training.features),
        training.target,
        LearningProblem(encoding.columns, len(LABELS), len(training)),
        settings.seed,
        settings.budget,
        candidates,
        listener.on_scored,
    )
    return Model(encoding, selection)


def _evaluated(
    model: Model, training: Table, held_out: Table, seed: int
) -> tuple[artefact.Interval | None, Evaluation]:
    """Return the interval of a model that predicts values, and how good the model is on the held-out rows."""
    ignorant = baseline_estimator(len(LABELS)).fit(np.zeros((len(training), 1)), training.target)
    guessed = outputs_of(ignorant, np.zeros((len(held_out), 1)), len(LABELS))
    outputs = model.outputs(held_out.features)
    if LABELS:
        # What is rare is what one looks for: precision and recall of the common label flatter a model.
        counts = np.bincount(training.target, minlength=len(LABELS))
        positive = str(LABELS[int(counts.argmin())]) if TASK is Task.BINARY else None
        names = tuple(str(label) for label in LABELS)
        outcomes, guesses = (LabelOutcomes(names, held_out.target, each) for each in (outputs, guessed))
        return None, evaluate(TASK, outcomes, guesses, seed, positive)
    selection = model.selection
    interval = conformal_interval(selection.predicted[:, 0], training.target[selection.rows])
    spread = conformal_interval(np.full(len(training), training.target.mean()), training.target)
    of_values: list[Outcomes] = [
        ValueOutcomes(held_out.target, each[:, 0], *bounds(each[:, 0], ends))
        for each, ends in ((outputs, interval), (guessed, spread))
    ]
    evaluation = evaluate(TASK, of_values[0], of_values[1], seed)
    return interval.model_copy(update={"coverage": evaluation.metrics["coverage"]}), evaluation


def _check_parity(exported: OnnxModel, model: Model, table: Table, seed: int) -> None:
    scale = 1.0 if LABELS else max(float(table.target.std()), np.finfo(np.float64).tiny)
    for features in (table.features, drawn_features(table.features, seed)):
        check_parity(exported, model.outputs, features, scale)


def metrics_json(findings: Findings) -> str:
    """Return the metrics of a run, with what is needed to compare them with those of another."""
    evaluation, provenance = findings.evaluation, findings.provenance
    content = {
        "version": provenance.version,
        "git_commit": provenance.git_commit,
        "trained_at": provenance.trained_at,
        "data_sha256": provenance.data_sha256,
        "task": findings.task,
        "estimator": findings.scores[0].name,
        "positive_label": evaluation.positive,
        "rows": _row_counts(findings),
        "metrics": {name: estimate.model_dump() for name, estimate in evaluation.metrics.items()},
        "baseline": dict(evaluation.baseline),
        "floors": {check.metric: check.floor for check in findings.checks},
        "passed": findings.passed,
    }
    return json.dumps(content, indent=2, allow_nan=False) + "\n"


def _provenance(settings: Settings, table: Table, lock_sha256: str) -> Provenance:
    return Provenance(
        version=settings.version,
        git_commit=settings.commit,
        trained_at=datetime.now(UTC).isoformat(timespec="seconds"),
        data=settings.data.name,
        data_sha256=table.sha256,
        lock_sha256=lock_sha256,
        seed=settings.seed,
        libraries={"python": platform.python_version()} | {name: version(name) for name in LIBRARIES},
    )


def _artefact(
    findings: Findings, model: Model, made: Mapping[str, bytes], training: Table, held_out: Table
) -> tuple[artefact.Metadata, dict[str, bytes]]:
    """Return the metadata, and the content of every file of the artefact, those that are made already among them."""
    provenance, selection = findings.provenance, model.selection
    outputs = model.outputs(held_out.features)
    # A small table may have no held-out row that is still a record.
    rows, of_rows = (held_out, outputs) if held_out.records else (training, model.outputs(training.features))
    golden = golden_records(rows.records, of_rows, findings.interval)
    statistics = baseline(training.features, training.target, LABELS, outputs)
    contents = {
        **made,
        artefact.BASELINE_FILE: statistics.model_dump_json(indent=2).encode(),
        artefact.GOLDEN_FILE: artefact.golden_records_adapter.dump_json(golden, indent=2),
    }
    metadata = artefact.Metadata(
        version=provenance.version,
        git_commit=provenance.git_commit,
        trained_at=provenance.trained_at,
        data_sha256=provenance.data_sha256,
        lock_sha256=provenance.lock_sha256,
        seed=provenance.seed,
        estimator=selection.name,
        task=TASK,
        target=TARGET,
        contract=artefact.CONTRACT,
        features=FEATURES,
        labels=LABELS,
        interval=findings.interval,
        rows=_row_counts(findings),
        cross_validation={score.name: score.mean for score in selection.scores},
        metrics=dict(findings.evaluation.metrics),
        floors={check.metric: check.floor for check in findings.checks},
        libraries=dict(provenance.libraries),
        files={name: artefact.sha256(content) for name, content in contents.items()},
    )
    return metadata, contents | {artefact.METADATA_FILE: metadata.model_dump_json(indent=2).encode()}


def _row_counts(findings: Findings) -> dict[str, int]:
    return {"training": findings.training_rows, "held_out": findings.held_out_rows}


def _label_counts(training: Table, held_out: Table) -> list[tuple[str, int, int]]:
    """Return each label with its number of training rows and of held-out rows."""
    return [
        (str(label), int(np.count_nonzero(training.target == place)), int(np.count_nonzero(held_out.target == place)))
        for place, label in enumerate(LABELS)
    ]


def _missing(features: Features) -> dict[str, int]:
    """Return the number of missing values of each field that has any."""
    layout = features.layout
    lacking: dict[str, int] = {}
    for column, number in enumerate(layout.numbers):
        values = features.numbers[:, column]
        gone = values < 0 if number.field.kind is Kind.CHOICE else np.isnan(values)
        lacking[number.field.name] = int(np.count_nonzero(gone))
    for fields, strings in ((layout.categories, features.categories), (layout.texts, features.texts)):
        for column, field in enumerate(fields):
            lacking[field.name] = int(np.count_nonzero(strings[:, column] == ""))
    return {field.name: lacking[field.name] for field in layout.fields if lacking[field.name]}


def _notes(table: Table) -> tuple[str, ...]:
    if not table.ignored:
        return table.notes
    return (*table.notes, f"Columns that are no part of the contract and were ignored: {', '.join(table.ignored)}.")


def _write_text(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
