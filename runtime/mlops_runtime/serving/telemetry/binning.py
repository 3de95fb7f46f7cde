"""Bins for the values of each field, with the share of the training rows in each bin."""

import math
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from mlops_runtime.contract import Features, Kind, Layout
from mlops_runtime.contract.features import DATE_PARTS, tokens
from mlops_runtime.model.baseline import Baseline, FieldBaseline, NumberBaseline, unknown_share

MAX_VALUES = 20
"""Maximum number of values of a field with a separate bin: the most common ones."""
MAX_TEXTS = 16
"""Texts of a field that are counted per batch, as splitting all of them into words takes as long as predicting."""
OTHER, MISSING = "(other)", "(missing)"

BASELINE_DATE_PARTS = {Kind.DATE: DATE_PARTS[0], Kind.DATETIME: DATE_PARTS[0]}
"""The part of a date that its baseline describes."""
BOOLEANS = ("false", "true")
UNKNOWN_WORDS = "{}: unknown words"
"""Name of what is measured of the words of a field."""


@dataclass(frozen=True, slots=True)
class Reference:
    """The distribution of training rows, or of predictions for held-out rows, over bins.

    Attributes:
        bins: names of the bins.
        shares: share of the rows in each bin; the sum is 1.
    """

    bins: tuple[str, ...]
    shares: tuple[float, ...]


def field_reference(baseline: FieldBaseline) -> Reference:
    """Return the bins of a field; the last bin is for missing values."""
    if isinstance(baseline, NumberBaseline):
        numbers = number_reference(baseline)
        names, shares = numbers.bins, numbers.shares
    else:
        # A value named like a special bin is counted as `OTHER`.
        known = [value for value in baseline.shares if value not in (OTHER, MISSING)][:MAX_VALUES]
        of_known = tuple(baseline.shares[value] for value in known)
        names, shares = (*known, OTHER), (*of_known, max(1 - sum(of_known), 0.0))
    present = 1 - baseline.missing_share
    return Reference((*names, MISSING), (*(share * present for share in shares), baseline.missing_share))


def prediction_reference(baseline: FieldBaseline, labels: Sequence[str]) -> Reference:
    """Return the bins of predictions: one per label, or the bins of the values."""
    if isinstance(baseline, NumberBaseline):
        return number_reference(baseline)
    return Reference(tuple(labels), tuple(baseline.shares.get(label, 0.0) for label in labels))


def number_reference(baseline: NumberBaseline) -> Reference:
    """Return the bins of numbers: the groups of the training rows, a bin below and a bin above them."""
    if not edges_of(baseline):
        return Reference(("any",), (1.0,))
    edges = (baseline.minimum, *baseline.cuts, baseline.maximum)
    # Edges get the smallest number of digits that keeps them distinct.
    candidates = ([f"{edge:.{digits}g}" for edge in edges] for digits in range(3, 18))
    texts = next(texts for texts in candidates if len(set(texts)) == len(set(edges)))
    names = (f"below {texts[0]}", *(f"{low} to {high}" for low, high in pairwise(texts)), f"above {texts[-1]}")
    return Reference(names, (0.0, *baseline.cut_shares, 0.0))


def edges_of(baseline: NumberBaseline) -> tuple[float, ...]:
    """Return the edges between the bins of numbers, ascending; a number equal to an edge is in the bin above it."""
    if not baseline.bin_edges:
        return ()
    return (baseline.minimum, *baseline.cuts, math.nextafter(baseline.maximum, math.inf))


@dataclass(frozen=True, slots=True)
class _Bins:
    """The column of a field in its array, and the indices of its first bin and of its bin for missing values."""

    column: int
    first: int
    missing: int


