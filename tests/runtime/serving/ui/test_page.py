import csv
import html
import json
import re
from collections.abc import Mapping, Sequence
from io import BytesIO, StringIO
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from flask import Flask, render_template
from flask.testing import FlaskClient
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from werkzeug.test import TestResponse

from mlops_runtime.contract import FieldSpec, Kind, ValuePrediction
from mlops_runtime.model import Predictor
from mlops_runtime.serving import create_app
from mlops_runtime.serving.api.prediction_writer import PredictionWriter
from mlops_runtime.serving.settings import Settings
from mlops_runtime.serving.ui.explanation import MAX_SHOWN as MAX_BARS
from mlops_runtime.serving.ui.form import Input, form_inputs, form_reader, submitted_texts, texts_of
from mlops_runtime.serving.ui.page import (
    MAX_LINKS,
    MAX_SHOWN,
    Example,
    Form,
    errors_of,
    examples_of,
    examples_of_values,
    rendered,
)
from mlops_runtime.serving.ui.result import ProbabilityBar, Result, Scale, result_of
from mlops_runtime.testing.synthetic import FIELDS
from tests.runtime.serving.conftest import ONE_OF_EACH_KIND, PARCEL_CONTRACT, PARCEL_FIELDS, TITLE, Parcel, app_of
from tests.runtime.serving.page_parser import Page

WRONG = {
    Kind.NUMBER: ["word", "1e400", "1_000", "1;2", "9" * 5000, "<script>alert(1)</script>"],
    Kind.INTEGER: ["word", "1e400", "1_0", "1.5", "9" * 5000],
    Kind.BOOLEAN: ["perhaps", "2"],
    Kind.CHOICE: ["no choice of this contract", "<b>"],
    Kind.DATE: ["tomorrow", "2024-02-30", "12/31/2024"],
    Kind.DATETIME: ["tomorrow", "2024-02-30T13:45", "13:45"],
    Kind.TIME: ["noon", "24:00", "2024-12-31"],
}
"""Texts that a field of the kind does not accept; a category and a text accept any."""


@pytest.fixture(scope="module")
def inputs(predictor: Predictor) -> dict[str, Input]:
    """The inputs of the form, by field."""
    return {input_.spec.name: input_ for input_ in form_inputs(predictor.contract.fields, predictor.baseline)}


@pytest.fixture(scope="module")
def sent(client: FlaskClient) -> dict[str, str]:
    """What a browser sends if nothing is changed."""
    return Page(client.get("/").text).sent


def valid_page(text: str) -> Page:
    """Check that a page has no inline styles, unique ids, and only references to them; return it."""
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
    # When the page is opened
    response = client.get("/")
    page = valid_page(response.text)

    # Then each field has an input with its description
    assert response.content_type.startswith("text/html")
    assert list(page.controls) == [input_.name for input_ in inputs.values()]
    for input_ in inputs.values():
        element = page.controls[input_.name]
        assert ("required" in element) != input_.spec.optional
        assert input_.spec.description in html.unescape(response.text)


def test_the_form_starts_with_a_golden_record(
    client: FlaskClient, predictor: Predictor, inputs: dict[str, Input]
) -> None:
    texts = texts_of(predictor.golden_records[0].record)

    assert Page(client.get("/").text).sent == {inputs[name].name: text for name, text in texts.items()}


def test_each_example_gets_its_prediction(each_client: FlaskClient, each_predictor: Predictor) -> None:
    examples = examples_of(each_predictor.contract, each_predictor.golden_records)
    assert examples

    for example in examples:
        # When an example is chosen and sent as it is
        page = Page(each_client.get("/", query_string={"example": example.key}).text)
        answer = each_client.post("/", data=page.sent)

        # Then the prediction is that of its record
        assert answer.status_code == 200
        prediction = each_predictor.predict_one(example.record)
        headline = result_of(prediction, each_predictor.baseline, each_predictor.metadata.interval).headline
        assert f'<p class="headline">{headline}</p>' in html.unescape(answer.text)


