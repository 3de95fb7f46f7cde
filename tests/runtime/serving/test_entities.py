"""A model that finds entities is served like any other: in every format, on the page, with metrics and drift."""

import csv
import json
import re
from collections.abc import Sequence
from io import BytesIO, StringIO
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

import mlops_runtime.serving
from mlops_runtime.contract import contract_json
from mlops_runtime.contract.entities import NO_ENTITY
from mlops_runtime.operations.compatibility import breaking_changes
from mlops_runtime.operations.golden import agrees as agrees_as_json
from mlops_runtime.operations.predict import shown_record
from mlops_runtime.serving import create_app
from mlops_runtime.serving.settings import Settings
from mlops_runtime.serving.telemetry.binning import MAX_TEXTS
from mlops_runtime.serving.telemetry.psi import ALERT
from tests.runtime.lookup_model import CONTRACT, TEXTS, UNSEEN, LookupPredictor, write_artefact
from tests.runtime.serving.page_parser import Page

STATIC = Path(mlops_runtime.serving.__file__).parent / "static"
NDJSON, CSV, ARROW = "application/x-ndjson", "text/csv", "application/vnd.apache.arrow.stream"

ADA = {"text": "Ada Lovelace", "label": "PERSON", "start": 0, "end": 12}
ACME = {"text": "Acme", "label": "ORG", "start": 23, "end": 27}
TEXT = "Ada Lovelace works for Acme"


@pytest.fixture(scope="module")
def predictor(tmp_path_factory: pytest.TempPathFactory) -> LookupPredictor:
    return LookupPredictor.load(CONTRACT, write_artefact(tmp_path_factory.mktemp("entities")))


@pytest.fixture
def client(predictor: LookupPredictor, settings: Settings) -> FlaskClient:
    app = create_app(predictor, settings, title="Names in messages")
    app.testing = True
    return app.test_client()


def entities_of(client: FlaskClient, text: str) -> list[dict[str, Any]]:
    """Return the entities of a text, in JSON without scores."""
    response = client.post("/v1/predictions", json={"text": text})
    assert response.status_code == 200, response.text
    assert response.json is not None
    return [{name: value for name, value in found.items() if name != "score"} for found in response.json["entities"]]


def shown(client: FlaskClient, text: str) -> str:
    """Return the page with the entities of a text."""
    response = client.post("/", data={"text": text})
    assert response.status_code == 200, response.text
    return response.text


def marked(page: str) -> str:
    """Return the HTML of the text with its entities marked."""
    match = re.search('<p class="marked">(.*?)</p>', page, re.DOTALL)
    assert match
    return match[1]


# Formats


def test_entities_are_found_in_a_text(client: FlaskClient) -> None:
    assert entities_of(client, TEXT) == [ADA, ACME]


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("  Acme ", id="blanks around"),
        pytest.param("a\t b   Acme", id="blanks within"),
        pytest.param("e\u0301 \u200bAcme", id="combining and invisible"),
        pytest.param("😀👩\u200d👩\u200d👧 Acme", id="emoji"),
        pytest.param("one\r\ntwo\n\nAcme", id="line breaks"),
        pytest.param('="Acme"', id="formula"),
        pytest.param("שלום Acme", id="right to left"),
        pytest.param("x" * 19_996 + "Acme", id="as long as possible"),
    ],
)
@pytest.mark.parametrize("sent", [None, NDJSON, CSV, ARROW])
def test_positions_are_those_in_the_text_as_it_was_sent(client: FlaskClient, text: str, sent: str | None) -> None:
    # given
    content: str | bytes = json.dumps({"text": text}) + "\n"
    if sent == CSV:
        file = StringIO(newline="")
        csv.writer(file).writerows([["text"], [text]])
        content = file.getvalue()
    elif sent == ARROW:
        content = stream(text)
    # when
    response = client.post(
        "/v1/predictions", data=content, content_type=sent or "application/json", headers={"Accept": "application/json"}
    )
    # then
    assert response.status_code == 200, response.text
    (found,) = (response.json if sent is None else response.json[0])["entities"]
    assert text[found["start"] : found["end"]] == found["text"] == "Acme"


