import json
import signal

import pytest

from mlops_runtime.contract import LabelPrediction, ValuePrediction
from mlops_runtime.model import OnnxPredictor
from mlops_runtime.model.artefact import ArtefactError
from mlops_runtime.model.golden import AnyGoldenRecord, GoldenRecord
from mlops_runtime.operations import predict
from mlops_runtime.operations.golden import ServiceError
from mlops_runtime.operations.predict import (
    MAX_SHOWN,
    free_port,
    integral,
    local_service,
    main,
    most_probable,
    shortened,
    shown_record,
    text,
)

SERVICE = """
import os
from http.server import BaseHTTPRequestHandler, HTTPServer

class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.send_response(500 if os.environ["API_KEYS"] else 200)
        self.end_headers()
        self.wfile.write({prediction!r}.encode())

    do_POST = do_GET
    log_message = lambda *_: None

HTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
"""
"""A service with one prediction, that needs no API key."""


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        pytest.param(3.0, "3", id="integral"),
        pytest.param(3.5, "3.5", id="fraction"),
        pytest.param(None, "null", id="missing"),
        pytest.param("a", '"a"', id="text"),
    ],
)
def test_integral_numbers_have_no_decimal_point(value: object, shown: str) -> None:
    assert json.dumps(integral(value)) == shown


def golden(prediction: LabelPrediction | ValuePrediction) -> AnyGoldenRecord:
    """Return a golden record of which only the prediction matters."""
    return GoldenRecord.model_construct(record=None, prediction=prediction)


def labelled(probability: float) -> AnyGoldenRecord:
    return golden(LabelPrediction(label="a", probability=probability, probabilities={"a": probability}))


def test_the_golden_record_with_the_most_probable_label_is_shown() -> None:
    records = (labelled(0.6), labelled(0.9), labelled(0.7))

    assert shown_record(records) is records[1]


def test_the_first_golden_record_of_a_regression_is_shown() -> None:
    records = tuple(golden(ValuePrediction(value=value, low=0, high=9)) for value in (3, 5, 1))

    assert shown_record(records) is records[0]


def test_few_values_are_all_shown() -> None:
    values = {str(number): None for number in range(MAX_SHOWN)}

    assert shortened(values) == values


def test_many_values_are_shortened_to_the_first_that_are_not_missing() -> None:
    # Given many values, half of them missing
    values = {str(number): number if number % 2 else None for number in range(100)}

    # When they are shortened
    shown = shortened(values)

    # Then those that are left are not missing, and the others are counted
    assert list(shown)[:-1] == [str(number) for number in range(1, 2 * MAX_SHOWN, 2)]
    assert shown["…"] == "80 more"


def test_many_probabilities_are_shortened_to_the_highest() -> None:
    prediction = {"label": "99", "probabilities": {str(number): number / 4950 for number in range(100)}}

    probabilities = most_probable(prediction)["probabilities"]

    assert list(probabilities) == [*(str(number) for number in range(99, 99 - MAX_SHOWN, -1)), "…"]


@pytest.mark.parametrize(
    "prediction", [{"value": 1.5, "low": 1, "high": 2}, {"label": "b", "probabilities": {"a": 0.1, "b": 0.9}}]
)
def test_a_short_prediction_is_not_changed(prediction: dict[str, object]) -> None:
    assert most_probable(prediction) == prediction


def test_request_and_response_are_printed(
    predictor: OnnxPredictor, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # Given a service, and an environment that requires API keys
    golden = shown_record(predictor.golden_records)
    prediction = golden.prediction.model_dump(mode="json")
    monkeypatch.setenv("API_KEYS", "/missing")
    monkeypatch.setattr(predict, "project_artefact", lambda: predictor.artefact)
    monkeypatch.setattr(predict, "SERVICE", ("-c", SERVICE.format(prediction=json.dumps(prediction))))

    # When it is asked for a prediction
    status = main()

    # Then the record and its prediction are printed
    assert status == 0
    request, response = capsys.readouterr().out.split("200 OK\n")
    record = golden.record.model_dump(mode="json")
    assert request == f"POST /v1/predictions\n{text(shortened({name: integral(record[name]) for name in record}))}\n"
    assert json.loads(response) == most_probable(prediction)


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

    monkeypatch.setattr(predict, "project_artefact", no_artefact)

    assert main() == 1
    assert capsys.readouterr().err == "predict: cannot read metadata.json; run `make train`\n"


def test_ctrl_c_is_told_in_one_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(predict, "project_artefact", lambda: signal.raise_signal(signal.SIGINT))

    assert main() == 130
    assert capsys.readouterr().err == "predict: stopped, and so is the service\n"


def test_a_free_port_can_be_listened_on() -> None:
    assert 1024 <= free_port() <= 65535
