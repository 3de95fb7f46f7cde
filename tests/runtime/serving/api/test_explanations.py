import csv
import hashlib
import json
from io import StringIO
from pathlib import Path
from typing import Any

import pyarrow
import pytest
from flask.testing import FlaskClient
from pydantic import create_model
from werkzeug.test import TestResponse

from mlops_runtime.contract import Contract, LabelPrediction, RecordModel, Task, ValuePrediction
from mlops_runtime.model import Predictor, agrees
from mlops_runtime.serving.api.explanations import OTHERS, ExplanationWriter, FieldContribution, explanation_type
from mlops_runtime.serving.api.negotiation import FORMATS, Format
from mlops_runtime.serving.api.prediction_writer import PredictionWriter
from mlops_runtime.serving.settings import Settings
from mlops_runtime.serving.ui.shapley import MAX_PARTS
from tests.runtime.serving.api.bodies import WRITERS
from tests.runtime.serving.conftest import app_of

PATH = "/v1/explanations"
KEY = "R5b0_the-key-of-the-hospital-0123456789abcd"


@pytest.fixture(scope="module")
def records(predictor: Predictor, max_explanations: int) -> list[dict[str, Any]]:
    """As many records as a request for explanations may have, as JSON."""
    return [golden.record.model_dump(mode="json") for golden in predictor.golden_records[:max_explanations]]


def post(
    client: FlaskClient, body: bytes, sent: Format = Format.JSON, wanted: Format = Format.JSON, **extra: Any
) -> TestResponse:
    return client.post(PATH, data=body, content_type=sent, headers={"Accept": wanted, **extra.pop("headers", {})})


def rows_of(response: TestResponse) -> list[dict[str, Any]]:
    """Return the rows of a table or a stream, by column."""
    if response.mimetype == Format.ARROW:
        rows: list[dict[str, Any]] = pyarrow.ipc.open_stream(response.data).read_all().to_pylist()
        return rows
    return list(csv.DictReader(StringIO(response.text, newline="")))


def test_a_record_gets_its_prediction_and_contributions_that_add_up(
    each_client: FlaskClient, each_predictor: Predictor
) -> None:
    golden = each_predictor.golden_records[0]

    response = each_client.post(PATH, json=golden.record.model_dump(mode="json"))

    content = response.get_json()
    assert list(content) == ["mean", "output", "contributions", "prediction"]
    prediction = each_predictor.contract.prediction.model_validate(content["prediction"])
    assert agrees(prediction, golden.prediction)
    output = prediction.probability if isinstance(prediction, LabelPrediction) else content["prediction"]["value"]
    assert content["output"] == pytest.approx(output)
    amounts = [part["amount"] for part in content["contributions"]]
    assert sum(amounts) == pytest.approx(content["output"] - content["mean"])
    assert {name for part in content["contributions"] for name in part["fields"]} == set(
        each_predictor.contract.features
    )


def test_each_record_of_a_list_gets_the_explanation_that_it_gets_alone(
    client: FlaskClient, records: list[dict[str, Any]]
) -> None:
    explanations = client.post(PATH, json=records).get_json()

    assert len(explanations) == len(records)
    for record, explanation in zip(records, explanations, strict=True):
        alone = client.post(PATH, json=record).get_json()
        assert explanation["prediction"]["label"] == alone["prediction"]["label"]
        assert amounts_of(explanation) == pytest.approx(amounts_of(alone))


def amounts_of(explanation: dict[str, Any]) -> dict[str, float]:
    return {part["fields"][0]: part["amount"] for part in explanation["contributions"]}


@pytest.mark.parametrize("sent", FORMATS)
@pytest.mark.parametrize("wanted", [Format.JSON, Format.NDJSON])
def test_the_lines_of_a_response_are_the_explanations_of_its_list(
    client: FlaskClient, records: list[dict[str, Any]], sent: Format, wanted: Format
) -> None:
    expected = client.post(PATH, json=records).get_json()

    response = post(client, WRITERS[sent](records), sent, wanted)

    assert response.mimetype == wanted
    lines = response.text.splitlines()
    assert (json.loads(response.data) if wanted is Format.JSON else [json.loads(line) for line in lines]) == expected


