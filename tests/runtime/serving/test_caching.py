import pytest
from flask import Flask

from mlops_runtime.serving.caching import Constant

CONSTANT = Constant('{"a": 1}', "application/json")


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_an_answer_has_a_strong_validator_and_may_be_kept_to_be_asked_for_again(method: str) -> None:
    with Flask(__name__).test_request_context(method=method):
        response = CONSTANT.answer()

    assert response.status_code == 200
    assert response.get_etag() == (response.headers["ETag"].strip('"'), False)
    assert response.headers["Cache-Control"] == "no-cache"


@pytest.mark.parametrize("known", ["{}", "W/{}", '"another", {}', "*"])
def test_what_the_caller_has_is_not_sent_again(known: str) -> None:
    # Given a caller that has the answer
    with Flask(__name__).test_request_context():
        etag = CONSTANT.answer().headers["ETag"]

    # When it asks again
    with Flask(__name__).test_request_context(headers={"If-None-Match": known.format(etag)}):
        response = CONSTANT.answer()

    # Then it is told so, by the same validator
    assert response.status_code == 304
    assert response.headers["ETag"] == etag


def test_another_content_has_another_validator() -> None:
    with Flask(__name__).test_request_context(headers={"If-None-Match": '"another"'}):
        response, other = CONSTANT.answer(), Constant('{"a": 2}', "application/json").answer()

    assert response.status_code == 200
    assert response.headers["ETag"] != other.headers["ETag"]
