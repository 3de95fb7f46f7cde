"""Health: what a cluster asks of a service, and which release it is."""

import json

from flask import Blueprint, Response
from werkzeug.exceptions import ServiceUnavailable

from mlops_runtime.model.predictor import Predictor
from mlops_runtime.serving.caching import Constant
from mlops_runtime.serving.drain import Marker


def blueprint(predictor: Predictor, marker: Marker, version: str) -> Blueprint:
    """Return the blueprint that tells of this process."""
    routes = Blueprint("health", __name__)
    # JSON has no NaN, as of a metric that could not be measured: pydantic makes it null.
    release = Constant(
        json.dumps({"version": version, "model": json.loads(predictor.metadata.model_dump_json())}),
        "application/json",
    )

    @routes.get("/healthz")
    def alive() -> dict[str, str]:
        """Answer: the process runs."""
        return {"status": "alive"}

    @routes.get("/readyz")
    def ready() -> dict[str, str]:
        """Answer: this process should get requests."""
        if marker.stands():
            raise ServiceUnavailable("The service is about to stop and takes its leave.")
        if not predictor.gives_golden_predictions():
            raise ServiceUnavailable("The model does not give its golden answers: it must not be used.")
        return {"status": "ready"}

    @routes.get("/version")
    def running() -> Response:
        """Answer: the release, and where its model comes from."""
        return release.answer()

    return routes
