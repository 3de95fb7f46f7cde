import json
from io import StringIO

import pytest
from flask import Flask
from flask.testing import FlaskClient

from mlops_runtime.model import Predictor
from mlops_runtime.serving import create_app
from mlops_runtime.serving.api.problems import Problem, pointer
from mlops_runtime.serving.settings import Settings
from mlops_runtime.serving.telemetry.logs import JsonFormatter
from tests.runtime.serving.conftest import TITLE


def test_an_unknown_path_is_a_problem(client: FlaskClient) -> None:
    response = client.get("/unknown")

    assert response.status_code == 404
    assert response.content_type == "application/problem+json"
    problem = Problem.model_validate_json(response.data)
    assert (problem.type, problem.title, problem.status) == ("about:blank", "Not Found", 404)
    assert "errors" not in response.get_json(force=True)


def test_the_headers_of_an_error_are_kept(client: FlaskClient) -> None:
    response = client.delete("/version")

    assert response.status_code == 405
    assert {"GET", "HEAD", "OPTIONS"} == {method.strip() for method in response.headers["Allow"].split(",")}
    assert response.headers.getlist("Content-Type") == ["application/problem+json"]


def test_a_redirect_is_not_a_problem(predictor: Predictor, settings: Settings) -> None:
    app = create_app(predictor, settings, title=TITLE)
    app.add_url_rule("/old", "old", redirect_to="version")

    response = app.test_client().get("/old")

    assert response.status_code == 308
    assert response.headers["Location"].endswith("/version")


@pytest.fixture
def broken_app(predictor: Predictor, settings: Settings) -> Flask:
    """An application with a route that fails."""
    app = create_app(predictor, settings, title=TITLE)

    @app.get("/broken")
    def fail() -> str:
        raise RuntimeError("the reason")

    @app.get("/exit")
    def leave() -> str:
        raise SystemExit("the reason")

    return app


def test_a_route_that_exits_is_a_problem(broken_app: Flask, caplog: pytest.LogCaptureFixture) -> None:
    response = broken_app.test_client().get("/exit")

    assert (response.status_code, response.content_type) == (500, "application/problem+json")
    assert "reason" not in response.text
    failure = next(entry for entry in caplog.records if entry.exc_info)
    assert "a route called sys.exit" in JsonFormatter().format(failure)


def test_a_failure_is_a_problem_and_its_traceback_is_logged(
    broken_app: Flask, caplog: pytest.LogCaptureFixture, log: StringIO
) -> None:
    # When something goes wrong inside the service
    response = broken_app.test_client().get("/broken", headers={"X-Request-ID": "abc"})

    # Then the caller learns nothing but that
    assert response.status_code == 500
    assert Problem.model_validate_json(response.data).status == 500
    assert "reason" not in response.text

    # And the log has the traceback, and the request as an error
    failure = next(entry for entry in caplog.records if entry.exc_info)
    assert "RuntimeError: the reason" in JsonFormatter().format(failure)
    (line,) = log.getvalue().splitlines()
    assert json.loads(line)["level"] == "error"


@pytest.mark.parametrize(
    ("location", "expected"),
    [((), ""), (("a",), "/a"), ((3, "a"), "/3/a"), (("a/b",), "/a~1b"), (("a~b",), "/a~0b"), (("",), "/")],
)
def test_a_pointer_locates_the_value(location: tuple[str | int, ...], expected: str) -> None:
    assert pointer(location) == expected
