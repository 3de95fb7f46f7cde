import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime, time
from enum import StrEnum
from io import StringIO
from typing import Annotated, Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from pydantic import Field
from werkzeug.test import TestResponse

from mlops_runtime.contract.features import FIELDS
from mlops_runtime.contract.fields import Category, ExpectedRange, Integer, RecordModel, Text, field_specs
from mlops_runtime.model.predictor import Predictor
from mlops_runtime.serving.app import create_app
from mlops_runtime.serving.middleware import access_log as envelope
from mlops_runtime.serving.settings import Settings
from mlops_runtime.serving.telemetry import logs

MAX_RECORDS = 50

ONE_OF_EACH_KIND = [
    pytest.param(field, id=field.kind.value) for field in {field.kind: field for field in reversed(FIELDS)}.values()
]
"""The first field of each kind that the project's contract has, as parameters of a test."""


class Size(StrEnum):
    LARGE = "large"
    SMALL = "small"


class Parcel(RecordModel):
    """A contract with fields of every kind, names that are awkward, and each element that a form may have."""

    weight: Annotated[float, ExpectedRange(0.5, 40)] = Field(alias="Weight (kg)", ge=0, description="With the box")
    items: Integer | None = Field(default=None, ge=1, le=99, description="Pieces")
    gift: Integer = Field(ge=0, le=1, description="1 for a gift")
    express: bool = Field(description="By the next morning")
    insured: bool | None = Field(default=None, description="For the whole value")
    size: Size = Field(description="Of the box")
    wrapping: Size | None = Field(default=None, description="Of the paper")
    city: Category = Field(description="Where it goes")
    remark: Text | None = Field(default=None, description="For the driver")
    ordered: date = Field(description="Day of the order")
    paid: datetime | None = Field(default=None, description="When the money came")
    slot: time = Field(alias='a/b~c <"&ü>', description="When to ring")


PARCEL_FIELDS = {field.name: field for field in field_specs(Parcel)}


@pytest.fixture(scope="session")
def settings(predictor: Predictor, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    longest = max(len(golden.record.model_dump_json()) for golden in predictor.golden_records)
    return Settings(
        version="1.2.3",
        max_records=MAX_RECORDS,
        max_content_length=max(50_000, 2 * MAX_RECORDS * longest),
        drain_marker=tmp_path_factory.mktemp("drain") / "draining",
    )


class WholeAnswers(FlaskClient):
    """A client that takes each answer whole, as one on the network does, so that files are closed."""

    def open(self, *args: Any, **kwargs: Any) -> TestResponse:
        return super().open(*args, buffered=True, **kwargs)


@pytest.fixture(scope="session")
def app(predictor: Predictor, settings: Settings) -> Flask:
    app = create_app(predictor, settings)
    # What goes wrong inside the service fails the test, instead of becoming an answer.
    app.testing = True
    app.test_client_class = WholeAnswers
    return app


@pytest.fixture(scope="session")
def client(app: Flask) -> FlaskClient:
    return app.test_client()


class Lines(StringIO):
    """Takes the place of standard output, and writes at once what that would write in a moment."""

    def write(self, text: object) -> int:
        return super().write(str(text))


@contextmanager
def request_log(level: int = logging.DEBUG) -> Iterator[StringIO]:
    """Yield what is logged of requests while the block runs, from a level on."""
    logger = logging.getLogger(logs.REQUESTS)
    before = logger.level
    with pytest.MonkeyPatch.context() as patch:
        log = Lines()
        patch.setattr(envelope, "STANDARD_OUTPUT", log)
        logger.setLevel(level)
        yield log
    logger.setLevel(before)


@pytest.fixture
def log() -> Iterator[StringIO]:
    """Return what is logged of requests during a test."""
    with request_log() as log:
        yield log


@pytest.fixture
def record(predictor: Predictor) -> dict[str, Any]:
    """Return a valid record, as JSON has it, with a value in each field that has one in any golden record."""
    record: dict[str, Any] = {}
    for golden in predictor.golden_records:
        given = {name: value for name, value in golden.record.model_dump(mode="json").items() if value is not None}
        record = given | record
    return record


@pytest.fixture(scope="session")
def max_records(settings: Settings) -> int:
    return settings.max_records


@pytest.fixture(scope="session")
def max_content_length(settings: Settings) -> int:
    return settings.max_content_length
