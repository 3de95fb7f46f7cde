"""The application for the synthetic contract of each task, which has a field of every kind."""

import html
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from hypothesis import given
from hypothesis import strategies as st

from mlops_runtime.contract import FieldSpec, Task
from mlops_runtime.model import Predictor
from mlops_runtime.serving import app as app_module
from mlops_runtime.serving import create_app
from mlops_runtime.serving.settings import Settings
from mlops_runtime.serving.ui.field_text import allowed
from mlops_runtime.testing.synthetic import FIELDS, Order
from tests.runtime.serving.conftest import ONE_OF_EACH_KIND, TITLE, app_of
from tests.runtime.serving.literals import STRANGE, WRONG, with_literal
from tests.runtime.serving.page_parser import Page

URL = "/v1/predictions"


@dataclass(frozen=True)
class Clients:
    """Clients of the application for one task, with and without the shorter path to a prediction."""

    predictor: Predictor
    client: FlaskClient
    without_fastpath: FlaskClient

    @property
    def task(self) -> Task:
        return self.predictor.contract.task

    def post(self, body: str) -> Any:
        """Return the response to a body of JSON."""
        return self.client.post(URL, data=body.encode(), content_type="application/json")


@pytest.fixture(scope="module")
def clients(each_predictor: Predictor, settings: Settings) -> Clients:
    with pytest.MonkeyPatch.context() as patch:
        client = app_of(each_predictor, settings).test_client()
        patch.setattr(app_module, "with_fast_path", lambda application, *_: application)
        return Clients(each_predictor, client, app_of(each_predictor, settings).test_client())


def test_golden_records_get_their_predictions(clients: Clients) -> None:
    golden = clients.predictor.golden_records

    answer = clients.post(json.dumps([each.record.model_dump(mode="json") for each in golden]))

    assert answer.status_code == 200
    expected = clients.predictor.predict([each.record for each in golden])
    assert answer.get_json() == [each.model_dump(mode="json") for each in expected]
    assert clients.client.get("/readyz").status_code == 200


@given(order=st.from_type(Order))
def test_any_valid_record_is_predicted(clients: Clients, order: Order) -> None:
    answer = clients.post(order.model_dump_json())

    assert answer.status_code == 200
    prediction = answer.get_json()
    if clients.task is Task.REGRESSION:
        assert prediction["low"] <= prediction["value"] <= prediction["high"]
    else:
        assert prediction["probability"] == max(prediction["probabilities"].values())


@given(sent=st.from_type(Order) | st.lists(st.from_type(Order), max_size=3), cut=st.integers(0, 3))
def test_the_shorter_path_gives_the_same_response(clients: Clients, sent: Order | list[Order], cut: int) -> None:
    # Given any records, complete or cut off
    many = isinstance(sent, list)
    body = f"[{','.join(each.model_dump_json() for each in sent)}]" if many else sent.model_dump_json()
    body = body[: len(body) - cut]

    # When they are sent to the application with and without the shorter path
    answers = [
        client.post(URL, data=body.encode(), content_type="application/json", headers={"X-Request-ID": "same"})
        for client in (clients.client, clients.without_fastpath)
    ]

    # Then the responses are the same, byte by byte
    assert answers[0].data == answers[1].data
    assert answers[0].status == answers[1].status
    assert sorted(answers[0].headers) == sorted(answers[1].headers)


@pytest.mark.parametrize("field", ONE_OF_EACH_KIND)
def test_an_invalid_value_of_any_kind_is_refused(client: FlaskClient, record: dict[str, Any], field: FieldSpec) -> None:
    for literal in WRONG[field.kind]:
        answer = client.post(URL, data=with_literal(record, field, literal), content_type="application/json")

        assert answer.status_code == 422, literal
        (error,) = json.loads(answer.data)["errors"]
        assert error["field"] == field.name
        assert error["detail"].startswith(f"must be {allowed(field)}")


@pytest.mark.parametrize("field", ONE_OF_EACH_KIND)
def test_an_extreme_value_of_any_kind_is_predicted_or_refused(
    client: FlaskClient, record: dict[str, Any], field: FieldSpec
) -> None:
    for literal in STRANGE[field.kind]:
        answer = client.post(URL, data=with_literal(record, field, literal), content_type="application/json")

        assert answer.status_code in {200, 400, 422}, literal


