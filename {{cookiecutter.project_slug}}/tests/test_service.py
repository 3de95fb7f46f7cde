"""The service, with a model trained in seconds."""

from flask.testing import FlaskClient
from mlops_runtime.model import BasePredictor, agrees

from {{cookiecutter.__package}}_model.{{cookiecutter.__predictor}} import ARTEFACT, load


def test_the_model_is_loaded_from_its_folder(predictor: BasePredictor) -> None:
    assert load(predictor.artefact.folder or ARTEFACT).gives_golden_predictions()


def test_a_record_gets_its_prediction(client: FlaskClient, predictor: BasePredictor) -> None:
    golden = predictor.golden_records[0]

    answer = client.post("/v1/predictions", json=golden.record.model_dump(mode="json"))

    assert answer.status_code == 200
    assert agrees(predictor.contract.prediction.model_validate_json(answer.data), golden.prediction)


def test_a_record_that_breaks_the_contract_is_refused(client: FlaskClient) -> None:
    answer = client.post("/v1/predictions", json={"no such field": 1})

    assert answer.status_code == 422


def test_the_page_shows_a_form(client: FlaskClient) -> None:
    answer = client.get("/")

    assert answer.status_code == 200
    assert "<form" in answer.text
