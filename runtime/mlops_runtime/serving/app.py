"""The Flask application: one blueprint per part of the service, wrapped in WSGI middleware."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flask import Flask, Response, request
from jinja2 import BaseLoader, ChoiceLoader, FileSystemLoader, PackageLoader, PrefixLoader

from mlops_runtime.contract import RecordModel
from mlops_runtime.model import BasePredictor, Predictor
from mlops_runtime.serving import health
from mlops_runtime.serving.api import docs, explanations, openapi, predictions, problems
from mlops_runtime.serving.drain import Marker
from mlops_runtime.serving.links import link_to
from mlops_runtime.serving.middleware.access_log import with_access_log
from mlops_runtime.serving.middleware.compression import with_unpacked_body
from mlops_runtime.serving.middleware.cors import Cors, with_preflight
from mlops_runtime.serving.middleware.fastpath import with_fast_path
from mlops_runtime.serving.middleware.keys import Keys, with_api_keys
from mlops_runtime.serving.middleware.limits import Buckets, with_rate_limit
from mlops_runtime.serving.middleware.proxies import public_address, with_public_address
from mlops_runtime.serving.routes import ROUTE_KEY
from mlops_runtime.serving.service import EXTENSION, Service
from mlops_runtime.serving.settings import Settings
from mlops_runtime.serving.telemetry import metrics as telemetry
from mlops_runtime.serving.telemetry.metrics import Metrics
from mlops_runtime.serving.ui import page, report

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication


def create_app(
    predictor: BasePredictor,
    settings: Settings | None = None,
    *,
    title: str,
    metrics: Metrics | None = None,
    templates: Path | None = None,
) -> Flask:
    """Return the application.

    Args:
        predictor: the model to serve.
        settings: by default read from the environment.
        title: of the page and the OpenAPI document.
        metrics: of requests and predictions; by default a new object.
        templates: folder whose templates replace those of this package with the same name.

    Raises:
        SettingsError: if an environment variable has an invalid value, or API keys are required and none
            can be read.
    """
    settings = settings or Settings.from_environment()
    metrics = metrics or Metrics(predictor, settings.prometheus_multiproc_dir, settings.version)
    marker = Marker(settings.marker)
    predict = with_metrics(predictor, metrics)

    app = Application(__name__)
    # A slash at the end of a path makes no difference. There is no redirect, which would lose the prefix of a proxy.
    app.url_map.strict_slashes = app.url_map.merge_slashes = False
    app.jinja_loader = template_loader(templates)
    # Without these options, half of a page with many fields is white space.
    app.jinja_options = {"trim_blocks": True, "lstrip_blocks": True}
    app.jinja_env.globals["url_for"] = link_to
    app.config["MAX_CONTENT_LENGTH"] = app.config["MAX_FORM_MEMORY_SIZE"] = settings.max_content_length
    app.before_request(store_route)
    problems.register(app)
    app.register_blueprint(predictions.blueprint(predictor.contract, predict, settings.max_records))
    if isinstance(predictor, Predictor):
        app.register_blueprint(explanations.blueprint(predictor, settings.max_explanations))
    app.register_blueprint(health.blueprint(predictor, marker, settings.version))
    app.register_blueprint(telemetry.blueprint(metrics))
    app.register_blueprint(openapi.blueprint(predictor, settings, title))
    app.register_blueprint(docs.blueprint(title))
    app.register_blueprint(page.blueprint(predictor, settings, predict, title))
    app.register_blueprint(report.blueprint(predictor))

    # The last middleware is the outermost: it processes every response, errors included.
    wsgi_app: WSGIApplication = with_fast_path(
        with_unpacked_body(app.wsgi_app, settings),
        predictor.contract,
        predict,
        settings.max_records,
        settings.max_content_length,
    )
    if settings.rate_limit:
        wsgi_app = with_rate_limit(wsgi_app, Buckets(settings.rate_limit))
    if settings.api_keys:
        wsgi_app = with_api_keys(wsgi_app, Keys(settings.api_keys, settings.operator_key))

    cors = Cors(settings.cors_origins) if settings.cors_origins else None
    if cors:
        wsgi_app = with_preflight(wsgi_app, cors)

    def access_log(application: "WSGIApplication") -> "WSGIApplication":
        return with_access_log(application, marker, metrics.observe_response, cors)

    wsgi_app = access_log(wsgi_app)
    if complete := public_address(settings.root_path, settings.trusted_proxies):
        wsgi_app = with_public_address(wsgi_app, complete)
    app.wsgi_app = wsgi_app  # type: ignore[assignment, method-assign]
    app.extensions[EXTENSION] = Service(predictor, settings, metrics, marker, access_log)
    return app


class Application(Flask):
    """Answers a request that the code of a project ends with `sys.exit` with status 500, as it does after an error."""

    def full_dispatch_request(self) -> Response:
        """Return the response to a request."""
        try:
            return super().full_dispatch_request()
        except SystemExit as error:
            raise RuntimeError("a route called sys.exit: raise an exception or return a response instead") from error


def template_loader(templates: Path | None) -> BaseLoader:
    """Return the template loader: a template of the project replaces that of this package with the same name.

    The replacement can extend the original as `runtime/NAME`.
    """
    own = PackageLoader("mlops_runtime.serving")
    project = [FileSystemLoader(templates)] if templates else []
    return ChoiceLoader([*project, own, PrefixLoader({"runtime": own})])


def with_metrics(predictor: BasePredictor, metrics: Metrics) -> Callable[[Sequence[RecordModel]], list[Any]]:
    """Return a function that predicts records and adds them to the metrics."""

    def predict(records: Sequence[RecordModel]) -> list[Any]:
        features = predictor.contract.encode(records)
        predicted = predictor.predictions(features)
        metrics.add_predictions(features, predicted)
        return predicted

    return predict


def store_route() -> None:
    """Store the URL rule of the request in the WSGI environment, for the metrics."""
    if request.url_rule:
        request.environ[ROUTE_KEY] = request.url_rule.rule
