"""Parity: the predictor gives the outputs of the estimator, on rows of the table and on rows drawn at random."""

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from mlops_runtime.contract.features import Features
from mlops_runtime.contract.fields import Kind
from mlops_runtime.model.golden import GOLDEN_TOLERANCE
from mlops_runtime.model.predictor import Predictor

DRAWN_ROWS = 10_000
MAX_CELLS = 10_000_000
"""Maximum number of drawn cells: the more columns, the fewer rows."""
CHUNK = 10_000
"""Rows that are compared at the same time."""
MISSING_SHARE = 0.1
"""Share of missing values in optional columns."""
MARGIN = 0.1
"""How far outside the range of a column numbers are drawn, as a share of that range."""
UNSEEN = "a value that no row has"


class ParityError(RuntimeError):
    """The predictor and the estimator give different outputs."""


def drawn_features(features: Features, seed: int) -> Features:
    """Return synthetic rows: each column is drawn independently, so that combinations are new.

    Half of the numbers are values of the table; half are uniform over the range of the column and a margin around it.
    """
    generator = np.random.default_rng(seed)
    count = min(DRAWN_ROWS, MAX_CELLS // max(len(features.layout.numbers), 1))
    numbers = np.empty((count, len(features.layout.numbers)))
    for column, number in enumerate(features.layout.numbers):
        values = features.numbers[:, column]
        drawn = generator.choice(values, count)
        present = values[~np.isnan(values)]
        if len(present) and number.field.kind not in (Kind.CHOICE, Kind.BOOLEAN):
            margin = MARGIN * (present.max() - present.min())
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
    predictor: Predictor, estimator: Callable[[Features], NDArray[np.float64]], features: Features, scale: float
) -> float:
    """Return the largest difference between the outputs of the predictor and of the estimator.

    Args:
        predictor: with the exported model.
        estimator: returns the outputs of the estimator, of the same shape.
        features: to compare on.
        scale: unit of the differences: 1 for probabilities, the standard deviation of the target for values.

    Raises:
        ParityError: if a label differs, or an output by more than `GOLDEN_TOLERANCE`.
    """
    largest, other_labels = 0.0, 0
    for part in _chunks(features):
        actual, expected = predictor.outputs(part), estimator(part)
        if actual.shape != expected.shape:
            raise ParityError(
                f"{type(predictor).__name__}.outputs returns the shape {actual.shape} where it must be "
                f"{expected.shape}; nothing was written"
            )
        # NaN is a difference too.
        difference = np.nan_to_num(np.abs(actual - expected) / scale, nan=np.inf, posinf=np.inf)
        largest = max(largest, float(difference.max()))
        other_labels += int(np.count_nonzero(_winners(actual) != _winners(expected)))
    if other_labels or largest > GOLDEN_TOLERANCE:
        raise ParityError(
            f"{type(predictor).__name__} and the estimator differ: {other_labels} of {len(features)} labels, "
            f"outputs by up to {largest:.1e} (allowed: {GOLDEN_TOLERANCE:.0e}); nothing was written: "
            "leave this candidate out, or serve it with a Predictor of your own"
        )
    return largest


def _winners(outputs: NDArray[np.float64]) -> NDArray[np.intp]:
    """Return the index of the label with the greatest probability: the first of those within the tolerance of it."""
    greatest: NDArray[np.bool_] = outputs >= outputs.max(axis=1, keepdims=True) - GOLDEN_TOLERANCE
    return np.asarray(greatest.argmax(axis=1), dtype=np.intp)


def _chunks(features: Features) -> Iterator[Features]:
    for start in range(0, len(features), CHUNK):
        yield features.take(np.arange(start, min(start + CHUNK, len(features))))
