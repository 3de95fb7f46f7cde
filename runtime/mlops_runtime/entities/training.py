"""A training run from annotated texts to the artefact."""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from pydantic import ValidationError

from mlops_runtime.contract import Contract, Entity, EntityPrediction, RecordModel
from mlops_runtime.entities import report
from mlops_runtime.entities.dataset import AnnotatedText, Dataset, DatasetError, Problem, read_dataset
from mlops_runtime.entities.dictionary import Dictionary
from mlops_runtime.entities.evaluation import LabelEvaluation, label_evaluations, mistakes, span_outcomes
from mlops_runtime.entities.fitting import STOPPING_SHARE, Fitted, Pass, fit, misaligned
from mlops_runtime.entities.pipelines import Pipeline, blank_pipeline
from mlops_runtime.entities.predictor import SpacyPredictor
from mlops_runtime.entities.report import Findings
from mlops_runtime.entities.split import split_texts
from mlops_runtime.memory import memory_limit, memory_warning
from mlops_runtime.model import artefact
from mlops_runtime.model.artefact import Artefact
from mlops_runtime.model.baseline import Baseline
from mlops_runtime.model.golden import GoldenRecords, golden_record_type
from mlops_runtime.model.metadata import Metadata
from mlops_runtime.tables.recorded import differences
from mlops_runtime.training import results
from mlops_runtime.training.artefact_folder import prepare_folder
from mlops_runtime.training.baseline import field_baseline, prediction_baseline, vocabulary
from mlops_runtime.training.evaluation import Evaluation, evaluate
from mlops_runtime.training.gate import check_floors
from mlops_runtime.training.held_out import IDENTITY_DIGITS, held_out_of
from mlops_runtime.training.results import origin, write_results, write_text
from mlops_runtime.training.settings import MIN_ROWS, Settings

LIBRARIES = ("numpy", "pydantic", "spacy", "thinc")

MAX_MISALIGNED_SHARE = 0.05
"""Maximum share of the entities that start or end within a word of the pipeline's tokenizer, as "Jan" in "Jan."."""

MAX_LISTED = 5
"""Maximum number of such entities to list."""

GOLDEN_PER_LABEL = 4
GOLDEN_WITHOUT_ENTITIES = 2
MAX_GOLDEN_LENGTH = 2000
"""Maximum number of characters of a golden record's text: each start of the service predicts all of them."""


@dataclass(frozen=True, slots=True)
class Listener:
    """Callbacks that report the progress of a run."""

    on_warning: Callable[[str], None] = lambda _: None
    on_read: Callable[[int, Sequence[str]], None] = lambda _texts, _notes: None
    on_pass: Callable[[Pass], None] = lambda _: None
    on_evaluated: Callable[[Findings], None] = lambda _: None


def train(
    contract: Contract,
    settings: Settings,
    pipeline: Pipeline | None = None,
    predictor: type[SpacyPredictor] = SpacyPredictor,
    listener: Listener | None = None,
) -> Metadata:
    """Train a pipeline on annotated texts, write its artefact, and return its metadata.

    Args:
        contract: contract of the project.
        settings: settings of the run; the budget is that of the passes over the training texts.
        pipeline: makes the pipeline to train; by default a blank one for several languages.
        predictor: class that loads the trained pipeline.
        listener: callbacks that report the progress.

    Raises:
        DatasetError: if the texts break the contract; nothing was written.
        PipelineError: if the pipeline cannot be made or trained; nothing was written.
        GateError: if a metric is below its floor; the report and the metrics were written.
        ArtefactError: if the artefact cannot be written to its folder.
        OSError: if a file cannot be read or written.
    """
    lock_sha256 = artefact.sha256(settings.lock.read_bytes())
    prepare_folder(settings.artefact)
    dataset = read_dataset(settings.data, [str(label) for label in contract.labels])
    run = _Run(
        contract, settings, pipeline or blank_pipeline("xx"), predictor, listener or Listener(), dataset, lock_sha256
    )
    return run.train()


