"""Permutation importance: the increase of the loss when the values of a field are shuffled.

scikit-learn's `permutation_importance` shuffles the columns of a single matrix. This module shuffles all columns
of a field together, and predicts with the exported model, which is faster than the estimator.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from mlops_runtime.contract import Features, FieldSpec, Layout

MAX_ROWS = 2000
MIN_ROWS = 100
MAX_REPEATS = 20
MIN_REPEATS = 3
MAX_CELLS = 200_000_000
"""Maximum number of cells to predict, a few seconds of work: it limits the repeats first, then the rows."""

MAX_CALLS = 5000
"""Maximum number of calls of the model, if there are fewer fields: a call takes at least a millisecond."""

CELLS_PER_CHARACTER = 4
"""Number of numeric cells that the model processes in the time of a character of a text, approximately."""

Values = TypeVar("Values", NDArray[np.float64], NDArray[np.object_])


@dataclass(frozen=True, slots=True)
class Importance:
    """Increase of the loss when a field is shuffled: mean and standard deviation over the repeats."""

    feature: str
    mean: float
    standard_deviation: float


@dataclass(frozen=True, slots=True)
class FieldColumns:
    """Indices of the columns of a field in the arrays of the features."""

    name: str
    numbers: tuple[int, ...]
    categories: tuple[int, ...]
    texts: tuple[int, ...]


def field_columns(layout: Layout) -> tuple[FieldColumns, ...]:
    """Return the columns of each field, in the order of the contract."""
    arrays = [number.field for number in layout.numbers], layout.categories, layout.texts
    return tuple(FieldColumns(field.name, *(_indices(field, array) for array in arrays)) for field in layout.fields)


def _indices(field: FieldSpec, columns: Sequence[FieldSpec]) -> tuple[int, ...]:
    return tuple(index for index, column in enumerate(columns) if column is field)


def importances(
    outputs: Callable[[Features], NDArray[np.float64]],
    features: Features,
    loss: Callable[[NDArray[np.intp], NDArray[np.float64]], float],
    seed: int,
) -> tuple[Importance, ...]:
    """Return the permutation importance of each field, in descending order.

    The columns of a field are shuffled together, so that a date stays a valid date (Breiman 2001, Random
    forests, Machine Learning 45). The numbers of rows and repeats are limited so that all predictions take
    a few seconds.

    Args:
        outputs: function from features to the outputs of the model, shape (rows, labels) or (rows, 1).
        features: held-out rows.
        loss: function from row indices and their outputs to the loss.
        seed: seed of the sample of rows and of the shuffles.
    """
    columns = field_columns(features.layout)
    generator = np.random.default_rng(seed)
    count, repeats = affordable(features, len(columns))
    rows = np.sort(generator.choice(len(features), count, replace=False))
    sample = features.take(rows)
    reference = loss(rows, outputs(sample))
    result = []
    for field in columns:
        increases = [
            loss(rows, outputs(_shuffled(sample, field, generator.permutation(count)))) - reference
            for _ in range(repeats)
        ]
        result.append(Importance(field.name, float(np.mean(increases)), float(np.std(increases))))
    return tuple(sorted(result, key=lambda importance: importance.mean, reverse=True))


def affordable(features: Features, fields: int) -> tuple[int, int]:
    """Return the number of rows to shuffle for each field, and the number of repeats."""
    rows = min(len(features), MAX_ROWS)
    characters = sum(len(text) for text in features.texts[:rows].ravel().tolist()) / max(rows, 1)
    cells = features.numbers.shape[1] + features.categories.shape[1] + CELLS_PER_CHARACTER * characters
    shuffled_rows = MAX_CELLS / max(fields * cells, 1)
    max_repeats = int(np.clip(MAX_CALLS // max(fields, 1), 1, MAX_REPEATS))
    repeats = int(np.clip(shuffled_rows / max(rows, 1), min(MIN_REPEATS, max_repeats), max_repeats))
    return min(rows, max(int(shuffled_rows / repeats), MIN_ROWS)), repeats


def _shuffled(features: Features, field: FieldColumns, order: NDArray[np.intp]) -> Features:
    """Return the features with the rows of a field in another order."""
    return Features(
        features.layout,
        _reordered(features.numbers, field.numbers, order),
        _reordered(features.categories, field.categories, order),
        _reordered(features.texts, field.texts, order),
    )


def _reordered(array: Values, columns: tuple[int, ...], order: NDArray[np.intp]) -> Values:
    if not columns:
        return array
    copy = array.copy()
    copy[:, columns] = array[np.ix_(order, np.asarray(columns))]
    return copy
