"""Pytest plugin with the fixtures that the tests of a project need.

To use it, write `pytest_plugins = ["mlops_runtime.testing.plugin"]` into `tests/conftest.py`, and define there
the session fixtures `predictor` and `create_app`. Each fixture below can be replaced by one of the same name.
"""

from collections.abc import Callable, Iterator

import pytest
from flask import Flask
from flask.testing import FlaskClient

from mlops_runtime.contract import RecordModel
from mlops_runtime.model import Predictor
from mlops_runtime.testing.project import running_service

CreateApp = Callable[[Predictor], Flask]


@pytest.fixture
def client(create_app: CreateApp, predictor: Predictor) -> FlaskClient:
    """A client of the application, without a process or a port."""
    return create_app(predictor).test_client()


@pytest.fixture(scope="session")
def service() -> Iterator[str]:
    """The URL of the project's service, `python -m webservice`, on a free port of this machine."""
    with running_service() as url:
        yield url


@pytest.fixture(scope="session")
def record(predictor: Predictor) -> RecordModel:
    """A valid record: the first of the golden records."""
    golden: RecordModel = predictor.golden_records[0].record
    return golden
