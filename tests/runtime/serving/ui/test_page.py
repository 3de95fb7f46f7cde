import csv
import html
import re
from collections.abc import Mapping, Sequence
from io import BytesIO, StringIO
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from flask import Flask
from flask.testing import FlaskClient
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from werkzeug.test import TestResponse

from mlops_runtime.contract.features import FIELDS, LABELS
from mlops_runtime.contract.fields import FieldSpec, Kind, ValuePrediction
from mlops_runtime.model.predictor import Predictor
from mlops_runtime.serving.api.formats import cells_of, columns
from mlops_runtime.serving.app import create_app
from mlops_runtime.serving.settings import Settings
from mlops_runtime.serving.ui.explanation import MAX_SHOWN
from mlops_runtime.serving.ui.form import Input, form_inputs, sent_texts, values_of
from mlops_runtime.serving.ui.page import (
    MAX_LINKS,
    SHOWN,
    Example,
    Form,
    errors_of,
    examples_of,
    examples_of_values,
    rendered,
    texts_of,
)
from mlops_runtime.serving.ui.result import Bar, Panel, Scale, panel_of
from tests.runtime.serving.conftest import ONE_OF_EACH_KIND, PARCEL_FIELDS, Parcel
from tests.runtime.serving.page_parser import Page

WRONG = {
    Kind.NUMBER: ["word", "1e400", "nan", "1;2", "9" * 5000, "<script>alert(1)</script>"],
    Kind.INTEGER: ["word", "1e400", "nan", "1.5", "9" * 5000],
    Kind.BOOLEAN: ["perhaps", "2"],
    Kind.CHOICE: ["no choice of this contract", "<b>"],
    Kind.CATEGORY: ["x" * 201],
    Kind.TEXT: ["x" * 20_001],
    Kind.DATE: ["tomorrow", "2024-02-30", "31/12/2024"],
    Kind.DATETIME: ["tomorrow", "2024-02-30T13:45", "13:45"],
    Kind.TIME: ["noon", "24:00", "2024-12-31"],
}
"""Texts that no field of the kind takes."""


@pytest.fixture(scope="module")
def inputs(predictor: Predictor) -> dict[str, Input]:
    """Return the inputs for the project's contract, by the field's name."""
    return {one.spec.name: one for one in form_inputs(FIELDS, predictor.baseline)}


@pytest.fixture(scope="module")
def sent(client: FlaskClient) -> dict[str, str]:
    """Return what a browser sends when a person changes nothing."""
    return Page(client.get("/").text).sent


def assert_whole(text: str) -> Page:
    """Check that a page needs nothing but what it brings, and that its parts know each other; return it."""
    page = Page(text)
    assert [script["src"] for script in page.elements["script"]] == ["/static/page.js"]
    assert "style" not in page.elements
    assert not [element for elements in page.elements.values() for element in elements if "style" in element]
    assert len(page.ids) == len(set(page.ids))
    labelled = {element["for"] for element in page.elements["label"]}
    for element in page.controls.values():
        assert element["id"] in labelled
        assert set((element["aria-describedby"] or "").split()) <= set(page.ids)
        assert element.get("list") in {None, *page.ids}
    assert all(target[1:] in page.ids for target in page.links.values() if target.startswith("#"))
    return page


def test_the_form_has_an_input_for_each_field(client: FlaskClient, inputs: dict[str, Input]) -> None:
    # When a person opens the page
    response = client.get("/")
    page = assert_whole(response.text)

    # Then each field of the contract has its input, with what it is about
    assert response.content_type.startswith("text/html")
    assert list(page.controls) == [one.name for one in inputs.values()]
    for field in FIELDS:
        element = page.controls[inputs[field.name].name]
        assert ("required" in element) != field.optional
        assert field.description in html.unescape(response.text)


def test_the_form_starts_with_a_golden_record(
    client: FlaskClient, predictor: Predictor, inputs: dict[str, Input]
) -> None:
    texts = texts_of(predictor.golden_records[0].record)

    assert Page(client.get("/").text).sent == {inputs[name].name: text for name, text in texts.items()}


def test_each_example_gives_its_prediction(client: FlaskClient, predictor: Predictor) -> None:
    examples = examples_of(predictor.golden_records)
    assert examples

    for example in examples:
        # When a person asks for an example, and sends it as it is
        page = Page(client.get("/", query_string={"example": example.key}).text)
        answer = client.post("/", data=page.sent)

        # Then the prediction is that of its record
        assert answer.status_code == 200
        prediction = predictor.predict_one(example.record)
        headline = panel_of(prediction, predictor.baseline, predictor.metadata.interval).headline
        assert f'<p class="headline">{headline}</p>' in html.unescape(answer.text)


