"""A prediction of another kind than a label or a value is served by a predictor of one's own."""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any, Self

import pytest
from flask.testing import FlaskClient
from pydantic import Field

from mlops_runtime.contract import Contract, Features, PredictionModel, Task
from mlops_runtime.model import BasePredictor, OnnxPredictor, agrees
from mlops_runtime.model.golden import golden_record_type
from mlops_runtime.operations.golden import agrees as agrees_as_json
from mlops_runtime.serving import create_app
from mlops_runtime.serving.settings import Settings
from mlops_runtime.serving.ui.form import form_inputs, texts_of
from mlops_runtime.testing.synthetic import CONTRACTS, Order, Route, some_orders
from tests.runtime.conftest import Runs


class Ranking(PredictionModel):
    """The two best routes."""

    TASKS = frozenset((Task.MULTICLASS,))
    TEXT_COLUMNS = frozenset(("best", "second"))
    OUTCOME = "best"
    TEMPLATE = "ranking.html"

    best: Route = Field(description="The best route")
    second: Route = Field(description="The next best route")
    warnings: tuple[str, ...] = Field(default=(), description="Unusual values")

    @classmethod
    def labels(cls) -> tuple[str, ...]:
        return tuple(Route)

    @classmethod
    def columns(cls, labels: Sequence[str]) -> list[str]:  # noqa: ARG003
        return ["best", "second"]

    def cells(self, labels: Sequence[str]) -> list[Any]:  # noqa: ARG002
        return [str(self.best), str(self.second)]

    def headline(self) -> str:
        return f"{self.best} before {self.second}"

    def agrees_with(self, golden: Self, tolerance: float) -> bool:  # noqa: ARG002
        return (self.best, self.second) == (golden.best, golden.second)


class RankingPredictor(BasePredictor):
    """Ranks the routes by the weight of an order."""

    def load_model(self, files: Mapping[str, bytes]) -> None:  # noqa: ARG002
        self._routes = tuple(Route)

    def predictions(self, features: Features) -> list[Any]:
        first = [int(weight > 10) for weight in features.numbers[:, 0].tolist()]
        return [Ranking(best=self._routes[place], second=self._routes[place + 1]) for place in first]


CONTRACT = Contract(Order, Ranking, Task.MULTICLASS, "Route")


@pytest.fixture(scope="module")
def predictor(runs: Runs) -> RankingPredictor:
    """A predictor of rankings, with the baseline of a model of labels."""
    contract = CONTRACTS[Task.MULTICLASS]
    artefact = OnnxPredictor.load(contract, runs.of(contract).artefact).artefact
    ranking = RankingPredictor(replace(artefact, contract=CONTRACT, golden_records=()))
    records = some_orders(5)
    golden_record = golden_record_type(CONTRACT)
    golden = [
        golden_record(record=record, prediction=each)
        for record, each in zip(records, ranking.predict(records), strict=True)
    ]
    return RankingPredictor(replace(ranking.artefact, golden_records=tuple(golden)))


@pytest.fixture
def client(predictor: RankingPredictor, settings: Settings, tmp_path: Path) -> FlaskClient:
    """A client of the service, with a template for rankings."""
    (tmp_path / "ranking.html").write_text("<p>{{ form.result.headline }} ({{ form.result.prediction.best }})</p>")
    return create_app(predictor, settings, title="Rankings", templates=tmp_path).test_client()


def test_the_golden_predictions_are_reproduced(predictor: RankingPredictor) -> None:
    golden = predictor.golden_records[0].prediction
    assert predictor.gives_golden_predictions()
    assert not agrees(golden, golden.model_copy(update={"best": golden.second}))  # type: ignore[attr-defined]


def test_a_deploy_compares_the_predictions_of_pods(predictor: RankingPredictor) -> None:
    golden = predictor.golden_records[0].prediction.model_dump(mode="json")
    assert agrees_as_json(golden, golden)
    assert not agrees_as_json(golden | {"second": golden["best"]}, golden)


def test_predictions_are_written_as_json_and_csv(client: FlaskClient, predictor: RankingPredictor) -> None:
    # given
    golden = predictor.golden_records[0]
    record = golden.record.model_dump(mode="json", by_alias=True)
    # when
    responses = [
        client.post("/v1/predictions", json=record, headers={"Accept": accepted})
        for accepted in ("application/json", "text/csv")
    ]
    # then
    assert responses[0].json == golden.prediction.model_dump(mode="json")
    header, row = csv.reader(StringIO(responses[1].text, newline=""))
    assert header == ["best", "second", "warnings"]
    assert row == [responses[0].json["best"], responses[0].json["second"], ""]


def test_the_page_shows_a_prediction_with_its_template_and_without_an_explanation(
    client: FlaskClient, predictor: RankingPredictor
) -> None:
    # given
    golden = predictor.golden_records[0]
    texts, inputs = texts_of(golden.record), form_inputs(CONTRACT.fields, predictor.baseline)
    # when
    page = client.post("/", data={each.name: texts[each.spec.name] for each in inputs})
    # then
    assert page.status_code == 200, page.text
    best, second = golden.prediction.best, golden.prediction.second  # type: ignore[attr-defined]
    assert f"<p>{best} before {second} ({best})</p>" in page.text
    assert "Why this prediction" not in page.text


def test_openapi_and_metrics_describe_the_predictions(client: FlaskClient, predictor: RankingPredictor) -> None:
    # given
    record = predictor.golden_records[0].record.model_dump(mode="json", by_alias=True)
    best = client.post("/v1/predictions", json=record).json["best"]
    # when
    metrics, document = client.get("/metrics").text, client.get("/openapi.json").json
    # then
    assert f'webservice_predictions_total{{label="{best}"}} 1.0' in metrics
    assert "webservice_records_total 1.0" in metrics
    assert document is not None
    assert {"best", "second"} <= document["components"]["schemas"]["Ranking"]["properties"].keys()


def test_predictions_without_contributions_are_not_explained(client: FlaskClient, predictor: RankingPredictor) -> None:
    record = predictor.golden_records[0].record.model_dump(mode="json", by_alias=True)

    response = client.post("/v1/explanations", json=record)

    assert response.status_code == 404
    document = client.get("/openapi.json").json
    assert document is not None
    assert "/v1/explanations" not in document["paths"]