@pytest.mark.parametrize("sent", FORMATS)
@pytest.mark.parametrize("wanted", [Format.CSV, Format.ARROW])
def test_a_table_has_the_columns_of_the_prediction_and_one_for_each_field(
    each_client: FlaskClient, each_predictor: Predictor, max_explanations: int, sent: Format, wanted: Format
) -> None:
    # Given the explanations of some records
    contract = each_predictor.contract
    records = [golden.record.model_dump(mode="json") for golden in each_predictor.golden_records[:max_explanations]]
    explanations = each_client.post(PATH, json=records).get_json()

    # When they are wanted as a table
    response = post(each_client, WRITERS[sent](records), sent, wanted)

    # Then it has the columns of the prediction first, and then the explanation with all digits
    assert response.mimetype == wanted
    rows = rows_of(response)
    predicted = PredictionWriter(contract).columns(errors=False)
    for row, explanation in zip(rows, explanations, strict=True):
        assert list(row) == [*predicted, "mean", "output", *(f"contribution_{name}" for name in contract.features)]
        assert {name: float(row[name]) for name in ("mean", "output")} == {
            name: explanation[name] for name in ("mean", "output")
        }
        assert {name: float(row[f"contribution_{name}"]) for name in contract.features} == amounts_of(explanation)
    prediction = contract.prediction.model_validate(explanations[0]["prediction"])
    cells = PredictionWriter(contract).cells(prediction, errors=False)
    assert [str(rows[0][name] or "") for name in predicted] == ["" if cell is None else str(cell) for cell in cells]


def test_fields_that_share_a_contribution_have_empty_cells_and_a_column_together() -> None:
    # Given a contract with more fields than have a contribution of their own
    names = [f"x{number}" for number in range(MAX_PARTS + 2)]
    fields: Any = dict.fromkeys(names, (float, ...))
    contract = Contract(create_model("Wide", __base__=RecordModel, **fields), ValuePrediction, Task.REGRESSION, "price")
    # And the explanation of a record: the last fields have one contribution together
    parts = [FieldContribution(fields=(name,), amount=index) for index, name in enumerate(names[: MAX_PARTS - 1])]
    parts.append(FieldContribution(fields=tuple(names[MAX_PARTS - 1 :]), amount=-0.5))
    explanation = explanation_type(contract)(
        prediction=ValuePrediction(value=3, low=2, high=4), mean=1, output=3, contributions=tuple(parts)
    )

    # When it is written as a table
    writer = ExplanationWriter(contract)
    row = dict(zip(writer.columns(errors=False), writer.cells(explanation, errors=False), strict=True))

    # Then the sum over the row is the same
    assert [row[f"contribution_{name}"] for name in names] == [*range(MAX_PARTS - 1), None, None, None]
    assert row[OTHERS] == -0.5


def test_the_number_of_records_is_limited_by_a_setting_of_its_own(
    client: FlaskClient, records: list[dict[str, Any]], max_records: int, max_explanations: int
) -> None:
    assert max_explanations < max_records

    longest, too_long = client.post(PATH, json=records), client.post(PATH, json=[*records, records[0]])

    assert longest.status_code == 200
    assert too_long.status_code == 413
    assert f"at most {max_explanations} records" in too_long.get_json()["detail"]
    assert too_long.content_type == "application/problem+json"


