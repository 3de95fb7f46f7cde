"""Ask a running service whether it is the version expected and gives the golden predictions."""

import json
from http import HTTPStatus
from typing import Any
from urllib.error import URLError
from urllib.request import Request, urlopen

from pydantic import ValidationError

from mlops_runtime.contract.fields import LabelPrediction, ValuePrediction
from mlops_runtime.model.artefact import Artefact
from mlops_runtime.model.golden import agrees

TIMEOUT = 10.0
"""Seconds that one answer may take."""


class ServiceError(RuntimeError):
    """The service does not answer, or not as it should."""


def fetch(url: str, payload: Any = None, key: str = "") -> bytes:
    """Return what the service answers to a GET, or to a POST of the payload as JSON, with an API key if there is one.

    Raises:
        ServiceError: if there is no answer, or one that is not 200.
    """
    data = None if payload is None else json.dumps(payload).encode()
    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {key}"} if key else {})
    request = Request(url, data, headers)  # noqa: S310 - make builds the URL
    try:
        with urlopen(request, timeout=TIMEOUT) as answer:  # noqa: S310
            content: bytes = answer.read()
            if answer.status != HTTPStatus.OK:
                raise ServiceError(f"{url} answered {answer.status}")
            return content
    except (URLError, OSError) as error:
        raise ServiceError(f"{url} does not answer as it should: {error}") from error


def running_version(url: str, key: str = "") -> str:
    """Return the version that the service at the URL says it is.

    Raises:
        ServiceError: if it does not say.
    """
    content = fetch(f"{url}/version", key=key)
    try:
        return str(json.loads(content)["version"])
    except (ValueError, KeyError, TypeError) as error:
        raise ServiceError(f"{url}/version names no version: {content[:80]!r}") from error


def check_version(url: str, version: str, key: str = "") -> None:
    """Check that the service at the URL is the version expected.

    Raises:
        ServiceError: if it is another one.
    """
    found = running_version(url, key)
    if found != version:
        raise ServiceError(f"{url} runs version {found}, not {version}")


def check_predictions(url: str, artefact: Artefact, key: str = "") -> None:
    """Check that the service at the URL gives each golden record its golden prediction.

    Raises:
        ServiceError: if a prediction differs.
    """
    golden = artefact.golden_records
    content = fetch(f"{url}/v1/predictions", [one.record.model_dump(mode="json") for one in golden], key)
    try:
        predictions = artefact.contract.predictions_adapter.validate_json(content)
    except ValidationError as error:
        raise ServiceError(f"{url} answered no predictions: {content[:80]!r}") from error
    if len(predictions) != len(golden):
        raise ServiceError(f"{url} answered {len(predictions)} predictions for {len(golden)} records")
    for number, (prediction, one) in enumerate(zip(predictions, golden, strict=True)):
        if not agrees(prediction, one.prediction):
            found, expected = words_for(prediction), words_for(one.prediction)
            raise ServiceError(f"{url} predicts {found} for golden record {number}, not {expected}")


def words_for(prediction: LabelPrediction | ValuePrediction) -> str:
    """Return a prediction in a few words, with digits enough to see a difference that matters."""
    if isinstance(prediction, LabelPrediction):
        return f"{prediction.label} ({prediction.probability:.6f})"
    return f"{prediction.value:.9g} ({prediction.low:.9g} to {prediction.high:.9g})"
