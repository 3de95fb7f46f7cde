import json
from pathlib import Path

import pytest

from mlops_runtime.contract.fields import LabelPrediction, ValuePrediction
from mlops_runtime.model.artefact import ArtefactError
from mlops_runtime.model.golden import GoldenRecord
from mlops_runtime.model.predictor import Predictor
from mlops_runtime.operations import predict
from mlops_runtime.operations.golden import ServiceError
from mlops_runtime.operations.predict import (
    MAX_SHOWN,
    few,
    free_port,
    local_service,
    main,
    most_probable,
    shown_record,
    text,
    without_point,
)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        pytest.param(3.0, "3", id="whole"),
        pytest.param(3.5, "3.5", id="fraction"),
        pytest.param(None, "null", id="missing"),
        pytest.param("a", '"a"', id="text"),
    ],
)
def test_numbers_are_shown_as_a_person_writes_them(value: object, shown: str) -> None:
    assert json.dumps(without_point(value)) == shown


def golden(prediction: LabelPrediction | ValuePrediction) -> GoldenRecord:
    """Return a golden record of which only the prediction matters."""
    return GoldenRecord.model_construct(record=None, prediction=prediction)


def labelled(probability: float) -> GoldenRecord:
    return golden(LabelPrediction(label="a", probability=probability, probabilities={"a": probability}))


def test_of_labels_the_surest_is_shown() -> None:
    records = [labelled(0.6), labelled(0.9), labelled(0.7)]

    assert shown_record(records) is records[1]


def test_of_values_the_first_is_shown() -> None:
    records = [golden(ValuePrediction(value=value, low=0, high=9)) for value in (3, 5, 1)]

    assert shown_record(records) is records[0]


def test_few_values_are_shown_as_they_are() -> None:
    values = {str(number): None for number in range(MAX_SHOWN)}

    assert few(values) == values


def test_of_many_values_the_first_known_ones_are_shown_and_the_others_counted() -> None:
    # Given many values, of which every other one is missing
    values = {str(number): number if number % 2 else None for number in range(100)}

    # When a few are shown
    shown = few(values)

    # Then they are known ones
    assert list(shown)[:-1] == [str(number) for number in range(1, 2 * MAX_SHOWN, 2)]
    assert shown["…"] == "80 more"


def test_of_many_probabilities_the_highest_are_shown() -> None:
    prediction = {"label": "99", "probabilities": {str(number): number / 4950 for number in range(100)}}

    probabilities = most_probable(prediction)["probabilities"]

    assert list(probabilities) == [*(str(number) for number in range(99, 99 - MAX_SHOWN, -1)), "…"]


@pytest.mark.parametrize(
    "prediction", [{"value": 1.5, "low": 1, "high": 2}, {"label": "b", "probabilities": {"a": 0.1, "b": 0.9}}]
)
def test_a_prediction_of_few_parts_is_shown_as_it_is(prediction: dict[str, object]) -> None:
    assert most_probable(prediction) == prediction


def test_one_prediction_is_asked_for_and_shown(
    artefact: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # Given a service that serves the trained model, and an environment that wants keys
    monkeypatch.setenv("API_KEYS", "/missing")
    golden = predict.golden_records(artefact)
    monkeypatch.setattr(predict, "golden_records", lambda: golden)
    monkeypatch.setattr(predict, "SERVICE", ("-c", serving(artefact)))

    # When it is asked for a prediction
    status = main()

    # Then question and answer are shown
    assert status == 0
    question, answer = capsys.readouterr().out.split("200 OK\n")
    record = shown_record(golden).record.model_dump(mode="json")
    shown = few({name: without_point(value) for name, value in record.items()})
    assert question == f"POST /v1/predictions\n{text(shown)}\n"
    assert set(json.loads(answer)) == set(type(golden[0].prediction).model_fields)


def test_a_service_that_ends_at_once_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(predict, "SERVICE", ("-c", "raise SystemExit(7)"))

    with pytest.raises(ServiceError, match="exit status 7"), local_service():
        pass


def test_a_service_that_never_answers_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(predict, "SERVICE", ("-c", "import time; time.sleep(60)"))
    monkeypatch.setattr(predict, "START_TIMEOUT", 0.3)

    with pytest.raises(ServiceError, match=r"was not ready after 0\.3 s"), local_service():
        pass


def test_without_a_model_one_line_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def no_artefact() -> None:
        raise ArtefactError("cannot read metadata.json; run `make train`")

    monkeypatch.setattr(predict, "golden_records", no_artefact)

    assert main() == 1
    assert capsys.readouterr().err == "predict: cannot read metadata.json; run `make train`\n"


def test_a_free_port_can_be_listened_on() -> None:
    assert 1024 <= free_port() <= 65535


def serving(artefact: Path) -> str:
    """A program that serves the artefact in that folder as `python -m webservice` serves the default one."""
    return f"""
import os
from pathlib import Path
from wsgiref.simple_server import make_server
from mlops_runtime.serving.app import create_app
from {Predictor.__module__} import Predictor
make_server("127.0.0.1", int(os.environ["PORT"]), create_app(Predictor.load(Path({str(artefact)!r})))).serve_forever()
"""
