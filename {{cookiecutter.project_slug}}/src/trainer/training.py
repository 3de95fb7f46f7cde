"""A training run from the table to the artefact."""

import json
import platform
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from threadpoolctl import threadpool_limits

from trainer.artefact import prepare_folder, replace_folder
from trainer.baseline import baseline
from trainer.estimators import CANDIDATES, FOLDS, Candidate, Score, Selection, select_estimator
from trainer.evaluation import evaluate
from trainer.export import check_parity, onnx_model
from trainer.gate import Check, check_floors
from trainer.golden import golden_records
from trainer.ranges import draw_records
from trainer.report import Findings, Provenance, render_report
from trainer.split import split_table
from trainer.table import Table, read_table

from {{cookiecutter.__package}}_model import metadata as artefact
from {{cookiecutter.__package}}_model.classifier import Classifier
from {{cookiecutter.__package}}_model.datamodel import FEATURES

LIBRARIES = ("numpy", "onnx", "onnxruntime", "pydantic", "scikit-learn", "skl2onnx")
DRAWN_RECORDS = 10_000
"""Records that parity is proved on beside the rows of the table."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What a training run is told.

    Attributes:
        data: the training table, CSV.
        artefact: folder that the artefact is put into.
        report: HTML file that the report is written to.
        metrics: JSON file that the metrics are written to.
        lock: lock file of the environment.
        floors: least value of metrics on the held-out rows.
        seed: of split, folds, estimator and resampling.
        test_share: share of the rows that is held out.
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


def train(
    settings: Settings,
    listener: Listener | None = None,
    candidates: Sequence[Candidate] = CANDIDATES,
    folds: int = FOLDS,
) -> artefact.Metadata:
    """Make an artefact, and return its metadata.

    The exported model is the one that was evaluated, fitted on the training rows alone: a second
    one, fitted on all rows, might be better, but nobody would have measured it.

    Raises:
        TableError: if the table breaks the contract; nothing was written.
        ParityError: if the exported model and the estimator differ; nothing was written.
        GateError: if a metric is below its floor; report and metrics were written, the artefact was not.
        ArtefactError: if the artefact cannot be put into its folder.
        OSError: if a file cannot be read or written.
    """
    # One thread: on a table of this size several wait for one another longer than they work, the
    # more so on a busy machine, and the order in which they add up numbers is theirs to choose.
    with threadpool_limits(limits=1):
        return _train(settings, listener or Listener(), candidates, folds)


def _train(settings: Settings, listener: Listener, candidates: Sequence[Candidate], folds: int) -> artefact.Metadata:
    lock_sha256 = artefact.sha256(settings.lock.read_bytes())
    prepare_folder(settings.artefact)
    table = read_table(settings.data)
    listener.on_read(table)
    training, held_out = split_table(table, settings.seed, settings.test_share)
    selection = select_estimator(
        training.features, training.labels, settings.seed, candidates, folds, listener.on_scored
    )
    evaluation = evaluate(selection.estimator, training, held_out, settings.seed)
    findings = Findings(
        training=training,
        held_out=held_out,
        scores=selection.scores,
        evaluation=evaluation,
        checks=check_floors(evaluation.metrics, settings.floors),
        provenance=_provenance(settings, table, lock_sha256),
    )
    listener.on_evaluated(findings)
    metadata = None
    if findings.passed:
        metadata, contents = _artefact(findings, selection)
        classifier = Classifier(contents[artefact.MODEL_FILE], metadata, ())
        drawn = draw_records(DRAWN_RECORDS, settings.seed)
        check_parity(classifier, selection.estimator, [*table.records, *drawn])
        replace_folder(settings.artefact, contents)
    _write_text(settings.metrics, metrics_json(findings))
    _write_text(settings.report, render_report(findings))
    if metadata is None:
        raise GateError([check for check in findings.checks if not check.passed])
    return metadata


def metrics_json(findings: Findings) -> str:
    """Return the metrics of a run, with what is needed to compare them with those of another."""
    evaluation, provenance = findings.evaluation, findings.provenance
    content = {
        "version": provenance.version,
        "git_commit": provenance.git_commit,
        "trained_at": provenance.trained_at,
        "data_sha256": provenance.data_sha256,
        "estimator": findings.scores[0].name,
        "positive_label": evaluation.positive,
        "rows": _row_counts(findings),
        "metrics": {name: estimate.model_dump() for name, estimate in evaluation.metrics.items()},
        "majority": dict(evaluation.majority),
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


def _artefact(findings: Findings, selection: Selection) -> tuple[artefact.Metadata, dict[str, bytes]]:
    """Return the metadata, and the content of every file of the artefact."""
    training, provenance = findings.training, findings.provenance
    golden = golden_records(selection.estimator, findings.held_out.records)
    contents = {
        artefact.MODEL_FILE: onnx_model(selection.estimator),
        artefact.BASELINE_FILE: baseline(training.features, training.labels).model_dump_json(indent=2).encode(),
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
        features=FEATURES,
        labels=tuple(selection.estimator.classes_.tolist()),
        rows=_row_counts(findings),
        cross_validation={score.name: score.mean for score in selection.scores},
        metrics=dict(findings.evaluation.metrics),
        floors={check.metric: check.floor for check in findings.checks},
        libraries=dict(provenance.libraries),
        files={name: artefact.sha256(content) for name, content in contents.items()},
    )
    return metadata, contents | {artefact.METADATA_FILE: metadata.model_dump_json(indent=2).encode()}


def _row_counts(findings: Findings) -> dict[str, int]:
    return {"training": len(findings.training.records), "held_out": len(findings.held_out.records)}


def _write_text(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