@dataclass(frozen=True, slots=True)
class _Run:
    """A training run whose texts have been read."""

    contract: Contract
    settings: Settings
    pipeline: Pipeline
    predictor: type[SpacyPredictor]
    listener: Listener
    dataset: Dataset
    lock_sha256: str

    def train(self) -> Metadata:
        contract, settings, listener = self.contract, self.settings, self.listener
        texts, notes = self._texts()
        if warning := memory_warning(contract, len(texts), memory_limit()):
            listener.on_warning(warning)
        notes += self._check(texts)
        listener.on_read(len(self.dataset.texts), notes)
        training, held_out = split_texts(texts, settings.test_share, settings.seed)
        learned, stopping = split_texts(training, STOPPING_SHARE, settings.seed)
        self._check_parts(training, held_out, stopping)
        labels, seed = contract.labels, settings.seed
        fitted = fit(self.pipeline, labels, learned, stopping, seed, settings.budget, listener.on_pass)
        # The trained pipeline is evaluated as the service runs it: loaded from the files of the artefact.
        draft = Artefact(
            contract=contract,
            metadata=self._metadata(training, held_out, fitted),
            baseline=self._baseline(training, held_out),
            model_files=fitted.files,
        )
        loaded = self.predictor(draft)
        records = [self._record(text) for text in held_out]
        predictions: list[EntityPrediction] = loaded.predict(records)
        predicted = [prediction.entities for prediction in predictions]
        dictionary = Dictionary(training)
        evaluation, of_labels = self._evaluate(training, held_out, predicted, dictionary)
        draft = Artefact(
            contract=contract,
            metadata=draft.metadata.model_copy(update={"metrics": dict(evaluation.metrics)}),
            baseline=draft.baseline.model_copy(update={"predictions": prediction_baseline(predictions)}),
            golden_records=golden_records(contract, records, predictions),
            model_files=fitted.files,
        )
        values = {name: estimate.value for name, estimate in evaluation.metrics.items()}
        findings = Findings(
            metadata=draft.metadata,
            data=settings.data.name,
            subject=contract.description,
            notes=notes,
            evaluation=evaluation,
            labels=of_labels,
            mistakes=mistakes([text.text for text in held_out], [text.entities for text in held_out], predicted),
            names=len(dictionary),
            fitted=fitted,
            learned=len(learned),
            stopping=len(stopping),
            checks=check_floors(values, settings.floors),
        )
        listener.on_evaluated(findings)
        metadata = write_results(
            settings,
            draft,
            findings.checks,
            report.render_report(findings),
            metrics_json(findings),
            lambda folder: self.predictor.load(contract, folder),
        )
        outcomes = evaluation.outcomes
        identities = [identity(text) for text in held_out]
        kept = held_out_of(contract, settings.version, identities, *outcomes.numbers())  # type: ignore[attr-defined]
        write_text(settings.held_out, kept.model_dump_json() + "\n")
        return metadata

    def _texts(self) -> tuple[tuple[AnnotatedText, ...], tuple[str, ...]]:
        """Return at most the maximum number of texts, evenly spaced, and notes on the texts."""
        texts, limit = self.dataset.texts, self.settings.max_rows
        notes = tuple(f"{note}." for note in self.dataset.notes)
        notes += differences(self.settings.data, self.dataset.sha256)
        if len(texts) <= limit:
            return texts, notes
        places = np.linspace(0, len(texts), limit, endpoint=False, dtype=np.intp).tolist()
        note = f"{limit:,} of {len(texts):,} texts were used: MAX_ROWS sets the maximum."
        return tuple(texts[place] for place in places), (*notes, note)

    def _check(self, texts: Sequence[AnnotatedText]) -> tuple[str, ...]:
        """Check the texts against contract and pipeline; return notes on entities that cannot be learned.

        Raises:
            DatasetError: if they do not fit.
        """
        problems = []
        for text in texts:
            try:
                self._record(text)
            except ValidationError as error:
                problems.append(
                    Problem(f"the contract refuses it: {error.errors()[0]['msg']}", f"line {text.line}", text.text)
                )
        if len(texts) < MIN_ROWS:
            problems.append(Problem(f"it has {len(texts)} texts; training needs at least {MIN_ROWS}"))
        unlearnable = list(misaligned(self.pipeline(), texts))
        if len(unlearnable) > MAX_MISALIGNED_SHARE * sum(len(text.entities) for text in texts):
            problems += unlearnable
        if problems:
            raise DatasetError(self.settings.data, problems)
        if not unlearnable:
            return ()
        listed = [f"{problem}." for problem in unlearnable[:MAX_LISTED]]
        count = "1 entity starts or ends" if len(unlearnable) == 1 else f"{len(unlearnable)} entities start or end"
        return (f"{count} within a word: not learned, and counted as missed.", *listed)

    def _check_parts(
        self,
        training: Sequence[AnnotatedText],
        held_out: Sequence[AnnotatedText],
        stopping: Sequence[AnnotatedText],
    ) -> None:
        """Check that there is something to learn from and to evaluate on.

        Raises:
            DatasetError: if there is not.
        """
        parts = {"training": training, "early stopping": stopping, "evaluation": held_out}
        for name, part in parts.items():
            if not any(text.entities for text in part):
                message = f"no text for {name} has an entity: annotate more texts, or set another TEST_SHARE or SEED"
                raise DatasetError(self.settings.data, [Problem(message)])

    def _record(self, text: AnnotatedText) -> RecordModel:
        return self.contract.record.model_validate({self.contract.features[0]: text.text})

    def _true(self, texts: Sequence[AnnotatedText]) -> list[EntityPrediction]:
        """Return the annotated entities as predictions."""
        dumped = [{"entities": [entity.model_dump() for entity in text.entities]} for text in texts]
        return self.contract.predictions_adapter.validate_python(dumped)  # type: ignore[return-value]

    def _baseline(self, training: Sequence[AnnotatedText], held_out: Sequence[AnnotatedText]) -> Baseline:
        """Return the baseline; that of the predictions is the truth until there are predictions."""
        contract, (field,) = self.contract, self.contract.fields
        features = contract.encode([self._record(text) for text in training])
        words = vocabulary([text.text for text in training], [text.text for text in held_out])
        return Baseline(
            rows=len(training),
            fields={field.name: field_baseline(field, features)},
            target=prediction_baseline(self._true(training)),
            predictions=prediction_baseline(self._true(held_out)),
            vocabularies={field.name: words},
        )

    def _evaluate(
        self,
        training: Sequence[AnnotatedText],
        held_out: Sequence[AnnotatedText],
        predicted: Sequence[Sequence[Entity]],
        dictionary: Dictionary,
    ) -> tuple[Evaluation, tuple[LabelEvaluation, ...]]:
        contract, seed = self.contract, self.settings.seed
        true = [text.entities for text in held_out]
        outcomes = span_outcomes(contract.labels, true, predicted)
        of_dictionary = span_outcomes(contract.labels, true, [dictionary.entities(text.text) for text in held_out])
        evaluation = evaluate(contract.task, outcomes, of_dictionary, seed)
        return evaluation, label_evaluations(outcomes, of_dictionary, training, seed)

    def _metadata(
        self, training: Sequence[AnnotatedText], held_out: Sequence[AnnotatedText], fitted: Fitted
    ) -> Metadata:
        """Return the metadata without metrics and hashes of files."""
        return Metadata(
            **origin(self.contract, self.settings, self.lock_sha256, LIBRARIES),
            data_sha256=self.dataset.sha256,
            estimator=fitted.name,
            rows={"training": len(training), "held_out": len(held_out)},
            cross_validation={},
            metrics={},
        )


