"""Permutation importance: the rise of the loss when the values of one field are shuffled.

scikit-learn's `permutation_importance` shuffles columns of one matrix. Here the columns of a field, which may be
in several arrays, are shuffled together, and the exported model predicts, which is faster than the estimator.
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
WORK = 200_000_000
"""Cells that the model gets in all: a few seconds of work. Beyond it the repeats become fewer first, then the rows."""

CALLS = 5000
"""Predictions, unless there are more fields: one takes a millisecond however few rows it is for."""

CELLS_OF_A_CHARACTER = 4
"""Numbers that the model processes in the time of one character of a text, approximately."""

Values = TypeVar("Values", NDArray[np.float64], NDArray[np.object_])


@dataclass(frozen=True, slots=True)
class Importance:
    """Rise of the loss when one field is shuffled: mean and standard deviation over the shuffles."""

    feature: str
    mean: float
    standard_deviation: float


@dataclass(frozen=True, slots=True)
class FieldColumns:
    """Indices of the columns of a field in each array of the features."""

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
    """Return the permutation importance of each field, the highest first.

    The columns of a field are shuffled together, so that a date stays a date (Breiman 2001, Random
    forests, Machine Learning 45). Large tables are sampled, and with many fields there are fewer
    repeats: all shuffles together take a few seconds.

    Args:
        outputs: of the model for features, the first axis being the rows.
        features: of rows that the model has not been fitted on.
        loss: takes indices of rows and the outputs for them, and returns the loss.
        seed: of the choice of rows and of the shuffles.
    """
    columns = field_columns(features.layout)
    generator = np.random.default_rng(seed)
    count, repeats = affordable(features, len(columns))
    rows = np.sort(generator.choice(len(features), count, replace=False))
    sample = features.take(rows)
    unshuffled = loss(rows, outputs(sample))
    result = []
    for field in columns:
        rises = [
            loss(rows, outputs(_shuffled(sample, field, generator.permutation(count)))) - unshuffled
            for _ in range(repeats)
        ]
        result.append(Importance(field.name, float(np.mean(rises)), float(np.std(rises))))
    return tuple(sorted(result, key=lambda importance: importance.mean, reverse=True))


def affordable(features: Features, fields: int) -> tuple[int, int]:
    """Return how many rows are shuffled for each of so many fields, and how often."""
    rows = min(len(features), MAX_ROWS)
    characters = sum(len(text) for text in features.texts[:rows].ravel().tolist()) / max(rows, 1)
    cells = features.numbers.shape[1] + features.categories.shape[1] + CELLS_OF_A_CHARACTER * characters
    shuffled_rows = WORK / max(fields * cells, 1)
    most = int(np.clip(CALLS // max(fields, 1), 1, MAX_REPEATS))
    repeats = int(np.clip(shuffled_rows / max(rows, 1), min(MIN_REPEATS, most), most))
    return min(rows, max(int(shuffled_rows / repeats), MIN_ROWS)), repeats


def _shuffled(features: Features, field: FieldColumns, order: NDArray[np.intp]) -> Features:
    """Return the features with the columns of one field in another order of rows."""
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
