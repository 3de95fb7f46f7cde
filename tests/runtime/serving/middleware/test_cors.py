import hashlib
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from mlops_runtime.model import Predictor
from mlops_runtime.serving.settings import Settings
from tests.runtime.serving.conftest import app_of

ORIGIN = "https://app.example.org"
URL = "/v1/predictions"
KEY = "k" * 43


@pytest.fixture
def cors_client(predictor: Predictor, tmp_path: Path) -> FlaskClient:
    """A client of a service with a key and one allowed origin."""
    (tmp_path / "caller").write_text(hashlib.sha256(KEY.encode()).hexdigest())
    settings = Settings(cors_origins=(ORIGIN,), api_keys=tmp_path, drain_marker=tmp_path / "draining")
    return app_of(predictor, settings).test_client()


def preflight(client: FlaskClient, origin: str = ORIGIN, path: str = URL, headers: str = "authorization") -> Any:
    asked = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": headers}
    return client.options(path, headers={"Origin": origin} | asked)


def test_without_the_setting_no_response_has_a_header_for_other_origins(client: FlaskClient) -> None:
    for response in (client.get("/version", headers={"Origin": ORIGIN}), preflight(client)):
        assert not [name for name, _ in response.headers if name.startswith("Access-Control-")]
        assert "Vary" not in response.headers


def test_a_preflight_request_is_answered_without_a_key(cors_client: FlaskClient) -> None:
    response = preflight(cors_client, headers="authorization, content-type, x-tenant, bad name")

    assert response.status_code == 204
    assert response.headers["Access-Control-Allow-Origin"] == ORIGIN
    assert response.headers["Access-Control-Allow-Methods"] == "POST"
    assert int(response.headers["Access-Control-Max-Age"]) > 0
    allowed = {name.strip().lower() for name in response.headers["Access-Control-Allow-Headers"].split(",")}
    assert {"authorization", "content-type", "content-encoding", "prefer", "x-tenant"} <= allowed
    assert "bad name" not in allowed
    assert "Origin" in response.vary
    # Credentials of the browser are never shared
    assert "Access-Control-Allow-Credentials" not in response.headers


def test_a_route_of_a_project_may_have_any_method(cors_client: FlaskClient) -> None:
    methods = preflight(cors_client, path="/customers").headers["Access-Control-Allow-Methods"].split(", ")

    assert {"GET", "POST", "PUT", "PATCH", "DELETE"} <= set(methods)


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        pytest.param("/version", {"Authorization": f"Bearer {KEY}"}, 200, id="success"),
        pytest.param("/version", {}, 401, id="no key"),
        pytest.param("/unknown", {"Authorization": f"Bearer {KEY}"}, 404, id="no route"),
    ],
)
def test_each_response_can_be_read_by_the_allowed_origin(
    cors_client: FlaskClient, path: str, headers: dict[str, str], status: int
) -> None:
    response = cors_client.get(path, headers=headers | {"Origin": ORIGIN})

    assert response.status_code == status
    assert response.headers["Access-Control-Allow-Origin"] == ORIGIN
    assert "X-Request-ID".lower() in response.headers["Access-Control-Expose-Headers"].lower()
    assert "Origin" in response.vary


@pytest.mark.parametrize("origin", ["https://b.example.org", "http://app.example.org", "null", ORIGIN + ".b.org"])
def test_another_origin_gets_no_permission(cors_client: FlaskClient, origin: str) -> None:
    plain = cors_client.get("/healthz", headers={"Origin": origin})

    assert plain.status_code == 200
    assert "Origin" in plain.vary
    for response in (plain, preflight(cors_client, origin)):
        assert not [name for name, _ in response.headers if name.startswith("Access-Control-")]
    assert preflight(cors_client, origin).status_code == 401


def test_a_star_allows_every_origin(predictor: Predictor) -> None:
    client = app_of(predictor, Settings(cors_origins=("*",))).test_client()

    response = client.get("/version", headers={"Origin": "https://any.example"})

    assert response.headers["Access-Control-Allow-Origin"] == "*"
    assert "Origin" not in response.vary
