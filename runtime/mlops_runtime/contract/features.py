"""Features: records converted to arrays, the input of the model in training and serving.

These conversions depend on the contract alone: the index of a choice, the parts of a date, the words
of a text. Encodings that are learned from data are in `mlops_runtime.model.encoding`.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from enum import Enum
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from mlops_runtime.contract.fields import FieldSpec, Kind, RecordModel

MAX_MAGNITUDE = 1e30
"""Numbers are clipped to this magnitude so that no sum overflows."""

TOKEN = re.compile(r"\w\w+")
MAX_TOKENS = 1000
"""Maximum number of words read from a text; the rest is ignored."""

EPOCH = date(1970, 1, 1).toordinal()
DATE_PARTS = ("days since 1970", "year", "month", "day of the month", "weekday")
HOUR = "hour"


@dataclass(frozen=True, slots=True)
class Number:
    """A column of the numbers array: its field, and the part of the date if the field has several columns."""

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
    """The columns of each feature array, in the order of the contract's fields.

    Attributes:
        fields: fields of the contract.
        numbers: columns of the numbers array.
        categories: fields in the categories array, one column each.
        texts: fields in the texts array, one column each.
    """

    def __init__(self, fields: Sequence[FieldSpec]) -> None:
        self.fields = tuple(fields)
        self.numbers = tuple(number for field in fields for number in _numbers(field))
        self.categories = tuple(field for field in fields if field.kind is Kind.CATEGORY)
        self.texts = tuple(field for field in fields if field.kind is Kind.TEXT)
        # If all fields are numeric, the values of a record are its row of numbers and need no encoding.
        self._all_numeric = all(field.kind in (Kind.NUMBER, Kind.INTEGER, Kind.BOOLEAN) for field in fields)
        self._encoders = tuple((_encoder(field), index) for index, field in enumerate(fields) if _numbers(field))
        self._category_indices = tuple(fields.index(field) for field in self.categories)
        self._text_indices = tuple(fields.index(field) for field in self.texts)

    def encode(self, records: Sequence[RecordModel]) -> "Features":
        """Convert records of the contract to arrays."""
        rows = [list(vars(record).values()) for record in records]
        values = rows if self._all_numeric else [self._encode_row(row) for row in rows]
        numbers = np.array(values, dtype=np.float64).reshape(len(rows), len(self.numbers))
        # Equals np.clip, which takes several times as long for a single record.
        np.minimum(numbers, MAX_MAGNITUDE, out=numbers)
        np.maximum(numbers, -MAX_MAGNITUDE, out=numbers)
        return Features(self, numbers, _strings(rows, self._category_indices), _strings(rows, self._text_indices))

    def _encode_row(self, values: Sequence[Any]) -> list[Any]:
        return [part for encode, index in self._encoders for part in encode(values[index])]


@dataclass(frozen=True, slots=True)
class Features:
    """Records as arrays.

    Attributes:
        layout: the field of each column.
        numbers: float64 of shape (rows, len(layout.numbers)). A missing value is NaN. A choice is its index
            among the choices of its field, or -1 if it is missing.
        categories: strings of shape (rows, len(layout.categories)). A missing value is empty.
        texts: strings of shape (rows, len(layout.texts)), unchanged. A missing value is empty.
    """

    layout: Layout
    numbers: NDArray[np.float64]
    categories: NDArray[np.object_]
    texts: NDArray[np.object_]

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.numbers)

    def take(self, rows: Sequence[int] | NDArray[np.intp]) -> Self:
        """Return the features of the given rows, in the given order."""
        indices = np.asarray(rows, dtype=np.intp)
        return type(self)(self.layout, self.numbers[indices], self.categories[indices], self.texts[indices])

    def parts(self, rows: int) -> Iterator[Self]:
        """Yield the features of this number of rows after the other; the last part may be shorter."""
        for start in range(0, len(self), rows):
            part = slice(start, start + rows)
            yield type(self)(self.layout, self.numbers[part], self.categories[part], self.texts[part])

    def inputs(self) -> dict[str, NDArray[Any]]:
        """Return the inputs of the ONNX model by name, without those for which the contract has no field."""
        inputs: dict[str, NDArray[Any]] = {}
        if self.layout.numbers:
            inputs["numbers"] = self.numbers
        if self.layout.categories:
            inputs["categories"] = self.categories
        for column in range(len(self.layout.texts)):
            inputs[f"text_{column}"] = token_matrix(self.texts[:, column].tolist())
        return inputs


def tokens(text: str) -> list[str]:
    """Return the words of a text: runs of two or more letters, digits or underscores, in lower case."""
    return TOKEN.findall(text.lower())[:MAX_TOKENS]


def token_matrix(texts: Sequence[str]) -> NDArray[np.object_]:
    """Return the words of each text as an array of shape (texts, words of the longest), padded with empty strings."""
    split = [tokens(text) for text in texts]
    matrix = np.full((len(split), max(map(len, split), default=0) or 1), "", dtype=object)
    for row, words in enumerate(split):
        matrix[row, : len(words)] = words
    return matrix


def _strings(rows: Sequence[Sequence[Any]], indices: Sequence[int]) -> NDArray[np.object_]:
    matrix = np.empty((len(rows), len(indices)), dtype=object)
    for column, index in enumerate(indices):
        matrix[:, column] = [row[index] or "" for row in rows]
    return matrix


def _number(value: Any) -> tuple[Any]:
    return (value,)  # NumPy converts None to NaN, True to 1 and False to 0


def _choice(choices: Sequence[str]) -> Callable[[Any], tuple[float]]:
    indices: dict[Any, float] = {choice: float(index) for index, choice in enumerate(choices)}

    def encode(value: Enum | None) -> tuple[float]:
        return (-1.0 if value is None else indices[value],)

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
        # In UTC, 9999-12-31T23:59-01:00 is in the year 10000, which datetime does not support.
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