def test_an_unknown_example_is_the_first_record(client: FlaskClient) -> None:
    assert Page(client.get("/?example=unknown?").text).sent == Page(client.get("/").text).sent


def test_the_prediction_is_shown_above_what_was_typed(client: FlaskClient, sent: dict[str, str]) -> None:
    response = client.post("/", data=sent)
    page = assert_whole(response.text)

    assert response.status_code == 200
    assert response.text.index('role="status"') < response.text.index('method="post"')
    assert page.sent == sent
    assert page.probabilities or "svg" in page.elements


@pytest.mark.parametrize("field", ONE_OF_EACH_KIND)
def test_an_optional_field_may_stay_empty(
    client: FlaskClient, sent: dict[str, str], inputs: dict[str, Input], field: FieldSpec
) -> None:
    response = client.post("/", data=sent | {inputs[field.name].name: ""})

    assert response.status_code == (200 if field.optional else 422)


@pytest.mark.parametrize("field", ONE_OF_EACH_KIND)
def test_an_error_stands_beside_its_field(
    client: FlaskClient, sent: dict[str, str], inputs: dict[str, Input], field: FieldSpec
) -> None:
    one = inputs[field.name]
    for text in WRONG[field.kind]:
        # When a person types something that the contract does not allow
        response = client.post("/", data=sent | {one.name: text})
        page = assert_whole(response.text)

        # Then that field says what to type instead, to a screen reader as well
        assert response.status_code == 422
        assert page.invalid == [one.name]
        assert f"{one.id}-error" in (page.controls[one.name]["aria-describedby"] or "")
        assert f"#{one.id}" in page.links.values()

        # And the others are left in peace
        assert {name: typed for name, typed in page.sent.items() if name != one.name} == {
            name: typed for name, typed in sent.items() if name != one.name
        }
        assert not page.probabilities
        assert "svg" not in page.elements


def test_a_field_that_was_not_sent_is_an_empty_one(client: FlaskClient, inputs: dict[str, Input]) -> None:
    response = client.post("/")

    assert Page(response.text).invalid == [one.name for one in inputs.values() if not one.spec.optional]


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_what_the_page_refers_to_is_there(client: FlaskClient, sent: dict[str, str], method: str) -> None:
    response = client.open("/", method=method, data=sent if method == "POST" else None)
    page = Page(response.text)

    sources = [element["src"] or "" for element in page.elements["script"]]
    for target in [*page.links.values(), *sources, *(element["href"] or "" for element in page.elements["link"])]:
        assert not urlsplit(target).netloc
        assert client.get(target).status_code == 200


def test_what_the_scripts_take_from_each_other_is_there(client: FlaskClient) -> None:
    imported = re.findall(r'from "\./(\w+\.js)"', client.get("/static/page.js").text)

    assert imported
    for name in imported:
        script = client.get(f"/static/{name}")
        assert script.status_code == 200
        assert script.mimetype == "text/javascript"


def test_the_page_may_do_just_what_it_does(client: FlaskClient) -> None:
    policy = client.get("/").headers["Content-Security-Policy"]

    sources = dict(part.strip().split(" ", 1) for part in policy.split(";"))
    assert sources.pop("default-src") == sources.pop("base-uri") == sources.pop("frame-ancestors") == "'none'"
    assert set(sources.values()) == {"'self'"}


def test_what_drove_a_prediction_is_shown(client: FlaskClient, sent: dict[str, str], inputs: dict[str, Input]) -> None:
    text = html.unescape(client.post("/", data=sent).text)

    # Then some fields have a bar, the others are one, and each that is shown is compared with the training rows
    assert "What drove it" in text
    labels = re.findall(r'scope="row">(.*?) <span class="value">', text)
    assert len(labels) == len(set(labels)) >= min(len(inputs), MAX_SHOWN)
    assert set(labels) <= {one.label for one in inputs.values()}
    assert text.count('class="compared"') >= len(labels)


@given(data=st.data())
def test_any_text_gets_a_page(client: FlaskClient, inputs: dict[str, Input], data: st.DataObject) -> None:
    names = st.sampled_from([one.name for one in inputs.values()]) | st.text(max_size=5)
    texts = data.draw(st.dictionaries(names, st.text() | st.floats().map(str), max_size=20))

    assert client.post("/", data=texts).status_code in {200, 422}


@given(place=st.integers(0), text=st.text())
def test_any_text_in_a_valid_form_gets_a_page(client: FlaskClient, sent: dict[str, str], place: int, text: str) -> None:
    name = list(sent)[place % len(sent)]

    assert client.post("/", data=sent | {name: text}).status_code in {200, 422}


