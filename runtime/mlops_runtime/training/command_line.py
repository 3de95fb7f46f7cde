"""What the command `python -m trainer` of every kind of model does: settings, progress, errors and upload."""

import argparse
import math
import os
import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from functools import partial
from itertools import chain
from pathlib import Path
from typing import NoReturn

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from mlops_runtime.contract import Contract, Task
from mlops_runtime.model.artefact import ArtefactError
from mlops_runtime.model.metadata import Estimate, Metadata
from mlops_runtime.number_format import readable
from mlops_runtime.training.bucket import Bucket, BucketError
from mlops_runtime.training.comparison import ComparisonError, check, read_held_out
from mlops_runtime.training.gate import DEFAULT_FLOORS, GateError, parse_floor
from mlops_runtime.training.interruption import interruption
from mlops_runtime.training.pipeline_call import PipelineError, call_pipeline
from mlops_runtime.training.settings import MAX_ROWS, MIN_ROWS, TEST_SHARE_BOUNDS, Settings

MADE, FAILED, DATA_REFUSED, GATE_REFUSED = range(4)
SETTINGS_REFUSED = DATA_REFUSED
INTERRUPTED = 130
"""The status of a program that Ctrl-C ended, as shells give it."""

MAX_SEED = 2**32 - 1
"""Maximum seed of the generators of NumPy, scikit-learn and spaCy."""

OPTIONS = tuple(field.name for field in fields(Settings))
"""Names of the settings, each of which is an option and an environment variable in upper case."""