class Binning:
    """The bins of all fields in one array, followed by those of the unknown words of fields with a vocabulary.

    Attributes:
        names: of the fields, in the contract's order, and of their unknown words.
        references: distribution of the training rows for each name; of held-out rows for unknown words.
        starts: index of the first bin of each name.
        size: number of bins of all names.
    """

    def __init__(self, layout: Layout, baseline: Baseline) -> None:
        """Make the bins of each field from its baseline."""
        known = [(field, baseline.fields[field.name]) for field in layout.fields]
        words = baseline.vocabularies
        self.names = (*(field.name for field in layout.fields), *map(UNKNOWN_WORDS.format, words))
        self.references = (
            *(field_reference(of_field) for _, of_field in known),
            *(field_reference(vocabulary.unknown) for vocabulary in words.values()),
        )
        ends = np.cumsum([len(reference.bins) for reference in self.references])
        self.starts: NDArray[np.intp] = np.append(0, ends[:-1])
        self.size = int(ends[-1])
        columns = baseline_columns(layout)
        ranges: list[tuple[_Bins, tuple[float, ...]]] = []
        lists: list[tuple[_Bins, list[int]]] = []
        self._categories: list[tuple[_Bins, dict[str, int]]] = []
        self._texts: list[tuple[_Bins, tuple[float, ...]]] = []
        self._words: list[tuple[_Bins, tuple[float, ...], frozenset[str]]] = []
        starts, of_words = self.starts.tolist(), slice(len(known), None)
        for (name, vocabulary), start, end in zip(
            words.items(), starts[of_words], ends[of_words].tolist(), strict=True
        ):
            bins = _Bins(columns[name], start, end - 1)
            self._words.append((bins, edges_of(vocabulary.unknown), frozenset(vocabulary.words)))
        for (field, of_field), reference, end in zip(known, self.references, ends.tolist(), strict=False):
            bins = _Bins(columns[field.name], end - len(reference.bins), end - 1)
            if isinstance(of_field, NumberBaseline):
                edged = self._texts if field.kind is Kind.TEXT else ranges
                edged.append((bins, edges_of(of_field)))
                continue
            indices = {name: bins.first + number for number, name in enumerate(reference.bins[:-2])}
            if field.kind is Kind.CATEGORY:
                self._categories.append((bins, indices | {"": bins.missing}))
            else:
                values = BOOLEANS if field.kind is Kind.BOOLEAN else field.choices
                lists.append((bins, [indices.get(value, bins.missing - 1) for value in values]))
        self._ranges = _Ranges(ranges)
        self._lists = _Lists(lists)

    def counts(self, features: Features) -> NDArray[np.float64]:
        """Return the number of rows in each bin, shape (size,); of texts, at most `MAX_TEXTS` rows are counted."""
        indices = (
            self._ranges.bins(features.numbers),
            self._lists.bins(features.numbers),
            self._category_bins(features.categories),
            self._text_bins(features.texts),
        )
        return np.bincount(np.concatenate(indices), minlength=self.size).astype(np.float64)

    def _category_bins(self, strings: NDArray[np.object_]) -> NDArray[np.intp]:
        indices = [
            known.get(value, bins.missing - 1)
            for bins, known in self._categories
            for value in strings[:, bins.column].tolist()
        ]
        return np.array(indices, dtype=np.intp)

    def _text_bins(self, strings: NDArray[np.object_]) -> NDArray[np.intp]:
        sample = strings[evenly_spaced(len(strings), MAX_TEXTS)]
        columns = [[tokens(text) if text else None for text in column] for column in sample.T.tolist()]
        lengths = [
            bins.missing if words is None else bins.first + bisect_right(edges, len(words))
            for bins, edges in self._texts
            for words in columns[bins.column]
        ]
        unknown = [
            bins.first + bisect_right(edges, unknown_share(words, known)) if words else bins.missing
            for bins, edges, known in self._words
            for words in columns[bins.column]
        ]
        return np.array([*lengths, *unknown], dtype=np.intp)


class _Ranges:
    """Fields whose bins are ranges of numbers."""

    def __init__(self, fields: Sequence[tuple[_Bins, Sequence[float]]]) -> None:
        self._columns = np.array([bins.column for bins, _ in fields], dtype=np.intp)
        self._first = np.array([[bins.first] for bins, _ in fields], dtype=np.intp).reshape(-1, 1)
        self._missing = np.array([[bins.missing] for bins, _ in fields], dtype=np.intp).reshape(-1, 1)
        # Transposed: the first edges of all fields, then the second ones, padded with infinity. So the number of numpy
        # operations does not grow with the number of fields.
        self._edges = np.full((max((len(edges) for _, edges in fields), default=0), len(fields), 1), np.inf)
        for number, (_, edges) in enumerate(fields):
            self._edges[: len(edges), number, 0] = edges

    def bins(self, numbers: NDArray[np.float64]) -> NDArray[np.intp]:
        """Return the bin of each value, shape (fields · rows,)."""
        values = numbers.T[self._columns]
        passed = np.zeros(values.shape, dtype=np.uint8)
        for edges in self._edges:
            passed += (values >= edges).view(np.uint8)
        return np.where(np.isnan(values), self._missing, self._first + passed).ravel()


class _Lists:
    """Fields whose values are indices into a list: choices and booleans."""

    def __init__(self, fields: Sequence[tuple[_Bins, Sequence[int]]]) -> None:
        self._columns = np.array([bins.column for bins, _ in fields], dtype=np.intp)
        # The bins of all values, field by field; the bin of missing values is the first of each field.
        self._bins = np.array([index for bins, indices in fields for index in (bins.missing, *indices)], dtype=np.intp)
        lengths = [len(indices) + 1 for _, indices in fields]
        self._starts = np.cumsum([0, *lengths])[:-1]

    def bins(self, numbers: NDArray[np.float64]) -> NDArray[np.intp]:
        """Return the bin of each value, shape (rows · fields,)."""
        values = np.nan_to_num(numbers[:, self._columns], nan=-1).astype(np.intp)
        return self._bins[self._starts + 1 + values].ravel()


def evenly_spaced(rows: int, limit: int) -> NDArray[np.intp]:
    """Return the indices of at most `limit` rows, spread evenly over all rows."""
    return np.linspace(0, rows, min(rows, limit), endpoint=False, dtype=np.intp)


def baseline_columns(layout: Layout) -> dict[str, int]:
    """Return the column of each field that its baseline describes, in the array of numbers, categories or texts."""
    strings = (layout.categories, layout.texts)
    columns = {field.name: column for fields in strings for column, field in enumerate(fields)}
    for column, number in enumerate(layout.numbers):
        if number.part == BASELINE_DATE_PARTS.get(number.field.kind):
            columns[number.field.name] = column
    return columns
