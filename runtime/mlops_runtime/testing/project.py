"""A project under test: settings, a quickly trained model, and the service as a process."""

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Thread

from flask import Flask
from werkzeug.serving import make_server

from mlops_runtime.contract import Contract
from mlops_runtime.model import OnnxPredictor, Predictor
from mlops_runtime.operations.predict import local_service
from mlops_runtime.training.candidates import Candidate
from mlops_runtime.training.export import onnx_files
from mlops_runtime.training.run import Export, train
from mlops_runtime.training.settings import Settings

MAX_ROWS = 2_000
"""Maximum number of rows to train a model for tests on, evenly spaced."""

NO_FLOORS = {"skill": -1e9}
"""A floor that every model reaches, because unit tests do not depend on the quality of the model."""


def project_setting(project: Path, name: str) -> str:
    """Return a setting from the environment, to which make exports it, or from project.mk.

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
    """Return a predictor trained on some rows with the first candidate, and without a gate.

    Args:
        contract: contract of the project.
        table: path of the training table.
        folder: folder to write the artefact, the report and the metrics to.
        candidates: estimators, the first of which is fitted; by default those for the task.
        predictor: class that loads the exported model.
        export: function that returns the files for the predictor.
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
        max_rows=MAX_ROWS,
        budget=0,
        version="1.2.3",
        commit="0" * 40,
    )
    train(contract, settings, candidates and candidates[:1], predictor, export)
    return predictor.load(contract, settings.artefact)


@contextmanager
def served(app: Flask) -> Iterator[str]:
    """Serve an application from a thread of this process, and yield its URL."""
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def running_service(**environment: str) -> Iterator[str]:
    """Run the service of the project as a process and yield its URL.

    Args:
        environment: settings of the service.
    """
    with local_service(environment) as url:
        yield url
