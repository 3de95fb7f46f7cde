"""The encoding: converts features to one numeric matrix.

It learns the values of each category and the vocabulary of each text from the training rows. It does not
use the target.
"""

import json
from array import array
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from itertools import accumulate
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

MAX_COUNTS = 10_000_000
"""Maximum number of word counts of a text field: with many rows, the encoding uses fewer words to fit into memory."""

MAX_TERM_CELLS = 300_000_000
"""Maximum number of rows times words: the exported model computes each cell, and is compared on all rows."""

MAX_COUNTED_WORDS = 1_000_000
"""Maximum number of distinct words to count in the texts of a field."""

MAX_CELLS = 2_000_000
"""Maximum number of cells of a matrix that a model computes at once, so that its memory does not grow with the rows."""


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
        terms = tuple(_vocabulary(column.tolist()) for column in features.texts.T)
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

    @property
    def rows_at_once(self) -> int:
        """Number of rows that a model processes at once, given the width of the one-hot encoded matrix."""
        return max(1, MAX_CELLS // max(1, sum(max(column.cardinality, 1) for column in self.columns)))

    def matrix(self, features: Features) -> NDArray[np.float64]:
        """Return the features as a matrix of shape (rows, columns).

        A missing number is NaN, a missing or unknown category is -1, a term is its count in the text.
        All values are exact, so that a threshold splits the rows in the same way in scikit-learn and in ONNX.
        """
        parts = [self.values_matrix(features)]
        for (rows, columns, counts), terms in zip(self.word_counts(features), self.terms, strict=True):
            part = np.zeros((len(features), len(terms)))
            part[rows, columns] = counts
            parts.append(part)
        return np.concatenate(parts, axis=1)

    def values_matrix(self, features: Features) -> NDArray[np.float64]:
        """Return the columns of the matrix that are not words."""
        parts = [features.numbers]
        for values, column in zip(self.values, features.categories.T, strict=True):
            indices = {value: float(index) for index, value in enumerate(values)}
            parts.append(np.array([[indices.get(value, -1.0)] for value in column.tolist()]).reshape(-1, 1))
        return np.concatenate(parts, axis=1)

    def word_counts(self, features: Features) -> Iterator[tuple[NDArray[np.intc], NDArray[np.intc], NDArray[np.intc]]]:
        """Yield the row, column and count of each word in each text, for one text field after the other."""
        for terms, texts in zip(self.terms, features.texts.T, strict=True):
            positions = {word: column for column, word in enumerate(terms)}
            rows, columns, counts = (array("i") for _ in range(3))
            for row, text in enumerate(texts.tolist()):
                found = Counter(positions[word] for word in tokens(text) if word in positions)
                rows.extend([row] * len(found))
                columns.extend(found.keys())
                counts.extend(found.values())
            yield _as_array(rows), _as_array(columns), _as_array(counts)


def _most_frequent(counts: Counter[str], maximum: int) -> tuple[str, ...]:
    """Return the most frequent values; equally frequent ones in alphabetical order."""
    frequent = [(-count, value) for value, count in counts.items() if value and count >= MIN_FREQUENCY]
    return tuple(value for _, value in sorted(frequent)[:maximum])


def _vocabulary(texts: list[str]) -> tuple[str, ...]:
    """Return the words that occur in the most texts, as many as the limits above allow."""
    frequencies: Counter[str] = Counter()
    for text in texts:
        frequencies.update(set(tokens(text)))
        if len(frequencies) > MAX_COUNTED_WORDS:
            # The counts of rare words are approximate: they start again after each removal.
            frequencies = Counter({word: count for word, count in frequencies.items() if count >= MIN_FREQUENCY})
    words = _most_frequent(frequencies, min(MAX_TERMS, MAX_TERM_CELLS // max(len(texts), 1)))
    counts = accumulate(frequencies[word] for word in words)
    return tuple(word for word, count in zip(words, counts, strict=True) if count <= MAX_COUNTS)


def _as_array(integers: "array[int]") -> NDArray[np.intc]:
    return np.frombuffer(integers, dtype=np.intc)