def golden_records(
    contract: Contract, records: Sequence[RecordModel], predictions: Sequence[EntityPrediction]
) -> GoldenRecords:
    """Return held-out records with the predictions of the model: some with each label, and some without entities.

    Args:
        contract: contract of the records.
        records: held-out records.
        predictions: prediction of each record.
    """
    (field,) = contract.fields
    short = [row for row, record in enumerate(records) if len(getattr(record, field.attribute)) <= MAX_GOLDEN_LENGTH]
    # Texts are long only where all are.
    rows = short or list(range(len(records)))
    selected: list[int] = []
    for label in contract.labels:
        having = [row for row in rows if any(str(entity.label) == label for entity in predictions[row].entities)]
        selected += having[:GOLDEN_PER_LABEL]
    selected += [row for row in rows if not predictions[row].entities][:GOLDEN_WITHOUT_ENTITIES]
    golden_record = golden_record_type(contract)
    return tuple(golden_record(record=records[row], prediction=predictions[row]) for row in dict.fromkeys(selected))


def identity(text: AnnotatedText) -> str:
    """Return the identity of a text with its entities, the same in every run."""
    entities = [(entity.start, entity.end, str(entity.label)) for entity in text.entities]
    return hashlib.sha256(json.dumps([text.text, entities]).encode()).hexdigest()[:IDENTITY_DIGITS]


def metrics_json(findings: Findings) -> str:
    """Return the metrics of a run and the origin of its model as JSON."""
    further: Mapping[str, object] = {
        "labels": {
            each.label: {name: estimate.model_dump() for name, estimate in each.metrics.items()}
            | {"training": each.training, "held_out": each.held_out}
            for each in findings.labels
        },
        "baseline": dict(findings.evaluation.baseline),
        "passed": findings.passed,
    }
    return results.metrics_json(findings.metadata, further)
