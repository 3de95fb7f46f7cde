import json
from dataclasses import replace
from io import StringIO
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from pydantic import ValidationError
from pydantic_core import from_json

from mlops_runtime.model.predictor import Predictor
from mlops_runtime.serving.api.problems import FieldError, Problem, field_error, pointer, value_at
from mlops_runtime.serving.app import create_app
from mlops_runtime.serving.settings import Settings
from mlops_runtime.serving.telemetry.logs import JsonFormatter
from tests.runtime.serving.conftest import PARCEL_FIELDS, Parcel


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
def broken_app(predictor: Predictor, settings: Settings) -> Flask:
    """Return an application with an address at which it fails."""
    app = create_app(predictor, settings)

    @app.get("/broken")
    def fail() -> str:
        raise RuntimeError("the reason")

    return app


def test_a_failure_is_a_problem_and_its_traceback_goes_to_the_log(
    broken_app: Flask, caplog: pytest.LogCaptureFixture, log: StringIO
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
    (line,) = log.getvalue().splitlines()
    assert json.loads(line)["level"] == "error"


@pytest.mark.parametrize(
    ("location", "expected"),
    [((), ""), (("a",), "/a"), ((3, "a"), "/3/a"), (("a/b",), "/a~1b"), (("a~b",), "/a~0b"), (("",), "/")],
)
def test_a_pointer_leads_to_the_value(location: tuple[str | int, ...], expected: str) -> None:
    assert pointer(location) == expected


PARCEL = {
    "Weight (kg)": 2.5,
    "gift": 0,
    "express": True,
    "size": "small",
    "city": "Bonn",
    "ordered": "2024-12-31",
    'a/b~c <"&ü>': "13:45",
}


def faults_of(parcel: dict[str, Any]) -> list[FieldError]:
    """Return what is wrong with a parcel, in the words of its contract."""
    body = json.dumps(parcel)
    with pytest.raises(ValidationError) as caught:
        Parcel.model_validate_json(body)
    faults = caught.value.errors(include_url=False, include_context=False, include_input=False)
    return [field_error(fault, value_at(from_json(body), fault["loc"]), PARCEL_FIELDS) for fault in faults]


@pytest.mark.parametrize(
    ("name", "value", "detail"),
    [
        ("Weight (kg)", -1, "must be a number of at least 0, usually 0.5 to 40"),
        ("items", 2.5, "must be a whole number from 1 to 99, or null"),
        ("express", "yes", "must be true or false"),
        ("size", "smal", 'must be one of large, small; did you mean "small"?'),
        ("size", "Large", 'must be one of large, small; did you mean "large"?'),
        ("size", "red", "must be one of large, small"),
        ("size", "large" * 1000, "must be one of large, small"),
        ("size", True, "must be one of large, small"),
        ("size", None, "must be one of large, small"),
        ("size", 10**400, "must be one of large, small"),
        ("city", "", "must be text of 1 to 200 characters"),
        ("remark", ["a"], "must be text of 1 to 20000 characters, or null"),
        ("ordered", "31/12/2024", "must be a date such as 2024-12-31"),
        ("paid", "2024-02-30T12:00", "must be a date and time such as 2024-12-31T13:45:00, or null"),
        ('a/b~c <"&ü>', 13, "must be a time such as 13:45:00"),
    ],
)
def test_a_wrong_value_of_any_kind_is_answered_in_words(name: str, value: object, detail: str) -> None:
    (fault,) = faults_of(PARCEL | {name: value})

    assert (fault.field, fault.detail) == (name, detail)
    assert fault.pointer == "/" + name.replace("~", "~0").replace("/", "~1")


def test_a_missing_field_is_told_of_as_missing() -> None:
    parcel = {name: value for name, value in PARCEL.items() if name != "size"}

    (fault,) = faults_of(parcel)

    assert (fault.pointer, fault.detail) == ("/size", "is missing; it must be one of large, small")


@pytest.mark.parametrize(
    ("name", "question"), [("weight (kg)", '; did you mean "Weight (kg)"? The fields are'), ("x", "; the fields are")]
)
def test_of_an_unknown_field_the_nearest_one_is_named(name: str, question: str) -> None:
    (fault,) = faults_of(PARCEL | {name: 1})

    assert fault.field == name
    assert fault.detail.startswith(f"is not a field of a record{question} Weight (kg), items, ")
    assert fault.detail.endswith(" and 2 more")


@pytest.mark.parametrize(
    ("value", "question"),
    [
        pytest.param(1, '; did you mean "1"?', id="whole"),
        pytest.param(2.0, '; did you mean "2"?', id="with a point"),
        pytest.param(3, "", id="another number"),
        pytest.param(float("nan"), "", id="no number"),
        pytest.param(True, "", id="flag"),
        pytest.param({}, "", id="object"),
    ],
)
def test_a_number_may_stand_for_a_choice_of_digits(value: object, question: str) -> None:
    spec = replace(PARCEL_FIELDS["size"], choices=("1", "2"))
    fault: Any = {"type": "enum", "loc": (0, "size")}

    assert field_error(fault, value, {"size": spec}).detail == f"must be one of 1, 2{question}"


@pytest.mark.parametrize(
    ("location", "value"),
    [((), [{"a": 1}]), ((0,), {"a": 1}), ((0, "a"), 1), ((0, "b"), None), ((0, "a", "c"), None)],
)
def test_the_value_at_a_location_is_found(location: tuple[str | int, ...], value: object) -> None:
    assert value_at([{"a": 1}], location) == value