def test_an_unknown_example_shows_the_first_record(client: FlaskClient) -> None:
    assert Page(client.get("/?example=unknown?").text).sent == Page(client.get("/").text).sent


def test_the_prediction_is_above_the_form(client: FlaskClient, sent: dict[str, str]) -> None:
    response = client.post("/", data=sent)
    page = valid_page(response.text)

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


@pytest.mark.parametrize("field", [pytest.param(field, id=field.name) for field in FIELDS if field.optional])
def test_a_word_for_a_missing_value_is_an_empty_input(
    client: FlaskClient, sent: dict[str, str], inputs: dict[str, Input], field: FieldSpec
) -> None:
    name = inputs[field.name].name

    # When a word that means a missing value is typed
    response = client.post("/", data=sent | {name: "n/a"})

    # Then the prediction is that for an empty input, and the page shows one
    assert response.status_code == 200
    assert Page(response.text).sent == sent | {name: ""}
    assert Page(response.text).probabilities == Page(client.post("/", data=sent | {name: ""}).text).probabilities


@pytest.mark.parametrize("field", [case for case in ONE_OF_EACH_KIND if case.id in WRONG])
def test_an_error_is_beside_its_field(
    client: FlaskClient, sent: dict[str, str], inputs: dict[str, Input], field: FieldSpec
) -> None:
    input_ = inputs[field.name]
    for text in WRONG[field.kind]:
        # When a text is sent that the contract does not accept
        response = client.post("/", data=sent | {input_.name: text})
        page = valid_page(response.text)

        # Then that field says what it accepts, to a screen reader as well
        assert response.status_code == 422
        assert page.invalid == [input_.name]
        assert f"{input_.id}-error" in (page.controls[input_.name]["aria-describedby"] or "")
        assert f"#{input_.id}" in page.links.values()

        # And the others are unchanged
        assert {name: typed for name, typed in page.sent.items() if name != input_.name} == {
            name: typed for name, typed in sent.items() if name != input_.name
        }
        assert not page.probabilities
        assert "svg" not in page.elements


def test_a_field_that_was_not_sent_is_empty(client: FlaskClient, inputs: dict[str, Input]) -> None:
    response = client.post("/")

    assert Page(response.text).invalid == [input_.name for input_ in inputs.values() if not input_.spec.optional]


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_links_of_the_page_work(client: FlaskClient, sent: dict[str, str], method: str) -> None:
    response = client.open("/", method=method, data=sent if method == "POST" else None)
    page = Page(response.text)

    sources = [element["src"] or "" for element in page.elements["script"]]
    for target in [*page.links.values(), *sources, *(element["href"] or "" for element in page.elements["link"])]:
        assert not urlsplit(target).netloc
        assert client.get(target).status_code == 200


def test_imports_of_the_scripts_work(client: FlaskClient) -> None:
    imported = re.findall(r'from "\./(\w+\.js)"', client.get("/static/page.js").text)

    assert imported
    for name in imported:
        script = client.get(f"/static/{name}")
        assert script.status_code == 200
        assert script.mimetype == "text/javascript"


def test_the_policy_allows_own_resources_only(client: FlaskClient) -> None:
    policy = client.get("/").headers["Content-Security-Policy"]

    sources = dict(part.strip().split(" ", 1) for part in policy.split(";"))
    assert sources.pop("default-src") == sources.pop("base-uri") == sources.pop("frame-ancestors") == "'none'"
    assert set(sources.values()) == {"'self'"}


def test_a_prediction_is_explained(each_client: FlaskClient, inputs: dict[str, Input]) -> None:
    text = html.unescape(each_client.post("/", data=Page(each_client.get("/").text).sent).text)

    # Then the most important fields have a bar, and each field that is shown has a comparison
    assert "Why this prediction" in text
    labels = re.findall(r'scope="row"><bdi>(.*?)</bdi> <span class="value">', text)
    assert len(labels) == len(set(labels)) >= min(len(inputs), MAX_BARS)
    assert set(labels) <= {input_.label for input_ in inputs.values()}
    assert text.count('class="comparison"') >= len(labels)


