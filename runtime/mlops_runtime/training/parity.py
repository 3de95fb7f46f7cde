"""Parity: the predictor must return the outputs of the estimator, on rows of the table and on synthetic rows."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from mlops_runtime.contract.features import Features
from mlops_runtime.contract.fields import Kind
from mlops_runtime.model.golden import GOLDEN_TOLERANCE
from mlops_runtime.model.onnx_predictor import OnnxPredictor
from mlops_runtime.model.predictor import Predictor

DRAWN_ROWS = 10_000
MAX_CELLS = 10_000_000
"""Maximum number of numeric cells of the synthetic rows."""
CHUNK = 10_000
"""Number of rows to compare at a time."""
MISSING_SHARE = 0.1
"""Share of missing values in the synthetic rows of an optional field."""
MARGIN = 0.1
"""Margin around the range of a column to draw numbers from, relative to that range."""
UNSEEN = "a value that no row has"
"""A category and a text without training rows."""


class ParityError(RuntimeError):
    """The predictor and the estimator return different outputs."""


def drawn_features(features: Features, seed: int) -> Features:
    """Return synthetic rows, whose columns are drawn independently of each other.

    Half of the numbers are values of the table. The others are uniform over the range of their column and a
    margin around it.
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
            uniform = generator.uniform(present.min() - margin, present.max() + margin, count)
            drawn = np.where(generator.random(count) < 0.5, drawn, uniform)
        if number.field.optional:
            missing = -1.0 if number.field.kind is Kind.CHOICE else np.nan
            drawn[generator.random(count) < MISSING_SHARE] = missing
        numbers[:, column] = drawn
    categories, texts = (_draw_strings(strings, count, generator) for strings in (features.categories, features.texts))
    return Features(features.layout, numbers, categories, texts)


def _draw_strings(strings: NDArray[np.object_], count: int, generator: np.random.Generator) -> NDArray[np.object_]:
    drawn = np.empty((count, strings.shape[1]), dtype=object)
    for column in range(strings.shape[1]):
        drawn[:, column] = generator.choice(np.append(strings[:, column], [UNSEEN, ""]), count)
    return drawn


def check_parity(
    predictor: Predictor, estimator: Callable[[Features], NDArray[np.float64]], features: Features, scale: float
) -> float:
    """Return the largest difference between the outputs of the predictor and of the estimator.

    Args:
        predictor: predictor with the exported model.
        estimator: function from features to the outputs of the estimator.
        features: rows to compare on.
        scale: divisor of the differences: 1 for probabilities, the standard deviation of the target for values.

    Raises:
        ParityError: if a label differs, or if outputs differ by more than `GOLDEN_TOLERANCE`.
    """
    largest, wrong_labels = 0.0, 0
    for part in features.parts(CHUNK):
        actual, expected = predictor.outputs(part), estimator(part)
        if not isinstance(actual, np.ndarray):
            raise ParityError(
                f"{type(predictor).__name__}.outputs returns a {type(actual).__name__}, expected a NumPy array; "
                "nothing was written"
            )
        if actual.shape != expected.shape:
            raise ParityError(
                f"{type(predictor).__name__}.outputs returns the shape {actual.shape}, expected {expected.shape}; "
                "nothing was written"
            )
        # NaN and infinity count as infinite differences.
        difference = np.nan_to_num(np.abs(actual - expected) / scale, nan=np.inf, posinf=np.inf)
        largest = max(largest, float(difference.max()))
        wrong_labels += int(np.count_nonzero(_labels(actual) != _labels(expected)))
    if wrong_labels or largest > GOLDEN_TOLERANCE:
        raise ParityError(
            f"{type(predictor).__name__} and the estimator differ in {wrong_labels} of {len(features)} labels "
            f"and by up to {largest:.1e} in outputs (allowed: {GOLDEN_TOLERANCE:.0e}); nothing was written: "
            f"{_advice(predictor)}"
        )
    return largest


def _advice(predictor: Predictor) -> str:
    if isinstance(predictor, OnnxPredictor):
        return "remove this candidate, or serve it with a Predictor of your own"
    return f"correct {type(predictor).__name__}.outputs or the export"


def _labels(outputs: NDArray[np.float64]) -> NDArray[np.intp]:
    """Return the index of the most probable label; probabilities within the tolerance of the highest are equal."""
    greatest: NDArray[np.bool_] = outputs >= outputs.max(axis=1, keepdims=True) - GOLDEN_TOLERANCE
    return np.asarray(greatest.argmax(axis=1), dtype=np.intp)
