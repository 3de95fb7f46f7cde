import json
import re
from datetime import date, datetime, time
from enum import StrEnum
from typing import Annotated, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field, ValidationError

from mlops_runtime.contract.fields import (
    DATE_PATTERNS,
    Category,
    DateFormat,
    ExpectedRange,
    FieldSpec,
    Integer,
    Kind,
    LabelPrediction,
    RecordModel,
    Text,
    ValuePrediction,
    field_specs,
)
from mlops_runtime.testing.synthetic import ORDERED, Order, Size

SPECS = {spec.name: spec for spec in field_specs(Order)}
RECORD = Order.model_json_schema(by_alias=True)


class Colour(StrEnum):
    """Values of a choice."""

    RED = "red"
    GREEN = "green"


@pytest.mark.parametrize(
    ("annotation", "kind"),
    [
        pytest.param(float, Kind.NUMBER, id="number"),
        pytest.param(Integer, Kind.INTEGER, id="whole"),
        pytest.param(Annotated[float, Field(multiple_of=0.5)], Kind.NUMBER, id="number-with-steps"),
        pytest.param(bool, Kind.BOOLEAN, id="flag"),
        pytest.param(Colour, Kind.CHOICE, id="choice"),
        pytest.param(Category, Kind.CATEGORY, id="category"),
        pytest.param(Text, Kind.TEXT, id="text"),
        pytest.param(date, Kind.DATE, id="date"),
        pytest.param(datetime, Kind.DATETIME, id="datetime"),
        pytest.param(time, Kind.TIME, id="time"),
    ],
)
@pytest.mark.parametrize("optional", [False, True], ids=["required", "optional"])
def test_a_type_says_what_a_field_holds(annotation: Any, kind: Kind, optional: bool) -> None:
    # given
    class OneField(RecordModel):
        held: annotation = Field()

    class OneOptionalField(RecordModel):
        held: annotation | None = Field(default=None)

    # when
    (spec,) = field_specs(OneOptionalField if optional else OneField)
    # then
    assert (spec.name, spec.kind, spec.optional) == ("held", kind, optional)


@pytest.mark.parametrize("annotation", [int, str, list[float], float | str], ids=str)
def test_another_type_is_refused_by_the_name_of_its_field(annotation: Any) -> None:
    class Wrong(RecordModel):
        oddity: annotation

    with pytest.raises(TypeError, match="oddity"):
        field_specs(Wrong)


def test_all_that_the_contract_says_of_a_field_is_known() -> None:
    assert SPECS["Weight (kg)"] == FieldSpec(
        name="Weight (kg)",
        attribute="weight",
        kind=Kind.NUMBER,
        description="Of the parcel",
        optional=False,
        minimum=0,
        maximum=1000,
        expected=(-3, 41.5),
    )
    assert SPECS["Items"].expected == (0, 14)
    assert SPECS["Size"].choices == tuple(Size)
    assert (SPECS["City"].max_length, SPECS["Remark"].max_length) == (200, 20_000)
    assert (SPECS["Ordered"].date_format, SPECS["Paid at"].date_format) == (ORDERED, None)


def test_marks_are_found_wherever_they_stand() -> None:
    class Nested(RecordModel):
        inside: Annotated[Annotated[float, ExpectedRange(1, 2)], Field(ge=0, le=3)]
        outside: Annotated[float | None, ExpectedRange(1, 2), Field(ge=0, le=3)] = None

    for spec in field_specs(Nested):
        assert (spec.minimum, spec.maximum, spec.expected) == (0, 3, (1, 2))


def test_a_field_that_says_nothing_else_has_its_own_name() -> None:
    class Bare(RecordModel):
        width: float
        seen: Annotated[date, DateFormat("%Y")]

    assert [(spec.name, spec.description) for spec in field_specs(Bare)] == [("width", ""), ("seen", "")]


def test_callers_are_told_the_usual_range() -> None:
    assert RECORD["properties"]["Weight (kg)"]["x-expected-range"] == [-3, 41.5]


