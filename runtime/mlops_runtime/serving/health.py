"""Health: whether the process runs, whether it should get requests, and which release it is."""

import json

from flask import Blueprint, Response
from werkzeug.exceptions import ServiceUnavailable

from mlops_runtime.model import Predictor
from mlops_runtime.serving.caching import Constant
from mlops_runtime.serving.drain import Marker


def blueprint(predictor: Predictor, marker: Marker, version: str) -> Blueprint:
    """Return the blueprint with the state of this process and its release."""
    routes = Blueprint("health", __name__)
    # A metric that could not be measured is NaN, which JSON lacks: pydantic writes null.
    release = Constant(
        json.dumps({"version": version, "model": json.loads(predictor.metadata.model_dump_json())}),
        "application/json",
    )

    @routes.get("/healthz")
    def alive() -> dict[str, str]:
        """Answer that the process runs."""
        return {"status": "alive"}

    @routes.get("/readyz")
    def ready() -> dict[str, str]:
        """Answer whether this process should get requests."""
        if marker.exists():
            raise ServiceUnavailable("The service drains: it is about to stop.")
        if not predictor.gives_golden_predictions():
            raise ServiceUnavailable("The model does not give its golden predictions: it must not be used.")
        return {"status": "ready"}

    @routes.get("/version")
    def running() -> Response:
        """Answer with the release and the metadata of its model."""
        return release.answer()

    return routes
