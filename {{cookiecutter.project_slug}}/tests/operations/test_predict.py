import json
from pathlib import Path

import pytest

from operations import predict
from operations.golden import ServiceError
from operations.predict import free_port, local_service, main, without_point

from {{cookiecutter.__package}}_model.classifier import Classifier
from {{cookiecutter.__package}}_model.metadata import ArtefactError


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


def test_one_prediction_is_asked_for_and_shown(
    artefact: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # Given a service that serves the trained model
    golden = predict.golden_records(artefact)
    monkeypatch.setattr(predict, "golden_records", lambda: golden)
    monkeypatch.setattr(predict, "SERVICE", ("-c", serving(artefact)))

    # When it is asked for a prediction
    status = main()

    # Then question and answer are shown, for the record whose prediction is the surest
    assert status == 0
    surest = max(golden, key=lambda one: one.prediction.probability)
    assert surest.prediction.label.value in capsys.readouterr().out


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
from webservice.app import create_app
from {Classifier.__module__} import Classifier
make_server("127.0.0.1", int(os.environ["PORT"]), create_app(Classifier.load(Path({str(artefact)!r})))).serve_forever()
"""
