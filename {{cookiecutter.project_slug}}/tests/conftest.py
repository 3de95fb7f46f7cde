"""Shared by the tests: a model trained in seconds."""

from pathlib import Path

import pytest
from mlops_runtime.model import Predictor
from mlops_runtime.testing.project import quick_predictor

from trainer.estimators import CANDIDATES, EXPORT

from {{cookiecutter.__package}}_model.classifier import Classifier
from {{cookiecutter.__package}}_model.datamodel import CONTRACT

pytest_plugins = ["mlops_runtime.testing.plugin"]
"""Fixtures: `data` that are trained on, `client` of the application, `record` that is valid, `service` as a process."""


@pytest.fixture(scope="session")
def predictor(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Predictor:
    """A model trained on a few rows with the first candidate: good enough to test with."""
    return quick_predictor(CONTRACT, data, tmp_path_factory.mktemp("trained"), CANDIDATES, Classifier, EXPORT)