TRANSFERS = ("bucket", "data_sha256", "champion", "margin")
"""Names of the options of transfers, which are environment variables as well."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Transfers:
    """What a run gets from a bucket and puts there.

    Attributes:
        bucket: name of the bucket.
        upload: whether artefact, report and metrics are uploaded.
        data_sha256: hash of the data to download; empty if they are there.
        scheduled: whether the newest data are downloaded instead, and a pipeline is called once the model is uploaded.
        champion: of a scheduled run, key of the held-out predictions of the model that was verified last; empty if none
            was deployed.
        margin: share of the champion's loss by which a model may be worse and is uploaded all the same.
    """

    bucket: str = ""
    upload: bool = False
    data_sha256: str = ""
    scheduled: bool = False
    champion: str = ""
    margin: float = 0


class SettingError(RuntimeError):
    """A setting or an argument cannot be used."""


class _Parser(argparse.ArgumentParser):
    """A parser that raises an error of one line, without the usage of the command."""

    def error(self, message: str) -> NoReturn:
        raise SettingError(f"{message}; see {self.prog} --help")


def run(
    settings: Settings,
    transfers: Transfers,
    train: Callable[[Progress], Metadata],
    refused: tuple[type[Exception], ...],
    failed: tuple[type[Exception], ...],
) -> int:
    """Download the data, train a model and upload it, as far as `transfers` says, and return the exit code.

    0: the artefact was made. 1: download, training or upload failed. 2: the data are wrong. 3: the gate refused the
    model, or a scheduled run made one that is worse than the champion. 130: Ctrl-C. An existing artefact is replaced
    only by a model that passes the gate.

    Args:
        settings: settings of the run.
        transfers: to and from a bucket.
        train: trains the model and writes its artefact; gets the display of the progress.
        refused: exceptions of wrong data.
        failed: exceptions of a failed training, in addition to those that every training may raise.
    """
    failures: tuple[type[Exception], ...] = (ArtefactError, BucketError, OSError, *failed)
    old = _inode(settings.artefact)
    try:
        bucket = Bucket(transfers.bucket) if transfers != Transfers() else None
        with _progress() as progress, interruption():
            if bucket and transfers.scheduled:
                bucket.download_data(bucket.newest_data(settings.data.name), settings.data)
            elif bucket and transfers.data_sha256:
                bucket.download_data(transfers.data_sha256, settings.data)
            metadata = train(progress)
    except refused as error:
        return _refuse(error, settings, DATA_REFUSED)
    except GateError as error:
        print(f"See {settings.report} for all metrics.")
        return _refuse(error, settings, GATE_REFUSED)
    except failures as error:
        return _refuse(error, settings, FAILED)
    except KeyboardInterrupt:
        replaced = _inode(settings.artefact) != old
        state = "new, but its report and metrics may be missing: train again" if replaced else "unchanged"
        return _stopped(f"{_relative(settings.artefact)} is {state}")
    print(f"Made {_relative(settings.artefact)} (version {metadata.version}); see {settings.report}.")
    if not (bucket and transfers.upload):
        return MADE
    if transfers.scheduled and (status := _compare(bucket, settings, transfers)) != MADE:
        return status
    status = _upload(bucket, settings)
    return _call_pipeline(settings.version) if status == MADE and transfers.scheduled else status


def _compare(bucket: Bucket, settings: Settings, transfers: Transfers) -> int:
    """Return whether a scheduled model may be uploaded, as an exit code; print how it compares with the champion."""
    champion = settings.held_out.with_name("champion.json")
    champion.unlink(missing_ok=True)
    try:
        with interruption():
            if transfers.champion and not bucket.download(transfers.champion, champion):
                url = f"s3://{bucket.name}/{transfers.champion}"
                print(f"{url} is not there, or may not be read: not compared with the model that runs.")
                print(f"make deploy puts it there with BUCKET={bucket.name}; make infrastructure lets the job read it.")
                return MADE
            check(champion, read_held_out(settings.held_out), transfers.margin)
    except (BucketError, ComparisonError) as error:
        print(f"{error}: nothing was uploaded.", file=sys.stderr)
        return GATE_REFUSED if isinstance(error, ComparisonError) else FAILED
    except KeyboardInterrupt:
        return _stopped("nothing was uploaded")
    return MADE


def _call_pipeline(version: str) -> int:
    # The version of the commit may be published already, with another model.
    command = f"make deploy MODEL={version} VERSION={version}"
    try:
        with interruption():
            host = call_pipeline(version, os.environ)
    except KeyboardInterrupt:
        return _stopped("the pipeline may not have been called")
    except PipelineError as error:
        print(f"{error}. Deploy the model by {command}.", file=sys.stderr)
        return FAILED
    print(f"Called the pipeline at {host}." if host else f"{command} deploys it.")
    return MADE


def _upload(bucket: Bucket, settings: Settings) -> int:
    files = (settings.artefact, settings.report, settings.metrics, settings.held_out)
    try:
        with interruption():
            url = bucket.upload(f"trainer/{settings.version}", *files)
    except BucketError as error:
        print(error, file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        return _stopped("the upload is incomplete: run the command again")
    print(f"Uploaded artefact, report and metrics to {url}.")
    return MADE


def parse_settings(
    contract: Contract,
    artefact: Path,
    argv: Sequence[str] | None,
    default_floors: Mapping[str, float] = DEFAULT_FLOORS,
    data: str = "training table",
) -> tuple[Settings, Transfers]:
    """Return the settings of the run, and what goes to a bucket and comes from there.

    An option that is not given takes the value of its environment variable, if that is not blank.

    Args:
        contract: contract of the project.
        artefact: default folder of the artefact.
        argv: arguments; by default those of the process.
        default_floors: floors of a run without others.
        data: what the kind of model is trained on, in two words.

    Raises:
        SettingError: if a setting or an argument cannot be used.
    """
    parser = _Parser(
        prog="python -m trainer",
        description="Train, evaluate, gate and export a model.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    paths = parser.add_argument_group("files")
    paths.add_argument("--data", type=Path, help=data)
    paths.add_argument("--artefact", type=Path, default=artefact, help="folder to write the artefact to")
    paths.add_argument("--report", type=Path, default="build/report.html", help="path of the report")
    paths.add_argument("--metrics", type=Path, default="build/metrics.json", help="path of the metrics")
    paths.add_argument("--lock", type=Path, default="Pipfile.lock", help="lock file of the environment")
    floors = [f"{name}={floor}" for name, floor in default_floors.items()]
    parser.add_argument(
        "--floors", nargs="+", type=str.split, default=[floors], metavar="METRIC=VALUE",
        help="minimum of each metric on held-out rows",
    )  # fmt: skip
    number = partial(_add_number, parser)
    number("seed", int, 0, (0, MAX_SEED), "seed of split, training and resampling")
    number("test_share", float, 0.25, TEST_SHARE_BOUNDS, "share of the rows to hold out")
    number("max_rows", int, MAX_ROWS, (MIN_ROWS, math.inf), "maximum number of rows to read")
    number("budget", float, 120, (0, math.inf), "seconds to search for a model")
    parser.add_argument("--version", default="development", help="version of the model")
    parser.add_argument("--commit", default="unknown", help="git commit of the model")
    parser.add_argument("--bucket", default="", help="S3 bucket for --upload and --download")
    parser.add_argument(
        "--upload", action="store_true", help="upload artefact, report and metrics to s3://BUCKET/trainer/VERSION/"
    )
    parser.add_argument("--data-sha256", default="", help="SHA-256 of the data for --download")
    parser.add_argument(
        "--download", type=Path, metavar="FOLDER", help="folder to put s3://BUCKET/data/SHA256 into, unless it has it"
    )
    parser.add_argument(
        "--scheduled", action="store_true",
        help="train on the newest data of the bucket a version that the time names, and call a pipeline with it",
    )  # fmt: skip
    parser.add_argument(
        "--champion", default="", metavar="KEY",
        help="in the bucket, held-out predictions of the model that a scheduled one is compared with",
    )  # fmt: skip
    number("margin", float, 0, (0, math.inf), "share of the champion's loss by which a scheduled model may be worse")
    arguments = parser.parse_args([*_environment_arguments(), *(sys.argv[1:] if argv is None else argv)])
    if arguments.data is None:
        raise SettingError(f"DATA is empty: give the path of the {data}")
    if arguments.upload and not arguments.bucket:
        raise SettingError("--upload needs a bucket: name it with --bucket, or set BUCKET")
    if arguments.scheduled and not (arguments.download and arguments.upload):
        raise SettingError("--scheduled needs --download and --upload")
    if arguments.download and not (arguments.bucket and (arguments.data_sha256 or arguments.scheduled)):
        raise SettingError("--download needs a bucket and the hash of the data: set BUCKET and DATA_SHA256")
    options = {name: getattr(arguments, name) for name in OPTIONS}
    options["floors"] = _floors(contract.task, list(chain.from_iterable(arguments.floors)))
    if not arguments.download:
        return Settings(**options), Transfers(bucket=arguments.bucket, upload=True) if arguments.upload else Transfers()
    options["data"] = arguments.download / arguments.data.name
    if arguments.scheduled:
        options["version"] = f"retrained-{datetime.now(UTC):%Y%m%d-%H%M%S}"
        transfers = Transfers(
            bucket=arguments.bucket, upload=True, scheduled=True,
            champion=arguments.champion, margin=arguments.margin,
        )  # fmt: skip
        return Settings(**options), transfers
    transfers = Transfers(bucket=arguments.bucket, upload=arguments.upload, data_sha256=arguments.data_sha256)
    return Settings(**options), transfers


def _environment_arguments() -> list[str]:
    """Return the environment variables of options as arguments."""
    values = {name: os.environ.get(name.upper(), "") for name in (*OPTIONS, *TRANSFERS)}
    return [f"{_option(name)}={value}" for name, value in values.items() if value.strip()]


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _floors(task: Task, texts: Sequence[str]) -> dict[str, float]:
    try:
        floors = [parse_floor(text, task) for text in texts]
    except ValueError as error:
        raise SettingError(f"FLOORS: {error}") from error
    for name, count in Counter(name for name, _ in floors).items():
        if count > 1:
            raise SettingError(f"FLOORS: {name} has more than one floor: give one")
    return dict(floors)


def _add_number(
    parser: argparse.ArgumentParser,
    name: str,
    kind: type[int] | type[float],
    default: float,
    bounds: tuple[float, float],
    purpose: str,
) -> None:
    """Add the option of a number within bounds."""
    setting, (low, high) = name.upper(), bounds
    wanted = ("a whole number " if kind is int else "a number ") + (
        f"from {low} to {high}" if math.isfinite(high) else f"of at least {low}"
    )

    def parsed(text: str) -> float:
        try:
            number: float = kind(text)
        except ValueError:
            number = math.nan
        if not low <= number <= high:
            raise SettingError(f"{setting}={text} is not usable: give {wanted}, as in {setting}={default}")
        return number

    parser.add_argument(_option(name), type=parsed, default=default, help=purpose)


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


def estimates_text(metrics: Mapping[str, Estimate], names: Sequence[str]) -> str:
    """Return metrics with their confidence intervals in a line."""
    values = [
        f"{name} {readable(metrics[name].value, 4)} "
        f"({readable(metrics[name].low, 4)} to {readable(metrics[name].high, 4)})"
        for name in names
    ]
    return ", ".join(values)


def _refuse(error: Exception, settings: Settings, code: int) -> int:
    print(error, file=sys.stderr)
    print(f"{_relative(settings.artefact)} is unchanged.", file=sys.stderr)
    return code


def _stopped(state: str) -> int:
    print(f"stopped: {state}.", file=sys.stderr)
    return INTERRUPTED


def _inode(folder: Path) -> int | None:
    """Return what tells a folder from the one that replaces it."""
    return folder.stat().st_ino if folder.exists() else None


def _relative(path: Path) -> Path:
    """Return the path relative to the working directory, if it is inside."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
