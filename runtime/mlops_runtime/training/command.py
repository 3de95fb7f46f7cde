"""The command of a table's model: `python -m trainer`."""

import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from rich.progress import Progress

from mlops_runtime.contract import Contract, Task
from mlops_runtime.model.metadata import Metadata
from mlops_runtime.model.onnx_predictor import OnnxPredictor
from mlops_runtime.model.predictor import Predictor
from mlops_runtime.number_format import readable
from mlops_runtime.training.candidates import Candidate, CandidateError, default_candidates
from mlops_runtime.training.command_line import SETTINGS_REFUSED, SettingError, estimates_text, parse_settings, run
from mlops_runtime.training.export import ExportError, onnx_files
from mlops_runtime.training.parity import ParityError
from mlops_runtime.training.report.report import Findings
from mlops_runtime.training.run import Export, Listener, train
from mlops_runtime.training.search import Trial
from mlops_runtime.training.settings import Settings
from mlops_runtime.training.table import Table, TableError

PRINTED_METRICS = {
    Task.BINARY: ("accuracy", "roc_auc"),
    Task.MULTICLASS: ("accuracy", "macro_f1"),
    Task.REGRESSION: ("r2", "mae", "coverage"),
}
"""Metrics to print in addition to those with a floor."""


def main(
    contract: Contract,
    artefact: Path,
    argv: Sequence[str] | None = None,
    candidates: Sequence[Candidate] | None = None,
    predictor: type[Predictor] = OnnxPredictor,
    export: Export = onnx_files,
) -> int:
    """Train a model and return the exit code.

    0: the artefact was made. 1: download, training or upload failed. 2: a setting or the data are wrong. 3: the gate
    refused the model. 130: Ctrl-C. An existing artefact is replaced only by a model that passes the gate.

    Args:
        contract: contract of the project.
        artefact: default folder of the artefact.
        argv: arguments; by default those of the process.
        candidates: estimators to choose from; by default those for the task.
        predictor: class that loads the exported model.
        export: function that returns the files for the predictor.
    """
    try:
        settings, transfers = parse_settings(contract, artefact, argv)
    except SettingError as error:
        print(error, file=sys.stderr)
        return SETTINGS_REFUSED
    chosen = default_candidates(contract) if candidates is None else candidates

    def training(progress: Progress) -> Metadata:
        listener = _listener(contract, settings, progress, len(chosen))
        return train(contract, settings, chosen, predictor, export, listener)

    return run(settings, transfers, training, (TableError,), (CandidateError, ExportError, ParityError))


def _listener(contract: Contract, settings: Settings, progress: Progress, candidates: int) -> Listener:
    task = progress.add_task("Reading", total=None)
    defaults = {repr(candidate) for candidate in default_candidates(contract)}

    def on_read(table: Table) -> None:
        ignored = f" (not in the contract, ignored: {', '.join(table.ignored)})" if table.ignored else ""
        print(f"Read {len(table):,} rows of {settings.data}{ignored}.")
        for note in table.notes:
            print(note)
        progress.update(task, description="Cross-validating", total=candidates)

    def on_scored(trial: Trial) -> None:
        progress.advance(task)
        # Among the default candidates, one that does not converge has a higher loss: nobody needs to act.
        if not trial.score.converged and repr(trial.candidate) not in defaults:
            print(f"{trial.score.name} did not converge: give it more iterations, as with max_iter.")

    def on_evaluated(findings: Findings) -> None:
        best = findings.scores[0]
        print(
            f"Chose {best.name} with a cross-validated {findings.loss} of {readable(best.mean, 4)} "
            f"({readable(findings.baseline_score, 4)} without features). {findings.search_summary}"
        )
        metrics = findings.evaluation.metrics
        printed = {*settings.floors, *PRINTED_METRICS[contract.task]}
        values = estimates_text(metrics, [name for name in metrics if name in printed])
        print(f"On {findings.metadata.rows['held_out']:,} held-out rows: {values}.")
        progress.update(task, description="Exporting")

    return Listener(partial(print, flush=True), on_read, on_scored, on_evaluated)
