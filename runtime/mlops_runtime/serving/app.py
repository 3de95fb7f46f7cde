"""The application: one blueprint for each part of the service, and the middleware around them."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flask import Flask, request
from jinja2 import BaseLoader, ChoiceLoader, FileSystemLoader, PackageLoader, PrefixLoader

from mlops_runtime.contract import RecordModel
from mlops_runtime.model import Predictor
from mlops_runtime.serving import health
from mlops_runtime.serving.api import docs, openapi, predictions, problems
from mlops_runtime.serving.drain import Marker
from mlops_runtime.serving.middleware.access_log import logged
from mlops_runtime.serving.middleware.fastpath import shortened
from mlops_runtime.serving.middleware.keys import Keys, keyed
from mlops_runtime.serving.middleware.limits import Buckets, limited
from mlops_runtime.serving.routes import ROUTE_KEY
from mlops_runtime.serving.service import EXTENSION, Service
from mlops_runtime.serving.settings import Settings
from mlops_runtime.serving.telemetry import metrics as telemetry
from mlops_runtime.serving.telemetry.metrics import Metrics
from mlops_runtime.serving.ui import page, report

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication


def create_app(
    predictor: Predictor,
    settings: Settings | None = None,
    *,
    title: str,
    metrics: Metrics | None = None,
    templates: Path | None = None,
) -> Flask:
    """Return the application.

    Args:
        predictor: the model to serve.
        settings: by default those of the environment.
        title: of the page and of the OpenAPI document.
        metrics: of requests and predictions; by default new ones.
        templates: folder with pages that replace those of this package by name.

    Raises:
        SettingsError: if an environment variable has a value that cannot be used, or API keys are
            required and none can be read.
    """
    settings = settings or Settings.from_environment()
    metrics = metrics or Metrics(predictor, settings.prometheus_multiproc_dir, settings.version)
    marker = Marker(settings.marker)
    predict = measured(predictor, metrics)

    app = Flask(__name__)
    app.jinja_loader = template_loader(templates)
    # Without these, a page with many fields is half white space.
    app.jinja_options = {"trim_blocks": True, "lstrip_blocks": True}
    app.config["MAX_CONTENT_LENGTH"] = app.config["MAX_FORM_MEMORY_SIZE"] = settings.max_content_length
    app.before_request(note_route)
    problems.register(app)
    app.register_blueprint(predictions.blueprint(predictor.contract, predict, settings.max_records))
    app.register_blueprint(health.blueprint(predictor, marker, settings.version))
    app.register_blueprint(telemetry.blueprint(metrics))
    app.register_blueprint(openapi.blueprint(predictor, settings, title))
    app.register_blueprint(docs.blueprint(title))
    app.register_blueprint(page.blueprint(predictor, settings, predict, title))
    app.register_blueprint(report.blueprint(predictor))

    # The last one is the outermost: what it does holds for every answer, errors included.
    answer: WSGIApplication = shortened(
        app.wsgi_app, predictor.contract, predict, settings.max_records, settings.max_content_length
    )
    if settings.rate_limit:
        answer = limited(answer, Buckets(settings.rate_limit))
    if settings.api_keys:
        answer = keyed(answer, Keys(settings.api_keys, settings.operator_key))

    def log(application: "WSGIApplication") -> "WSGIApplication":
        return logged(application, marker, metrics.answered)

    app.wsgi_app = log(answer)  # type: ignore[assignment, method-assign]
    app.extensions[EXTENSION] = Service(predictor, settings, metrics, marker, log)
    return app


def template_loader(templates: Path | None) -> BaseLoader:
    """Return the loader of the pages: one in the project's folder replaces that of this package by name.

    A page that replaces another can extend it under the name `runtime/…`.
    """
    own = PackageLoader("mlops_runtime.serving")
    replacing = [FileSystemLoader(templates)] if templates else []
    return ChoiceLoader([*replacing, own, PrefixLoader({"runtime": own})])


def measured(predictor: Predictor, metrics: Metrics) -> Callable[[Sequence[RecordModel]], list[Any]]:
    """Return a function that predicts records and adds them to the metrics."""

    def predict(records: Sequence[RecordModel]) -> list[Any]:
        features = predictor.contract.encode(records)
        predicted = predictor.predictions(features)
        metrics.predicted(features, predicted)
        return predicted

    return predict


def note_route() -> None:
    """Note the URL rule of the request, for the metrics."""
    if request.url_rule:
        request.environ[ROUTE_KEY] = request.url_rule.rule
