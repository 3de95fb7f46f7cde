"""Use a model that was trained elsewhere: check what was fetched from the bucket, and replace the artefact by it.

`python -m mlops_runtime.operations.artefact FOLDER` takes what `make train.job` has uploaded: the folder `artefact`,
`metrics.json`, and the held-out predictions. MODEL is the version that it must have, and FLOORS what it must reach.
"""

import argparse
import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mlops_runtime.contract import Contract
from mlops_runtime.model.artefact import METADATA_FILE, Artefact, ArtefactError, read_artefact
from mlops_runtime.model.metadata import Metadata
from mlops_runtime.model.predictor import BasePredictor
from mlops_runtime.operations.project import project_model
from mlops_runtime.training.artefact_folder import replace_folder
from mlops_runtime.training.gate import parse_floor

METRICS = "metrics.json"
REPORT = "report.html"
HELD_OUT = "held-out.json"


class FetchedModelError(RuntimeError):
    """The fetched model cannot be used; the artefact of the project stays."""


@dataclass(frozen=True, slots=True)
class FetchedModel:
    """A model that was trained elsewhere, with its metrics.

    Attributes:
        artefact: verified artefact.
        metrics: content of its metrics.
        held_out: content of its held-out predictions, or None if there are none.
    """

    artefact: Artefact
    metrics: bytes
    held_out: bytes | None


def read_fetched(contract: Contract, folder: Path, version: str) -> FetchedModel:
    """Read and check what was fetched.

    Raises:
        FetchedModelError: if a file is missing, damaged, of another version or made for another contract.
    """
    path = folder / "artefact"
    if not (path / METADATA_FILE).is_file():
        raise FetchedModelError("the bucket has no such model: train it with make train.job, or name another MODEL")
    try:
        artefact = read_artefact(contract, path)
    except ArtefactError as error:
        raise FetchedModelError(str(error).removesuffix("; run `make train`")) from error
    if artefact.metadata.version != version:
        raise FetchedModelError(f"its artefact is of version {artefact.metadata.version}")
    metrics = folder / METRICS
    if not metrics.is_file() or _version_of(metrics) != version:
        raise FetchedModelError(f"its {METRICS} is missing or of another version: train it again")
    held_out = folder / HELD_OUT
    return FetchedModel(artefact, metrics.read_bytes(), held_out.read_bytes() if held_out.is_file() else None)


def _version_of(metrics: Path) -> object:
    try:
        return json.loads(metrics.read_bytes()).get("version")
    except (ValueError, AttributeError):
        return None


def check_gate(metadata: Metadata, floors: Mapping[str, float]) -> None:
    """Check that a model reaches the floors of this project, which may be higher than those of its training.

    A floor of its training is reached: the model would not have been exported otherwise.

    Raises:
        FetchedModelError: if it does not reach a floor, or was not measured by it.
    """
    for name, floor in floors.items():
        estimate = metadata.metrics.get(name)
        reached = max(metadata.floors.get(name, float("-inf")), estimate.value if estimate else float("-inf"))
        if not reached >= floor:
            value = f"{reached:.4f}" if reached > float("-inf") else "unknown"
            raise FetchedModelError(f"the gate refuses it: {name} is {value}, its floor is {floor:.4f}")


def use(model: FetchedModel, predictor: type[BasePredictor], folder: Path, build: Path) -> None:
    """Replace the artefact of the project, and the report and metrics of its training.

    Args:
        model: to use.
        predictor: class that loads the artefact.
        folder: folder of the project's artefact.
        build: folder of report, metrics and held-out predictions.

    Raises:
        ArtefactError: if the model cannot be loaded, or does not reproduce its golden predictions.
    """
    source = model.artefact.folder
    assert source is not None  # noqa: S101 - it was read from there
    contents = {name: (source / name).read_bytes() for name in (*model.artefact.metadata.files, METADATA_FILE)}
    report = model.artefact.report()
    replace_folder(folder, contents, lambda new: predictor.load(model.artefact.contract, new))
    build.mkdir(parents=True, exist_ok=True)
    (build / REPORT).write_bytes(report)
    (build / METRICS).write_bytes(model.metrics)
    # Those of another model must not stay.
    if model.held_out is None:
        (build / HELD_OUT).unlink(missing_ok=True)
    else:
        (build / HELD_OUT).write_bytes(model.held_out)


def main(argv: Sequence[str] | None = None) -> int:
    """Replace the artefact of the project by the fetched one; return the exit status."""
    parser = argparse.ArgumentParser(prog="mlops_runtime.operations.artefact", description=__doc__)
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args(argv).folder
    version = os.environ.get("MODEL", "")
    try:
        contract, predictor, artefact = project_model()
        floors = dict(parse_floor(text, contract.task) for text in os.environ.get("FLOORS", "").split())
        model = read_fetched(contract, folder, version)
        check_gate(model.artefact.metadata, floors)
        use(model, predictor, artefact, Path("build"))
    except (ArtefactError, FetchedModelError, ValueError, OSError) as error:
        reason = str(error).splitlines()[0]
        print(f"MODEL={version} cannot be used, and the artefact is unchanged: {reason}", file=sys.stderr)
        return 1
    print(f"The artefact is that of {version}, trained {model.artefact.metadata.trained_at}; see build/{REPORT}.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
