from datetime import UTC, date, datetime, time, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_runtime.contract.fields import FieldSpec, Kind
from mlops_runtime.model.baseline import Baseline, NumberBaseline, ValueBaseline
from mlops_runtime.serving.ui.form import (
    MAX_SUGGESTIONS,
    SUGGESTIONS_OF_PAGE,
    Input,
    form_inputs,
    sent_texts,
    suggestions,
    text_of,
    unbroken,
    values_of,
)
from mlops_runtime.serving.ui.page import texts_of
from tests.runtime.serving.conftest import PARCEL_FIELDS, Parcel, Size

CITIES = {"Ulm": 0.2, "Bonn": 0.5, "Köln": 0.3}
NUMBERS = NumberBaseline(
    missing_share=0, mean=1, standard_deviation=1, minimum=0, maximum=2, bin_edges=(0, 2), bin_shares=(1,)
)
OF_CITIES = ValueBaseline(missing_share=0, shares=CITIES)
BASELINE = Baseline(rows=10, fields={"city": OF_CITIES}, target=NUMBERS, predictions=NUMBERS)
INPUTS = form_inputs(tuple(PARCEL_FIELDS.values()), BASELINE)


def input_of(name: str) -> Input:
    return next(one for one in INPUTS if one.spec.name == name)


def test_each_field_has_an_input_of_its_own() -> None:
    assert [one.spec for one in INPUTS] == list(PARCEL_FIELDS.values())
    assert len({one.id for one in INPUTS}) == len({one.name for one in INPUTS}) == len(INPUTS)
    assert all(one.name.isascii() and one.id.replace("-", "").isalnum() for one in INPUTS)


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
def test_each_kind_has_its_element(name: str, element: str, attributes: dict[str, str]) -> None:
    assert (input_of(name).element, input_of(name).attributes) == (element, attributes)


def test_a_number_that_may_be_negative_asks_for_no_keys_without_a_minus() -> None:
    spec = FieldSpec(name="a", attribute="a", kind=Kind.NUMBER, description="", optional=False, minimum=-1)

    (one,) = form_inputs([spec], BASELINE)

    assert one.attributes == {"type": "number", "step": "any", "min": "-1"}


@pytest.mark.parametrize(
    ("name", "sent"), [("gift", ["0", "1"]), ("express", ["true", "false"]), ("size", ["large", "small"]), ("city", [])]
)
def test_what_can_be_chosen_is_there_to_choose(name: str, sent: list[str]) -> None:
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
def test_a_person_is_told_what_to_do(name: str, hint: str, advice: str) -> None:
    assert (input_of(name).hint, input_of(name).advice) == (hint, advice)


def test_a_category_suggests_its_values_the_commonest_first() -> None:
    assert input_of("city").suggestions == ("Bonn", "Köln", "Ulm")
    assert suggestions(PARCEL_FIELDS["city"], BASELINE, 1) == ("Bonn",)


def test_a_page_of_many_categories_stays_light() -> None:
    # Given many categories with many known values each
    known = ValueBaseline(missing_share=0, shares={str(number): 0.001 for number in range(1000)})
    specs = [
        FieldSpec(name=str(number), attribute=f"a{number}", kind=Kind.CATEGORY, description="", optional=False)
        for number in range(500)
    ]
    fields = {spec.name: known for spec in specs}
    baseline = Baseline(rows=1000, fields=fields, target=NUMBERS, predictions=NUMBERS)

    # Then one by itself suggests many of them, and all together not many more
    assert len(form_inputs(specs[:1], baseline)[0].suggestions) == MAX_SUGGESTIONS
    assert sum(len(one.suggestions) for one in form_inputs(specs, baseline)) == SUGGESTIONS_OF_PAGE


@pytest.mark.parametrize(
    ("value", "text"),
    [
        pytest.param(None, "", id="missing"),
        pytest.param(True, "true", id="flag"),
        pytest.param(3.0, "3", id="whole"),
        pytest.param(0.1, "0.1", id="number"),
        pytest.param(Size.LARGE, "large", id="choice"),
        pytest.param("a\r\nb\rc", "a\nb\nc", id="text of lines"),
        pytest.param(date(987, 6, 5), "0987-06-05", id="date"),
        pytest.param(datetime(2024, 12, 31, 13, 45), "2024-12-31T13:45", id="moment"),  # noqa: DTZ001
        pytest.param(datetime(2024, 12, 31, 13, 45, 7), "2024-12-31T13:45:07", id="moment with seconds"),  # noqa: DTZ001
        pytest.param(datetime(2024, 12, 31, 13, 45, tzinfo=UTC), "2024-12-31T13:45", id="moment in UTC"),
        pytest.param(
            datetime(2024, 12, 31, 23, 45, tzinfo=timezone(timedelta(hours=-1))), "2025-01-01T00:45", id="offset"
        ),
        pytest.param(
            datetime(1, 1, 1, 0, 5, tzinfo=timezone(timedelta(hours=1))), "0001-01-01T00:05", id="first of all days"
        ),
        pytest.param(time(13, 45), "13:45", id="time"),
        pytest.param(time(13, 45, 7, 120_000), "13:45:07.120", id="time with a fraction"),
        pytest.param(time(13, 45, tzinfo=UTC), "13:45", id="time with an offset"),
    ],
)
def test_a_value_is_shown_as_its_input_takes_it(value: object, text: str) -> None:
    assert text_of(value) == text


lines = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Zs"]), min_size=1, max_size=30).map(str.strip)
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
        "city": lines.filter(bool),
        "remark": st.none() | lines.filter(bool),
        "ordered": st.dates(),
        "paid": st.none() | moments,
        'a/b~c <"&ü>': moments.map(datetime.time),
    }
).map(Parcel.model_validate)


@given(parcel=parcels)
def test_a_record_that_is_shown_and_sent_is_the_same_record(parcel: Parcel) -> None:
    # Given the form with a record, as a browser sends it
    sent = {one.name: texts_of(parcel)[one.spec.name] for one in INPUTS}

    # When it is read
    texts = sent_texts(INPUTS, sent)

    # Then it is that record
    assert Parcel.model_validate_strings(values_of(INPUTS, texts)) == parcel


def test_space_around_what_is_typed_means_nothing() -> None:
    texts = sent_texts(INPUTS, {"city": "  Bonn ", "items": " "})

    assert (texts["city"], texts["items"], texts["remark"]) == ("Bonn", "", "")


def test_a_choice_is_sent_as_it_is() -> None:
    # Given choices with space at their ends and several lines
    choices = (" a", "b\r\nc")
    spec = FieldSpec(name="x", attribute="x", kind=Kind.CHOICE, description="", optional=False, choices=choices)
    inputs = form_inputs([spec], BASELINE)

    # When one is sent, with line ends as a browser has them
    for choice in choices:
        texts = sent_texts(inputs, {"x": unbroken(choice).replace("\n", "\r\n")})

        # Then it is found again
        assert texts["x"] in [value for value, _ in inputs[0].options]
        assert values_of(inputs, texts) == {"x": choice}
