"""The encoding: features as one matrix of numbers, with what has to be learned for that.

Learned are the values of each category and the words of each text, from the training rows and
without a look at the target.
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

SEEN_TWICE = 2
"""Values and words that one row alone has say nothing of other rows."""

MAX_VALUES = 1000
MAX_TERMS = 5_000
MAX_CELLS = 30_000_000
"""Cells of a matrix of words: with many rows fewer words count, so that it fits into memory."""


class ColumnKind(StrEnum):
    """What a column of the matrix holds."""

    NUMBER = "number"
    PLACE = "place"
    TERM = "term"


@dataclass(frozen=True, slots=True)
class Column:
    """A column of the matrix: of a place, how many places there are; of a word, its rank, the commonest being 0."""

    kind: ColumnKind
    places: int = 0
    rank: int = 0


@dataclass(frozen=True, slots=True)
class Encoding:
    """What was learned: the values of each category and the words of each text, the commonest first."""

    layout: Layout
    values: tuple[tuple[str, ...], ...]
    terms: tuple[tuple[str, ...], ...]

    @classmethod
    def fitted(cls, features: Features) -> Self:
        """Return the encoding that these training rows teach."""
        values = tuple(_common(Counter(column.tolist()), MAX_VALUES) for column in features.categories.T)
        most = min(MAX_TERMS, MAX_CELLS // max(len(features), 1))
        terms = tuple(_terms(column.tolist(), most) for column in features.texts.T)
        return cls(features.layout, values, terms)

    def to_json(self) -> bytes:
        """Return what was learned as JSON, for the files of a model."""
        return json.dumps({"values": self.values, "terms": self.terms}).encode()

    @classmethod
    def from_json(cls, layout: Layout, content: bytes) -> Self:
        """Return the encoding that `to_json` wrote, for records of the same layout."""
        learned = json.loads(content)
        return cls(layout, *(tuple(map(tuple, learned[name])) for name in ("values", "terms")))

    @property
    def columns(self) -> tuple[Column, ...]:
        """The columns of the matrix: numbers and choices, then categories, then words."""
        numbers = [
            Column(ColumnKind.PLACE, len(number.field.choices))
            if number.field.kind is Kind.CHOICE
            else Column(ColumnKind.NUMBER)
            for number in self.layout.numbers
        ]
        categories = [Column(ColumnKind.PLACE, len(values)) for values in self.values]
        words = [Column(ColumnKind.TERM, rank=rank) for terms in self.terms for rank in range(len(terms))]
        return (*numbers, *categories, *words)

    def matrix(self, features: Features) -> NDArray[np.float64]:
        """Return the features as shape (rows, columns).

        NaN where a number is missing, -1 for a place; of a word how often it stands in the text.
        All of it is exact, so that a threshold parts the same rows wherever it is compared.
        """
        parts = [features.numbers]
        for values, column in zip(self.values, features.categories.T, strict=True):
            places = {value: float(place) for place, value in enumerate(values)}
            parts.append(np.array([[places.get(value, -1.0)] for value in column.tolist()]).reshape(-1, 1))
        for terms, column in zip(self.terms, features.texts.T, strict=True):
            parts.append(_counts(terms, column.tolist()))
        return np.concatenate(parts, axis=1)


def _common(counts: Counter[str], most: int) -> tuple[str, ...]:
    counted = [(-count, value) for value, count in counts.items() if value and count >= SEEN_TWICE]
    return tuple(value for _, value in sorted(counted)[:most])


def _terms(texts: list[str], most: int) -> tuple[str, ...]:
    """Return the words that most texts have."""
    return _common(Counter(word for text in texts for word in set(tokens(text))), most)


def _counts(terms: tuple[str, ...], texts: list[str]) -> NDArray[np.float64]:
    places = {word: place for place, word in enumerate(terms)}
    counts = np.zeros((len(texts), len(terms)))
    for row, text in enumerate(texts):
        for word in tokens(text):
            if (place := places.get(word)) is not None:
                counts[row, place] += 1
    return counts
