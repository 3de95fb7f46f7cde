"""Shared by the tests: a model trained in seconds, and the application that serves it."""

from collections.abc import Callable
from pathlib import Path

import pytest
from flask import Flask
from mlops_runtime.model import BasePredictor
from mlops_runtime.testing.entity_models import quick_recognizer
from mlops_runtime.testing.project import project_setting

from trainer.pipeline import PIPELINE
from webservice import app

from {{cookiecutter.__package}}_model.datamodel import CONTRACT
from {{cookiecutter.__package}}_model.recognizer import Recognizer

PROJECT = Path(__file__).parents[1]

pytest_plugins = ["mlops_runtime.testing.plugin"]
"""Fixtures: `client` of the application, `record` that is valid, `service` as a process."""


@pytest.fixture(scope="session")
def texts() -> Path:
    """The annotated texts."""
    return PROJECT / project_setting(PROJECT, "DATA")


@pytest.fixture(scope="session")
def predictor(texts: Path, tmp_path_factory: pytest.TempPathFactory) -> BasePredictor:
    """A model trained for a few steps: good enough to test with."""
    return quick_recognizer(CONTRACT, texts, tmp_path_factory.mktemp("trained"), PIPELINE, Recognizer)


@pytest.fixture(scope="session")
def create_app() -> Callable[[BasePredictor], Flask]:
    """The function that makes the application."""
    return app.create_app
