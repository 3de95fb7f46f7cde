import json
from datetime import UTC, date, datetime, time, timedelta, timezone
from enum import StrEnum
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from mlops_runtime.contract import Contract, FieldSpec, Kind, RecordModel, Task, ValuePrediction
from mlops_runtime.missing import WORDS
from mlops_runtime.model.baseline import Baseline, FieldBaseline, NumberBaseline, ValueBaseline
from mlops_runtime.serving.api.faults import RecordFaults
from mlops_runtime.serving.api.negotiation import Format
from mlops_runtime.serving.api.records import RecordReader
from mlops_runtime.serving.ui.form import (
    MAX_SUGGESTIONS,
    MAX_SUGGESTIONS_OF_PAGE,
    Input,
    form_inputs,
    form_reader,
    submitted_texts,
    suggestions,
    text_of,
    texts_of,
    with_line_feeds,
)
from mlops_runtime.tables.cells import cleaned
from mlops_runtime.testing.synthetic import CONTRACTS, FIELDS
from tests.runtime.serving.conftest import PARCEL_CONTRACT, PARCEL_FIELDS, Parcel, Size

CITIES = {"Ulm": 0.2, "Bonn": 0.5, "Köln": 0.3}
NUMBERS = NumberBaseline(
    missing_share=0, mean=1, standard_deviation=1, minimum=0, maximum=2, bin_edges=(0, 2), bin_shares=(1,)
)
CITY_BASELINE = ValueBaseline(missing_share=0, shares=CITIES)
BASELINE = Baseline(rows=10, fields={"city": CITY_BASELINE}, target=NUMBERS, predictions=NUMBERS)


class OddChoice(StrEnum):
    SPACE = " a"
    LINES = "b\r\nc"


class Chosen(RecordModel):
    x: OddChoice


INPUTS = form_inputs(tuple(PARCEL_FIELDS.values()), BASELINE)
READ_FORM = form_reader(PARCEL_CONTRACT, INPUTS)


def input_of(name: str) -> Input:
    return next(input_ for input_ in INPUTS if input_.spec.name == name)


def test_each_field_has_an_input() -> None:
    assert [input_.spec for input_ in INPUTS] == list(PARCEL_FIELDS.values())
    assert len({input_.id for input_ in INPUTS}) == len({input_.name for input_ in INPUTS}) == len(INPUTS)
    assert all(input_.name.isascii() and input_.id.replace("-", "").isalnum() for input_ in INPUTS)


@pytest.mark.parametrize(
    ("name", "element", "attributes"),
    [
        ("Weight (kg)", "input", {"type": "number", "step": "any", "min": "0", "inputmode": "decimal"}),
        ("items", "input", {"type": "number", "step": "1", "min": "1", "max": "99", "inputmode": "numeric"}),
        ("gift", "select", {}),
        ("express", "select", {}),
        ("size", "select", {}),
        ("city", "input", {"type": "text", "maxlength": "200"}),
        ("remark", "textarea", {"maxlength": "20000"}),
        ("ordered", "input", {"type": "date"}),
        ("paid", "input", {"type": "datetime-local"}),
        ('a/b~c <"&ü>', "input", {"type": "time"}),
    ],
)
def test_each_kind_has_an_html_element(name: str, element: str, attributes: dict[str, str]) -> None:
    assert (input_of(name).element, input_of(name).attributes) == (element, attributes)


def test_a_number_that_may_be_negative_has_no_inputmode() -> None:
    spec = FieldSpec(name="a", attribute="a", kind=Kind.NUMBER, description="", optional=False, minimum=-1)

    (input_,) = form_inputs([spec], BASELINE)

    assert input_.attributes == {"type": "number", "step": "any", "min": "-1"}


@pytest.mark.parametrize(
    ("name", "sent"), [("gift", ["0", "1"]), ("express", ["true", "false"]), ("size", ["large", "small"]), ("city", [])]
)
def test_options_of_a_select(name: str, sent: list[str]) -> None:
    assert [value for value, _ in input_of(name).options] == sent


