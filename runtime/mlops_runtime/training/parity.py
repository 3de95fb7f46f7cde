"""The proof that the exported model and the estimator give the same answers."""

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from mlops_runtime.contract.features import Features
from mlops_runtime.contract.fields import Kind
from mlops_runtime.model.golden import GOLDEN_TOLERANCE
from mlops_runtime.model.predictor import Predictor

DRAWN_ROWS = 10_000
MAX_CELLS = 10_000_000
"""Cells that are drawn at most: a wide table has fewer rows of them."""
CHUNK = 10_000
"""Rows that are compared at a time."""
MISSING_SHARE = 0.1
"""Share of drawn values that are missing, where the contract allows it."""
BEYOND = 0.1
"""How far beyond the rows of the table numbers are drawn, in proportion to their range."""
UNSEEN = "a value that no row has"


class ParityError(RuntimeError):
    """The exported model and the estimator differ."""


def drawn_features(features: Features, seed: int) -> Features:
    """Return made-up rows like the given ones: each value drawn by itself, so that combinations are new.

    Half of the numbers are of the table, half lie anywhere in its range and a little beyond.
    """
    generator = np.random.default_rng(seed)
    count = min(DRAWN_ROWS, MAX_CELLS // max(len(features.layout.numbers), 1))
    numbers = np.empty((count, len(features.layout.numbers)))
    for column, number in enumerate(features.layout.numbers):
        values = features.numbers[:, column]
        drawn = generator.choice(values, count)
        present = values[~np.isnan(values)]
        if len(present) and number.field.kind not in (Kind.CHOICE, Kind.BOOLEAN):
            margin = BEYOND * (present.max() - present.min())
            anywhere = generator.uniform(present.min() - margin, present.max() + margin, count)
            drawn = np.where(generator.random(count) < 0.5, drawn, anywhere)
        if number.field.optional:
            missing = -1.0 if number.field.kind is Kind.CHOICE else np.nan
            drawn[generator.random(count) < MISSING_SHARE] = missing
        numbers[:, column] = drawn
    categories, texts = (_shuffled(strings, count, generator) for strings in (features.categories, features.texts))
    return Features(features.layout, numbers, categories, texts)


def _shuffled(strings: NDArray[np.object_], count: int, generator: np.random.Generator) -> NDArray[np.object_]:
    drawn = np.empty((count, strings.shape[1]), dtype=object)
    for column in range(strings.shape[1]):
        drawn[:, column] = generator.choice(np.append(strings[:, column], [UNSEEN, ""]), count)
    return drawn


def check_parity(
    model: Predictor, estimator: Callable[[Features], NDArray[np.float64]], features: Features, scale: float
) -> float:
    """Return the largest difference between the outputs of the exported model and of the estimator.

    Args:
        model: as exported.
        estimator: gives the outputs of the estimator, of the same shape.
        features: to compare on.
        scale: what a difference is measured in: 1 for probabilities, the spread of the target for values.

    Raises:
        ParityError: if a label differs, or an output by more than the tolerance.
    """
    largest, unlike = 0.0, 0
    for part in _chunks(features):
        found, expected = model.outputs(part), estimator(part)
        # Not a number is no agreement either.
        largest = max(largest, float(np.nan_to_num(np.abs(found - expected) / scale, nan=np.inf, posinf=np.inf).max()))
        unlike += int(np.count_nonzero(_winners(found) != _winners(expected)))
    if unlike or largest > GOLDEN_TOLERANCE:
        raise ParityError(
            f"the exported model is not the estimator: {unlike} of {len(features)} labels differ, "
            f"outputs by up to {largest:.1e} (allowed: {GOLDEN_TOLERANCE:.0e}); nothing was written"
        )
    return largest


def _winners(outputs: NDArray[np.float64]) -> NDArray[np.intp]:
    """Return the place of the label with the greatest probability; of those as good as equal, the first."""
    as_good: NDArray[np.bool_] = outputs >= outputs.max(axis=1, keepdims=True) - GOLDEN_TOLERANCE
    return np.asarray(as_good.argmax(axis=1), dtype=np.intp)


def _chunks(features: Features) -> Iterator[Features]:
    for start in range(0, len(features), CHUNK):
        yield features.take(np.arange(start, min(start + CHUNK, len(features))))
