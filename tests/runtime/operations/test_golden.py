import json
from collections.abc import Callable

import pytest

from mlops_runtime.contract.fields import LabelPrediction, ValuePrediction
from mlops_runtime.model import OnnxPredictor
from mlops_runtime.model.artefact import Artefact
from mlops_runtime.model.golden import GoldenRecords
from mlops_runtime.operations.golden import ServiceError, check_predictions, check_version, summary
from tests.runtime.operations.conftest import StubService

PREDICTIONS = "/v1/predictions"


@pytest.fixture(scope="module")
def each_artefact(each_predictor: OnnxPredictor) -> Artefact:
    """The artefact of each task in turn."""
    return each_predictor.artefact


def body(golden_records: GoldenRecords) -> bytes:
    """Return the response of a service that predicts what the golden records say."""
    return json.dumps([golden.prediction.model_dump() for golden in golden_records]).encode()


def with_first(golden_records: GoldenRecords, **values: object) -> bytes:
    """Return a response in which the first prediction has other values."""
    first, *others = golden_records
    prediction = first.prediction.model_copy(update=values)
    return body((first.model_copy(update={"prediction": prediction}), *others))


def another_prediction(artefact: Artefact) -> bytes:
    first = artefact.golden_records[0].prediction
    if isinstance(first, LabelPrediction):
        label = next(label for label in artefact.contract.labels if label != first.label)
        return with_first(artefact.golden_records, label=label)
    return with_first(artefact.golden_records, value=first.high + 1)


def another_uncertainty(artefact: Artefact) -> bytes:
    first = artefact.golden_records[0].prediction
    if isinstance(first, LabelPrediction):
        halves = {label: probability / 2 for label, probability in first.probabilities.items()}
        return with_first(artefact.golden_records, probabilities=halves)
    return with_first(artefact.golden_records, high=first.high + 1)


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
    url = stub_service({PREDICTIONS: (200, body(each_artefact.golden_records))})

    check_predictions(url, each_artefact)


@pytest.mark.parametrize(
    ("wrong_response", "message"),
    [
        pytest.param(another_prediction, "golden record 0", id="another prediction"),
        pytest.param(another_uncertainty, "golden record 0", id="another uncertainty"),
        pytest.param(lambda artefact: body(artefact.golden_records[1:]), "predictions for", id="one missing"),
        pytest.param(lambda _: b'{"detail": "no"}', "no predictions", id="another format"),
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
        check_predictions(url, each_artefact)


@pytest.mark.parametrize(
    ("prediction", "text"),
    [
        pytest.param(
            LabelPrediction(label="yes", probability=0.75, probabilities={"yes": 0.75, "no": 0.25}),
            "yes (0.750000)",
            id="label",
        ),
        pytest.param(ValuePrediction(value=1234.5, low=-1, high=2e20), "1234.5 (-1 to 2e+20)", id="value"),
    ],
)
def test_the_summary_of_a_prediction(prediction: LabelPrediction | ValuePrediction, text: str) -> None:
    assert summary(prediction) == text
