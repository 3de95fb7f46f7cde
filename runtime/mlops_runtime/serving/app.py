"""The application: what every request passes, and one blueprint for each thing the service does."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from flask import Flask

from mlops_runtime.contract.features import features_of
from mlops_runtime.model.predictor import Predictor
from mlops_runtime.serving import health
from mlops_runtime.serving.api import docs, predictions, problems
from mlops_runtime.serving.api import openapi as description
from mlops_runtime.serving.drain import Marker
from mlops_runtime.serving.middleware.access_log import enveloped
from mlops_runtime.serving.middleware.fastpath import shortened
from mlops_runtime.serving.middleware.guard import Guard
from mlops_runtime.serving.middleware.keys import Keys, keyed
from mlops_runtime.serving.middleware.limits import Buckets, limited
from mlops_runtime.serving.middleware.request_body import received
from mlops_runtime.serving.settings import Settings
from mlops_runtime.serving.telemetry import metrics
from mlops_runtime.serving.telemetry.metrics import Metrics
from mlops_runtime.serving.ui import page, report

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication


def create_app(
    predictor: Predictor | None = None,
    settings: Settings | None = None,
    counts: Metrics | None = None,
    guard: Guard | None = None,
) -> Flask:
    """Return the application, ready to answer.

    Args:
        predictor: the model to serve; by default that of the installed artefact.
        settings: by default those of the environment.
        counts: of requests and predictions; by default new ones.
        guard: over the threads that answer; by default one that does not look.

    Raises:
        ArtefactError: if the artefact cannot be used. There is no service without a model: the
            process ends with that message and a rolling update stops at the old version.
        SettingsError: if an environment variable has a value that cannot be used, or keys are wanted
            and there are none.
    """
    settings = settings or Settings.from_environment()
    predictor = predictor or Predictor.load()
    counts = counts or Metrics(predictor, settings.metrics_folder, settings.version)
    guard = guard or Guard(settings)
    marker = Marker(settings.marker)
    predict = counting(predictor, counts)

    app = Flask(__name__)
    # A page of many fields would be half white space.
    app.jinja_options = {"trim_blocks": True, "lstrip_blocks": True}
    app.config["MAX_CONTENT_LENGTH"] = settings.max_content_length
    # One limit for a body, whether a program sends it or a form.
    app.config["MAX_FORM_MEMORY_SIZE"] = settings.max_content_length
    problems.register(app)
    app.register_blueprint(predictions.blueprint(predict, settings.max_records))
    app.register_blueprint(health.blueprint(predictor, marker, settings.version))
    app.register_blueprint(metrics.blueprint(counts))
    app.register_blueprint(description.blueprint(predictor, settings))
    app.register_blueprint(docs.blueprint())
    app.register_blueprint(page.blueprint(predictor, settings, predict))
    app.register_blueprint(report.blueprint(predictor))

    # Around it all, so that these hold for every answer, errors included. The last one comes first.
    answer: WSGIApplication = shortened(app.wsgi_app, predict, settings.max_records)
    if settings.rate_limit:
        answer = limited(answer, Buckets(settings.rate_limit))
    if settings.api_keys:
        answer = keyed(answer, Keys(settings.api_keys, settings.operator_key))
    # Before all that may refuse a request: the server closes a connection on which a body is left unread.
    answer = received(answer, settings, guard)
    app.wsgi_app = enveloped(guard.guarded(answer), marker, counts.answered)  # type: ignore[assignment, method-assign]
    return app


def counting(predictor: Predictor, counts: Metrics) -> predictions.Predict:
    """Return the prediction of records, which are counted."""

    def predict(records: Sequence[Record]) -> list[Prediction]:
        features = features_of(records)
        predicted = predictor.predictions(features)
        counts.predicted(features, predicted)
        return predicted

    return predict