@pytest.mark.parametrize(
    ("value", "whole"),
    [
        *((value, True) for value in (5.0, 5, -3.0, 1e15, 1e300, -0.0)),
        *((value, False) for value in (5.5, 5.0000000001, 2.5e-42)),
    ],
)
def test_a_whole_number_may_be_written_with_a_point(value: float, whole: bool) -> None:
    class Counted(RecordModel):
        count: Integer

    if whole:
        assert Counted.model_validate({"count": value}).count == value
    else:
        with pytest.raises(ValidationError, match="multiple of 1"):
            Counted.model_validate({"count": value})


@given(order=st.from_type(Order))
def test_a_record_survives_json(order: Order) -> None:
    assert Order.model_validate_json(order.model_dump_json()) == order


class Moments(RecordModel):
    """A contract with each kind of moment."""

    day: date | None = None
    at: datetime | None = None
    clock: time | None = None


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("day", "2024-02-29"),
        ("at", "2024-12-31T13:45:00.123456789Z"),
        ("at", "2024-12-31T13:45:00+05:30"),
        ("at", "2024-12-31t13:45z"),
        ("at", "2024-12-31 13:45"),
        ("clock", "13:45"),
        ("clock", "13:45:00.5"),
    ],
)
def test_a_moment_is_written_as_in_rfc_3339(name: str, text: str) -> None:
    # A program sends JSON, a form and a table send texts
    assert Moments.model_validate_json(json.dumps({name: text})) == Moments.model_validate_strings({name: text})


@pytest.mark.parametrize(
    ("name", "text"),
    [
        pytest.param("day", "1735603200", id="date-of-seconds"),
        pytest.param("day", "2023-02-29", id="date-of-no-leap-year"),
        pytest.param("day", "1900-02-29", id="date-of-no-leap-century"),
        pytest.param("day", "0000-01-01", id="date-of-year-0"),
        pytest.param("day", "2024-12-31T00:00:00", id="date-with-time"),
        pytest.param("at", "1735603200", id="datetime-of-seconds"),
        pytest.param("at", "2024-12-31", id="datetime-without-time"),
        pytest.param("at", "2024-12-31_13:45", id="datetime-with-underscore"),
        pytest.param("at", "2024-12-31T13:45:00,5", id="datetime-with-comma"),
        pytest.param("at", "2024-12-31T13:45:00+0100", id="offset-without-colon"),
        pytest.param("clock", "13:45:00Z", id="time-with-offset"),
        pytest.param("clock", "24:00", id="time-at-24"),
        pytest.param("clock", "5", id="time-of-seconds"),
    ],
)
def test_no_other_text_is_a_moment(name: str, text: str) -> None:
    with pytest.raises(ValidationError):
        Moments.model_validate_json(json.dumps({name: text}))
    with pytest.raises(ValidationError):
        Moments.model_validate_strings({name: text})


def test_callers_are_told_how_moments_are_written() -> None:
    patterns = [schema["anyOf"][0]["pattern"] for schema in Moments.model_json_schema()["properties"].values()]

    assert patterns == list(DATE_PATTERNS.values())


@given(year=st.integers(0, 9999), month=st.integers(0, 13), day=st.integers(0, 32))
def test_the_pattern_of_days_knows_the_calendar(year: int, month: int, day: int) -> None:
    text = f"{year:04}-{month:02}-{day:02}"
    try:
        date(year, month, day)
    except ValueError:
        assert not re.search(DATE_PATTERNS["date"], text)
    else:
        assert re.search(DATE_PATTERNS["date"], text)


@pytest.mark.parametrize("value", ["", "x" * 201], ids=["empty", "too-long"])
def test_a_category_has_a_length(value: str) -> None:
    class Placed(RecordModel):
        place: Category

    with pytest.raises(ValidationError, match="String should have"):
        Placed.model_validate({"place": value})


@pytest.mark.parametrize("probability", [-0.1, 1.1])
def test_a_probability_is_from_0_to_1(probability: float) -> None:
    with pytest.raises(ValidationError):
        LabelPrediction(label="a", probability=probability, probabilities={"a": probability})


@pytest.mark.parametrize("prediction", [LabelPrediction, ValuePrediction])
def test_a_prediction_warns_of_nothing_unless_told(prediction: type[LabelPrediction | ValuePrediction]) -> None:
    assert prediction.model_fields["warnings"].default == ()
