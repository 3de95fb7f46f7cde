"""The command: `python -m trainer`."""

import argparse
import os
import sys
from collections.abc import Sequence
from dataclasses import fields
from functools import partial
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from mlops_runtime.contract import Contract, Task
from mlops_runtime.model.artefact import ArtefactError
from mlops_runtime.model.onnx_predictor import OnnxPredictor
from mlops_runtime.model.predictor import Predictor
from mlops_runtime.training.candidates import Candidate, CandidateError, default_candidates
from mlops_runtime.training.export import ExportError, onnx_files
from mlops_runtime.training.gate import DEFAULT_FLOORS, parse_floor
from mlops_runtime.training.parity import ParityError
from mlops_runtime.training.report.report import Findings
from mlops_runtime.training.run import Export, GateError, Listener, Settings, train
from mlops_runtime.training.split import TEST_SHARE_BOUNDS
from mlops_runtime.training.table import MAX_ROWS, Table, TableError
from mlops_runtime.training.upload import Bucket, UploadError

MADE, FAILED, DATA_REFUSED, GATE_REFUSED = range(4)

OPTIONS = tuple(field.name for field in fields(Settings))
"""Names of the settings, each of which is an option and an environment variable in upper case."""

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

    0: the artefact was made. 1: training or upload failed. 2: the arguments or the data are wrong. 3: the gate
    refused the model. An existing artefact is replaced only by a model that passes the gate.

    Args:
        contract: contract of the project.
        artefact: default folder of the artefact.
        argv: arguments; by default those of the process.
        candidates: estimators to choose from; by default those for the task.
        predictor: class that loads the exported model.
        export: function that returns the files for the predictor.
    """
    settings, bucket = _settings(contract, artefact, argv)
    candidates = default_candidates(contract) if candidates is None else candidates
    try:
        destination = Bucket(bucket) if bucket else None
        with _progress() as progress:
            listener = _listener(contract, settings, progress, len(candidates))
            metadata = train(contract, settings, candidates, predictor, export, listener)
    except TableError as error:
        return _refuse(error, settings, DATA_REFUSED)
    except GateError as error:
        print(f"See {settings.report} for all metrics.")
        return _refuse(error, settings, GATE_REFUSED)
    except (ArtefactError, CandidateError, ExportError, ParityError, UploadError, OSError) as error:
        return _refuse(error, settings, FAILED)
    print(f"Made {_relative(settings.artefact)} (version {metadata.version}); see {settings.report}.")
    return _upload(destination, settings) if destination else MADE


def _upload(bucket: Bucket, settings: Settings) -> int:
    files = (settings.artefact, settings.report, settings.metrics, settings.held_out)
    try:
        url = bucket.upload(f"trainer/{settings.version}", *files)
    except UploadError as error:
        print(error, file=sys.stderr)
        return FAILED
    print(f"Uploaded artefact, report and metrics to {url}.")
    return MADE


def _settings(contract: Contract, artefact: Path, argv: Sequence[str] | None) -> tuple[Settings, str]:
    """Return the settings of the run, and the name of the bucket to upload to, which is empty for no upload.

    An option that is not given takes the value of its environment variable, if that is not empty.
    """
    parser = argparse.ArgumentParser(
        prog="python -m trainer",
        description="Train, evaluate, gate and export a model.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    paths = parser.add_argument_group("files")
    paths.add_argument("--data", type=Path, required=True, help="training table")
    paths.add_argument("--artefact", type=Path, default=artefact, help="folder to write the artefact to")
    paths.add_argument("--report", type=Path, default="build/report.html", help="path of the report")
    paths.add_argument("--metrics", type=Path, default="build/metrics.json", help="path of the metrics")
    paths.add_argument("--lock", type=Path, default="Pipfile.lock", help="lock file of the environment")
    floors = [parse_floor(f"{name}={floor}", contract.task) for name, floor in DEFAULT_FLOORS.items()]
    parser.add_argument(
        "--floors", nargs="+", type=partial(_floor, contract.task), default=floors, metavar="METRIC=VALUE",
        help="minimum of each metric on held-out rows",
    )  # fmt: skip
    parser.add_argument("--seed", type=int, default=0, help="seed of split, folds, estimators and resampling")
    parser.add_argument("--test-share", type=_test_share, default=0.25, help="share of the rows to hold out")
    parser.add_argument("--max-rows", type=int, default=MAX_ROWS, help="maximum number of rows to read")
    parser.add_argument("--budget", type=float, default=120, help="seconds to compare candidates for")
    parser.add_argument("--version", default="development", help="version of the model")
    parser.add_argument("--commit", default="unknown", help="git commit of the model")
    parser.add_argument("--bucket", default="", help="S3 bucket for --upload")
    parser.add_argument(
        "--upload", action="store_true", help="upload artefact, report and metrics to s3://BUCKET/trainer/VERSION/"
    )
    arguments = parser.parse_args([*_environment_arguments(), *(sys.argv[1:] if argv is None else argv)])
    if arguments.upload and not arguments.bucket:
        parser.error("argument --upload: name the bucket with --bucket, or set BUCKET")
    floors_given = dict(arguments.floors)
    if len(floors_given) < len(arguments.floors):
        parser.error("argument --floors: a metric has more than one floor")
    options = {name: getattr(arguments, name) for name in OPTIONS} | {"floors": floors_given}
    return Settings(**options), arguments.bucket if arguments.upload else ""


def _environment_arguments() -> list[str]:
    """Return the environment variables of options as arguments."""
    arguments = []
    for name in (*OPTIONS, "bucket"):
        value = os.environ.get(name.upper())
        if value:
            values = value.split() if name == "floors" else [value]
            arguments += [f"--{name.replace('_', '-')}", *values]
    return arguments


def _floor(task: Task, text: str) -> tuple[str, float]:
    try:
        return parse_floor(text, task)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _test_share(text: str) -> float:
    low, high = TEST_SHARE_BOUNDS
    share = float(text)
    if not low <= share <= high:
        raise argparse.ArgumentTypeError(f"{text} is not between {low} and {high}")
    return share


def _progress() -> Progress:
    console = Console(stderr=True)
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )


def _listener(contract: Contract, settings: Settings, progress: Progress, candidates: int) -> Listener:
    task = progress.add_task("Reading", total=None)

    def on_read(table: Table) -> None:
        ignored = f" (not in the contract, ignored: {', '.join(table.ignored)})" if table.ignored else ""
        print(f"Read {len(table):,} rows of {settings.data}{ignored}.")
        for note in table.notes:
            print(note)
        progress.update(task, description="Cross-validating", total=candidates)

    def on_evaluated(findings: Findings) -> None:
        best = findings.scores[0]
        print(
            f"Chose {best.name} with a cross-validated {findings.loss} of {best.mean:.4g} "
            f"({findings.baseline_score:.4g} without features). {findings.search_summary}"
        )
        values = [
            f"{name} {estimate.value:.4g} ({estimate.low:.4g} to {estimate.high:.4g})"
            for name, estimate in findings.evaluation.metrics.items()
            if name in {*settings.floors, *PRINTED_METRICS[contract.task]}
        ]
        print(f"On {findings.metadata.rows['held_out']:,} held-out rows: {', '.join(values)}.")
        progress.update(task, description="Exporting")

    return Listener(on_read, lambda _: progress.advance(task), on_evaluated)


def _refuse(error: Exception, settings: Settings, code: int) -> int:
    print(error, file=sys.stderr)
    print(f"{_relative(settings.artefact)} is unchanged.", file=sys.stderr)
    return code


def _relative(path: Path) -> Path:
    """Return the path relative to the working directory, if it is inside."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
