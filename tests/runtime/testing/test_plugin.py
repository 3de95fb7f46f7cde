"""The fixtures of the pytest plugin, as the tests of a project use them."""

import signal
from pathlib import Path

import pytest

from mlops_runtime.testing.plugin import pytest_sessionstart

pytest_plugins = ["pytester"]

CONFTEST = """
from pathlib import Path

import pytest
from flask import Flask

from mlops_runtime.contract import Task
from mlops_runtime.model import OnnxPredictor
from mlops_runtime.testing import synthetic

pytest_plugins = ["mlops_runtime.testing.plugin"]


@pytest.fixture(scope="session")
def predictor():
    return OnnxPredictor.load(synthetic.CONTRACTS[Task.BINARY], Path({artefact!r}))


@pytest.fixture(scope="session")
def create_app():
    def create_app(predictor):
        app = Flask("project")
        app.add_url_rule("/title", view_func=lambda: predictor.metadata.target)
        return app

    return create_app
"""

TESTS = """
from urllib.request import urlopen


def test_record(record, predictor):
    assert isinstance(record, predictor.contract.record)


def test_client(client, predictor):
    assert client.get("/title").text == predictor.contract.target


def test_service(service):
    assert urlopen(service + "/").status == 200
"""

SERVICE = """
import os
from http.server import BaseHTTPRequestHandler, HTTPServer


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()


HTTPServer((os.environ["HOST"], int(os.environ["PORT"])), Handler).serve_forever()
"""


def test_a_project_uses_the_fixtures(
    pytester: pytest.Pytester, artefact: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given: a project with a trained model and a service
    pytester.makeconftest(CONFTEST.format(artefact=str(artefact)))
    pytester.makepyfile(test_project=TESTS, webservice=SERVICE)
    monkeypatch.setenv("PYTHONPATH", str(pytester.path))
    # and a proxy that does not answer
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.setenv("NO_PROXY", "intranet")
    # when
    result = pytester.runpytest_inprocess("-p", "no:cacheprovider")
    # then
    result.assert_outcomes(passed=3)


def test_no_test_of_a_project_fails_because_the_machine_is_slow(pytester: pytest.Pytester) -> None:
    # given: a project whose test asks for the limits that hold in it
    pytester.makeconftest('pytest_plugins = ["mlops_runtime.testing.plugin"]')
    pytester.makepyfile(
        """
        from hypothesis import HealthCheck, settings


        def test_limits():
            assert settings.default.deadline is None
            assert HealthCheck.too_slow in settings.default.suppress_health_check
        """
    )

    # when
    result = pytester.runpytest_inprocess("-p", "no:cacheprovider")

    # then
    result.assert_outcomes(passed=1)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param(signal.SIG_DFL, signal.default_int_handler, id="ended the process"),
        pytest.param(signal.SIG_IGN, signal.SIG_IGN, id="was ignored"),
    ],
)
def test_pytest_handles_ctrl_c_once_it_has_started(before: signal.Handlers, after: object) -> None:
    handler = signal.signal(signal.SIGINT, before)
    try:
        pytest_sessionstart()
        assert signal.getsignal(signal.SIGINT) == after
    finally:
        signal.signal(signal.SIGINT, handler)
