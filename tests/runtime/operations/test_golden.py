from collections.abc import Callable
from typing import Any

import pytest

from mlops_runtime.contract import LabelPrediction
from mlops_runtime.model import OnnxPredictor
from mlops_runtime.model.artefact import Artefact
from mlops_runtime.operations.golden import ServiceError, agrees, check_predictions, check_version, different, summary
from tests.runtime.operations.conftest import StubService

PREDICTIONS = "/v1/predictions"


@pytest.fixture(scope="module")
def each_artefact(each_predictor: OnnxPredictor) -> Artefact:
    """The artefact of each task in turn."""
    return each_predictor.artefact


def first_golden(artefact: Artefact) -> list[dict[str, Any]]:
    """Return the first golden record as the file of the artefact has it."""
    return [artefact.golden_records[0].model_dump(mode="json")]


def changed(artefact: Artefact, **values: object) -> bytes:
    """Return the prediction of the first golden record with other values."""
    return artefact.golden_records[0].prediction.model_copy(update=values).model_dump_json().encode()


def another_prediction(artefact: Artefact) -> bytes:
    first = artefact.golden_records[0].prediction
    if isinstance(first, LabelPrediction):
        return changed(artefact, label=next(label for label in artefact.contract.labels if label != first.label))
    return changed(artefact, value=first.high + 1)


def another_uncertainty(artefact: Artefact) -> bytes:
    first = artefact.golden_records[0].prediction
    if isinstance(first, LabelPrediction):
        halves = {label: probability / 2 for label, probability in first.probabilities.items()}
        return changed(artefact, probabilities=halves)
    return changed(artefact, high=first.high + 1)


def test_the_expected_version_passes(stub_service: StubService) -> None:
    # Given a service of version 1.2.0
    url = stub_service({"/version": (200, b'{"version": "1.2.0"}')})

    # When that version is expected, then the check passes
    check_version(url, "1.2.0")


@pytest.mark.parametrize(
    ("status", "response", "message"),
    [
        pytest.param(200, b'{"version": "1.1.0"}', "runs version 1.1.0, not 1.2.0", id="another version"),
        pytest.param(200, b"{}", "reports no version", id="no version"),
        pytest.param(200, b"<html>", "reports no version", id="no JSON"),
        pytest.param(503, b"{}", "503", id="an error"),
        pytest.param(204, b"", "204", id="no content"),
    ],
)
def test_an_unexpected_version_is_refused(
    stub_service: StubService, status: int, response: bytes, message: str
) -> None:
    url = stub_service({"/version": (status, response)})

    with pytest.raises(ServiceError, match=message):
        check_version(url, "1.2.0")


def test_a_service_that_is_not_running_is_refused() -> None:
    with pytest.raises(ServiceError, match="does not answer"):
        check_version("http://127.0.0.1:9", "1.2.0")


def test_golden_predictions_pass(stub_service: StubService, each_artefact: Artefact) -> None:
    url = stub_service({PREDICTIONS: (200, changed(each_artefact))})

    check_predictions(url, first_golden(each_artefact))


@pytest.mark.parametrize(
    ("wrong_response", "message"),
    [
        pytest.param(another_prediction, "golden record 0", id="another prediction"),
        pytest.param(another_uncertainty, "golden record 0", id="another uncertainty"),
        pytest.param(lambda _: b'{"detail": "no"}', "golden record 0", id="another format"),
        pytest.param(lambda _: b"[]", "golden record 0", id="a list"),
        pytest.param(lambda _: b"<html>", "no prediction", id="no JSON"),
    ],
)
def test_wrong_predictions_are_refused(
    stub_service: StubService,
    each_artefact: Artefact,
    wrong_response: Callable[[Artefact], bytes],
    message: str,
) -> None:
    url = stub_service({PREDICTIONS: (200, wrong_response(each_artefact))})

    with pytest.raises(ServiceError, match=message):
        check_predictions(url, first_golden(each_artefact))


LABEL = {"label": "yes", "probability": 0.75, "probabilities": {"yes": 0.75, "no": 0.25}}
VALUE = {"value": 1234.5, "low": -1.0, "high": 2e20}


@pytest.mark.parametrize(
    ("prediction", "golden", "expected"),
    [
        pytest.param(LABEL, LABEL, True, id="same label"),
        pytest.param(LABEL | {"probabilities": {"yes": 0.7500005, "no": 0.25}}, LABEL, True, id="within tolerance"),
        pytest.param(LABEL | {"probabilities": {"yes": 0.750002, "no": 0.25}}, LABEL, False, id="beyond tolerance"),
        pytest.param(LABEL | {"probabilities": {"yes": 0.75}}, LABEL, False, id="a label without probability"),
        pytest.param(VALUE, VALUE, True, id="same value"),
        pytest.param(VALUE | {"high": 2.1e20}, VALUE, False, id="another interval"),
        pytest.param(VALUE | {"value": "1234.5"}, VALUE, False, id="text for a number"),
        pytest.param(VALUE | {"value": float("nan")}, VALUE, False, id="not a number"),
        pytest.param(VALUE, LABEL, False, id="another task"),
        pytest.param(None, LABEL, False, id="null"),
        pytest.param(["label"], LABEL, False, id="a list"),
    ],
)
def test_a_prediction_agrees_with_the_golden_one(prediction: Any, golden: dict[str, Any], expected: bool) -> None:
    assert agrees(prediction, golden) is expected


@pytest.mark.parametrize(
    ("prediction", "text"),
    [
        pytest.param(LABEL, "yes (0.750000)", id="label"),
        pytest.param(VALUE, "1234.5 (-1 to 2e+20)", id="value"),
        pytest.param(["label"], "['label']", id="neither"),
        pytest.param(None, "None", id="null"),
    ],
)
def test_the_summary_of_a_prediction(prediction: Any, text: str) -> None:
    assert summary(prediction) == text


def test_the_entities_that_differ_are_named() -> None:
    # Given two lists of entities, the last of which differ
    same = [{"text": "Acme", "label": "ORG", "start": start, "end": start + 4} for start in range(0, 100, 5)]
    wrong, right = ({"text": "Bonn", "label": label, "start": 100, "end": 104} for label in ("ORG", "CITY"))

    texts = [
        tuple(map(summary, different({"entities": actual}, {"entities": expected})))
        for actual, expected in (([*same, wrong], [*same, right]), (same, [*same, right]))
    ]

    assert texts == [("ORG 'Bonn' at 100", "CITY 'Bonn' at 100"), ("no such entity", "CITY 'Bonn' at 100")]


@pytest.mark.parametrize("prediction", [pytest.param(None, id="null"), pytest.param({"label": "a"}, id="label")])
def test_other_predictions_are_compared_as_they_are(prediction: Any) -> None:
    assert different(prediction, {"label": "b"}) == (prediction, {"label": "b"})
