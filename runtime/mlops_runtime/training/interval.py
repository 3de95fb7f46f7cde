"""Prediction intervals by conformal prediction: wide enough to cover a given share of true values.

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
"""Share of the true values that the intervals are made to cover."""

MAX_BINS = 10
BIN_ROWS = 100
"""Minimum number of rows of a bin: the ten largest residuals determine its width."""


def conformal_interval(predicted: NDArray[np.float64], truth: NDArray[np.float64]) -> Interval:
    """Return the interval for predictions like these; its coverage is unknown until the evaluation.

    Args:
        predicted: shape (rows,), each by a fit that had not seen the row.
        truth: shape (rows,).
    """
    bins = min(MAX_BINS, max(1, len(predicted) // BIN_ROWS))
    edges = np.unique(np.quantile(predicted, np.arange(1, bins) / bins))
    bin_of_row = np.searchsorted(edges, predicted, side="right")
    residuals = np.abs(truth - predicted)
    half_widths = [
        _conformal_quantile(residuals[bin_of_row == number] if np.any(bin_of_row == number) else residuals)
        for number in range(len(edges) + 1)
    ]
    return Interval(
        level=LEVEL,
        edges=tuple(edges.tolist()),
        half_widths=tuple(half_widths),
        minimum=0.0 if truth.min() >= 0 else None,
        coverage=Estimate(value=math.nan, low=math.nan, high=math.nan),
    )


def _conformal_quantile(residuals: NDArray[np.float64]) -> float:
    """Return the finite-sample corrected quantile of the residuals; the largest one where there are few."""
    index = math.ceil((len(residuals) + 1) * LEVEL) - 1
    return float(np.sort(residuals)[min(index, len(residuals) - 1)])
