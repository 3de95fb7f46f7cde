"""Shared by the tests: a model trained in seconds, and the application that serves it."""

from collections.abc import Callable
from pathlib import Path

import pytest
from flask import Flask
from mlops_runtime.model import Predictor
from mlops_runtime.testing.project import project_setting, quick_predictor

from trainer.estimators import CANDIDATES, EXPORT
from webservice import app

from {{cookiecutter.__package}}_model.classifier import Classifier
from {{cookiecutter.__package}}_model.datamodel import CONTRACT

PROJECT = Path(__file__).parents[1]

pytest_plugins = ["mlops_runtime.testing.plugin"]
"""Fixtures: `client` of the application, `record` that is valid, `service` as a process."""


@pytest.fixture(scope="session")
def table() -> Path:
    """The training table."""
    return PROJECT / project_setting(PROJECT, "DATA")


@pytest.fixture(scope="session")
def predictor(table: Path, tmp_path_factory: pytest.TempPathFactory) -> Predictor:
    """A model trained on a few rows with the first candidate: good enough to test with."""
    return quick_predictor(CONTRACT, table, tmp_path_factory.mktemp("trained"), CANDIDATES, Classifier, EXPORT)


@pytest.fixture(scope="session")
def create_app() -> Callable[[Predictor], Flask]:
    """The function that makes the application."""
    return app.create_app
