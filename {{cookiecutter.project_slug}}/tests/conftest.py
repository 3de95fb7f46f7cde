"""Shared by the tests: a model trained in seconds, and the application that serves it."""

from pathlib import Path

import pytest
from flask.testing import FlaskClient
from mlops_runtime.model import Predictor
from mlops_runtime.testing import project_setting, quick_predictor

from trainer.estimators import CANDIDATES, EXPORT
from webservice.app import create_app

from {{cookiecutter.__package}}_model.classifier import Classifier
from {{cookiecutter.__package}}_model.datamodel import CONTRACT

PROJECT = Path(__file__).parents[1]


@pytest.fixture(scope="session")
def table() -> Path:
    """The training table."""
    return PROJECT / project_setting(PROJECT, "DATA")


@pytest.fixture(scope="session")
def predictor(table: Path, tmp_path_factory: pytest.TempPathFactory) -> Predictor:
    """A model trained on a few rows with the first candidate: good enough to test with."""
    return quick_predictor(CONTRACT, table, tmp_path_factory.mktemp("trained"), CANDIDATES, Classifier, EXPORT)


@pytest.fixture
def client(predictor: Predictor) -> FlaskClient:
    """A client of the application."""
    return create_app(predictor).test_client()
