"""The report on the training of the model that runs: the model card and its figures, for people."""

from flask import Blueprint, Response
from werkzeug.exceptions import NotFound

from mlops_runtime.model.artefact import ArtefactError
from mlops_runtime.model.predictor import Predictor

CONTENT_SECURITY_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'"
"""The report is one file with its own styles, those of its figures on each element. It has no script."""


def blueprint(predictor: Predictor) -> Blueprint:
    """Return the blueprint that shows the report."""
    routes = Blueprint("report", __name__)

    @routes.get("/report")
    def show() -> Response:
        try:
            # Read anew each time: it would be the largest thing in memory after the model, and is seldom asked for.
            content = predictor.report()
        except ArtefactError as error:
            raise NotFound("The report of the model that runs is not here: train and deploy again.") from error
        response = Response(content, mimetype="text/html")
        response.headers["Content-Security-Policy"] = CONTENT_SECURITY_POLICY
        return response

    return routes
