from typing import Any

import pytest
from werkzeug.exceptions import MethodNotAllowed
from werkzeug.test import Client

from mlops_runtime.serving.api.problems import Problem
from mlops_runtime.serving.middleware.error_responses import (
    RETRY_AFTER,
    closing,
    closing_unread,
    late,
    overloaded,
    refusal,
    unknown_coding,
)


@pytest.mark.parametrize(
    ("refused", "status"),
    [(overloaded, 503), (late, 408), (unknown_coding, 501), (refusal(MethodNotAllowed(["GET"], "Only read.")), 405)],
    ids=["overloaded", "late", "unknown-coding", "any-error"],
)
def test_a_refusal_is_a_problem(refused: Any, status: int) -> None:
    response = Client(refused).post("/v1/predictions", data=b"text")

    assert response.status_code == status
    assert response.content_type == "application/problem+json"
    problem = Problem.model_validate_json(response.data)
    assert problem.status == status
    assert problem.detail


def test_who_is_refused_in_a_rush_learns_when_to_come_again() -> None:
    assert Client(overloaded).get("/").headers["Retry-After"] == str(RETRY_AFTER)


def test_headers_of_the_error_are_kept() -> None:
    assert Client(refusal(MethodNotAllowed(["GET"]))).post("/").headers["Allow"] == "GET"


def test_what_a_layer_adds_to_one_answer_is_not_in_the_next() -> None:
    # Given a layer that adds a header to the list that it gets
    def layered(environ: Any, start_response: Any) -> Any:
        return overloaded(environ, closing(start_response))

    client = Client(layered)

    # Then each answer has it once
    assert [client.get("/").headers.getlist("Connection") for _ in range(2)] == [["close"], ["close"]]
    assert "Connection" not in Client(overloaded).get("/").headers


@pytest.mark.parametrize(
    ("environ", "closed"),
    [
        ({}, False),
        ({"CONTENT_LENGTH": ""}, False),
        ({"CONTENT_LENGTH": "0"}, False),
        ({"CONTENT_LENGTH": "1"}, True),
        ({"HTTP_TRANSFER_ENCODING": "chunked"}, True),
    ],
    ids=["none", "empty", "zero", "declared", "chunked"],
)
def test_a_connection_with_a_body_that_is_not_read_is_closed(environ: dict[str, str], *, closed: bool) -> None:
    sent: list[tuple[str, str]] = []

    overloaded(environ, closing_unread(environ, lambda _, headers: sent.extend(headers)))  # type: ignore[arg-type]

    assert (("Connection", "close") in sent) == closed
