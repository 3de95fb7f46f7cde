"""Permutation importance: the increase of the loss when the values of a field are shuffled.

scikit-learn's `permutation_importance` shuffles the columns of a single matrix. This module shuffles all columns
of a field together, and predicts with the exported model, which is faster than the estimator.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlops_runtime.contract import Features, Layout

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


CELLS_PER_TERM = 2
"""The same for a word of the vocabulary, which the model weights in each row."""


@dataclass(frozen=True, slots=True)
class Importance:
    """Increase of the loss when a field is shuffled: mean and standard deviation over the repeats."""

    feature: str
    mean: float
    standard_deviation: float


def field_columns(layout: Layout) -> dict[str, tuple[list[int], ...]]:
    """Return the indices of the columns of each field in the arrays of numbers, categories and texts."""
    arrays = [number.field for number in layout.numbers], layout.categories, layout.texts
    return {
        field.name: tuple([index for index, column in enumerate(array) if column is field] for array in arrays)
        for field in layout.fields
    }


def importances(
    outputs: Callable[[Features], NDArray[np.float64]],
    features: Features,
    loss: Callable[[NDArray[np.intp], NDArray[np.float64]], float],
    seed: int,
    terms: int = 0,
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
        terms: number of words in the vocabularies of the model.
    """
    columns = field_columns(features.layout)
    generator = np.random.default_rng(seed)
    count, repeats = affordable(features, len(columns), terms)
    rows = np.sort(generator.choice(len(features), count, replace=False))
    sample = features.take(rows)
    reference = loss(rows, outputs(sample))
    result = []
    for name, indices in columns.items():
        increases = [
            loss(rows, outputs(_shuffled(sample, indices, generator.permutation(count)))) - reference
            for _ in range(repeats)
        ]
        result.append(Importance(name, float(np.mean(increases)), float(np.std(increases))))
    return tuple(sorted(result, key=lambda importance: importance.mean, reverse=True))


def affordable(features: Features, fields: int, terms: int = 0) -> tuple[int, int]:
    """Return the number of rows to shuffle for each field, and the number of repeats."""
    rows = min(len(features), MAX_ROWS)
    characters = sum(len(text) for text in features.texts[:rows].ravel().tolist()) / max(rows, 1)
    cells = features.numbers.shape[1] + features.categories.shape[1]
    cells += CELLS_PER_CHARACTER * characters + CELLS_PER_TERM * terms
    shuffled_rows = MAX_CELLS / max(fields * cells, 1)
    max_repeats = int(np.clip(MAX_CALLS // max(fields, 1), 1, MAX_REPEATS))
    repeats = int(np.clip(shuffled_rows / max(rows, 1), min(MIN_REPEATS, max_repeats), max_repeats))
    return min(rows, max(int(shuffled_rows / repeats), MIN_ROWS)), repeats


def _shuffled(features: Features, columns: tuple[list[int], ...], order: NDArray[np.intp]) -> Features:
    """Return the features with the rows of some columns in another order."""
    arrays: list[NDArray[Any]] = [features.numbers, features.categories, features.texts]
    for position, indices in enumerate(columns):
        if indices:
            shuffled = arrays[position].copy()
            shuffled[:, indices] = arrays[position][order[:, np.newaxis], indices]
            arrays[position] = shuffled
    return Features(features.layout, *arrays)
