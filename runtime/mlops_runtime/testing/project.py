"""A project under test: its settings, a model trained in seconds, its service as a process."""

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from mlops_runtime.contract import Contract
from mlops_runtime.model import OnnxPredictor, Predictor
from mlops_runtime.operations.predict import local_service
from mlops_runtime.training.candidates import Candidate
from mlops_runtime.training.export import onnx_files
from mlops_runtime.training.run import Export, Settings, train

QUICK_ROWS = 2_000
"""Rows that a quick model is trained on: of a longer table one in several, evenly spread."""

NO_FLOORS = {"skill": -1e9}
"""A floor that every model reaches: what the table can teach is the gate's business, not that of a unit test."""


def project_setting(project: Path, name: str) -> str:
    """Return a setting of a project: that of the environment, as make exports it, or else the one in project.mk.

    Raises:
        KeyError: if project.mk has no such setting.
    """
    if name in os.environ:
        return os.environ[name]
    text = (project / "project.mk").read_text(encoding="utf-8")
    match = re.search(rf"^{name} \?= *(.*)$", text, re.MULTILINE)
    if match is None:
        raise KeyError(f"project.mk has no line `{name} ?= …`")
    return match[1]


def quick_predictor(
    contract: Contract,
    table: Path,
    folder: Path,
    candidates: Sequence[Candidate] | None = None,
    predictor: type[Predictor] = OnnxPredictor,
    export: Export = onnx_files,
) -> Predictor:
    """Return a predictor trained on some rows of the table with the first candidate, without a gate.

    Args:
        contract: of the project.
        table: of training data.
        folder: that the artefact, its report and its metrics are written to.
        candidates: estimators, of which the first is fitted; by default those for the task.
        predictor: class that loads the model.
        export: returns the files that it loads.
    """
    lock = folder / "Pipfile.lock"
    lock.touch()
    settings = Settings(
        data=table,
        artefact=folder / "artefact",
        report=folder / "report.html",
        metrics=folder / "metrics.json",
        lock=lock,
        floors=NO_FLOORS,
        seed=0,
        test_share=0.25,
        max_rows=QUICK_ROWS,
        budget=0,
        version="1.2.3",
        commit="0" * 40,
    )
    train(contract, settings, candidates and candidates[:1], predictor, export)
    return predictor.load(contract, settings.artefact)


@contextmanager
def running_service(**environment: str) -> Iterator[str]:
    """Yield the URL of the project's service, which runs as a process for as long as the block does.

    Args:
        environment: settings of the service.
    """
    with local_service(environment) as url:
        yield url
