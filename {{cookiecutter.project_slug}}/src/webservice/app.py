"""The application: what every request passes, and one blueprint for each thing the service does."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from flask import Flask

from webservice import description, docs, health, metrics, page, predictions, problems, report
from webservice.bodies import received
from webservice.drain import Marker
from webservice.envelope import enveloped
from webservice.fastpath import shortened
from webservice.guard import Guard
from webservice.keys import Keys, keyed
from webservice.limits import Buckets, limited
from webservice.metrics import Metrics
from webservice.settings import Settings

from {{cookiecutter.__package}}_model.classifier import Classifier
from {{cookiecutter.__package}}_model.datamodel import Prediction, Record
from {{cookiecutter.__package}}_model.features import features_of

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication


def create_app(
    classifier: Classifier | None = None,
    settings: Settings | None = None,
    counts: Metrics | None = None,
    guard: Guard | None = None,
) -> Flask:
    """Return the application, ready to answer.

    Args:
        classifier: the model to serve; by default that of the installed artefact.
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
    classifier = classifier or Classifier.load()
    counts = counts or Metrics(classifier, settings.metrics_folder, settings.version)
    guard = guard or Guard(settings)
    marker = Marker(settings.marker)
    predict = counting(classifier, counts)

    app = Flask(__name__)
    # A page of many fields would be half white space.
    app.jinja_options = {"trim_blocks": True, "lstrip_blocks": True}
    app.config["MAX_CONTENT_LENGTH"] = settings.max_content_length
    # One limit for a body, whether a program sends it or a form.
    app.config["MAX_FORM_MEMORY_SIZE"] = settings.max_content_length
    problems.register(app)
    app.register_blueprint(predictions.blueprint(predict, settings.max_records))
    app.register_blueprint(health.blueprint(classifier, marker, settings.version))
    app.register_blueprint(metrics.blueprint(counts))
    app.register_blueprint(description.blueprint(classifier, settings))
    app.register_blueprint(docs.blueprint())
    app.register_blueprint(page.blueprint(classifier, settings, predict))
    app.register_blueprint(report.blueprint(classifier))

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


def counting(classifier: Classifier, counts: Metrics) -> predictions.Predict:
    """Return the prediction of records, which are counted."""

    def predict(records: Sequence[Record]) -> list[Prediction]:
        features = features_of(records)
        predicted = classifier.predictions(features)
        counts.predicted(features, predicted)
        return predicted

    return predict
