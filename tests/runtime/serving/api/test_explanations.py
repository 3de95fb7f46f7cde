from http import HTTPStatus

import pytest
from flask.testing import FlaskClient

from mlops_runtime.contract import LabelPrediction
from mlops_runtime.model import Predictor, agrees

PATH = "/v1/explanations"


def test_a_record_gets_its_prediction_and_contributions_that_add_up(
    each_client: FlaskClient, each_predictor: Predictor
) -> None:
    golden = each_predictor.golden_records[0]

    response = each_client.post(PATH, json=golden.record.model_dump(mode="json"))

    content = response.get_json()
    prediction = each_predictor.contract.prediction.model_validate(content["prediction"])
    assert agrees(prediction, golden.prediction)
    output = prediction.probability if isinstance(prediction, LabelPrediction) else content["prediction"]["value"]
    assert content["output"] == pytest.approx(output)
    amounts = [part["amount"] for part in content["contributions"]]
    assert sum(amounts) == pytest.approx(content["output"] - content["mean"])
    assert {name for part in content["contributions"] for name in part["fields"]} == set(
        each_predictor.contract.features
    )


def test_a_record_that_is_only_tried_is_not_counted(client: FlaskClient, predictor: Predictor) -> None:
    def counted() -> list[str]:
        lines = client.get("/metrics").text.splitlines()
        return [line for line in lines if line.startswith(("webservice_records_total", "webservice_drift_records"))]

    before = counted()
    client.post(PATH, json=predictor.golden_records[0].record.model_dump(mode="json"))

    assert len(before) == 2
    assert counted() == before


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        pytest.param(b"[{}]", {}, HTTPStatus.UNPROCESSABLE_ENTITY, id="a list"),
        pytest.param(b"{}", {}, HTTPStatus.UNPROCESSABLE_ENTITY, id="a record that breaks the contract"),
        pytest.param(b"{", {}, HTTPStatus.BAD_REQUEST, id="no JSON"),
        pytest.param(b"a\n1\n", {"Content-Type": "text/csv"}, HTTPStatus.UNSUPPORTED_MEDIA_TYPE, id="a table"),
        pytest.param(b"{}", {"Accept": "text/csv"}, HTTPStatus.NOT_ACCEPTABLE, id="a table wanted"),
    ],
)
def test_another_request_is_refused(
    client: FlaskClient, body: bytes, headers: dict[str, str], status: HTTPStatus
) -> None:
    response = client.post(PATH, data=body, headers={"Content-Type": "application/json"} | headers)

    assert response.status_code == status
    assert response.content_type == "application/problem+json"
