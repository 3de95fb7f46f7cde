"""A project whose contract is a synthetic one: the service that the live tests start."""

import os
import time
from pathlib import Path

from flask import Flask

from mlops_runtime.contract import Task
from mlops_runtime.model import OnnxPredictor
from mlops_runtime.serving import create_app as create_runtime_app
from mlops_runtime.testing.synthetic import CONTRACTS

ARTEFACT = "ARTEFACT"
"""Variable with the folder of the artefact."""


def create_app() -> Flask:
    """Return the application, with a route that takes as long as its caller wants."""
    predictor = OnnxPredictor.load(CONTRACTS[Task.BINARY], Path(os.environ[ARTEFACT]))
    app = create_runtime_app(predictor, title="Fate of an order")

    @app.get("/sleep/<float:seconds>")
    def sleep(seconds: float) -> str:
        time.sleep(seconds)
        return "slept"

    return app
