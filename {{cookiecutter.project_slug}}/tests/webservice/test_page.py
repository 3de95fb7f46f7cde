import html
import re
from collections.abc import Mapping
from html.parser import HTMLParser
from typing import Any

import pytest
from flask.testing import FlaskClient
from hypothesis import given
from hypothesis import strategies as st

from webservice.fields import FIELDS
from webservice.page import texts_of

from {{cookiecutter.__package}}_model.classifier import Classifier
from {{cookiecutter.__package}}_model.datamodel import Record

FIELD = next(field for field in FIELDS if field.required and field.maximum is not None)
"""A field that must be given, with bounds: what holds for it holds for the others."""


class Page(HTMLParser):
    """The elements of a page, by tag, each as its attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: dict[str, list[dict[str, str | None]]] = {}
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.setdefault(tag, []).append(dict(attrs))

    @property
    def inputs(self) -> dict[str | None, dict[str, str | None]]:
        """The inputs of the form, by name."""
        return {element["name"]: element for element in self.elements["input"]}

    @property
    def texts(self) -> dict[str | None, str | None]:
        """What the inputs hold, by name."""
        return {name: element["value"] for name, element in self.inputs.items()}

    @property
    def ids(self) -> list[str | None]:
        """The ids of all elements."""
        return [element["id"] for elements in self.elements.values() for element in elements if "id" in element]


def typed(record: Record) -> dict[str, str]:
    """Return what a person types for a record."""
    return dict(texts_of(record))


@pytest.fixture
def texts(classifier: Classifier) -> dict[str, str]:
    return typed(classifier.golden_records[0].record)


def test_the_form_has_an_input_for_each_field(client: FlaskClient) -> None:
    # When a person opens the page
    response = client.get("/")
    page = Page(response.text)

    # Then each field of the contract has an input with its range, and a label
    assert response.content_type.startswith("text/html")
    assert list(page.inputs) == [field.name for field in FIELDS]
    for field in FIELDS:
        element = page.inputs[field.name]
        assert float(element["min"] or "nan") == pytest.approx(field.minimum)
        assert float(element["max"] or "nan") == pytest.approx(field.maximum)
        assert ("required" in element) == field.required
        assert {"for": field.name} in page.elements["label"]
        assert html.escape(field.description) in response.text


def test_the_form_starts_with_a_golden_record(client: FlaskClient, classifier: Classifier) -> None:
    assert Page(client.get("/").text).texts == typed(classifier.golden_records[0].record)


def test_each_label_has_an_example_to_start_from(client: FlaskClient, classifier: Classifier) -> None:
    for label in {golden.prediction.label for golden in classifier.golden_records}:
        # When a person asks for the example of a label
        page = Page(client.get("/", query_string={"example": label.value}).text)

        # Then sending it as it is gives that label
        answer = client.post("/", data=page.texts)
        assert answer.status_code == 200
        assert f'<p class="label">{label.value}</p>' in answer.text


def test_an_unknown_example_is_the_first_one(client: FlaskClient) -> None:
    assert Page(client.get("/?example=unknown").text).texts == Page(client.get("/").text).texts


def test_the_prediction_is_shown_above_what_was_typed(
    client: FlaskClient, classifier: Classifier, texts: dict[str, str]
) -> None:
    response = client.post("/", data=texts)

    prediction = classifier.golden_records[0].prediction
    page = Page(response.text)
    assert response.status_code == 200
    assert f'<p class="label">{prediction.label.value}</p>' in response.text
    assert float(page.elements["progress"][0]["value"] or "nan") == pytest.approx(prediction.probability)
    assert page.texts == texts


def test_an_optional_field_may_stay_empty(client: FlaskClient, texts: dict[str, str]) -> None:
    for field in FIELDS:
        response = client.post("/", data=texts | {field.name: ""})

        assert response.status_code == (422 if field.required else 200)


@pytest.mark.parametrize("text", ["", "word", "1e400", "nan", "-1e9", "1;2", "9" * 5000, "<script>alert(1)</script>"])
def test_an_error_stands_beside_its_field(client: FlaskClient, texts: dict[str, str], text: str) -> None:
    # When a person types something that the contract does not allow
    response = client.post("/", data=texts | {FIELD.name: text})
    page = Page(response.text)

    # Then that field says what to type instead, to a screen reader as well
    assert response.status_code == 422
    assert f'id="{FIELD.name}-error">Enter {FIELD.range}.</p>' in response.text
    assert page.inputs[FIELD.name]["aria-invalid"] == "true"
    assert {"href": f"#{FIELD.name}"} in page.elements["a"]

    # And the others are left in peace, with all that was typed
    assert [name for name, element in page.inputs.items() if "aria-invalid" in element] == [FIELD.name]
    assert page.texts == texts | {FIELD.name: text}
    assert "progress" not in page.elements


def test_an_optional_field_says_that_it_may_stay_empty(client: FlaskClient, texts: dict[str, str]) -> None:
    for field in FIELDS:
        if not field.required:
            response = client.post("/", data=texts | {field.name: "word"})

            assert f"Enter {field.range}, or leave it empty." in response.text


def test_a_field_that_was_not_sent_is_an_empty_one(client: FlaskClient) -> None:
    response = client.post("/")

    errors = [name for name, element in Page(response.text).inputs.items() if "aria-invalid" in element]
    assert errors == [field.name for field in FIELDS if field.required]


@pytest.mark.parametrize("change", [{}, {FIELD.name: "word"}, None], ids=["prediction", "error", "start"])
def test_the_page_is_whole_and_needs_nothing_else(
    client: FlaskClient, texts: dict[str, str], change: Mapping[str, str] | None
) -> None:
    response = client.get("/") if change is None else client.post("/", data=texts | change)
    page = Page(response.text)

    # No script, no style within, nothing from another host
    assert "script" not in page.elements
    assert "style" not in page.elements
    assert not [element for elements in page.elements.values() for element in elements if "style" in element]
    assert "//" not in re.sub(r"<!doctype html>", "", response.text)

    # What the page refers to is there
    for element in page.elements["link"]:
        assert client.get(element["href"] or "").status_code == 200
    assert len(page.ids) == len(set(page.ids))
    for element in page.inputs.values():
        assert set((element["aria-describedby"] or "").split()) <= set(page.ids)
    for element in page.elements["a"]:
        target = element["href"] or ""
        assert target[1:] in page.ids if target.startswith("#") else client.get(target).status_code == 200


@given(texts=st.fixed_dictionaries({}, optional={field.name: st.text() | st.floats().map(str) for field in FIELDS}))
def test_any_text_gets_a_page(client: FlaskClient, texts: dict[str, Any]) -> None:
    assert client.post("/", data=texts).status_code in {200, 422}
