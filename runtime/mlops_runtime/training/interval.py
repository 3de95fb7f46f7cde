"""Prediction intervals by conformal prediction: wide enough to have held so many of the training rows.

The residuals are those of cross-validation, each of a row that its fit had not seen (Barber,
Candès, Ramdas and Tibshirani 2021, Predictive inference with the jackknife+, Annals of Statistics
49). The rows are binned by their prediction, and each bin has a width of its own (Boström and
Johansson 2020, Mondrian conformal regressors, PMLR 128): errors often grow with the value.
"""

import math

import numpy as np
from numpy.typing import NDArray

from mlops_runtime.model.metadata import Estimate, Interval

LEVEL = 0.9
"""Share of the true values that the intervals are made to hold."""

MAX_BINS = 10
BIN_ROWS = 100
"""Fewest rows of a bin: the outermost ten of them decide on its width."""


def conformal_interval(predicted: NDArray[np.float64], truth: NDArray[np.float64]) -> Interval:
    """Return the interval that these predictions of unseen rows call for; its coverage is not yet known.

    Args:
        predicted: shape (rows,), each by a fit that had not seen the row.
        truth: shape (rows,).
    """
    bins = min(MAX_BINS, max(1, len(predicted) // BIN_ROWS))
    edges = np.unique(np.quantile(predicted, np.arange(1, bins) / bins))
    number = np.searchsorted(edges, predicted, side="right")
    residuals = np.abs(truth - predicted)
    half_widths = [
        _conformal_quantile(residuals[number == place] if np.any(number == place) else residuals)
        for place in range(len(edges) + 1)
    ]
    return Interval(
        level=LEVEL,
        edges=tuple(edges.tolist()),
        half_widths=tuple(half_widths),
        minimum=0.0 if truth.min() >= 0 else None,
        coverage=Estimate(value=math.nan, low=math.nan, high=math.nan),
    )


def _conformal_quantile(residuals: NDArray[np.float64]) -> float:
    """Return the least width that holds the level's share of the rows and one more; of few rows the largest."""
    place = math.ceil((len(residuals) + 1) * LEVEL) - 1
    return float(np.sort(residuals)[min(place, len(residuals) - 1)])
