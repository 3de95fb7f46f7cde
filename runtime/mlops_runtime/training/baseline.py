"""Baseline statistics: distributions of the training rows, the reference for drift."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlops_runtime.contract.features import DATE_PARTS, Features, Number, tokens
from mlops_runtime.contract.fields import FieldSpec, Kind
from mlops_runtime.contract.predictions import PredictionModel
from mlops_runtime.model.baseline import (
    Baseline,
    FieldBaseline,
    NumberBaseline,
    ValueBaseline,
    Vocabulary,
    unknown_share,
)
from mlops_runtime.model.encoding import MAX_VALUES, MIN_FREQUENCY

BINS = 10
MIN_GROUP_ROWS = 20
"""Minimum number of training rows in a group of numbers: with fewer, chance looks like drift."""

DATE_PART = {Kind.DATE: DATE_PARTS[0], Kind.DATETIME: DATE_PARTS[0]}
"""The part of a date that represents it."""


def baseline(features: Features, target: NDArray[Any], labels: Sequence[str], outputs: NDArray[np.float64]) -> Baseline:
    """Return the distributions of the fields, of the target and of the predictions.

    Args:
        features: training rows.
        target: shape (rows,), indices of labels, or values.
        labels: empty for regression.
        outputs: outputs of the model for held-out rows, shape (rows, labels) or (rows, 1).
    """
    return Baseline(
        rows=len(features),
        fields={field.name: field_baseline(field, features) for field in features.layout.fields},
        target=_target(target, labels),
        predictions=_target(outputs.argmax(axis=1) if labels else outputs[:, 0], labels),
    )


def prediction_baseline(predictions: Sequence[PredictionModel]) -> ValueBaseline:
    """Return the distribution of what predictions with labels count: the shares that drift compares.

    Args:
        predictions: at least one, all of the same kind.
    """
    kind = type(predictions[0])
    counts = kind.label_counts(getattr(prediction, kind.OUTCOME) for prediction in predictions)
    return ValueBaseline(
        missing_share=0, shares={name: counts[name] / counts.total() for name in kind.counted() if counts[name]}
    )


def vocabulary(training: Iterable[str], held_out: Iterable[str]) -> Vocabulary:
    """Return the words of the training texts, and how many words of held-out texts are not among them."""
    words = {word for text in training for word in tokens(text)}
    shares = [unknown_share(tokens(text), words) for text in held_out]
    return Vocabulary(words=tuple(sorted(words)), unknown=_numbers(np.array(shares), 0, 1))


def _target(target: NDArray[Any], labels: Sequence[str]) -> FieldBaseline:
    if labels:
        return _values([str(labels[index]) for index in target.tolist()])
    return _numbers(target, None, None)


def field_baseline(field: FieldSpec, features: Features) -> FieldBaseline:
    """Return the distribution of a field in training rows."""
    match field.kind:
        case Kind.CATEGORY:
            # The encoding drops values with a single training row.
            return _values(features.categories[:, features.layout.categories.index(field)].tolist(), MIN_FREQUENCY)
        case Kind.TEXT:
            texts = features.texts[:, features.layout.texts.index(field)].tolist()
            return _numbers(np.array([len(tokens(text)) if text else np.nan for text in texts]), 0, None)
        case Kind.CHOICE:
            indices = _column(field, features).astype(int).tolist()
            return _values([str(field.choices[index]) if index >= 0 else "" for index in indices])
        case Kind.BOOLEAN:
            names = {0.0: "false", 1.0: "true"}
            return _values([names.get(value, "") for value in _column(field, features).tolist()])
        case _:
            return _numbers(_column(field, features), field.minimum, field.maximum)


def _column(field: FieldSpec, features: Features) -> NDArray[np.float64]:
    part = DATE_PART.get(field.kind)
    return features.numbers[:, features.layout.numbers.index(Number(field, part))]


def _values(values: list[str], min_rows: int = 1) -> ValueBaseline:
    """Return the shares of the values with at least `min_rows` rows; an empty string is a missing value."""
    counts = Counter(value for value in values if value)
    known = [(value, count) for value, count in counts.items() if count >= min_rows]
    common = sorted(known, key=lambda pair: (-pair[1], pair[0]))[:MAX_VALUES]
    present = counts.total()
    return ValueBaseline(
        missing_share=1 - present / len(values), shares={value: count / present for value, count in common}
    )


def _numbers(column: NDArray[np.float64], minimum: float | None, maximum: float | None) -> NumberBaseline:
    values = column[~np.isnan(column)]
    if not len(values):
        # Without a value there is nothing to compare with, but each statistic must be a number.
        return NumberBaseline(
            missing_share=1, mean=0, standard_deviation=0, minimum=0, maximum=0, bin_edges=(), bin_shares=()
        )
    low, high = float(values.min()), float(values.max())
    # Bins span the bounds of the contract, so that every valid record belongs to a bin.
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
    """Return the lower bounds of all groups but the first; a value of many rows is a group of its own."""
    distinct, counts = np.unique(values, return_counts=True)
    groups = min(len(values) // MIN_GROUP_ROWS, BINS)
    # Rows with equal values belong to the group of the middle row.
    middle = (counts.cumsum() - counts / 2) / len(values)
    return distinct[1:][np.diff(np.floor(middle * groups)) > 0]
