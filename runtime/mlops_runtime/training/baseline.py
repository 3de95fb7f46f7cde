"""Baseline statistics: how the training rows are distributed, for live records to be compared with."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlops_runtime.contract.features import DATE_PARTS, Features, Number, tokens
from mlops_runtime.contract.fields import FieldSpec, Kind
from mlops_runtime.model.baseline import Baseline, FieldBaseline, NumberBaseline, ValueBaseline
from mlops_runtime.model.encoding import MAX_VALUES, MIN_FREQUENCY

BINS = 10
GROUP_ROWS = 20
"""Rows in a group of numbers, at least: fewer tell too little of their share for drift to be told from chance."""

TOLD_BY = {Kind.DATE: DATE_PARTS[0], Kind.DATETIME: DATE_PARTS[0]}
"""The part of a date that its distribution is told by."""


def baseline(features: Features, target: NDArray[Any], labels: Sequence[str], outputs: NDArray[np.float64]) -> Baseline:
    """Return the distribution of each field, of the target and of predictions.

    Args:
        features: of the training rows.
        target: shape (rows,), places of labels or values.
        labels: none where the target is a value.
        outputs: of the model for rows that it has not seen, shape (rows, labels) or (rows, 1).
    """
    return Baseline(
        rows=len(features),
        fields={field.name: _field(field, features) for field in features.layout.fields},
        target=_target(target, labels),
        predictions=_target(outputs.argmax(axis=1) if labels else outputs[:, 0], labels),
    )


def _target(target: NDArray[Any], labels: Sequence[str]) -> FieldBaseline:
    if labels:
        return _values([str(labels[place]) for place in target.tolist()])
    return _numbers(target, None, None)


def _field(field: FieldSpec, features: Features) -> FieldBaseline:
    match field.kind:
        case Kind.CATEGORY:
            # What a single row has, the model does not learn: it is no value that it knows.
            return _values(features.categories[:, features.layout.categories.index(field)].tolist(), MIN_FREQUENCY)
        case Kind.TEXT:
            texts = features.texts[:, features.layout.texts.index(field)].tolist()
            return _numbers(np.array([len(tokens(text)) if text else np.nan for text in texts]), 0, None)
        case Kind.CHOICE:
            places = _column(field, features).astype(int).tolist()
            return _values([str(field.choices[place]) if place >= 0 else "" for place in places])
        case Kind.BOOLEAN:
            names = {0.0: "false", 1.0: "true"}
            return _values([names.get(value, "") for value in _column(field, features).tolist()])
        case _:
            return _numbers(_column(field, features), field.minimum, field.maximum)


def _column(field: FieldSpec, features: Features) -> NDArray[np.float64]:
    part = TOLD_BY.get(field.kind)
    place = features.layout.numbers.index(Number(field, part))
    return features.numbers[:, place]


def _values(values: list[str], least: int = 1) -> ValueBaseline:
    """Return the shares of the values that stand in at least so many rows; an empty one is missing."""
    counts = Counter(value for value in values if value)
    known = [(value, count) for value, count in counts.items() if count >= least]
    common = sorted(known, key=lambda pair: (-pair[1], pair[0]))[:MAX_VALUES]
    present = counts.total()
    return ValueBaseline(
        missing_share=1 - present / len(values), shares={value: count / present for value, count in common}
    )


def _numbers(column: NDArray[np.float64], minimum: float | None, maximum: float | None) -> NumberBaseline:
    values = column[~np.isnan(column)]
    if not len(values):
        # No training row has a value: nothing to compare with, and a statistic must be a number.
        return NumberBaseline(
            missing_share=1, mean=0, standard_deviation=0, minimum=0, maximum=0, bin_edges=(), bin_shares=()
        )
    low, high = float(values.min()), float(values.max())
    # Where the contract has bounds the bins span them, not what training saw: a live record always has a bin.
    first = low if minimum is None else float(minimum)
    last = high if maximum is None else float(maximum)
    counts, edges = np.histogram(values, BINS, (min(first, low), max(last, high)))
    cuts = _cuts(values)
    grouped = np.bincount(np.searchsorted(cuts, values, "right"), minlength=len(cuts) + 1)
    return NumberBaseline(
        missing_share=1 - len(values) / len(column),
        mean=float(values.mean()),
        standard_deviation=float(values.std()),
        minimum=low,
        maximum=high,
        bin_edges=tuple(edges.tolist()),
        bin_shares=tuple((counts / len(values)).tolist()),
        cuts=tuple(cuts.tolist()),
        cut_shares=tuple((grouped / len(values)).tolist()),
    )


def _cuts(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the values at which a new group begins; a value that many rows have is a group of its own."""
    distinct, counts = np.unique(values, return_counts=True)
    groups = min(len(values) // GROUP_ROWS, BINS)
    # Of the rows that share a value, the middle one tells the group that they belong to.
    middle = (counts.cumsum() - counts / 2) / len(values)
    return distinct[1:][np.diff(np.floor(middle * groups)) > 0]
