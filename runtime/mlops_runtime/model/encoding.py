"""The encoding: converts features to one numeric matrix.

It learns the values of each category and the vocabulary of each text from the training rows. It does not
use the target.
"""

import json
from collections import Counter
from dataclasses import dataclass
from enum import StrEnum
from typing import Self

import numpy as np
from numpy.typing import NDArray

from mlops_runtime.contract.features import Features, Layout, tokens
from mlops_runtime.contract.fields import Kind

MIN_FREQUENCY = 2
"""Minimum number of training rows with a value or a word: a rarer one says nothing about other rows."""

MAX_VALUES = 1000
"""Maximum number of values of a category."""

MAX_TERMS = 5_000
"""Maximum number of words of a text field."""

MAX_CELLS = 30_000_000
"""Maximum number of word counts in the matrix: with many rows, the encoding uses fewer words to fit into memory."""


class ColumnKind(StrEnum):
    """Kind of a column of the matrix."""

    NUMBER = "number"
    CATEGORICAL = "categorical"
    TERM = "term"


@dataclass(frozen=True, slots=True)
class Column:
    """A column of the matrix.

    Attributes:
        kind: number, categorical (the index of a choice or category value, -1 if missing), or term (a word count).
        cardinality: number of distinct values of a categorical column.
        rank: rank of a term by frequency; 0 is the most frequent.
    """

    kind: ColumnKind
    cardinality: int = 0
    rank: int = 0


@dataclass(frozen=True, slots=True)
class Encoding:
    """The learned values of each category and words of each text, most frequent first."""

    layout: Layout
    values: tuple[tuple[str, ...], ...]
    terms: tuple[tuple[str, ...], ...]

    @classmethod
    def fitted(cls, features: Features) -> Self:
        """Learn the encoding from training rows."""
        values = tuple(_most_frequent(Counter(column.tolist()), MAX_VALUES) for column in features.categories.T)
        max_terms = min(MAX_TERMS, MAX_CELLS // max(len(features), 1))
        terms = tuple(_vocabulary(column.tolist(), max_terms) for column in features.texts.T)
        return cls(features.layout, values, terms)

    def to_json(self) -> bytes:
        """Return the learned values and terms as JSON, for a file of the model."""
        return json.dumps({"values": self.values, "terms": self.terms}).encode()

    @classmethod
    def from_json(cls, layout: Layout, content: bytes) -> Self:
        """Return the encoding that `to_json` serialised, for the same layout."""
        learned = json.loads(content)
        return cls(layout, *(tuple(map(tuple, learned[name])) for name in ("values", "terms")))

    @property
    def columns(self) -> tuple[Column, ...]:
        """Columns of the matrix: numbers and choices, then categories, then terms."""
        numbers = [
            Column(ColumnKind.CATEGORICAL, len(number.field.choices))
            if number.field.kind is Kind.CHOICE
            else Column(ColumnKind.NUMBER)
            for number in self.layout.numbers
        ]
        categories = [Column(ColumnKind.CATEGORICAL, len(values)) for values in self.values]
        terms = [Column(ColumnKind.TERM, rank=rank) for words in self.terms for rank in range(len(words))]
        return (*numbers, *categories, *terms)

    def matrix(self, features: Features) -> NDArray[np.float64]:
        """Return the features as a matrix of shape (rows, columns).

        A missing number is NaN, a missing or unknown category is -1, a term is its count in the text.
        All values are exact, so that a threshold splits the rows in the same way in scikit-learn and in ONNX.
        """
        parts = [features.numbers]
        for values, column in zip(self.values, features.categories.T, strict=True):
            indices = {value: float(index) for index, value in enumerate(values)}
            parts.append(np.array([[indices.get(value, -1.0)] for value in column.tolist()]).reshape(-1, 1))
        for terms, column in zip(self.terms, features.texts.T, strict=True):
            parts.append(_counts(terms, column.tolist()))
        return np.concatenate(parts, axis=1)


def _most_frequent(counts: Counter[str], maximum: int) -> tuple[str, ...]:
    """Return the most frequent values; equally frequent ones in alphabetical order."""
    frequent = [(-count, value) for value, count in counts.items() if value and count >= MIN_FREQUENCY]
    return tuple(value for _, value in sorted(frequent)[:maximum])


def _vocabulary(texts: list[str], max_terms: int) -> tuple[str, ...]:
    """Return the words that occur in the most texts."""
    return _most_frequent(Counter(word for text in texts for word in set(tokens(text))), max_terms)


def _counts(terms: tuple[str, ...], texts: list[str]) -> NDArray[np.float64]:
    columns = {word: column for column, word in enumerate(terms)}
    counts = np.zeros((len(texts), len(terms)))
    for row, text in enumerate(texts):
        for word in tokens(text):
            if (column := columns.get(word)) is not None:
                counts[row, column] += 1
    return counts