def stream(text: str) -> bytes:
    """Return a text as a stream of Arrow."""
    pyarrow = pytest.importorskip("pyarrow")
    batch = pyarrow.record_batch({"text": [text]})
    file = BytesIO()
    with pyarrow.ipc.new_stream(file, batch.schema) as written:
        written.write_batch(batch)
    return file.getvalue()


@pytest.mark.parametrize("text", ["none", "NA", "-", " "])
def test_no_text_is_a_missing_value(client: FlaskClient, text: str) -> None:
    assert entities_of(client, text) == []


@pytest.mark.parametrize("record", [{"text": ""}, {"text": "x" * 20_001}, {"text": None}, {}, {"text": 5}])
def test_a_record_without_a_text_of_the_contract_is_refused(client: FlaskClient, record: dict[str, Any]) -> None:
    response = client.post("/v1/predictions", json=record)

    assert response.status_code == 422
    assert "must be text of 1 to 20000 characters" in response.text


def test_annotated_lines_get_predictions(client: FlaskClient) -> None:
    lines = [{"text": TEXT, "entities": [{"start": 0, "end": 3, "label": "ORG"}]}, {"text": "Nobody", "entities": []}]

    response = client.post("/v1/predictions", data="\n".join(map(json.dumps, lines)), content_type=NDJSON)

    assert [len(json.loads(line)["entities"]) for line in response.text.splitlines()] == [2, 0]


def test_a_table_has_entities_as_json_and_their_number_by_label(client: FlaskClient) -> None:
    response = client.post("/v1/predictions", json=[{"text": TEXT}, {"text": "Nobody"}], headers={"Accept": CSV})

    first, second = csv.DictReader(StringIO(response.text, newline=""))
    assert json.loads(first["entities"]) == [ADA, ACME]
    assert (first["count_ORG"], first["count_PERSON"], first["count_PLACE"]) == ("1", "1", "0")
    assert json.loads(second["entities"]) == []


def test_a_stream_of_arrow_has_entities_as_json(client: FlaskClient) -> None:
    pyarrow = pytest.importorskip("pyarrow")

    response = client.post("/v1/predictions", json=[{"text": TEXT}], headers={"Accept": ARROW})

    (row,) = pyarrow.ipc.open_stream(response.data).read_all().to_pylist()
    assert json.loads(row["entities"]) == [ADA, ACME]
    assert row["count_ORG"] == 1


def test_predictions_are_not_explained(client: FlaskClient) -> None:
    assert client.post("/v1/explanations", json={"text": TEXT}).status_code == 404


def test_openapi_shows_entities_in_every_format(client: FlaskClient) -> None:
    # when
    document = client.get("/openapi.json").json
    # then
    assert document is not None
    assert "/v1/explanations" not in document["paths"]
    operation = document["paths"]["/v1/predictions"]["post"]
    content = operation["responses"]["200"]["content"]
    assert content["application/json"]["examples"]["one"]["value"]["entities"][0]["label"] == "PERSON"
    assert "`count_LABEL`" in content[CSV]["schema"]["description"]
    assert "count_PERSON" in content[CSV]["examples"]["list"]["value"]
    assert "code points" in operation["description"]
    assert "are stripped" not in operation["description"]
    assert document["components"]["schemas"]["Label"]["enum"] == list(CONTRACT.labels)


# The page