@pytest.mark.parametrize(
    ("name", "hint", "advice"),
    [
        ("Weight (kg)", "at least 0, usually 0.5 to 40", "Enter a number of at least 0."),
        ("items", "from 1 to 99", "Enter a whole number from 1 to 99, or leave it empty."),
        ("gift", "", "Choose a whole number from 0 to 1."),
        ("insured", "", "Choose yes or no, or leave it empty."),
        ("size", "", "Choose one of large, small."),
        ("ordered", "", "Enter a date such as 2024-12-31."),
    ],
)
def test_hint_and_advice_of_an_input(name: str, hint: str, advice: str) -> None:
    assert (input_of(name).hint, input_of(name).advice) == (hint, advice)


def test_a_category_suggests_its_most_common_values_first() -> None:
    assert input_of("city").suggestions == ("Bonn", "Köln", "Ulm")
    assert suggestions(PARCEL_FIELDS["city"], BASELINE, 1) == ("Bonn",)


def test_the_suggestions_of_a_page_are_limited() -> None:
    # Given many categories with many known values each
    known = ValueBaseline(missing_share=0, shares={str(number): 0.001 for number in range(1000)})
    specs = [
        FieldSpec(name=str(number), attribute=f"a{number}", kind=Kind.CATEGORY, description="", optional=False)
        for number in range(500)
    ]
    fields: dict[str, FieldBaseline] = {spec.name: known for spec in specs}
    baseline = Baseline(rows=1000, fields=fields, target=NUMBERS, predictions=NUMBERS)

    # Then one category alone suggests as many as it may, and all together as many as the page may have
    assert len(form_inputs(specs[:1], baseline)[0].suggestions) == MAX_SUGGESTIONS
    assert sum(len(input_.suggestions) for input_ in form_inputs(specs, baseline)) == MAX_SUGGESTIONS_OF_PAGE


@pytest.mark.parametrize(
    ("value", "text"),
    [
        pytest.param(None, "", id="missing"),
        pytest.param(True, "true", id="boolean"),
        pytest.param(3.0, "3", id="integer"),
        pytest.param(0.1, "0.1", id="number"),
        pytest.param(Size.LARGE, "large", id="choice"),
        pytest.param("a\r\nb\rc", "a\nb\nc", id="lines"),
        pytest.param(date(987, 6, 5), "0987-06-05", id="date"),
        pytest.param(datetime(2024, 12, 31, 13, 45), "2024-12-31T13:45", id="datetime"),  # noqa: DTZ001
        pytest.param(datetime(2024, 12, 31, 13, 45, 7), "2024-12-31T13:45:07", id="datetime with seconds"),  # noqa: DTZ001
        pytest.param(datetime(2024, 12, 31, 13, 45, tzinfo=UTC), "2024-12-31T13:45", id="datetime in UTC"),
        pytest.param(
            datetime(2024, 12, 31, 23, 45, tzinfo=timezone(timedelta(hours=-1))), "2025-01-01T00:45", id="offset"
        ),
        pytest.param(
            datetime(1, 1, 1, 0, 5, tzinfo=timezone(timedelta(hours=1))), "0001-01-01T00:05", id="start of the calendar"
        ),
        pytest.param(
            datetime(9999, 12, 31, 23, 5, tzinfo=timezone(-timedelta(hours=1))),
            "9999-12-31T23:05",
            id="end of the calendar",
        ),
        pytest.param(time(13, 45), "13:45", id="time"),
        pytest.param(time(13, 45, 7, 120_000), "13:45:07.120", id="time with a fraction"),
        pytest.param(time(13, 45, tzinfo=UTC), "13:45", id="time with an offset"),
    ],
)
def test_the_text_of_a_value(value: object, text: str) -> None:
    assert text_of(value) == text


