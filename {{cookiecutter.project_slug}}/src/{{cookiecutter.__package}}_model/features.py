"""Records as arrays: the form in which the model takes them, in training and in serving alike.

What the contract settles is done here: the place of a value among the choices of its field, the
parts of a date, the words of a text. What is learned from data is in the model itself.
"""

import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from enum import Enum
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from {{cookiecutter.__package}}_model.datamodel import Prediction, Record
from {{cookiecutter.__package}}_model.fields import FieldSpec, Kind, field_specs

FIELDS = field_specs(Record)
"""What the contract says of each field, in its order."""

FEATURES = tuple(field.name for field in FIELDS)
"""Names of the columns that the model takes."""

_label = Prediction.model_fields.get("label")
LABELS: tuple[str, ...] = tuple(_label.annotation) if _label and _label.annotation else ()  # type: ignore[arg-type]
"""Labels that a prediction may give, in the contract's order; none where it gives a value."""

LIMIT = 1e30
"""Greatest magnitude the model takes: what lies beyond counts as this, and no sum overflows."""

TOKEN = re.compile(r"\w\w+")
MOST_TOKENS = 1000
"""Words of one text that count; a longer text is cut."""

EPOCH = date(1970, 1, 1).toordinal()
DATE_PARTS = ("days since 1970", "year", "month", "day of the month", "weekday")
HOUR = "hour"


@dataclass(frozen=True, slots=True)
class Number:
    """A column of the matrix of numbers: the field it comes from, and which part of it, if it is one of several."""

    field: FieldSpec
    part: str | None = None


def _numbers(field: FieldSpec) -> tuple[Number, ...]:
    match field.kind:
        case Kind.CATEGORY | Kind.TEXT:
            return ()
        case Kind.DATE:
            return tuple(Number(field, part) for part in DATE_PARTS)
        case Kind.DATETIME:
            return tuple(Number(field, part) for part in (*DATE_PARTS, HOUR))
        case _:
            return (Number(field),)


NUMBERS = tuple(number for field in FIELDS for number in _numbers(field))
"""Columns of the matrix of numbers."""

CATEGORIES = tuple(field for field in FIELDS if field.kind is Kind.CATEGORY)
TEXTS = tuple(field for field in FIELDS if field.kind is Kind.TEXT)


@dataclass(frozen=True, slots=True)
class Features:
    """Records as arrays.

    Attributes:
        numbers: shape (rows, len(NUMBERS)), NaN where a value is missing; of a choice its place
            among the choices, -1 where it is missing.
        categories: shape (rows, len(CATEGORIES)), strings, empty where a value is missing.
        texts: shape (rows, len(TEXTS)), strings as they came, empty where a value is missing.
    """

    numbers: NDArray[np.float64]
    categories: NDArray[np.object_]
    texts: NDArray[np.object_]

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.numbers)

    def take(self, rows: Sequence[int] | NDArray[np.intp]) -> Self:
        """Return the features of these rows alone, in the order given."""
        return type(self)(self.numbers[rows], self.categories[rows], self.texts[rows])

    def inputs(self) -> dict[str, NDArray[Any]]:
        """Return the inputs of the ONNX model, by name; a model has those alone that its contract needs."""
        inputs: dict[str, NDArray[Any]] = {}
        if NUMBERS:
            inputs["numbers"] = self.numbers
        if CATEGORIES:
            inputs["categories"] = self.categories
        for place in range(len(TEXTS)):
            inputs[f"text_{place}"] = token_matrix(self.texts[:, place].tolist())
        return inputs


def features_of(records: Sequence[Record]) -> Features:
    """Return the records as arrays."""
    rows = [list(vars(record).values()) for record in records]
    shape = (len(rows), len(NUMBERS))
    if PLAIN:
        numbers = np.array(rows, dtype=np.float64).reshape(shape)
    else:
        encoded = [[part for encode, place in NUMBER_ENCODERS for part in encode(row[place])] for row in rows]
        numbers = np.array(encoded, dtype=np.float64).reshape(shape)
    np.clip(numbers, -LIMIT, LIMIT, out=numbers)
    return Features(numbers, _strings(rows, CATEGORY_PLACES), _strings(rows, TEXT_PLACES))


def tokens(text: str) -> list[str]:
    """Return the words of a text: runs of two or more letters, digits or underscores, in lower case."""
    return TOKEN.findall(text.lower())[:MOST_TOKENS]


def token_matrix(texts: Sequence[str]) -> NDArray[np.object_]:
    """Return the words of each text as shape (texts, longest), filled up with empty strings."""
    split = [tokens(text) for text in texts]
    matrix = np.full((len(split), max(map(len, split), default=0) or 1), "", dtype=object)
    for row, words in enumerate(split):
        matrix[row, : len(words)] = words
    return matrix


def _strings(rows: Sequence[Sequence[Any]], places: Sequence[int]) -> NDArray[np.object_]:
    matrix = np.empty((len(rows), len(places)), dtype=object)
    for column, place in enumerate(places):
        matrix[:, column] = [row[place] or "" for row in rows]
    return matrix


def _number(value: Any) -> tuple[Any]:
    return (value,)  # None becomes NaN, True and False become 1 and 0 in the array


def _choice(choices: Sequence[str]) -> Callable[[Any], tuple[float]]:
    places: dict[Any, float] = {choice: float(place) for place, choice in enumerate(choices)}

    def encode(value: Enum | None) -> tuple[float]:
        return (-1.0 if value is None else places[value],)

    return encode


def _date_parts(value: date | None) -> tuple[float, ...]:
    if value is None:
        return (np.nan,) * len(DATE_PARTS)
    return (value.toordinal() - EPOCH, value.year, value.month, value.day, value.isoweekday())


def _hours(value: time | datetime) -> float:
    return value.hour + value.minute / 60 + (value.second + value.microsecond / 1e6) / 3600


def _datetime_parts(value: datetime | None) -> tuple[float, ...]:
    if value is None:
        return (np.nan,) * (len(DATE_PARTS) + 1)
    if value.tzinfo is not None:
        # At either end of the calendar there is no room for an offset.
        with suppress(OverflowError):
            value = value.astimezone(UTC)
    return (*_date_parts(value), _hours(value))


def _time_part(value: time | None) -> tuple[float]:
    return (np.nan if value is None else _hours(value),)


def _encoder(field: FieldSpec) -> Callable[[Any], tuple[Any, ...]]:
    match field.kind:
        case Kind.CHOICE:
            return _choice(field.choices)
        case Kind.DATE:
            return _date_parts
        case Kind.DATETIME:
            return _datetime_parts
        case Kind.TIME:
            return _time_part
        case _:
            return _number


PLAIN = all(field.kind in (Kind.NUMBER, Kind.WHOLE, Kind.FLAG) for field in FIELDS)
"""Whether the values of a record are its row of numbers as they are."""

NUMBER_ENCODERS = tuple((_encoder(field), place) for place, field in enumerate(FIELDS) if _numbers(field))
CATEGORY_PLACES = tuple(place for place, field in enumerate(FIELDS) if field.kind is Kind.CATEGORY)
TEXT_PLACES = tuple(place for place, field in enumerate(FIELDS) if field.kind is Kind.TEXT)
