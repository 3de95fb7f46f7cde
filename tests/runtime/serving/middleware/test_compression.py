import gzip
import json
from typing import Any

import pytest
from flask import Flask, request
from flask.testing import FlaskClient
from werkzeug.exceptions import BadRequest

from mlops_runtime.model import Predictor
from mlops_runtime.serving.api.problems import InvalidRequestError, Problem
from mlops_runtime.serving.middleware.compression import declared_length, unpacked
from mlops_runtime.serving.settings import Settings
from tests.runtime.serving.conftest import app_of

URL = "/v1/predictions"
BOMB = gzip.compress(bytes(50 * 1024 * 1024))


def post(client: FlaskClient, body: bytes, encoding: str = "gzip", url: str = URL) -> Any:
    return client.post(url, data=body, headers={"Content-Type": "application/json", "Content-Encoding": encoding})


@pytest.fixture
def echo_client(predictor: Predictor, settings: Settings) -> FlaskClient:
    """A client of an application with a route of a project that returns its body."""
    app: Flask = app_of(predictor, settings)
    app.add_url_rule("/echo", "echo", lambda: request.get_data(), methods=["POST"])
    return app.test_client()


@pytest.mark.parametrize("encoding", ["gzip", "GZIP", "x-gzip"])
def test_a_packed_record_gets_the_prediction_of_the_plain_one(
    client: FlaskClient, record: dict[str, Any], encoding: str
) -> None:
    packed = post(client, gzip.compress(json.dumps(record).encode()), encoding)

    assert packed.status_code == 200
    assert packed.data == client.post(URL, json=record).data


def test_a_route_of_a_project_gets_the_unpacked_body(echo_client: FlaskClient) -> None:
    assert post(echo_client, gzip.compress(b"hello") + gzip.compress(b" you"), url="/echo").data == b"hello you"


def test_the_limit_holds_for_the_unpacked_body(echo_client: FlaskClient, max_content_length: int) -> None:
    allowed = post(echo_client, gzip.compress(bytes(max_content_length)), url="/echo")
    refused = post(echo_client, gzip.compress(bytes(max_content_length + 1)), url="/echo")

    assert (allowed.status_code, len(allowed.data)) == (200, max_content_length)
    assert refused.status_code == 413
    assert f"{max_content_length:,} bytes" in Problem.model_validate_json(refused.data).detail


def test_a_body_that_is_too_long_before_it_is_unpacked_is_refused(client: FlaskClient, max_content_length: int) -> None:
    assert post(client, bytes(max_content_length + 1)).status_code == 413


@pytest.mark.parametrize("encoding", ["br", "deflate", "zstd", "gzip, gzip", "none"])
def test_another_encoding_is_refused_with_the_supported_one(client: FlaskClient, encoding: str) -> None:
    response = post(client, b"{}", encoding)

    assert response.status_code == 415
    assert response.headers["Accept-Encoding"] == "gzip"
    assert "Content-Encoding: gzip" in Problem.model_validate_json(response.data).detail


@pytest.mark.parametrize("encoding", ["identity", "Identity"])
def test_a_body_without_an_encoding_may_say_so(client: FlaskClient, record: dict[str, Any], encoding: str) -> None:
    assert post(client, json.dumps(record).encode(), encoding).status_code == 200


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"{}", id="not packed"),
        pytest.param(gzip.compress(b"{}")[:-4], id="incomplete"),
        pytest.param(gzip.compress(b"{}")[:5], id="half a header"),
        pytest.param(gzip.compress(b"{}") + b"rest", id="something after it"),
        pytest.param(gzip.compress(b"{}")[:-8] + bytes(8), id="wrong checksum"),
        pytest.param(gzip.compress(b"x" * 100)[:12] + b"\xff" * 20, id="damaged inside"),
    ],
)
def test_a_damaged_body_is_refused(client: FlaskClient, body: bytes) -> None:
    response = post(client, body)

    assert response.status_code == 400
    assert "gzip" in Problem.model_validate_json(response.data).detail
    with pytest.raises(BadRequest):
        unpacked(body, 1000)


def test_a_bomb_is_not_unpacked_beyond_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    # Given a count of the bytes that are unpacked
    lengths: list[int] = []
    read = gzip.GzipFile.read

    def counting(file: gzip.GzipFile, size: int | None = -1) -> bytes:
        content = read(file, size)
        lengths.append(len(content))
        return content

    monkeypatch.setattr(gzip.GzipFile, "read", counting)

    with pytest.raises(InvalidRequestError):
        unpacked(BOMB, 1000)

    assert lengths == [1001]


def test_the_end_of_a_gzip_file_declares_its_length() -> None:
    assert declared_length(gzip.compress(bytes(70_000))) == 70_000
    assert declared_length(b"") == 0