# What the project's own contract may lack is shown with another one.

PARCEL = Parcel.model_validate_json("""{
    "Weight (kg)": 2.5, "gift": 1, "express": true, "size": "small", "city": "Bonn \\"&<",
    "remark": "first line\\nsecond line",
    "ordered": "2024-12-31", "paid": "2024-12-31T13:45:07", "a/b~c <\\"&ü>": "08:30"
}""")


@pytest.fixture(scope="module")
def parcel_inputs(predictor: Predictor) -> tuple[Input, ...]:
    return form_inputs(tuple(PARCEL_FIELDS.values()), predictor.baseline)


def page_of(
    app: Flask, predictor: Predictor, inputs: Sequence[Input], form: Form, examples: Sequence[Example] = ()
) -> str:
    """Return the page that shows a form."""
    with app.test_request_context():
        return rendered(inputs, form, examples, predictor.metadata, Settings())


def test_fields_of_every_kind_come_back_as_they_were_shown(
    app: Flask, predictor: Predictor, parcel_inputs: tuple[Input, ...]
) -> None:
    # When a record with fields of every kind is shown
    page = assert_whole(page_of(app, predictor, parcel_inputs, Form(texts_of(PARCEL))))

    # Then what a browser sends of it is that record
    assert page.sent["paid"] == "2024-12-31T13:45:07"
    assert Parcel.model_validate_strings(values_of(parcel_inputs, sent_texts(parcel_inputs, page.sent))) == PARCEL


def test_an_empty_form_of_every_kind_says_what_each_takes(
    app: Flask, predictor: Predictor, parcel_inputs: tuple[Input, ...]
) -> None:
    # Given a form in which nothing is typed
    texts = sent_texts(parcel_inputs, {})
    with pytest.raises(ValidationError) as caught:
        Parcel.model_validate_strings(values_of(parcel_inputs, texts))

    # When it is shown again
    errors = errors_of(parcel_inputs, caught.value)
    page = assert_whole(page_of(app, predictor, parcel_inputs, Form(texts, errors)))

    # Then each field that must be given says so
    required = [one for one in parcel_inputs if not one.spec.optional]
    assert page.invalid == [one.name for one in required]
    assert errors == {one.spec.name: one.advice for one in required}


PANELS: Mapping[str, Panel] = {
    "label": Panel("yes <&", (Bar("yes <&", 0.75, "75.0 %"),)),
    "labels": Panel("a", (Bar("a", 0.5, "50.0 %"), Bar("b", 0.3, "30.0 %"), Bar("c", 0.2, "20.0 %"))),
    "value": Panel("17", promise="16 to 19: such", scale=Scale("0", "40", 40, 7.5, 42.5)),
    "value-without-scale": Panel("17", promise="17 to 17: such"),
    "warnings": Panel("a", (Bar("a", 1, "100.0 %"),), warnings=("x is <unusual>", "y is new")),
}


@pytest.mark.parametrize("panel", PANELS.values(), ids=list(PANELS))
def test_a_prediction_is_shown_in_words_and_as_bars(
    app: Flask, predictor: Predictor, parcel_inputs: tuple[Input, ...], panel: Panel
) -> None:
    text = page_of(app, predictor, parcel_inputs, Form(texts_of(PARCEL), panel=panel))
    page = assert_whole(text)

    assert f"<title>{panel.headline.replace('<', '&lt;')[:4]}" in text
    assert page.probabilities == [str(bar.probability) for bar in panel.bars]
    assert ("svg" in page.elements) == (panel.scale is not None)
    shown = html.unescape(text)
    words = [panel.headline, panel.promise, *(bar.words for bar in panel.bars), *panel.warnings]
    assert all(word in shown for word in words)


def wide_inputs(predictor: Predictor, count: int) -> tuple[Input, ...]:
    specs = [
        FieldSpec(name=f"n {number}", attribute=f"n{number}", kind=Kind.NUMBER, description="A number", optional=False)
        for number in range(count)
    ]
    return form_inputs(specs, predictor.baseline)


@pytest.mark.parametrize(
    ("count", "wrong", "details"),
    [
        pytest.param(SHOWN, None, [], id="few"),
        pytest.param(SHOWN + 500, None, [{}], id="many"),
        pytest.param(SHOWN + 500, SHOWN - 1, [{}], id="an error that is seen"),
        pytest.param(SHOWN + 500, SHOWN, [{"open": None}], id="an error that would not be seen"),
    ],
)
def test_of_many_fields_most_wait_behind_a_line_that_opens(
    app: Flask, predictor: Predictor, count: int, wrong: int | None, details: list[dict[str, Any]]
) -> None:
    inputs = wide_inputs(predictor, count)
    texts = {one.spec.name: "1" for one in inputs}
    errors = {} if wrong is None else {inputs[wrong].spec.name: "Enter a number."}

    page = assert_whole(page_of(app, predictor, inputs, Form(texts, errors)))

    assert page.elements.get("details", []) == details
    assert list(page.sent.values()) == ["1"] * count


