import json
from collections.abc import Callable
from pathlib import Path

import pytest

from mlops_runtime.contract.features import LABELS
from mlops_runtime.contract.fields import LabelPrediction, ValuePrediction
from mlops_runtime.model.artefact import GOLDEN_FILE, ArtefactError
from mlops_runtime.model.golden import GoldenRecord
from mlops_runtime.operations.golden import ServiceError, check_predictions, check_version, golden_records, words_for
from tests.runtime.operations.conftest import ServiceThatAnswers

PREDICTIONS = "/v1/predictions"


@pytest.fixture
def golden(artefact: Path) -> tuple[GoldenRecord, ...]:
    return golden_records(artefact)


def body(golden: tuple[GoldenRecord, ...]) -> bytes:
    return json.dumps([one.prediction.model_dump() for one in golden]).encode()


def another_answer(golden: tuple[GoldenRecord, ...]) -> bytes:
    """Return the answer of a service that gives the first record another label, or another value."""
    first = golden[0].prediction
    if isinstance(first, LabelPrediction):
        wrong: object = first.model_copy(update={"label": next(label for label in LABELS if label != first.label)})
    else:
        wrong = first.model_copy(update={"value": first.high + 1})
    return body((golden[0].model_copy(update={"prediction": wrong}), *golden[1:]))


def another_certainty(golden: tuple[GoldenRecord, ...]) -> bytes:
    """Return the answer of a service that is less sure of the first record."""
    first = golden[0].prediction
    if isinstance(first, LabelPrediction):
        halves = {label: probability / 2 for label, probability in first.probabilities.items()}
        wrong: object = first.model_copy(update={"probabilities": halves})
    else:
        wrong = first.model_copy(update={"high": first.high + 1})
    return body((golden[0].model_copy(update={"prediction": wrong}), *golden[1:]))


def test_golden_records_are_those_of_the_artefact(artefact: Path) -> None:
    assert len(golden_records(artefact)) == len(json.loads((artefact / GOLDEN_FILE).read_text()))


def test_golden_records_of_a_missing_artefact_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ArtefactError, match="make train"):
        golden_records(tmp_path)


def test_the_version_expected_passes(service_that_answers: ServiceThatAnswers) -> None:
    # Given a service of version 1.2.0
    url = service_that_answers({"/version": (200, b'{"version": "1.2.0"}')})

    # When and then: asking for that version raises nothing
    check_version(url, "1.2.0")


@pytest.mark.parametrize(
    ("status", "answer", "message"),
    [
        pytest.param(200, b'{"version": "1.1.0"}', "runs version 1.1.0, not 1.2.0", id="another version"),
        pytest.param(200, b"{}", "names no version", id="no version"),
        pytest.param(200, b"<html>", "names no version", id="no JSON"),
        pytest.param(503, b"{}", "503", id="an error"),
        pytest.param(204, b"", "204", id="no content"),
    ],
)
def test_another_answer_to_the_version_is_refused(
    service_that_answers: ServiceThatAnswers, status: int, answer: bytes, message: str
) -> None:
    url = service_that_answers({"/version": (status, answer)})

    with pytest.raises(ServiceError, match=message):
        check_version(url, "1.2.0")


def test_a_service_that_is_not_there_is_refused() -> None:
    with pytest.raises(ServiceError, match="does not answer"):
        check_version("http://127.0.0.1:9", "1.2.0")


def test_golden_predictions_pass(service_that_answers: ServiceThatAnswers, golden: tuple[GoldenRecord, ...]) -> None:
    url = service_that_answers({PREDICTIONS: (200, body(golden))})

    check_predictions(url, golden)


@pytest.mark.parametrize(
    ("wrong_answer", "message"),
    [
        pytest.param(another_answer, "golden record 0", id="another answer"),
        pytest.param(another_certainty, "golden record 0", id="another certainty"),
        pytest.param(lambda golden: body(golden[1:]), "predictions for", id="one too few"),
        pytest.param(lambda _: b'{"detail": "no"}', "no predictions", id="another form"),
    ],
)
def test_wrong_predictions_are_refused(
    service_that_answers: ServiceThatAnswers,
    golden: tuple[GoldenRecord, ...],
    wrong_answer: Callable[[tuple[GoldenRecord, ...]], bytes],
    message: str,
) -> None:
    url = service_that_answers({PREDICTIONS: (200, wrong_answer(golden))})

    with pytest.raises(ServiceError, match=message):
        check_predictions(url, golden)


@pytest.mark.parametrize(
    ("prediction", "words"),
    [
        pytest.param(
            LabelPrediction(label="yes", probability=0.75, probabilities={"yes": 0.75, "no": 0.25}),
            "yes (0.750000)",
            id="label",
        ),
        pytest.param(ValuePrediction(value=1234.5, low=-1, high=2e20), "1234.5 (-1 to 2e+20)", id="value"),
    ],
)
def test_a_prediction_is_said_in_a_few_words(prediction: LabelPrediction | ValuePrediction, words: str) -> None:
    assert words_for(prediction) == words
