"""Prediction intervals by conformal prediction, which cover a given share of the true values.

The residuals are those of out-of-fold predictions (Barber, Candès, Ramdas and Tibshirani 2021, Predictive
inference with the jackknife+, Annals of Statistics 49). Each bin of predictions has its own width (Boström
and Johansson 2020, Mondrian conformal regressors, PMLR 128), because errors often grow with the value.
"""

import math

import numpy as np
from numpy.typing import NDArray

from mlops_runtime.model.metadata import Estimate, Interval

LEVEL = 0.9
"""Share of the true values that the intervals should cover."""

MAX_BINS = 10
MIN_BIN_ROWS = 100
"""Minimum number of rows in a bin: its ten largest residuals determine the width."""


def conformal_interval(predicted: NDArray[np.float64], truth: NDArray[np.float64]) -> Interval:
    """Return the prediction intervals; their coverage is NaN until the evaluation.

    Args:
        predicted: shape (rows,), out-of-fold predictions.
        truth: shape (rows,), true values.
    """
    bins = min(MAX_BINS, max(1, len(predicted) // MIN_BIN_ROWS))
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
    """Return the quantile of the residuals with the finite-sample correction, at most the largest residual."""
    index = math.ceil((len(residuals) + 1) * LEVEL) - 1
    return float(np.sort(residuals)[min(index, len(residuals) - 1)])
