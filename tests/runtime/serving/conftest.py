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

from mlops_runtime.contract import (
    Category,
    Contract,
    ExpectedRange,
    Integer,
    RecordModel,
    Task,
    Text,
    ValuePrediction,
    field_specs,
)
from mlops_runtime.model import Predictor
from mlops_runtime.serving import create_app
from mlops_runtime.serving.middleware import access_log
from mlops_runtime.serving.settings import Settings
from mlops_runtime.serving.telemetry import logs
from mlops_runtime.testing.synthetic import FIELDS

MAX_RECORDS = 50
MAX_EXPLANATIONS = 3
TITLE = "Fate of an order"

ONE_OF_EACH_KIND = [
    pytest.param(field, id=field.kind.value) for field in {field.kind: field for field in reversed(FIELDS)}.values()
]
"""The first field of each kind in the synthetic contracts, as parameters of a test."""


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


PARCEL_CONTRACT = Contract(Parcel, ValuePrediction, Task.REGRESSION, "price")
PARCEL_FIELDS = {field.name: field for field in field_specs(Parcel)}


@pytest.fixture(scope="session")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return Settings(
        version="1.2.3",
        max_records=MAX_RECORDS,
        max_explanations=MAX_EXPLANATIONS,
        max_content_length=50_000,
        drain_marker=tmp_path_factory.mktemp("drain") / "draining",
    )


class BufferingClient(FlaskClient):
    """Reads each response to its end, so that files are closed."""

    def open(self, *args: Any, **kwargs: Any) -> TestResponse:
        return super().open(*args, buffered=True, **kwargs)


def app_of(predictor: Predictor, settings: Settings) -> Flask:
    """Return an application for tests: an unexpected exception fails the test instead of becoming a response."""
    app = create_app(predictor, settings, title=TITLE)
    app.testing = True
    app.test_client_class = BufferingClient
    return app


@pytest.fixture(scope="session")
def app(predictor: Predictor, settings: Settings) -> Flask:
    """The application for `contract`."""
    return app_of(predictor, settings)


@pytest.fixture(scope="session")
def client(app: Flask) -> FlaskClient:
    return app.test_client()


@pytest.fixture(scope="session")
def each_client(each_predictor: Predictor, settings: Settings) -> FlaskClient:
    """A client of the application for each task in turn."""
    return app_of(each_predictor, settings).test_client()


class Lines(StringIO):
    """Replaces standard output and writes at once what that writes a moment later."""

    def write(self, text: object) -> int:
        return super().write(str(text))


@contextmanager
def request_log(level: int = logging.DEBUG) -> Iterator[StringIO]:
    """Yield the access log of the requests made while the block runs, from a level on."""
    logger = logging.getLogger(logs.REQUESTS)
    before = logger.level
    with pytest.MonkeyPatch.context() as patch:
        log = Lines()
        patch.setattr(access_log, "STANDARD_OUTPUT", log)
        logger.setLevel(level)
        yield log
    logger.setLevel(before)


@pytest.fixture
def log() -> Iterator[StringIO]:
    """The access log of the requests made during a test."""
    with request_log() as log:
        yield log


@pytest.fixture
def record(predictor: Predictor) -> dict[str, Any]:
    """A valid record as JSON, with a value in each field that has one in any golden record."""
    record: dict[str, Any] = {}
    for golden in predictor.golden_records:
        given = {name: value for name, value in golden.record.model_dump(mode="json").items() if value is not None}
        record = given | record
    return record


@pytest.fixture(scope="session")
def max_records(settings: Settings) -> int:
    return settings.max_records


@pytest.fixture(scope="session")
def max_explanations(settings: Settings) -> int:
    return settings.max_explanations


@pytest.fixture(scope="session")
def max_content_length(settings: Settings) -> int:
    return settings.max_content_length