@given(data=st.data())
def test_any_submitted_text_gets_a_page(client: FlaskClient, inputs: dict[str, Input], data: st.DataObject) -> None:
    names = st.sampled_from([input_.name for input_ in inputs.values()]) | st.text(max_size=5)
    texts = data.draw(st.dictionaries(names, st.text() | st.floats().map(str), max_size=20))

    assert client.post("/", data=texts).status_code in {200, 422}


@given(index=st.integers(0), text=st.text())
def test_any_text_in_a_valid_form_gets_a_page(client: FlaskClient, sent: dict[str, str], index: int, text: str) -> None:
    name = list(sent)[index % len(sent)]

    assert client.post("/", data=sent | {name: text}).status_code in {200, 422}


# A record type with awkward names.

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
        return rendered(predictor.contract, inputs, form, examples)


def test_fields_of_every_kind_survive_the_form(
    app: Flask, predictor: Predictor, parcel_inputs: tuple[Input, ...]
) -> None:
    # When a record with fields of every kind is shown
    page = valid_page(page_of(app, predictor, parcel_inputs, Form(texts_of(PARCEL))))

    # Then a browser sends that record
    assert page.sent["paid"] == "2024-12-31T13:45:07"
    read_form = form_reader(PARCEL_CONTRACT, parcel_inputs)
    assert Parcel.model_validate_strings(read_form(submitted_texts(parcel_inputs, page.sent))) == PARCEL


def test_an_empty_form_says_what_each_field_accepts(
    app: Flask, predictor: Predictor, parcel_inputs: tuple[Input, ...]
) -> None:
    # Given an empty form
    texts = submitted_texts(parcel_inputs, {})
    with pytest.raises(ValidationError) as caught:
        Parcel.model_validate_strings(form_reader(PARCEL_CONTRACT, parcel_inputs)(texts))

    # When it is shown again
    errors = errors_of(parcel_inputs, caught.value)
    page = valid_page(page_of(app, predictor, parcel_inputs, Form(texts, errors)))

    # Then each required field has an error
    required = [input_ for input_ in parcel_inputs if not input_.spec.optional]
    assert page.invalid == [input_.name for input_ in required]
    assert errors == {input_.spec.name: input_.advice for input_ in required}


RESULTS: Mapping[str, Result] = {
    "label": Result("yes <&", (ProbabilityBar("yes <&", 0.75, "75.0 %"),)),
    "labels": Result("a", (ProbabilityBar("a", 0.5, "50.0 %"), ProbabilityBar("b", 0.3, "30.0 %"))),
    "value": Result("17", interval="16 to 19", coverage="9 of 10", scale=Scale("0", "40", 40, 7.5, 42.5)),
    "value-without-scale": Result("17", interval="17 to 17"),
    "warnings": Result("a", (ProbabilityBar("a", 1, "100.0 %"),), warnings=("x is <unusual>", "y is new")),
}


