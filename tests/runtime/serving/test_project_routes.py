import pytest
from flask import Flask

from mlops_runtime.model import Predictor
from mlops_runtime.serving.project_routes import RouteError, check_routes
from mlops_runtime.serving.settings import Settings
from tests.runtime.serving.conftest import app_of


@pytest.fixture
def app(predictor: Predictor, settings: Settings) -> Flask:
    return app_of(predictor, settings)


@pytest.mark.parametrize(
    ("path", "method"),
    [
        pytest.param("/healthz", "GET", id="route without a body"),
        pytest.param("/v1/predictions", "POST", id="route with a body"),
    ],
)
def test_a_route_that_repeats_one_of_the_runtime_is_refused(app: Flask, path: str, method: str) -> None:
    app.add_url_rule(path, "own", lambda: "ours", methods=[method])

    with pytest.raises(RouteError, match=f"{method} {path} is registered twice.*: give the route .* another path"):
        check_routes(app)
    # A test client of the project finds it as well
    with pytest.raises(RouteError, match="is registered twice"):
        app.test_client().get("/openapi.json")


@pytest.mark.parametrize(
    ("path", "method"),
    [
        pytest.param("/v1/contact", "GET", id="path of its own"),
        pytest.param("/healthz", "POST", id="method of its own"),
    ],
)
def test_any_other_route_is_accepted(app: Flask, path: str, method: str) -> None:
    app.add_url_rule(path, "own", lambda: "ours", methods=[method])

    check_routes(app)
