from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from webservice.app import create_app
from webservice.settings import Settings

from {{cookiecutter.__package}}_model.classifier import Classifier


@pytest.fixture(scope="session")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return Settings(
        version="1.2.3",
        max_records=50,
        max_content_length=50_000,
        drain_marker=tmp_path_factory.mktemp("drain") / "draining",
    )


class WholeAnswers(FlaskClient):
    """A client that takes each answer whole, as one on the network does, so that files are closed."""

    def open(self, *args: Any, **kwargs: Any) -> TestResponse:
        return super().open(*args, buffered=True, **kwargs)


@pytest.fixture(scope="session")
def app(classifier: Classifier, settings: Settings) -> Flask:
    app = create_app(classifier, settings)
    # What goes wrong inside the service fails the test, instead of becoming an answer.
    app.testing = True
    app.test_client_class = WholeAnswers
    return app


@pytest.fixture(scope="session")
def client(app: Flask) -> FlaskClient:
    return app.test_client()


@pytest.fixture
def record(classifier: Classifier) -> dict[str, Any]:
    """Return a valid record, as JSON has it, with every field given."""
    records = [golden.record.model_dump(mode="json") for golden in classifier.golden_records]
    return next(record for record in records if None not in record.values())


@pytest.fixture(scope="session")
def max_records(settings: Settings) -> int:
    return settings.max_records


@pytest.fixture(scope="session")
def max_content_length(settings: Settings) -> int:
    return settings.max_content_length
