import logging

import pytest
from flask import Flask
from flask.testing import FlaskClient

from webservice.app import create_app
from webservice.logs import JsonFormatter
from webservice.problems import MAX_NAME, Problem, pointer, shortened
from webservice.settings import Settings

from {{cookiecutter.__package}}_model.classifier import Classifier


def test_an_unknown_address_is_a_problem(client: FlaskClient) -> None:
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


def test_a_redirect_stays_one(client: FlaskClient) -> None:
    response = client.get("/docs")

    assert response.status_code == 308
    assert response.headers["Location"].endswith("/docs/")


@pytest.fixture
def broken_app(classifier: Classifier, settings: Settings) -> Flask:
    """Return an application with an address at which it fails."""
    app = create_app(classifier, settings)

    @app.get("/broken")
    def fail() -> str:
        raise RuntimeError("the reason")

    return app


def test_a_failure_is_a_problem_and_its_traceback_goes_to_the_log(
    broken_app: Flask, caplog: pytest.LogCaptureFixture
) -> None:
    # When something goes wrong inside the service
    response = broken_app.test_client().get("/broken", headers={"X-Request-ID": "abc"})

    # Then the caller hears that it did, and no more
    assert response.status_code == 500
    assert Problem.model_validate_json(response.data).status == 500
    assert "reason" not in response.text

    # And the log has the traceback, and the request as an error
    failure = next(entry for entry in caplog.records if entry.exc_info)
    assert "RuntimeError: the reason" in JsonFormatter().format(failure)
    assert [entry.levelno for entry in caplog.records if entry.name == "webservice.requests"] == [logging.ERROR]


@pytest.mark.parametrize(
    ("location", "expected"),
    [((), ""), (("a",), "/a"), ((3, "a"), "/3/a"), (("a/b",), "/a~1b"), (("a~b",), "/a~0b"), (("",), "/")],
)
def test_a_pointer_leads_to_the_value(location: tuple[str | int, ...], expected: str) -> None:
    assert pointer(location) == expected


@pytest.mark.parametrize(
    ("length", "expected"), [(MAX_NAME, MAX_NAME), (MAX_NAME + 1, MAX_NAME + 1), (9999, MAX_NAME + 1)]
)
def test_a_name_is_cut_when_it_is_long(length: int, expected: int) -> None:
    assert len(shortened("x" * length)) == expected
