"""The report on the training of the served model."""

from flask import Blueprint, Response
from werkzeug.exceptions import NotFound

from mlops_runtime.model import ArtefactError, BasePredictor

CONTENT_SECURITY_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'"
"""The report is one file with its own styles and no script."""


def blueprint(predictor: BasePredictor) -> Blueprint:
    """Return the blueprint that shows the report."""
    routes = Blueprint("report", __name__)

    @routes.get("/report")
    def show() -> Response:
        try:
            # Read for each request, because the report is large and rarely opened.
            content = predictor.artefact.report()
        except ArtefactError as error:
            raise NotFound("The service has no report on this model: train and deploy again.") from error
        response = Response(content, mimetype="text/html")
        response.headers["Content-Security-Policy"] = CONTENT_SECURITY_POLICY
        return response

    return routes
