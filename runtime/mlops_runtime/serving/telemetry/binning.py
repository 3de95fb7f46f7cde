"""Bins: into which parts the values of each field fall, and their shares in training."""

import math
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from mlops_runtime.contract.features import DATE_PARTS, Features, Layout, tokens
from mlops_runtime.contract.fields import Kind
from mlops_runtime.model.baseline import Baseline, FieldBaseline, NumberBaseline

MAX_VALUES = 20
"""Values of a field that have a bin of their own: the commonest."""
MAX_TEXTS = 16
"""Texts of a field that are looked at in one go: to find the words of all would cost as much again as to predict."""
OTHER, MISSING = "(other)", "(missing)"

TOLD_BY = {Kind.DATE: DATE_PARTS[0], Kind.DATETIME: DATE_PARTS[0]}
"""The part of a date that its baseline is about."""
FLAGS = ("false", "true")


@dataclass(frozen=True, slots=True)
class Reference:
    """How training rows, or the predictions for some, fall into bins.

    Attributes:
        bins: their names.
        shares: of the rows in each bin, adding up to 1.
    """

    bins: tuple[str, ...]
    shares: tuple[float, ...]


def field_reference(baseline: FieldBaseline) -> Reference:
    """Return the bins of a field: those of its values, and the last for missing ones."""
    if isinstance(baseline, NumberBaseline):
        numbers = number_reference(baseline)
        names, shares = numbers.bins, numbers.shares
    else:
        # A value with the name of a special bin is counted with the others.
        known = [value for value in baseline.shares if value not in (OTHER, MISSING)][:MAX_VALUES]
        of_known = tuple(baseline.shares[value] for value in known)
        names, shares = (*known, OTHER), (*of_known, max(1 - sum(of_known), 0.0))
    present = 1 - baseline.missing_share
    return Reference((*names, MISSING), (*(share * present for share in shares), baseline.missing_share))


def prediction_reference(baseline: FieldBaseline, labels: Sequence[str]) -> Reference:
    """Return the bins of predictions: one for each label, or those of their values."""
    if isinstance(baseline, NumberBaseline):
        return number_reference(baseline)
    return Reference(tuple(labels), tuple(baseline.shares.get(label, 0.0) for label in labels))


def number_reference(baseline: NumberBaseline) -> Reference:
    """Return the bins of numbers: the groups of training, and one on either side for what lies beyond them."""
    if not edges_of(baseline):
        return Reference(("any",), (1.0,))
    marks = (baseline.minimum, *baseline.cuts, baseline.maximum)
    # As few digits as tell them apart.
    written = ([f"{mark:.{digits}g}" for mark in marks] for digits in range(3, 18))
    told = next(names for names in written if len(set(names)) == len(set(marks)))
    names = (f"below {told[0]}", *(f"{low} to {high}" for low, high in pairwise(told)), f"above {told[-1]}")
    return Reference(names, (0.0, *baseline.cut_shares, 0.0))