@pytest.mark.parametrize("count", [0, 1, 2, MAX_LINKS, MAX_LINKS + 1])
def test_many_examples_are_a_list_to_choose_from(
    app: Flask, predictor: Predictor, parcel_inputs: tuple[Input, ...], count: int
) -> None:
    # Given examples with awkward names
    record = predictor.golden_records[0].record
    examples = [Example(f"a&b=<{number}>", f"A <{number}>", record) for number in range(count)]

    # When the page shows them
    page = assert_whole(page_of(app, predictor, parcel_inputs, Form(texts_of(PARCEL)), examples))

    # Then one of them is asked for by a link, or by a choice
    linked = [parse_qs(urlsplit(target).query)["example"][0] for target in page.links.values() if "example=" in target]
    chosen = [element["value"] for element in page.elements["option"] if "a&b" in (element["value"] or "")]
    keys = [example.key for example in examples]
    assert (linked, chosen) == ((keys, []) if 1 < count <= MAX_LINKS else ([], keys if count > 1 else []))


@pytest.mark.parametrize(
    ("values", "titles"),
    [
        pytest.param([], [], id="none"),
        pytest.param([5], ["high (5.00)"], id="one"),
        pytest.param([5, 3], ["low (3.00)", "high (5.00)"], id="two"),
        pytest.param([5, 3, 9, 1, 4], ["low (1.00)", "middle (4.00)", "high (9.00)"], id="more"),
    ],
)
def test_of_values_a_low_a_middle_and_a_high_one_are_examples(
    predictor: Predictor, values: list[float], titles: list[str]
) -> None:
    record = predictor.golden_records[0].record
    found = [(ValuePrediction(value=value, low=value - 0.1, high=value + 0.1), record) for value in values]

    assert [example.title for example in examples_of_values(found)] == titles


def send_table(client: FlaskClient, content: bytes, name: str = "mine.csv") -> TestResponse:
    """Return the answer to a table, sent as a browser without JavaScript does."""
    return client.post("/table", data={"table": (BytesIO(content), name)})


def test_the_example_of_a_table_comes_back_with_its_predictions(client: FlaskClient, predictor: Predictor) -> None:
    # When the table that the page offers is sent
    example = client.get("/table")
    answer = send_table(client, example.data)

    # Then each row has its prediction
    assert (example.mimetype, answer.mimetype) == ("text/csv", "text/csv")
    assert answer.headers["Content-Disposition"] == "attachment; filename=mine-predictions.csv"
    header, *rows = csv.reader(StringIO(answer.text))
    assert header == [field.name for field in FIELDS] + columns(errors=True)
    assert len(rows) == len(predictor.golden_records)
    for row, golden in zip(rows, predictor.golden_records, strict=True):
        answered = dict(zip(header, row, strict=True))
        expected = dict(zip(columns(errors=True), cells_of(golden.prediction, errors=True), strict=True))
        name = "label" if LABELS else "value"
        assert answered[name] == expected[name] or float(answered[name]) == pytest.approx(expected[name])
        assert answered["error"] == ""


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(b"", "It lacks", id="empty"),
        pytest.param(b"some,columns\n1,2\n", "It lacks", id="other-columns"),
        pytest.param(b"\xff\xfe", "not in UTF-8", id="another-encoding"),
    ],
)
def test_a_table_that_cannot_be_read_is_a_page_that_says_why(client: FlaskClient, content: bytes, message: str) -> None:
    answer = send_table(client, content)

    assert answer.status_code == 422
    page = assert_whole(answer.text)
    assert message in html.unescape(answer.text)
    assert "#table-file" in page.links.values()


def test_no_table_is_an_empty_one(client: FlaskClient) -> None:
    assert client.post("/table").status_code == 422


def test_a_table_may_be_longer_than_another_body_but_has_a_limit(predictor: Predictor) -> None:
    settings = Settings(max_content_length=100, max_table_length=10_000)
    client = create_app(predictor, settings).test_client()

    assert send_table(client, b"x" * 5_000).status_code == 422
    answer = send_table(client, b"x" * 10_000)

    assert answer.status_code == 413
    assert "send it in several parts" in answer.text
