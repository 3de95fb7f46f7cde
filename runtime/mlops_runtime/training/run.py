"""A training run from the table to the artefact."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from threadpoolctl import threadpool_limits

from mlops_runtime.contract import Contract, Features, Kind, Task
from mlops_runtime.memory import memory_limit, memory_warning
from mlops_runtime.model import artefact
from mlops_runtime.model.artefact import Artefact
from mlops_runtime.model.encoding import Encoding
from mlops_runtime.model.golden import GoldenRecords
from mlops_runtime.model.metadata import Interval, Metadata
from mlops_runtime.model.onnx_predictor import OnnxPredictor
from mlops_runtime.model.predictor import Predictor, interval_bounds
from mlops_runtime.tables.recorded import differences
from mlops_runtime.training import results
from mlops_runtime.training.artefact_folder import prepare_folder
from mlops_runtime.training.baseline import baseline
from mlops_runtime.training.candidates import Candidate, LearningProblem, default_candidates
from mlops_runtime.training.evaluation import Evaluation, LabelOutcomes, ValueOutcomes, evaluate
from mlops_runtime.training.export import onnx_files
from mlops_runtime.training.fitted_model import FittedModel, outputs_of
from mlops_runtime.training.gate import CROSS_VALIDATED_SKILL, check_floors
from mlops_runtime.training.golden import golden_records
from mlops_runtime.training.held_out import held_out_predictions
from mlops_runtime.training.importance import importances
from mlops_runtime.training.interval import conformal_interval
from mlops_runtime.training.matrix import training_matrix
from mlops_runtime.training.parity import ParityError, check_parity, drawn_features
from mlops_runtime.training.report.report import Findings, render_report
from mlops_runtime.training.results import check_names, origin, write_results, write_text
from mlops_runtime.training.search import Selection, Trial, baseline_estimator, loss_of, select_estimator
from mlops_runtime.training.settings import Settings
from mlops_runtime.training.split import split_table
from mlops_runtime.training.table import Problem, Table, TableError, read_table

LIBRARIES = ("numpy", "onnx", "onnxruntime", "pydantic", "scikit-learn")

MAX_SINGLE_THREAD_CELLS = 5_000_000
"""Maximum number of cells for a single thread: on small matrices, several threads mostly wait for each other."""


@dataclass(frozen=True, slots=True)
class Listener:
    """Callbacks that report the progress of a run."""

    on_warning: Callable[[str], None] = lambda _: None
    on_read: Callable[[Table], None] = lambda _: None
    on_scored: Callable[[Trial], None] = lambda _: None
    on_evaluated: Callable[[Findings], None] = lambda _: None


Export = Callable[[FittedModel], Mapping[str, bytes]]
"""Takes a fitted model and returns the content of its files by name."""


def train(
    contract: Contract,
    settings: Settings,
    candidates: Sequence[Candidate] | None = None,
    predictor: type[Predictor] = OnnxPredictor,
    export: Export = onnx_files,
    listener: Listener | None = None,
) -> Metadata:
    """Train a model, write its artefact, and return its metadata.

    The exported estimator is fitted on the training rows only, because its metrics were measured on the
    held-out rows. An estimator fitted on all rows might be better, but would have no metrics.

    Args:
        contract: contract of the project.
        settings: settings of the run.
        candidates: estimators to choose from; by default those for the task.
        predictor: class that loads the exported model.
        export: function that returns the files for the predictor.
        listener: callbacks that report the progress.

    Raises:
        TableError: if the table breaks the contract; nothing was written.
        CandidateError: if a candidate does not fit the task; nothing was written.
        ExportError: if the chosen estimator cannot be exported; nothing was written.
        ParityError: if the outputs of predictor and estimator differ; nothing was written.
        GateError: if a metric is below its floor; the report and the metrics were written.
        ArtefactError: if the artefact cannot be written to its folder.
        OSError: if a file cannot be read or written.
    """
    listener = listener or Listener()
    lock_sha256 = artefact.sha256(settings.lock.read_bytes())
    prepare_folder(settings.artefact)

    def on_opened(rows: int) -> None:
        if warning := memory_warning(contract, rows, memory_limit()):
            listener.on_warning(warning)

    table = read_table(contract, settings.data, settings.max_rows, on_opened)
    table = replace(table, notes=(*table.notes, *differences(settings.data, table.sha256)))
    listener.on_read(table)
    cells = len(table) * len(contract.features)
    with threadpool_limits(limits=1 if cells <= MAX_SINGLE_THREAD_CELLS else None):
        run = _Run(contract, settings, predictor, export, listener, lock_sha256)
        return run.train(table, candidates)


@dataclass(frozen=True, slots=True)
class _Run:
    """A training run whose table has been read."""

    contract: Contract
    settings: Settings
    predictor: type[Predictor]
    export: Export
    listener: Listener
    lock_sha256: str

    def train(self, table: Table, candidates: Sequence[Candidate] | None) -> Metadata:
        contract, settings = self.contract, self.settings
        training, held_out = split_table(table, settings.seed, settings.test_share, len(contract.labels))
        encoding, selection = self._select(training, candidates)
        model = FittedModel(contract, encoding, selection.estimator)
        interval, evaluation = self._evaluate(model, selection, training, held_out)
        files = dict(self.export(model))
        check_names(files)
        outputs = model.outputs(held_out.features)
        draft = Artefact(
            contract=contract,
            metadata=self._metadata(table, selection, (training, held_out), interval, evaluation),
            baseline=baseline(training.features, training.target, contract.labels, outputs),
            golden_records=self._golden_records(model, interval, training, held_out),
            model_files=files,
        )
        exported = self.predictor(draft)
        _check_parity(exported, model, selection.name, table, settings.seed)
        values = {name: estimate.value for name, estimate in evaluation.metrics.items()}
        findings = Findings(
            metadata=draft.metadata,
            data=settings.data.name,
            subject=contract.description,
            label_counts=_label_counts(contract.labels, training, held_out),
            missing=_missing(table.features),
            notes=_notes(table),
            scores=selection.scores,
            search_summary=selection.summary,
            baseline_score=selection.baseline.mean,
            evaluation=evaluation,
            # The exported model has the same outputs as the estimator and is many times faster.
            importances=importances(
                exported.outputs,
                held_out.features,
                lambda rows, outputs: loss_of(outputs, held_out.target[rows]),
                settings.seed,
                sum(map(len, encoding.terms)),
            ),
            checks=check_floors(values | {CROSS_VALIDATED_SKILL: selection.skill}, settings.floors),
        )
        self.listener.on_evaluated(findings)
        metadata = write_results(
            settings,
            draft,
            findings.checks,
            render_report(findings),
            metrics_json(findings),
            lambda folder: self.predictor.load(contract, folder),
        )
        predictions = held_out_predictions(contract, settings.version, held_out, outputs)
        write_text(settings.held_out, predictions.model_dump_json() + "\n")
        return metadata

    def _select(self, training: Table, candidates: Sequence[Candidate] | None) -> tuple[Encoding, Selection]:
        encoding = Encoding.fitted(training.features)
        if not encoding.columns:
            raise TableError(
                self.settings.data, [Problem("no word occurs in two or more rows: there is nothing to learn from")]
            )
        selection = select_estimator(
            training_matrix(encoding, training.features),
            training.target,
            LearningProblem(encoding.columns, len(self.contract.labels), len(training)),
            self.settings.seed,
            self.settings.budget,
            default_candidates(self.contract) if candidates is None else candidates,
            self.listener.on_scored,
        )
        return encoding, selection

    def _evaluate(
        self, model: FittedModel, selection: Selection, training: Table, held_out: Table
    ) -> tuple[Interval | None, Evaluation]:
        """Return the prediction intervals of a regression, and the evaluation on the held-out rows."""
        task, labels, seed = self.contract.task, self.contract.labels, self.settings.seed
        dummy = baseline_estimator(len(labels)).fit(np.zeros((len(training), 1)), training.target)
        baseline_outputs = outputs_of(dummy, np.zeros((len(held_out), 1)), len(labels))
        outputs = model.outputs(held_out.features)
        if labels:
            # The rarer label is the positive label: precision and recall of a common label are always high.
            counts = np.bincount(training.target, minlength=len(labels))
            positive = str(labels[int(counts.argmin())]) if task is Task.BINARY else None
            names = tuple(str(label) for label in labels)
            outcomes, reference = (LabelOutcomes(names, held_out.target, each) for each in (outputs, baseline_outputs))
            return None, evaluate(task, outcomes, reference, seed, positive)
        interval = conformal_interval(selection.predicted[:, 0], training.target[selection.rows])
        baseline_interval = conformal_interval(np.full(len(training), training.target.mean()), training.target)
        values, baseline_values = (
            ValueOutcomes(held_out.target, each[:, 0], *interval_bounds(each[:, 0], bounds))
            for each, bounds in ((outputs, interval), (baseline_outputs, baseline_interval))
        )
        evaluation = evaluate(task, values, baseline_values, seed)
        return interval.model_copy(update={"coverage": evaluation.metrics["coverage"]}), evaluation

    def _golden_records(
        self, model: FittedModel, interval: Interval | None, training: Table, held_out: Table
    ) -> GoldenRecords:
        # The held-out rows of a small table may include no row that was kept as a record.
        rows = held_out if held_out.records else training
        return golden_records(self.contract, rows.records, model.outputs(rows.features), interval)

    def _metadata(
        self,
        table: Table,
        selection: Selection,
        parts: tuple[Table, Table],
        interval: Interval | None,
        evaluation: Evaluation,
    ) -> Metadata:
        """Return the metadata without the hashes of the files."""
        return Metadata(
            **origin(self.contract, self.settings, self.lock_sha256, LIBRARIES),
            data_sha256=table.sha256,
            estimator=selection.name,
            interval=interval,
            rows=dict(zip(("training", "held_out"), map(len, parts), strict=True)),
            cross_validation={score.name: score.mean for score in selection.scores},
            metrics=dict(evaluation.metrics),
        )


def _check_parity(exported: Predictor, model: FittedModel, name: str, table: Table, seed: int) -> None:
    scale = 1.0 if model.contract.labels else max(float(table.target.std()), np.finfo(np.float64).tiny)
    for features in (table.features, drawn_features(table.features, seed)):
        try:
            check_parity(exported, model.outputs, features, scale)
        except ParityError as error:
            raise ParityError(f"{name}: {error}") from error


def metrics_json(findings: Findings) -> str:
    """Return the metrics of a run and the origin of its model as JSON."""
    evaluation = findings.evaluation
    further = {
        "positive_label": evaluation.positive,
        "baseline": dict(evaluation.baseline),
        "passed": findings.passed,
    }
    return results.metrics_json(findings.metadata, further)


def _label_counts(labels: Sequence[str], training: Table, held_out: Table) -> list[tuple[str, int, int]]:
    """Return each label with its numbers of training rows and of held-out rows."""
    return [
        (str(label), int(np.count_nonzero(training.target == index)), int(np.count_nonzero(held_out.target == index)))
        for index, label in enumerate(labels)
    ]


def _missing(features: Features) -> dict[str, int]:
    """Return the number of missing values of each field that has any."""
    layout = features.layout
    counts: dict[str, int] = {}
    for column, number in enumerate(layout.numbers):
        values = features.numbers[:, column]
        missing = values < 0 if number.field.kind is Kind.CHOICE else np.isnan(values)
        counts[number.field.name] = int(np.count_nonzero(missing))
    for fields, strings in ((layout.categories, features.categories), (layout.texts, features.texts)):
        for column, field in enumerate(fields):
            counts[field.name] = int(np.count_nonzero(strings[:, column] == ""))
    return {field.name: counts[field.name] for field in layout.fields if counts[field.name]}


def _notes(table: Table) -> tuple[str, ...]:
    if not table.ignored:
        return table.notes
    return (*table.notes, f"Columns that are not in the contract and were ignored: {', '.join(table.ignored)}.")