def edges_of(baseline: NumberBaseline) -> tuple[float, ...]:
    """Return the edges between the bins of numbers, ascending; a number equal to one is in the bin above."""
    if not baseline.bin_edges:
        return ()
    return (baseline.minimum, *baseline.cuts, math.nextafter(baseline.maximum, math.inf))


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a field is found, and where its bins begin and end: `missing` is the last of them."""

    column: int
    first: int
    missing: int


class Binning:
    """The bins of all fields side by side, for many records to be counted in one go.

    Attributes:
        references: of each field, in the contract's order.
        starts: places at which the bins of each field begin.
        size: number of bins of all fields.
    """

    def __init__(self, layout: Layout, baseline: Baseline) -> None:
        known = [(field, baseline.fields[field.name]) for field in layout.fields]
        self.references = tuple(field_reference(of_field) for _, of_field in known)
        ends = np.cumsum([len(reference.bins) for reference in self.references])
        self.starts: NDArray[np.intp] = np.append(0, ends[:-1])
        self.size = int(ends[-1])
        columns = _columns(layout)
        ranges: list[tuple[_Place, tuple[float, ...]]] = []
        lists: list[tuple[_Place, list[int]]] = []
        self._categories: list[tuple[_Place, dict[str, int]]] = []
        self._texts: list[tuple[_Place, tuple[float, ...]]] = []
        for (field, of_field), reference, end in zip(known, self.references, ends.tolist(), strict=True):
            place = _Place(columns[field.name], end - len(reference.bins), end - 1)
            if isinstance(of_field, NumberBaseline):
                edged = self._texts if field.kind is Kind.TEXT else ranges
                edged.append((place, edges_of(of_field)))
                continue
            bins = {name: place.first + number for number, name in enumerate(reference.bins[:-2])}
            if field.kind is Kind.CATEGORY:
                self._categories.append((place, bins | {"": place.missing}))
            else:
                values = FLAGS if field.kind is Kind.BOOLEAN else field.choices
                lists.append((place, [bins.get(value, place.missing - 1) for value in values]))
        self._ranges = _Ranges(ranges)
        self._lists = _Lists(lists)

    def counts(self, features: Features) -> NDArray[np.float64]:
        """Return how many rows fall into each bin, shape (size,); of texts only some rows are looked at."""
        places = (
            self._ranges.bins(features.numbers),
            self._lists.bins(features.numbers),
            self._category_bins(features.categories),
            self._text_bins(features.texts),
        )
        return np.bincount(np.concatenate(places), minlength=self.size).astype(np.float64)

    def _category_bins(self, strings: NDArray[np.object_]) -> NDArray[np.intp]:
        bins = [
            known.get(value, place.missing - 1)
            for place, known in self._categories
            for value in strings[:, place.column].tolist()
        ]
        return np.array(bins, dtype=np.intp)

    def _text_bins(self, strings: NDArray[np.object_]) -> NDArray[np.intp]:
        some = strings[evenly(len(strings), MAX_TEXTS)]
        bins = [
            place.first + bisect_right(edges, len(tokens(text))) if text else place.missing
            for place, edges in self._texts
            for text in some[:, place.column].tolist()
        ]
        return np.array(bins, dtype=np.intp)


class _Ranges:
    """Fields of numbers in ranges."""

    def __init__(self, fields: Sequence[tuple[_Place, Sequence[float]]]) -> None:
        self._columns = np.array([place.column for place, _ in fields], dtype=np.intp)
        self._first = np.array([[place.first] for place, _ in fields], dtype=np.intp).reshape(-1, 1)
        self._missing = np.array([[place.missing] for place, _ in fields], dtype=np.intp).reshape(-1, 1)
        # As many steps for thousands of fields as for one: the first edge of each, the second, and so on,
        # infinite where a field has no more.
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
    """Fields of listed values, each told by its place in the list: choices and flags."""

    def __init__(self, fields: Sequence[tuple[_Place, Sequence[int]]]) -> None:
        self._columns = np.array([place.column for place, _ in fields], dtype=np.intp)
        # The bins of all values, one field after the other, those of missing values before the others.
        self._bins = np.array([bin_ for place, bins in fields for bin_ in (place.missing, *bins)], dtype=np.intp)
        lengths = [len(bins) + 1 for _, bins in fields]
        self._starts = np.cumsum([0, *lengths])[:-1]

    def bins(self, numbers: NDArray[np.float64]) -> NDArray[np.intp]:
        """Return the bin of each value, shape (rows · fields,)."""
        values = np.nan_to_num(numbers[:, self._columns], nan=-1).astype(np.intp)
        return self._bins[self._starts + 1 + values].ravel()


def evenly(rows: int, most: int) -> NDArray[np.intp]:
    """Return the places of at most so many rows, spread evenly over all."""
    return np.linspace(0, rows, min(rows, most), endpoint=False, dtype=np.intp)


def _columns(layout: Layout) -> dict[str, int]:
    """Return the column of each field, in whichever array holds it."""
    strings = (layout.categories, layout.texts)
    columns = {field.name: column for fields in strings for column, field in enumerate(fields)}
    for column, number in enumerate(layout.numbers):
        if number.part == TOLD_BY.get(number.field.kind):
            columns[number.field.name] = column
    return columns