@pytest.mark.parametrize("wanted", FORMATS)
def test_lenient_handling_describes_a_faulty_record_in_its_place(
    client: FlaskClient, records: list[dict[str, Any]], wanted: Format
) -> None:
    # Given a faulty record among others
    body = WRITERS[Format.NDJSON]([records[0], {}, records[1]])

    # When they are sent without and with the preference that the others are explained
    strict = post(client, body, Format.NDJSON, wanted)
    lenient = post(client, body, Format.NDJSON, wanted, headers={"Prefer": "handling=lenient"})

    # Then without it nothing is explained, and with it the fault is in its place
    assert strict.status_code == 422
    assert lenient.status_code == 200
    assert lenient.headers["Preference-Applied"] == "handling=lenient"
    match wanted:
        case Format.JSON:
            assert ["error" in each for each in lenient.get_json()] == [False, True, False]
        case Format.NDJSON:
            assert ["error" in json.loads(line) for line in lenient.text.splitlines()] == [False, True, False]
        case _:
            rows = rows_of(lenient)
            assert [bool(row["error"]) for row in rows] == [False, True, False]
            assert {name for name, value in rows[1].items() if value} == {"error"}


@pytest.mark.parametrize("wanted", FORMATS)
def test_the_key_of_a_record_comes_back_first(
    client: FlaskClient, records: list[dict[str, Any]], wanted: Format
) -> None:
    body = WRITERS[Format.CSV]([record | {"order no": f"A-{row}"} for row, record in enumerate(records)])

    response = client.post(f"{PATH}?key=order+no", data=body, content_type=Format.CSV, headers={"Accept": wanted})

    match wanted:
        case Format.JSON:
            explanations = response.get_json()
        case Format.NDJSON:
            explanations = [json.loads(line) for line in response.text.splitlines()]
        case _:
            explanations = rows_of(response)
    assert [next(iter(each.items())) for each in explanations] == [("key", f"A-{row}") for row in range(len(records))]


def test_records_are_not_counted_as_predictions_but_requests_are(
    predictor: Predictor, settings: Settings, records: list[dict[str, Any]]
) -> None:
    client = app_of(predictor, settings).test_client()

    def counted() -> dict[str, float]:
        samples = [line.rpartition(" ") for line in client.get("/metrics").text.splitlines() if line[0] != "#"]
        return {name: float(value) for name, _, value in samples}

    before = counted()

    assert client.post(PATH, json=records).status_code == 200

    after = counted()
    request = f'webservice_requests_total{{method="POST",route="{PATH}",status="200"}}'
    assert (before.get(request, 0), after[request]) == (0, 1)
    assert after[f'webservice_request_duration_seconds_count{{route="{PATH}"}}'] == 1
    of_records = [name for name in before if name.startswith(("webservice_records_total", "webservice_drift_records"))]
    assert of_records
    assert [after[name] for name in of_records] == [before[name] for name in of_records]


def test_a_service_with_keys_explains_nothing_without_one(
    predictor: Predictor, settings: Settings, records: list[dict[str, Any]], tmp_path: Path
) -> None:
    (tmp_path / "hospital").write_text(hashlib.sha256(KEY.encode()).hexdigest())
    client = app_of(predictor, settings.model_copy(update={"api_keys": tmp_path})).test_client()

    without, with_key = (
        client.post(PATH, json=records[0], headers=headers) for headers in ({}, {"Authorization": f"Bearer {KEY}"})
    )

    assert (without.status_code, with_key.status_code) == (401, 200)


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        pytest.param(b"[]", {}, 422, id="an empty list"),
        pytest.param(b"{}", {}, 422, id="a record that breaks the contract"),
        pytest.param(b"{}", {"Prefer": "handling=lenient"}, 422, id="a record alone that breaks the contract"),
        pytest.param(b"{", {}, 400, id="no JSON"),
        pytest.param(b"unknown\n1\n", {"Content-Type": "text/csv"}, 422, id="a table with another column"),
        pytest.param(b"{}", {"Content-Type": "text/plain"}, 415, id="another format"),
        pytest.param(b"{}", {"Accept": "image/png"}, 406, id="another format wanted"),
    ],
)
def test_another_request_is_refused(client: FlaskClient, body: bytes, headers: dict[str, str], status: int) -> None:
    response = client.post(PATH, data=body, headers={"Content-Type": "application/json"} | headers)

    assert response.status_code == status
    assert response.content_type == "application/problem+json"
