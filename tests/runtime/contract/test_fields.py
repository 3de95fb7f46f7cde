import json
import re
from datetime import date, datetime, time
from enum import StrEnum
from typing import Annotated, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field, ValidationError

from mlops_runtime.contract import LabelPrediction, ValuePrediction
from mlops_runtime.contract.fields import (
    DATE_PATTERNS,
    Category,
    DateFormat,
    ExpectedRange,
    FieldSpec,
    Integer,
    Kind,
    RecordModel,
    Text,
    field_specs,
)
from mlops_runtime.testing.synthetic import DATE_FORMAT, Order, Size

SPECS = {spec.name: spec for spec in field_specs(Order)}
SCHEMA = Order.model_json_schema(by_alias=True)


class Colour(StrEnum):
    """Values of a choice."""

    RED = "red"
    GREEN = "green"


@pytest.mark.parametrize(
    ("annotation", "kind"),
    [
        pytest.param(float, Kind.NUMBER, id="number"),
        pytest.param(Integer, Kind.INTEGER, id="integer"),
        pytest.param(Annotated[float, Field(multiple_of=0.5)], Kind.NUMBER, id="number-with-steps"),
        pytest.param(bool, Kind.BOOLEAN, id="boolean"),
        pytest.param(Colour, Kind.CHOICE, id="choice"),
        pytest.param(Category, Kind.CATEGORY, id="category"),
        pytest.param(Text, Kind.TEXT, id="text"),
        pytest.param(date, Kind.DATE, id="date"),
        pytest.param(datetime, Kind.DATETIME, id="datetime"),
        pytest.param(time, Kind.TIME, id="time"),
    ],
)
@pytest.mark.parametrize("optional", [False, True], ids=["required", "optional"])
def test_a_type_determines_the_kind_of_a_field(annotation: Any, kind: Kind, optional: bool) -> None:
    # given
    class Required(RecordModel):
        value: annotation = Field()

    class Optional(RecordModel):
        value: annotation | None = Field(default=None)

    # when
    (spec,) = field_specs(Optional if optional else Required)
    # then
    assert (spec.name, spec.kind, spec.optional) == ("value", kind, optional)


@pytest.mark.parametrize("annotation", [int, str, list[float], float | str], ids=str)
def test_an_unsupported_type_is_refused_with_the_name_of_its_field(annotation: Any) -> None:
    class Unsupported(RecordModel):
        oddity: annotation

    with pytest.raises(TypeError, match="oddity"):
        field_specs(Unsupported)


def test_a_specification_has_everything_that_the_field_declares() -> None:
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
    assert (SPECS["Ordered"].date_format, SPECS["Paid at"].date_format) == (DATE_FORMAT, None)


def test_nested_annotations_are_read() -> None:
    class Nested(RecordModel):
        inside: Annotated[Annotated[float, ExpectedRange(1, 2)], Field(ge=0, le=3)]
        outside: Annotated[float | None, ExpectedRange(1, 2), Field(ge=0, le=3)] = None

    for spec in field_specs(Nested):
        assert (spec.minimum, spec.maximum, spec.expected) == (0, 3, (1, 2))


def test_a_field_without_alias_has_the_name_of_its_attribute() -> None:
    class Bare(RecordModel):
        width: float
        seen: Annotated[date, DateFormat("%Y")]

    assert [(spec.name, spec.description) for spec in field_specs(Bare)] == [("width", ""), ("seen", "")]


def test_the_json_schema_has_the_expected_range() -> None:
    assert SCHEMA["properties"]["Weight (kg)"]["x-expected-range"] == [-3, 41.5]


@pytest.mark.parametrize(
    ("value", "integral"),
    [
        *((value, True) for value in (5.0, 5, -3.0, 1e15, 1e300, -0.0)),
        *((value, False) for value in (5.5, 5.0000000001, 2.5e-42)),
    ],
)
def test_an_integer_may_be_an_integral_float(value: float, integral: bool) -> None:
    class Counted(RecordModel):
        count: Integer

    if integral:
        assert Counted.model_validate({"count": value}).count == value
    else:
        with pytest.raises(ValidationError, match="multiple of 1"):
            Counted.model_validate({"count": value})


@given(order=st.from_type(Order))
def test_a_record_survives_json(order: Order) -> None:
    assert Order.model_validate_json(order.model_dump_json()) == order


class Dates(RecordModel):
    """A record with a date, a datetime and a time."""

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
def test_dates_and_times_are_accepted_in_the_format_of_rfc_3339(name: str, text: str) -> None:
    # Programs send JSON; forms and tables send strings
    assert Dates.model_validate_json(json.dumps({name: text})) == Dates.model_validate_strings({name: text})


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
def test_other_formats_of_dates_and_times_are_refused(name: str, text: str) -> None:
    with pytest.raises(ValidationError):
        Dates.model_validate_json(json.dumps({name: text}))
    with pytest.raises(ValidationError):
        Dates.model_validate_strings({name: text})


def test_the_json_schema_has_the_patterns_of_dates_and_times() -> None:
    patterns = [schema["anyOf"][0]["pattern"] for schema in Dates.model_json_schema()["properties"].values()]

    assert patterns == list(DATE_PATTERNS.values())


@given(year=st.integers(0, 9999), month=st.integers(0, 13), day=st.integers(0, 32))
def test_the_pattern_of_dates_matches_exactly_the_valid_dates(year: int, month: int, day: int) -> None:
    text = f"{year:04}-{month:02}-{day:02}"
    try:
        date(year, month, day)
    except ValueError:
        assert not re.search(DATE_PATTERNS["date"], text)
    else:
        assert re.search(DATE_PATTERNS["date"], text)


@pytest.mark.parametrize("value", ["", "x" * 201], ids=["empty", "too-long"])
def test_the_length_of_a_category_is_limited(value: str) -> None:
    class Located(RecordModel):
        city: Category

    with pytest.raises(ValidationError, match="String should have"):
        Located.model_validate({"city": value})


@pytest.mark.parametrize("probability", [-0.1, 1.1])
def test_a_probability_is_from_0_to_1(probability: float) -> None:
    with pytest.raises(ValidationError):
        LabelPrediction(label="a", probability=probability, probabilities={"a": probability})


@pytest.mark.parametrize("prediction", [LabelPrediction, ValuePrediction])
def test_a_prediction_has_no_warnings_by_default(prediction: type[LabelPrediction | ValuePrediction]) -> None:
    assert prediction.model_fields["warnings"].default == ()
