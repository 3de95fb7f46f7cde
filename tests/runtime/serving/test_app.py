"""The whole service with a contract that has fields of every kind, for each task, whatever the project's own has."""

import html
import json
import sys
from dataclasses import dataclass
from importlib import import_module
from types import ModuleType
from typing import Any

import pytest
from flask.testing import FlaskClient
from hypothesis import given
from hypothesis import strategies as st

from mlops_runtime.contract.fields import FieldSpec, Task
from mlops_runtime.model import datamodel
from mlops_runtime.serving.settings import Settings
from mlops_runtime.testing import synthetic as orders
from tests.conftest import OnOrders, Run
from tests.runtime.serving.conftest import WholeAnswers
from tests.runtime.serving.literals import STRANGE, WRONG, with_literal
from tests.runtime.serving.page_parser import Page

URL = "/v1/predictions"
KEPT = FieldSpec.__module__
"""The module that orders, too, are written in."""
ONE_OF_EACH_KIND = {field.kind.value: field for field in reversed(orders.FIELDS)}


@dataclass(frozen=True)
class Service:
    """A service for orders."""

    task: Task
    client: FlaskClient
    without_short_way: FlaskClient
    predictor: Any
    words: ModuleType

    def ask(self, body: str) -> Any:
        """Return the answer to a body of JSON."""
        return self.client.post(URL, data=body.encode(), content_type="application/json")


@pytest.fixture(scope="module")
def service(on_orders: OnOrders, orders_run: Run, settings: Settings) -> Service:
    """Return the service for orders: what depends on the contract is imported anew, with orders as the contract."""
    package = str(datamodel.__package__)

    def bound() -> list[str]:
        """Return the names of the modules that depend on the contract."""
        return [name for name in sys.modules if name.split(".")[0] in ("webservice", package) and name != KEPT]

    kept = {name: sys.modules.pop(name) for name in bound()}
    sys.modules[datamodel.__name__] = orders.contract(on_orders.task, datamodel.__name__)
    try:
        predictor = import_module(f"{package}.predictor").Predictor.load(orders_run.artefact)
        module = import_module("mlops_runtime.serving.app")
        app = module.create_app(predictor, settings)
        vars(module).update(shortened=lambda application, *_: application)
        without_short_way = module.create_app(predictor, settings)
        words = import_module("mlops_runtime.serving.ui.field_text")
        app.testing = True
        app.test_client_class = WholeAnswers
    finally:
        for name in bound():
            del sys.modules[name]
        sys.modules.update(kept)
    return Service(on_orders.task, app.test_client(), without_short_way.test_client(), predictor, words)


@pytest.fixture(scope="module")
def record(service: Service) -> dict[str, Any]:
    """Return an order as JSON has it."""
    record: dict[str, Any] = service.predictor.golden_records[0].record.model_dump(mode="json")
    return record


def test_golden_records_get_their_predictions(service: Service) -> None:
    golden = service.predictor.golden_records

    answer = service.ask(json.dumps([one.record.model_dump(mode="json") for one in golden]))

    assert answer.status_code == 200
    expected = service.predictor.predict([one.record for one in golden])
    assert answer.get_json() == [one.model_dump(mode="json") for one in expected]
    assert service.client.get("/readyz").status_code == 200


@given(order=st.from_type(orders.Order))
def test_any_order_is_predicted(service: Service, order: orders.Order) -> None:
    answer = service.ask(order.model_dump_json())

    assert answer.status_code == 200
    told = answer.get_json()
    if service.task is Task.REGRESSION:
        assert told["low"] <= told["value"] <= told["high"]
    else:
        assert told["probability"] == max(told["probabilities"].values())