def test_each_example_can_be_sent_unchanged(clients: Clients) -> None:
    # Given the examples on the page
    page = Page(clients.client.get("/").text)
    examples = [target for target in page.links.values() if target.startswith("/?example=")]
    assert len(examples) > 1

    headlines = []
    for example in examples:
        # When one is sent unchanged
        sent = Page(clients.client.get(example).text).sent
        answer = clients.client.post("/", data=sent)

        # Then its prediction is shown, with bars or an interval
        assert answer.status_code == 200
        shown = Page(answer.text)
        assert shown.sent == sent
        assert ("figure" in shown.elements) == (clients.task is Task.REGRESSION)
        assert bool(shown.probabilities) == (clients.task is not Task.REGRESSION)
        headlines.append(answer.text.partition('class="headline">')[2].partition("<")[0])

    # And the examples of labels give those labels
    if clients.task is not Task.REGRESSION:
        assert [html.unescape(headline) for headline in headlines] == list(page.links)[: len(headlines)]


@given(changes=st.dictionaries(st.sampled_from([field.name for field in FIELDS]), st.text(), max_size=3))
def test_any_text_in_the_form_gets_a_page(client: FlaskClient, changes: dict[str, str]) -> None:
    sent = Page(client.get("/").text).sent
    names = dict(zip([field.name for field in FIELDS], sent, strict=True))

    answer = client.post("/", data=sent | {names[name]: text for name, text in changes.items()})

    assert answer.status_code in {200, 422}


def test_values_unseen_in_training_get_warnings(client: FlaskClient, record: dict[str, Any]) -> None:
    answer = client.post(URL, json=record | {"City": "Atlantis", "Weight (kg)": 999})

    assert [warning.partition(":")[0] for warning in answer.get_json()["warnings"]] == ["Weight (kg)", "City"]


def test_the_contract_is_described(client: FlaskClient) -> None:
    document = client.get("/openapi.json").get_json()

    properties = document["components"]["schemas"]["Order"]["properties"]
    assert list(properties) == [*(field.name for field in FIELDS), "Fate"]
    assert properties["Fate"]["description"].startswith("Ignored")
    assert properties["Weight (kg)"]["x-expected-range"] == [-3, 41.5]


def test_the_title_is_on_the_page_and_in_the_document(client: FlaskClient) -> None:
    assert TITLE in client.get("/").text
    assert client.get("/openapi.json").get_json()["info"]["title"] == TITLE


def test_a_page_of_the_project_replaces_the_page_of_the_same_name(
    predictor: Predictor, settings: Settings, tmp_path: Path
) -> None:
    (tmp_path / "page.html").write_text("<h1>{{ title }}, our own page</h1>")

    app = create_app(predictor, settings, title=TITLE, templates=tmp_path)

    assert app.test_client().get("/").text == f"<h1>{TITLE}, our own page</h1>"


@pytest.fixture
def app_with_own_route(predictor: Predictor, tmp_path: Path) -> Flask:
    folder = tmp_path / "keys"
    folder.mkdir()
    (folder / "caller").write_text("0" * 64)
    app = create_app(predictor, Settings(api_keys=folder, drain_marker=tmp_path / "draining"), title=TITLE)
    app.add_url_rule("/customers/<number>", "customers", lambda number: {"number": number})
    return app


def test_a_route_of_the_project_needs_a_key(app_with_own_route: Flask) -> None:
    assert app_with_own_route.test_client().get("/customers/7").status_code == 401


def test_a_route_of_the_project_is_measured_under_its_rule(predictor: Predictor, tmp_path: Path) -> None:
    app = create_app(predictor, Settings(drain_marker=tmp_path / "draining"), title=TITLE)
    app.add_url_rule("/customers/<number>", "customers", lambda number: {"number": number})
    client = app.test_client()

    assert [client.get(f"/customers/{number}").get_json()["number"] for number in (7, 8)] == ["7", "8"]

    metrics = client.get("/metrics").text
    assert 'webservice_requests_total{method="GET",route="/customers/<number>",status="200"} 2.0' in metrics
    assert "/customers/7" not in metrics
