"""Health checks and the version of the release."""

import json

from flask import Blueprint, Response
from werkzeug.exceptions import ServiceUnavailable

from mlops_runtime.model import BasePredictor
from mlops_runtime.serving.caching import Constant
from mlops_runtime.serving.drain import Marker


def blueprint(predictor: BasePredictor, marker: Marker, version: str) -> Blueprint:
    """Return the blueprint with the probes and the version."""
    routes = Blueprint("health", __name__)
    # JSON has no NaN, the value of a metric that could not be measured: pydantic writes null.
    release = Constant(
        json.dumps({"version": version, "model": json.loads(predictor.metadata.model_dump_json())}),
        "application/json",
    )

    @routes.get("/healthz")
    def alive() -> dict[str, str]:
        """Liveness probe: the process runs."""
        return {"status": "alive"}

    @routes.get("/readyz")
    def ready() -> dict[str, str]:
        """Readiness probe: the process can predict, and does not drain."""
        if marker.exists():
            raise ServiceUnavailable("The service drains: it is about to stop.")
        if not predictor.gives_golden_predictions():
            raise ServiceUnavailable("The model does not give its golden predictions: it must not be used.")
        return {"status": "ready"}

    @routes.get("/version")
    def running() -> Response:
        """Return the release and the metadata of its model."""
        return release.response()

    return routes
