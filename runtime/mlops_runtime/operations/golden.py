"""Check that a running service has the expected version and returns the golden predictions."""

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
"""Seconds that one response may take."""


class ServiceError(RuntimeError):
    """The service does not respond, or its response is not the expected one."""


def fetch(url: str, payload: Any = None, key: str = "") -> bytes:
    """Return the body of the response to a GET, or with a payload to a POST of it as JSON.

    Args:
        url: to request.
        payload: to send.
        key: API key to send, if not empty.

    Raises:
        ServiceError: if there is no response, or its status is not 200.
    """
    data = None if payload is None else json.dumps(payload).encode()
    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {key}"} if key else {})
    request = Request(url, data, headers)  # noqa: S310 - make builds the URL
    try:
        with urlopen(request, timeout=TIMEOUT) as response:  # noqa: S310
            content: bytes = response.read()
            if response.status != HTTPStatus.OK:
                raise ServiceError(f"{url} returned status {response.status}")
            return content
    except (URLError, OSError) as error:
        raise ServiceError(f"{url} does not answer: {error}") from error


def running_version(url: str, key: str = "") -> str:
    """Return the version that the service at the URL reports.

    Raises:
        ServiceError: if it reports none.
    """
    content = fetch(f"{url}/version", key=key)
    try:
        return str(json.loads(content)["version"])
    except (ValueError, KeyError, TypeError) as error:
        raise ServiceError(f"{url}/version reports no version: {content[:80]!r}") from error


def check_version(url: str, version: str, key: str = "") -> None:
    """Check that the service at the URL reports the expected version.

    Raises:
        ServiceError: if it reports another version.
    """
    actual = running_version(url, key)
    if actual != version:
        raise ServiceError(f"{url} runs version {actual}, not {version}")


def check_predictions(url: str, artefact: Artefact, key: str = "") -> None:
    """Check that the service at the URL returns the golden prediction of each golden record.

    Raises:
        ServiceError: if a prediction differs.
    """
    golden_records = artefact.golden_records
    content = fetch(f"{url}/v1/predictions", [golden.record.model_dump(mode="json") for golden in golden_records], key)
    try:
        predictions = artefact.contract.predictions_adapter.validate_json(content)
    except ValidationError as error:
        raise ServiceError(f"{url} returned no predictions: {content[:80]!r}") from error
    if len(predictions) != len(golden_records):
        raise ServiceError(f"{url} returned {len(predictions)} predictions for {len(golden_records)} records")
    for index, (prediction, golden) in enumerate(zip(predictions, golden_records, strict=True)):
        if not agrees(prediction, golden.prediction):
            actual, expected = summary(prediction), summary(golden.prediction)
            raise ServiceError(f"{url} predicts {actual} for golden record {index}, not {expected}")


def summary(prediction: LabelPrediction | ValuePrediction) -> str:
    """Return a prediction as a short text, with enough digits to show a difference."""
    if isinstance(prediction, LabelPrediction):
        return f"{prediction.label} ({prediction.probability:.6f})"
    return f"{prediction.value:.9g} ({prediction.low:.9g} to {prediction.high:.9g})"
