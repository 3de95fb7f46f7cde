from typing import Any

import pytest
from werkzeug.exceptions import MethodNotAllowed
from werkzeug.test import Client

from mlops_runtime.serving.api.problems import Problem
from mlops_runtime.serving.middleware.error_responses import (
    RETRY_AFTER,
    body_timeout,
    incomplete,
    overloaded,
    prepared_response,
    unsupported_transfer_encoding,
)


@pytest.mark.parametrize(
    ("response", "status"),
    [
        (overloaded, 503),
        (body_timeout, 408),
        (incomplete, 400),
        (unsupported_transfer_encoding, 501),
        (prepared_response(MethodNotAllowed(["GET"], "Only read.")), 405),
    ],
    ids=["overloaded", "late", "incomplete", "unknown-coding", "any-error"],
)
def test_a_prepared_response_has_problem_details(response: Any, status: int) -> None:
    answer = Client(response).post("/v1/predictions", data=b"text")

    assert answer.status_code == status
    assert answer.content_type == "application/problem+json"
    problem = Problem.model_validate_json(answer.data)
    assert problem.status == status
    assert problem.detail


def test_a_response_under_overload_has_a_retry_after_header() -> None:
    assert Client(overloaded).get("/").headers["Retry-After"] == str(RETRY_AFTER)


def test_headers_of_the_error_are_kept() -> None:
    assert Client(prepared_response(MethodNotAllowed(["GET"]))).post("/").headers["Allow"] == "GET"


def test_a_header_that_a_layer_adds_is_not_in_the_next_response() -> None:
    # Given a layer that adds a header to the list that it is given
    def layer(environ: Any, start_response: Any) -> Any:
        def start(status: str, headers: list[tuple[str, str]], *exc_info: Any) -> Any:
            headers.append(("X-Layer", "added"))
            return start_response(status, headers, *exc_info)

        return overloaded(environ, start)

    client = Client(layer)

    assert [client.get("/").headers.getlist("X-Layer") for _ in range(2)] == [["added"], ["added"]]
    assert "X-Layer" not in Client(overloaded).get("/").headers
