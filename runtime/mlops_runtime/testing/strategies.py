"""Hypothesis strategies for the records of a contract."""

import math
from collections.abc import Callable
from datetime import date, datetime, time, timedelta, timezone
from typing import Any

from hypothesis import strategies as st

from mlops_runtime.contract import FieldSpec, Kind, RecordModel, field_specs
from mlops_runtime.missing import missing_words
from mlops_runtime.tables.cells import cleaned

MAX_DRAWN = 30
"""Maximum number of fields with a drawn value; the others have a default value."""


def valid_numbers(field: FieldSpec) -> st.SearchStrategy[float]:
    """Return a strategy for the valid numbers of a field, inside and outside its expected range."""
    low, high = field.minimum, field.maximum
    if field.kind is Kind.INTEGER:
        bounds = (int(-1e15 if low is None else low), int(1e15 if high is None else high))
        return st.integers(*bounds).map(float)
    valid = st.floats(low, high, allow_nan=False, allow_infinity=False)
    if not field.expected:
        return valid
    minimum, maximum = field.expected
    minimum = max(minimum, minimum if low is None else low)
    maximum = min(maximum, maximum if high is None else high)
    return st.floats(minimum, maximum) | valid


def valid_texts(field: FieldSpec) -> st.SearchStrategy[str]:
    """Return a strategy for the texts of a field that a table can hold and that do not mean a missing value."""
    missing = missing_words(field.kind, None, field.missing, field.values)
    # A null character ends a table.
    characters = st.characters(codec="utf-8", exclude_characters="\0")
    texts = st.text(characters, min_size=1, max_size=min(field.max_length or 40, 40))
    return texts.filter(lambda text: cleaned(text) == text and text not in missing)


def valid_values(field: FieldSpec) -> st.SearchStrategy[Any]:
    """Return a strategy for the valid values of a field."""
    values: st.SearchStrategy[Any]
    match field.kind:
        case Kind.NUMBER | Kind.INTEGER:
            values = valid_numbers(field)
        case Kind.BOOLEAN:
            values = st.booleans()
        case Kind.CHOICE:
            values = st.sampled_from(field.choices)
        case Kind.CATEGORY | Kind.TEXT:
            values = valid_texts(field)
        case Kind.DATE:
            values = st.dates()
        case Kind.DATETIME:
            offsets = st.integers(-23, 23).map(lambda hours: timezone(timedelta(hours=hours)))
            values = st.datetimes(timezones=st.none() | offsets)
        case Kind.TIME:
            values = st.times()
    return values | st.none() if field.optional else values


def default_value(field: FieldSpec) -> Any:
    """Return a valid value of a field, which is None for an optional field."""
    if field.optional:
        return None
    match field.kind:
        case Kind.NUMBER | Kind.INTEGER:
            low, high = field.minimum, field.maximum
            return float(min(max(0.0, 0.0 if low is None else math.ceil(low)), math.inf if high is None else high))
        case Kind.BOOLEAN:
            return False
        case Kind.CHOICE:
            return field.choices[0]
        case Kind.CATEGORY | Kind.TEXT:
            return "word"
        case Kind.DATE:
            return date(2000, 1, 1)
        case Kind.DATETIME:
            return datetime(2000, 1, 1)  # noqa: DTZ001 - most tables have no time zones
        case Kind.TIME:
            return time(12)


@st.composite
def valid_records(draw: Callable[[st.SearchStrategy[Any]], Any], record: type[RecordModel]) -> Any:
    """Return a strategy for the valid records of a contract, including missing values.

    Only some fields of a wide contract are drawn, because Hypothesis limits the size of an example.
    """
    specs = field_specs(record)
    drawn = set(specs) if len(specs) <= MAX_DRAWN else draw(st.sets(st.sampled_from(specs), max_size=MAX_DRAWN))
    return record.model_validate(
        {spec.name: draw(valid_values(spec)) if spec in drawn else default_value(spec) for spec in specs}
    )