@pytest.mark.parametrize("result", RESULTS.values(), ids=list(RESULTS))
def test_a_result_is_shown_in_words_and_as_bars(
    app: Flask, predictor: Predictor, parcel_inputs: tuple[Input, ...], result: Result
) -> None:
    text = page_of(app, predictor, parcel_inputs, Form(texts_of(PARCEL), result=result))
    page = valid_page(text)

    assert f"<title>{result.headline.replace('<', '&lt;')[:4]}" in text
    assert page.probabilities == [str(bar.probability) for bar in result.bars]
    assert ("svg" in page.elements) == (result.scale is not None)
    shown = html.unescape(text)
    words = [result.headline, result.interval, result.coverage, *(bar.words for bar in result.bars), *result.warnings]
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
        pytest.param(MAX_SHOWN, None, [], id="few"),
        pytest.param(MAX_SHOWN + 500, None, [{}], id="many"),
        pytest.param(MAX_SHOWN + 500, MAX_SHOWN - 1, [{}], id="error-in-a-visible-field"),
        pytest.param(MAX_SHOWN + 500, MAX_SHOWN, [{"open": None}], id="error-in-a-hidden-field"),
    ],
)
def test_many_fields_are_in_a_section_that_opens(
    app: Flask, predictor: Predictor, count: int, wrong: int | None, details: list[dict[str, Any]]
) -> None:
    inputs = wide_inputs(predictor, count)
    texts = {input_.spec.name: "1" for input_ in inputs}
    errors = {} if wrong is None else {inputs[wrong].spec.name: "Enter a number."}

    page = valid_page(page_of(app, predictor, inputs, Form(texts, errors)))

    assert page.elements.get("details", []) == details
    assert list(page.sent.values()) == ["1"] * count


@pytest.mark.parametrize("count", [0, 1, 2, MAX_LINKS, MAX_LINKS + 1])
def test_many_examples_are_options_of_a_list(
    app: Flask, predictor: Predictor, parcel_inputs: tuple[Input, ...], count: int
) -> None:
    # Given examples with awkward names
    record = predictor.golden_records[0].record
    examples = [Example(f"a&b=<{number}>", f"A <{number}>", record) for number in range(count)]

    # When the page shows them
    page = valid_page(page_of(app, predictor, parcel_inputs, Form(texts_of(PARCEL)), examples))

    # Then they are links or options
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
def test_examples_of_values_are_low_middle_and_high(
    predictor: Predictor, values: list[float], titles: list[str]
) -> None:
    record = predictor.golden_records[0].record
    predicted = [(ValuePrediction(value=value, low=value - 0.1, high=value + 0.1), record) for value in values]

    assert [example.title for example in examples_of_values(predicted)] == titles


def send_table(client: FlaskClient, content: bytes, name: str = "mine.csv", accept: str = "text/html") -> TestResponse:
    """Return the response to a table, sent as by a browser without JavaScript."""
    return client.post("/table", data={"table": (BytesIO(content), name)}, headers={"Accept": accept})


def test_the_example_of_a_table_gets_its_predictions(each_client: FlaskClient, each_predictor: Predictor) -> None:
    # When the table that the page offers is sent
    example = each_client.get("/table")
    answer = send_table(each_client, example.data)

    # Then each row has its prediction
    assert (example.mimetype, answer.mimetype) == ("text/csv", "text/csv")
    assert answer.headers["Content-Disposition"] == "attachment; filename=mine-predictions.csv"
    header, *rows = csv.reader(StringIO(answer.text))
    writer = PredictionWriter(each_predictor.contract)
    columns = writer.columns(errors=True)
    assert header == [*each_predictor.contract.features, *columns]
    for row, golden in zip(rows, each_predictor.golden_records, strict=True):
        answered = dict(zip(header, row, strict=True))
        expected = dict(zip(columns, writer.cells(golden.prediction, errors=True), strict=True))
        name = columns[0]
        assert answered[name] == expected[name] or float(answered[name]) == pytest.approx(expected[name])
        assert answered["error"] == ""


def test_the_script_of_the_page_gets_lines_of_json(client: FlaskClient, predictor: Predictor) -> None:
    # When a script sends a table
    example = client.get("/table").data
    answer = send_table(client, example, accept="application/x-ndjson")

    # Then the lines hold the table that a form gets, and the last one says that it is complete
    assert answer.mimetype == "application/x-ndjson"
    batches = [json.loads(line) for line in answer.text.splitlines()]
    assert "".join(batch["csv"] for batch in batches) == send_table(client, example).text
    assert [batch["done"] for batch in batches] == [False] * (len(batches) - 1) + [True]
    assert batches[-1]["rows"] == len(predictor.golden_records)


