import pytest
from flask import Flask

from mlops_runtime.serving.caching import Constant

CONSTANT = Constant('{"a": 1}', "application/json")


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_constant_response_has_a_strong_validator_and_must_be_revalidated(method: str) -> None:
    with Flask(__name__).test_request_context(method=method):
        response = CONSTANT.response()

    assert response.status_code == 200
    assert response.get_etag() == (response.headers["ETag"].strip('"'), False)
    assert response.headers["Cache-Control"] == "no-cache"


@pytest.mark.parametrize("known", ["{}", "W/{}", '"another", {}', "*"])
def test_unchanged_content_is_not_sent_again(known: str) -> None:
    # Given a client that has the response
    with Flask(__name__).test_request_context():
        etag = CONSTANT.response().headers["ETag"]

    # When it revalidates it
    with Flask(__name__).test_request_context(headers={"If-None-Match": known.format(etag)}):
        response = CONSTANT.response()

    # Then it is confirmed, with the same validator
    assert response.status_code == 304
    assert response.headers["ETag"] == etag


def test_different_content_has_a_different_validator() -> None:
    with Flask(__name__).test_request_context(headers={"If-None-Match": '"another"'}):
        response, other = CONSTANT.response(), Constant('{"a": 2}', "application/json").response()

    assert response.status_code == 200
    assert response.headers["ETag"] != other.headers["ETag"]
