"""Pytest plugin with fixtures for the tests of a project.

To use it, add `pytest_plugins = ["mlops_runtime.testing.plugin"]` and the session fixture `predictor` to
`tests/conftest.py`. A fixture of the same name there replaces a fixture of this plugin.
"""

import os
import signal
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from hypothesis import HealthCheck, settings

from mlops_runtime.contract import RecordModel
from mlops_runtime.model import BasePredictor
from mlops_runtime.testing.project import project_setting, running_service, served

CreateApp = Callable[[BasePredictor], Flask]

# A slow machine must not fail a test: by default, Hypothesis limits the time of an example and of its generation.
settings.register_profile("project", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("project")


def pytest_sessionstart() -> None:
    """Let pytest handle Ctrl-C from here on: until now, it ended the process without a traceback."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def data(pytestconfig: pytest.Config) -> Path:
    """The data that the project trains on."""
    return pytestconfig.rootpath / project_setting(pytestconfig.rootpath, "DATA")


@pytest.fixture(scope="session")
def create_app() -> CreateApp:
    """The function that makes the application of the project."""
    function: CreateApp = import_module("webservice.app").create_app
    return function


@pytest.fixture
def dashboard(
    create_app: CreateApp, predictor: BasePredictor, pytestconfig: pytest.Config, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Any]:
    """The dashboard of the project, opened, in front of its application on a port of this machine."""
    from streamlit.testing.v1 import AppTest

    with served(create_app(predictor)) as url:
        monkeypatch.setenv("SERVICE_URL", url)
        yield AppTest.from_file(str(pytestconfig.rootpath / "src/dashboard/app.py"), default_timeout=60).run()


@pytest.fixture
def client(create_app: CreateApp, predictor: BasePredictor) -> FlaskClient:
    """A test client of the application."""
    return create_app(predictor).test_client()


@pytest.fixture(scope="session")
def service() -> Iterator[str]:
    """The URL of the service of the project, `python -m webservice`, on a free local port."""
    with running_service() as url, pytest.MonkeyPatch.context() as patch:
        # A proxy that the environment names does not reach a service on this machine.
        others = os.environ.get("no_proxy") or os.environ.get("NO_PROXY", "")
        for name in ("NO_PROXY", "no_proxy"):
            patch.setenv(name, f"127.0.0.1,{others}")
        yield url


@pytest.fixture(scope="session")
def record(predictor: BasePredictor) -> RecordModel:
    """A valid record: the first golden record."""
    golden: RecordModel = predictor.golden_records[0].record
    return golden
