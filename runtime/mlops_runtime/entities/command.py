"""The command of a model of entities: `python -m trainer`."""

import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from rich.progress import Progress

from mlops_runtime.contract import Contract
from mlops_runtime.entities.dataset import DatasetError
from mlops_runtime.entities.fitting import MAX_PASSES, Pass
from mlops_runtime.entities.pipelines import Pipeline, PipelineError
from mlops_runtime.entities.predictor import SpacyPredictor
from mlops_runtime.entities.report import Findings
from mlops_runtime.entities.training import Listener, train
from mlops_runtime.model.metadata import Metadata
from mlops_runtime.number_format import readable
from mlops_runtime.training.command_line import SETTINGS_REFUSED, SettingError, estimates_text, parse_settings, run
from mlops_runtime.training.settings import Settings

DEFAULT_FLOORS = {"f1": 0.5, "skill": 0.02}
"""By default, half of the entities must be found, and 2 % of the way from the dictionary to perfection made."""

PRINTED_METRICS = ("f1", "precision", "recall")


def main(
    contract: Contract,
    artefact: Path,
    argv: Sequence[str] | None = None,
    pipeline: Pipeline | None = None,
    predictor: type[SpacyPredictor] = SpacyPredictor,
) -> int:
    """Train a model and return the exit code.

    0: the artefact was made. 1: download, training or upload failed. 2: a setting or the data are wrong. 3: the gate
    refused the model. 130: Ctrl-C. An existing artefact is replaced only by a model that passes the gate.

    Args:
        contract: contract of the project.
        artefact: default folder of the artefact.
        argv: arguments; by default those of the process.
        pipeline: makes the pipeline to train; by default a blank one for several languages.
        predictor: class that loads the trained pipeline.
    """
    try:
        settings, transfers = parse_settings(contract, artefact, argv, DEFAULT_FLOORS, "annotated texts")
    except SettingError as error:
        print(error, file=sys.stderr)
        return SETTINGS_REFUSED

    def training(progress: Progress) -> Metadata:
        return train(contract, settings, pipeline, predictor, _listener(settings, progress))

    return run(settings, transfers, training, (DatasetError,), (PipelineError,))


def _listener(settings: Settings, progress: Progress) -> Listener:
    task = progress.add_task("Reading", total=None)

    def on_read(texts: int, notes: Sequence[str]) -> None:
        print(f"Read {texts:,} texts of {settings.data}.")
        for note in notes:
            print(note)
        progress.update(task, description="Training", total=MAX_PASSES)

    def on_pass(_done: Pass) -> None:
        progress.advance(task)

    def on_evaluated(findings: Findings) -> None:
        fitted, evaluation = findings.fitted, findings.evaluation
        print(
            f"Trained {fitted.name} in {fitted.passes[-1].seconds:.0f} seconds and {fitted.effort}: {fitted.stopped}."
        )
        names = [name for name in evaluation.metrics if name in {*settings.floors, *PRINTED_METRICS}]
        print(
            f"On {findings.metadata.rows['held_out']:,} held-out texts: {estimates_text(evaluation.metrics, names)}. "
            f"A dictionary of the training entities has an F1 of {readable(evaluation.baseline['f1'], 4)}."
        )

    return Listener(partial(print, flush=True), on_read, on_pass, on_evaluated)