def test_the_page_marks_each_entity_with_its_label(client: FlaskClient) -> None:
    page = shown(client, f"{TEXT}.\nNobody")

    assert marked(page) == (
        '<mark class="label-1">Ada Lovelace<span class="label" translate="no"> <bdi>PERSON</bdi></span></mark>'
        ' works for <mark class="label-0">Acme<span class="label" translate="no"> <bdi>ORG</bdi></span></mark>.\nNobody'
    )
    assert "2 entities: 1 PERSON, 1 ORG" in page
    assert Page(page).sent["text"] == f"{TEXT}.\nNobody"


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("<script>alert(1)</script> Acme", id="script"),
        pytest.param('</p><img src=x onerror="alert(1)">Acme</textarea><b>', id="closing tags"),
        pytest.param("{{ 7 * 7 }} {% raw %} Acme & &amp; 'quoted'", id="template"),
    ],
)
def test_markup_in_a_text_is_shown_as_text(client: FlaskClient, text: str) -> None:
    # when
    page = Page(shown(client, text))
    # then
    assert page.sent["text"] == text
    assert [script["src"] for script in page.elements["script"]] == ["/static/page.js"]
    assert "img" not in page.elements
    assert "b" not in page.elements


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("\n\n  Acme  at\n\nKraków", id="blanks"),
        pytest.param("שלום רחל, \u202eAcme", id="right to left"),
        pytest.param("👩\u200d👧 Zoë e\u0301 😀Acme", id="emoji and combining"),
        pytest.param("Acme, " * 3_333, id="long"),
    ],
)
def test_the_marked_text_is_the_text(client: FlaskClient, text: str) -> None:
    html = re.sub("<span.*?</span>", "", marked(shown(client, text)))

    assert re.sub("<.*?>", "", html) == text.strip()


def test_a_text_without_entities_is_said_to_have_none(client: FlaskClient) -> None:
    page = shown(client, "xyz <i>")

    assert "No entities" in page
    assert "<mark" not in page
    assert "text: no word of it is known" in page


def test_an_empty_text_is_refused_on_the_page(client: FlaskClient) -> None:
    response = client.post("/", data={"text": " "})

    assert response.status_code == 422
    assert "Enter text of 1 to 20000 characters." in response.text


def test_examples_have_the_label_they_are_named_after(client: FlaskClient) -> None:
    for label in CONTRACT.labels:
        page = Page(client.get(f"/?example={label}").text)
        assert label in [entity["label"] for entity in entities_of(client, page.sent["text"])]


def test_annotated_lines_are_uploaded_and_come_back_as_a_table(client: FlaskClient) -> None:
    # given
    annotated = [{"text": TEXT, "entities": [{"start": 0, "end": 3, "label": "ORG"}], "id": 7}, {"text": " Zoë\n"}]
    content = "\n".join(map(json.dumps, annotated)).encode()
    # when
    response = client.post("/table", data={"table": (BytesIO(content), "mine.jsonl")})
    # then
    assert response.headers["Content-Disposition"] == "attachment; filename=mine-predictions.csv"
    first, second = csv.DictReader(StringIO(response.text, newline=""))
    assert first["entities"] == '[{"start": 0, "end": 3, "label": "ORG"}]'
    assert json.loads(first["predicted_entities"]) == [ADA, ACME]
    assert json.loads(second["predicted_entities"])[0]["start"] == 1
    assert (first["id"], second["text"], second["count_PERSON"]) == ("7", " Zoë\n", "1")


def test_the_example_table_is_predicted(client: FlaskClient, predictor: LookupPredictor) -> None:
    example = client.get("/table").data

    response = client.post("/table", data={"table": (BytesIO(example), "example.csv")}, headers={"Accept": NDJSON})

    batches = [json.loads(line) for line in response.text.splitlines()]
    assert batches[-1]["rows"] == len(predictor.golden_records)
    assert batches[-1]["faulty"] == 0
    assert batches[1]["labels"][NO_ENTITY] > 0


def test_the_report_on_the_model_is_shown(client: FlaskClient) -> None:
    assert "<title>Report</title>" in client.get("/report").text


