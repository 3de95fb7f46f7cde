"""Shared by the tests: a model trained in seconds."""

from pathlib import Path

import pytest
from mlops_runtime.model import BasePredictor
from mlops_runtime.testing.entity_models import quick_recognizer

from trainer.pipeline import PIPELINE

from {{cookiecutter.__package}}_model.datamodel import CONTRACT
from {{cookiecutter.__package}}_model.recognizer import Recognizer

pytest_plugins = ["mlops_runtime.testing.plugin"]
"""Fixtures: `data` that are trained on, `client` of the application, `record` that is valid, `service` as a process."""


@pytest.fixture(scope="session")
def predictor(data: Path, tmp_path_factory: pytest.TempPathFactory) -> BasePredictor:
    """A model trained for a few steps: good enough to test with."""
    return quick_recognizer(CONTRACT, data, tmp_path_factory.mktemp("trained"), PIPELINE, Recognizer)