lines = (
    st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Zs"]), min_size=1, max_size=30)
    .map(cleaned)
    .filter(lambda text: text not in WORDS)
)
moments = st.datetimes().map(lambda moment: moment.replace(microsecond=moment.microsecond // 1000 * 1000))
parcels = st.fixed_dictionaries(
    {
        "Weight (kg)": st.floats(0, allow_infinity=False),
        "items": st.none() | st.integers(1, 99).map(float),
        "gift": st.sampled_from([0.0, 1.0]),
        "express": st.booleans(),
        "insured": st.none() | st.booleans(),
        "size": st.sampled_from(Size),
        "wrapping": st.none() | st.sampled_from(Size),
        "city": lines,
        "remark": st.none() | lines,
        "ordered": st.dates(),
        "paid": st.none() | moments,
        'a/b~c <"&ü>': moments.map(datetime.time),
    }
).map(Parcel.model_validate)


@given(parcel=parcels)
def test_a_record_survives_the_form(parcel: Parcel) -> None:
    # Given the form with a record, as a browser sends it
    sent = {input_.name: texts_of(parcel)[input_.spec.name] for input_ in INPUTS}

    # When the service reads it
    texts = submitted_texts(INPUTS, sent)

    # Then it is that record
    assert Parcel.model_validate_strings(READ_FORM(texts)) == parcel


MISSING_OR_VALUES = ("NA", "n/a", "-", "null", "None", "NaN", " ? ", "#N/A", "unknown", "missing", "(blank)")
NOTATIONS = ("12", "1,234", "1_000", "12 %", "1e400", "on", "Y", "2024-12-31", "31/12/2024", "10am", "two  words")
ORDER_INPUTS = form_inputs(FIELDS, BASELINE)
CONTRACT = CONTRACTS[Task.BINARY]
READER = RecordReader(CONTRACT, 1)


def outcome(record: dict[str, Any]) -> object:
    """Return what the API reads in a record: its values, or the fields that are faulty."""
    (result,) = READER.read(json.dumps([record]).encode(), Format.JSON).results
    return {error.field for error in result.errors} if isinstance(result, RecordFaults) else vars(result)


def outcome_of_form(sent: dict[str, str]) -> object:
    """Return what the form reads in texts: their values, or the fields that are faulty."""
    texts = submitted_texts(ORDER_INPUTS, {quote(name, safe=""): text for name, text in sent.items()})
    try:
        return vars(CONTRACT.record.model_validate_strings(form_reader(CONTRACT, ORDER_INPUTS)(texts)))
    except ValidationError as error:
        return {fault["loc"][0] for fault in error.errors()}


@pytest.mark.parametrize("field", [pytest.param(field, id=field.name) for field in FIELDS])
@pytest.mark.parametrize("text", [*MISSING_OR_VALUES, *NOTATIONS])
def test_a_text_means_in_the_form_what_it_means_in_the_api(field: FieldSpec, text: str) -> None:
    # Given a valid record, as texts
    sent = {"Weight (kg)": "1", "Express": "yes", "Courier": "a", "Ordered": "2024-12-31", "Slot": "10:00"}

    # When a text is typed in one field
    typed = sent | {field.name: text}

    # Then it is the value, the missing value or the fault that it is in JSON
    assert outcome_of_form(typed) == outcome(typed)


def test_spaces_around_typed_text_are_removed() -> None:
    texts = submitted_texts(INPUTS, {"city": "  Bonn ", "items": " "})

    assert (texts["city"], texts["items"], texts["remark"]) == ("Bonn", "", "")


def test_an_option_keeps_its_spaces_and_line_ends() -> None:
    # Given choices with outer spaces and several lines
    contract = Contract(Chosen, ValuePrediction, Task.REGRESSION, "price")
    inputs = form_inputs(contract.fields, BASELINE)

    # When one is sent with the line ends of a browser
    for choice in OddChoice:
        texts = submitted_texts(inputs, {"x": with_line_feeds(choice).replace("\n", "\r\n")})

        # Then it is that choice
        assert texts["x"] in [value for value, _ in inputs[0].options]
        assert form_reader(contract, inputs)(texts) == {"x": choice}