def luminance(colour: str) -> float:
    """Return the relative luminance of a colour, as WCAG 2 defines it."""
    parts = [int(colour[index : index + 2], 16) / 255 for index in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return sum(share * part for share, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(one: str, other: str) -> float:
    darker, lighter = sorted(map(luminance, (one, other)))
    return (lighter + 0.05) / (darker + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_marks_and_labels_have_enough_contrast(scheme: str) -> None:
    # given
    sheet = (STATIC / "page.css").read_text(encoding="utf-8")
    index = ("light", "dark").index(scheme)
    colours = {name: re.findall(rf"--{name}: (#\w+);", sheet)[index] for name in ("text", "card")}
    rules = re.findall(r"\.label-\d \{ --mark: (#\w+); --mark-line: (#\w+); \}", sheet)
    half = len(rules) // 2
    # then
    assert half == 8
    for mark, line in rules[index * half : (index + 1) * half]:
        assert contrast(colours["text"], mark) >= 4.5
        assert contrast(colours["card"], line) >= 4.5


# Health, metrics and drift


def test_the_service_is_ready_if_it_finds_the_golden_entities(client: FlaskClient, predictor: LookupPredictor) -> None:
    assert client.get("/readyz").status_code == 200
    for golden in predictor.golden_records:
        expected = golden.prediction.model_dump(mode="json")
        response = client.post("/v1/predictions", json=golden.record.model_dump(mode="json"))
        assert agrees_as_json(response.json, expected)
        assert not agrees_as_json({"entities": [ACME | {"score": None}]}, expected)


def test_the_example_of_make_predict_has_many_labels(predictor: LookupPredictor) -> None:
    prediction = shown_record(predictor.golden_records).prediction

    assert {entity.label for entity in prediction.entities} == set(CONTRACT.labels)  # type: ignore[attr-defined]


def samples(client: FlaskClient) -> dict[str, float]:
    """Return the metrics by series."""
    lines = [line.rpartition(" ") for line in client.get("/metrics").text.splitlines() if not line.startswith("#")]
    return {series: float(value) for series, _, value in lines}


def test_entities_are_counted_by_label_and_texts_without_any(client: FlaskClient) -> None:
    for text in (TEXT, "Acme", "Nobody"):
        entities_of(client, text)

    counted = samples(client)
    assert counted["webservice_records_total"] == 3
    names = CONTRACT.prediction.counted()
    by_label = {name: counted[f'webservice_predictions_total{{label="{name}"}}'] for name in names}
    assert by_label == {"ORG": 2, "PERSON": 1, "PLACE": 0, NO_ENTITY: 1}


LENGTH = 'webservice_field_drift_psi{field="text"}'
UNKNOWN = 'webservice_field_drift_psi{field="text: unknown words"}'
LABELS = "webservice_prediction_drift_psi"


SENT = (*TEXTS, *UNSEEN)


def with_other(words: str, other: str) -> list[str]:
    """Return texts with another word in the place of each of these."""
    return [re.sub(words, other, text) for text in SENT]


@pytest.mark.parametrize(
    ("texts", "drifting"),
    [
        pytest.param(SENT, set(), id="as in training"),
        pytest.param([" ".join([text] * 4) for text in SENT], {LENGTH}, id="longer"),
        pytest.param(with_other("works|for|in|letter|from|lives|Who|left", "something"), {UNKNOWN}, id="unknown words"),
        pytest.param(with_other("Acme|Zoë|Ada|Lovelace", "letter"), {LABELS}, id="fewer entities"),
    ],
)
def test_length_words_and_labels_drift_apart(client: FlaskClient, texts: Sequence[str], drifting: set[str]) -> None:
    # given
    for first in range(0, len(texts), MAX_TEXTS):
        client.post("/v1/predictions", json=[{"text": text} for text in texts[first : first + MAX_TEXTS]])
        # Of the texts since the last look at the metrics, some are counted.
        samples(client)
    # when
    indices = {name: value for name, value in samples(client).items() if name in (LENGTH, UNKNOWN, LABELS)}
    # then
    assert drifting == {name for name, value in indices.items() if value > ALERT}


# The contract


def test_callers_notice_a_removed_label_and_a_shorter_text() -> None:
    # given
    now = contract_json(CONTRACT)
    (field,) = now["fields"]
    longer = field | {"limits": field["limits"] | {"maxLength": 30_000}}
    before = now | {"labels": [*now["labels"], "DATE"], "fields": [longer]}
    # when
    changes = breaking_changes(before, now)
    # then
    assert changes == [
        "field `text`: maxLength 30000 before, 20000 now; requests that break it get status 422",
        "label `DATE`: removed; no response has it",
    ]
    assert breaking_changes(now, now) == []
