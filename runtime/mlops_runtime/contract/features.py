"""Features: records as arrays, the input of the model in training and in serving alike.

This module does what the contract alone determines: the index of a value among the choices of its
field, the parts of a date, the words of a text. What is learned from data belongs to the model.
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

from mlops_runtime.contract.fields import FieldSpec, Kind, RecordModel

MAX_MAGNITUDE = 1e30
"""Numbers are clipped to this magnitude, so that no sum overflows."""

TOKEN = re.compile(r"\w\w+")
MAX_TOKENS = 1000
"""Words of one text that are counted; a longer text is cut."""

EPOCH = date(1970, 1, 1).toordinal()
DATE_PARTS = ("days since 1970", "year", "month", "day of the month", "weekday")
HOUR = "hour"


@dataclass(frozen=True, slots=True)
class Number:
    """A column of the matrix of numbers: its field, and the part of a date if the field has several columns."""

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


class Layout:
    """Which value of a record goes where: the columns of each array, in the order of the fields.

    Attributes:
        fields: of the contract.
        numbers: columns of the matrix of numbers.
        categories: fields that are columns of the matrix of categories.
        texts: fields that are columns of the matrix of texts.
    """

    def __init__(self, fields: Sequence[FieldSpec]) -> None:
        self.fields = tuple(fields)
        self.numbers = tuple(number for field in fields for number in _numbers(field))
        self.categories = tuple(field for field in fields if field.kind is Kind.CATEGORY)
        self.texts = tuple(field for field in fields if field.kind is Kind.TEXT)
        # Where the values of a record are its row of numbers as they are, nothing has to be looked at one by one.
        self._plain = all(field.kind in (Kind.NUMBER, Kind.INTEGER, Kind.BOOLEAN) for field in fields)
        self._encoders = tuple((_encoder(field), place) for place, field in enumerate(fields) if _numbers(field))
        self._category_places = tuple(fields.index(field) for field in self.categories)
        self._text_places = tuple(fields.index(field) for field in self.texts)

    def encode(self, records: Sequence[RecordModel]) -> "Features":
        """Return records of the contract as arrays."""
        rows = [list(vars(record).values()) for record in records]
        values = rows if self._plain else [self._row(row) for row in rows]
        numbers = np.array(values, dtype=np.float64).reshape(len(rows), len(self.numbers))
        # As np.clip does it, which takes several times as long for one record.
        np.minimum(numbers, MAX_MAGNITUDE, out=numbers)
        np.maximum(numbers, -MAX_MAGNITUDE, out=numbers)
        return Features(self, numbers, _strings(rows, self._category_places), _strings(rows, self._text_places))

    def _row(self, values: Sequence[Any]) -> list[Any]:
        return [part for encode, place in self._encoders for part in encode(values[place])]


@dataclass(frozen=True, slots=True)
class Features:
    """Records as arrays.

    Attributes:
        layout: which column is what.
        numbers: shape (rows, len(layout.numbers)), NaN where a value is missing; of a choice its place
            among the choices, -1 where it is missing.
        categories: shape (rows, len(layout.categories)), strings, empty where a value is missing.
        texts: shape (rows, len(layout.texts)), strings as they came, empty where a value is missing.
    """

    layout: Layout
    numbers: NDArray[np.float64]
    categories: NDArray[np.object_]
    texts: NDArray[np.object_]

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.numbers)

    def take(self, rows: Sequence[int] | NDArray[np.intp]) -> Self:
        """Return the features of these rows alone, in the order given."""
        places = np.asarray(rows, dtype=np.intp)
        return type(self)(self.layout, self.numbers[places], self.categories[places], self.texts[places])

    def inputs(self) -> dict[str, NDArray[Any]]:
        """Return the inputs of the ONNX model, by name; a model has those alone that its contract needs."""
        inputs: dict[str, NDArray[Any]] = {}
        if self.layout.numbers:
            inputs["numbers"] = self.numbers
        if self.layout.categories:
            inputs["categories"] = self.categories
        for place in range(len(self.layout.texts)):
            inputs[f"text_{place}"] = token_matrix(self.texts[:, place].tolist())
        return inputs


def tokens(text: str) -> list[str]:
    """Return the words of a text: runs of two or more letters, digits or underscores, in lower case."""
    return TOKEN.findall(text.lower())[:MAX_TOKENS]


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
        # 9999-12-31T23:59-01:00 would be in the year 10000.
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
