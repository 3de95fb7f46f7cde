"""The application: what every request passes, and one blueprint for each thing the service does."""

from typing import TYPE_CHECKING

from flask import Flask

from webservice import description, docs, health, page, predictions, problems, report
from webservice.drain import Marker, draining
from webservice.headers import hardened
from webservice.keys import Keys, keyed
from webservice.limits import Buckets, limited
from webservice.logs import logged
from webservice.settings import Settings

from {{cookiecutter.__package}}_model.classifier import Classifier

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication


def create_app(classifier: Classifier | None = None, settings: Settings | None = None) -> Flask:
    """Return the application, ready to answer.

    Args:
        classifier: the model to serve; by default that of the installed artefact.
        settings: by default those of the environment.

    Raises:
        ArtefactError: if the artefact cannot be used. There is no service without a model: the
            process ends with that message and a rolling update stops at the old version.
        SettingsError: if an environment variable has a value that cannot be used, or keys are wanted
            and there are none.
    """
    settings = settings or Settings.from_environment()
    classifier = classifier or Classifier.load()
    marker = Marker(settings.marker)

    app = Flask(__name__)
    # A page of many fields would be half white space.
    app.jinja_options = {"trim_blocks": True, "lstrip_blocks": True}
    app.config["MAX_CONTENT_LENGTH"] = settings.max_content_length
    # One limit for a body, whether a program sends it or a form.
    app.config["MAX_FORM_MEMORY_SIZE"] = settings.max_content_length
    problems.register(app)
    app.register_blueprint(predictions.blueprint(classifier.predict, settings.max_records))
    app.register_blueprint(health.blueprint(classifier, marker, settings.version))
    app.register_blueprint(description.blueprint(classifier, settings))
    app.register_blueprint(docs.blueprint())
    app.register_blueprint(page.blueprint(classifier))
    app.register_blueprint(report.blueprint(classifier))

    answer: WSGIApplication = app.wsgi_app
    if settings.rate_limit:
        answer = limited(answer, Buckets(settings.rate_limit))
    if settings.api_keys:
        answer = keyed(answer, Keys(settings.api_keys, settings.operator_key))
    # Around it all, so that these hold for every answer, errors included.
    app.wsgi_app = logged(hardened(draining(answer, marker)))  # type: ignore[assignment, method-assign]
    return app