@given(sent=st.from_type(orders.Order) | st.lists(st.from_type(orders.Order), max_size=3), cut=st.integers(0, 3))
def test_the_short_way_to_a_prediction_makes_no_difference(
    service: Service, sent: orders.Order | list[orders.Order], cut: int
) -> None:
    # Given any orders, whole or cut off
    many = isinstance(sent, list)
    body = f"[{','.join(one.model_dump_json() for one in sent)}]" if many else sent.model_dump_json()
    body = body[: len(body) - cut]

    # When they are sent to the service, and to one that takes no short way
    answers = [
        client.post(URL, data=body.encode(), content_type="application/json", headers={"X-Request-ID": "same"})
        for client in (service.client, service.without_short_way)
    ]

    # Then the answers are the same, byte by byte
    assert answers[0].data == answers[1].data
    assert answers[0].status == answers[1].status
    assert sorted(answers[0].headers) == sorted(answers[1].headers)


@pytest.mark.parametrize("field", ONE_OF_EACH_KIND.values(), ids=ONE_OF_EACH_KIND)
def test_a_wrong_value_of_any_kind_is_refused(service: Service, record: dict[str, Any], field: FieldSpec) -> None:
    for literal in WRONG[field.kind]:
        answer = service.ask(with_literal(record, field, literal))

        assert answer.status_code == 422, literal
        (error,) = answer.get_json(force=True)["errors"]
        assert error["field"] == field.name
        assert error["detail"].startswith(f"must be {service.words.allowed(field)}")


@pytest.mark.parametrize("field", ONE_OF_EACH_KIND.values(), ids=ONE_OF_EACH_KIND)
def test_a_strange_value_of_any_kind_is_predicted_or_refused(
    service: Service, record: dict[str, Any], field: FieldSpec
) -> None:
    for literal in STRANGE[field.kind]:
        assert service.ask(with_literal(record, field, literal)).status_code in {200, 400, 422}, literal


def test_each_example_can_be_sent_as_it_is(service: Service) -> None:
    # Given the examples that the page offers
    page = Page(service.client.get("/").text)
    examples = [target for target in page.links.values() if target.startswith("/?example=")]
    assert len(examples) > 1

    headlines = []
    for example in examples:
        # When one is sent as it is
        sent = Page(service.client.get(example).text).sent
        answer = service.client.post("/", data=sent)

        # Then its prediction is shown, with bars or an interval
        assert answer.status_code == 200
        shown = Page(answer.text)
        assert shown.sent == sent
        assert ("figure" in shown.elements) == (service.task is Task.REGRESSION)
        assert bool(shown.probabilities) == (service.task is not Task.REGRESSION)
        headlines.append(answer.text.partition('class="headline">')[2].partition("<")[0])

    # And the examples of labels give those labels
    if service.task is not Task.REGRESSION:
        assert [html.unescape(headline) for headline in headlines] == list(page.links)[: len(headlines)]


@given(changes=st.dictionaries(st.sampled_from([field.name for field in orders.FIELDS]), st.text(), max_size=3))
def test_any_text_in_the_form_gets_a_page(service: Service, changes: dict[str, str]) -> None:
    sent = Page(service.client.get("/").text).sent
    names = dict(zip([field.name for field in orders.FIELDS], sent, strict=True))

    answer = service.client.post("/", data=sent | {names[name]: text for name, text in changes.items()})

    assert answer.status_code in {200, 422}


def test_what_is_new_to_the_model_is_answered_with_a_warning(service: Service, record: dict[str, Any]) -> None:
    answer = service.ask(json.dumps(record | {"City": "Atlantis", "Weight (kg)": 999}))

    assert [warning.partition(":")[0] for warning in answer.get_json()["warnings"]] == ["Weight (kg)", "City"]


def test_the_interface_is_described(service: Service) -> None:
    document = service.client.get("/openapi.json").get_json()

    properties = document["components"]["schemas"]["Order"]["properties"]
    assert list(properties) == [field.name for field in orders.FIELDS]
    assert properties["Weight (kg)"]["x-expected-range"] == [-3, 41.5]
