"""Check that a running service has the expected version and returns the golden predictions."""

import json
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from http.client import HTTPException
from typing import Any
from urllib.error import URLError
from urllib.request import ProxyHandler, Request, build_opener

TIMEOUT = 10.0
"""Seconds that one response may take."""


TOLERANCE = 1e-6
"""Greatest difference allowed: absolute for probabilities, relative to the interval's width for values."""

LOCAL, REMOTE = build_opener(ProxyHandler({})), build_opener()
"""Plain HTTP goes to this machine, and never through a proxy; HTTPS goes to an address on the internet."""


class ServiceError(RuntimeError):
    """The service does not respond, or its response is not the expected one."""


class WrongPredictionError(ServiceError):
    """The service responds, with another version or prediction than expected."""


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
        with (REMOTE if url.startswith("https:") else LOCAL).open(request, timeout=TIMEOUT) as response:
            content: bytes = response.read()
            if response.status != HTTPStatus.OK:
                raise ServiceError(f"{url} returned status {response.status}")
            return content
    except (URLError, OSError, HTTPException) as error:
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
        ServiceError: if it reports none.
        WrongPredictionError: if it reports another version.
    """
    actual = running_version(url, key)
    if actual != version:
        raise WrongPredictionError(f"{url} runs version {actual}, not {version}")


def check_predictions(url: str, golden_records: Sequence[Mapping[str, Any]], key: str = "") -> None:
    """Check that the service at the URL returns the golden prediction of each golden record.

    Args:
        url: of the service.
        golden_records: as in the file of the artefact.
        key: API key to send, if not empty.

    Raises:
        ServiceError: if there is no usable response.
        WrongPredictionError: if a prediction differs.
    """
    for index, golden in enumerate(golden_records):
        # One by one: MAX_RECORDS may be less than the number of golden records.
        content = fetch(f"{url}/v1/predictions", golden["record"], key)
        try:
            prediction = json.loads(content)
        except ValueError as error:
            raise ServiceError(f"{url} returned no prediction: {content[:80]!r}") from error
        if not agrees(prediction, golden["prediction"]):
            actual, expected = map(summary, different(prediction, golden["prediction"]))
            raise WrongPredictionError(f"{url} predicts {actual} for golden record {index}, not {expected}")


def agrees(prediction: Any, golden: Mapping[str, Any]) -> bool:
    """Return whether a prediction in JSON equals the golden one within `TOLERANCE`.

    This is `mlops_runtime.model.golden.agrees` without the contract of the model: a version that runs may have
    another one than this project.
    """
    scale = max(abs(golden["value"]), golden["high"] - golden["low"]) if "value" in golden else 1
    expected = {name: value for name, value in golden.items() if name != "warnings"}
    return _agrees(prediction, expected, TOLERANCE * scale)


def _agrees(actual: Any, expected: Any, tolerance: float) -> bool:
    """Return whether a value in JSON has all that is expected, its numbers within the tolerance."""
    match expected:
        case Mapping():
            return isinstance(actual, Mapping) and all(
                name in actual and _agrees(actual[name], value, tolerance) for name, value in expected.items()
            )
        case list():
            return (
                isinstance(actual, list)
                and len(actual) == len(expected)
                and all(_agrees(*pair, tolerance) for pair in zip(actual, expected, strict=True))
            )
        case int() | float() if not isinstance(expected, bool):
            return isinstance(actual, int | float) and abs(actual - expected) <= tolerance
    return bool(actual == expected)


def different(actual: Any, expected: Any) -> tuple[Any, Any]:
    """Return two predictions in JSON, those of entities without the entities that both have."""
    try:
        both = actual["entities"], expected["entities"]
        first, second = ([one for one in mine if one not in other] for mine, other in (both, both[::-1]))
    except (KeyError, TypeError):
        return actual, expected
    return {"entities": first}, {"entities": second}


def summary(prediction: Any) -> str:
    """Return a prediction in JSON as a short text, with enough digits to show a difference."""
    try:
        if "entities" in prediction:
            spans = [f"{one['label']} {one['text']!r} at {one['start']}" for one in prediction["entities"]]
            return ", ".join(spans)[:200] or "no such entity"
        if "label" in prediction:
            return f"{prediction['label']} ({prediction['probability']:.6f})"
        return f"{prediction['value']:.9g} ({prediction['low']:.9g} to {prediction['high']:.9g})"
    except (KeyError, TypeError, ValueError):
        return repr(prediction)[:80]