UNREADABLE = [
    pytest.param(b"", "is empty", id="empty"),
    pytest.param(b"some,columns\n1,2\n", "It lacks", id="other-columns"),
    pytest.param(b"PK\x03\x04", "save the table as CSV", id="workbook"),
    pytest.param(b"\x1f\x8b\x08", "is compressed", id="compressed"),
]


@pytest.mark.parametrize(("content", "message"), UNREADABLE)
def test_a_table_that_cannot_be_read_shows_why(client: FlaskClient, content: bytes, message: str) -> None:
    answer = send_table(client, content)

    assert answer.status_code == 422
    page = valid_page(answer.text)
    assert message in html.unescape(answer.text)
    assert "#table-file" in page.links.values()


@pytest.mark.parametrize(("content", "message"), UNREADABLE)
def test_a_script_gets_the_reason_as_problem_details(client: FlaskClient, content: bytes, message: str) -> None:
    answer = send_table(client, content, accept="application/x-ndjson")

    assert answer.status_code == 422
    assert message in answer.get_json()["detail"]


def test_a_missing_table_is_treated_as_empty(client: FlaskClient) -> None:
    assert client.post("/table").status_code == 422


def test_a_table_has_its_own_length_limit(predictor: Predictor) -> None:
    client = app_of(predictor, Settings(max_content_length=100, max_table_length=10_000)).test_client()

    assert send_table(client, b"x" * 5_000).status_code == 422
    answer = send_table(client, b"x" * 10_000)

    assert answer.status_code == 413
    assert "send it in several parts" in answer.text


@pytest.mark.parametrize("moment", ["9999-12-31T23:59:59-23:59", "0001-01-01T00:00:00+23:59"])
def test_the_first_and_last_date_are_predicted(
    client: FlaskClient, sent: dict[str, str], inputs: dict[str, Input], moment: str
) -> None:
    answer = client.post("/", data=sent | {inputs["Paid at"].name: moment})

    assert answer.status_code == 200
    assert "Why this prediction" in answer.text


def project_page(predictor: Predictor, folder: Path, path: str = "/", **templates: str) -> str:
    """Return a page of a project with templates of its own."""
    for name, text in templates.items():
        (folder / f"{name}.html").write_text(text, encoding="utf-8")
    app = create_app(predictor, Settings(), title=TITLE, templates=folder)
    app.add_url_rule("/own", view_func=lambda: render_template("own.html"))
    return app.test_client().get(path).text


def test_a_template_of_a_project_replaces_that_of_the_runtime(predictor: Predictor, tmp_path: Path) -> None:
    assert project_page(predictor, tmp_path, page="<p>{{ title }}</p>") == f"<p>{TITLE}</p>"


def test_a_template_of_a_project_can_extend_the_template_that_it_replaces(predictor: Predictor, tmp_path: Path) -> None:
    # Given a page that changes one block, and a form that comes after another text
    text = project_page(
        predictor,
        tmp_path,
        page='{% extends "runtime/page.html" %}{% block history %}<p>No history</p>{% endblock %}',
        form='<p>Before the form</p>{% include "runtime/form.html" %}',
    )

    # Then the rest of the page is unchanged
    assert "No history" in text
    assert "history-title" not in text
    assert text.index("Before the form") < text.index('class="record"')
    assert list(Page(text).controls) == list(Page(project_page(predictor, tmp_path / "none")).controls)


def test_a_page_of_a_project_has_the_layout_of_the_runtime(predictor: Predictor, tmp_path: Path) -> None:
    own = '{% extends "base.html" %}{% block main %}<p>Own page</p>{% endblock %}'

    text = project_page(predictor, tmp_path, "/own", own=own)

    assert "Own page" in text
    assert f"<h1>{TITLE}</h1>" in text
    assert predictor.metadata.estimator in html.unescape(text)
