"""The population stability index (PSI): the difference between two distributions over the same bins.

It is the sum over the bins of (p - q) · ln(p / q), where p and q are the shares of a bin in the two
distributions: 0 for equal distributions (Siddiqi 2006, Credit Risk Scorecards, pp. 136-137).
"""

import math

import numpy as np
from numpy.typing import NDArray

NOTICE = 0.1
"""An index of at least this value means a moderate change (rule of thumb of Siddiqi)."""
ALERT = 0.25
"""An index of at least this value means a changed population: the metrics of the training no longer hold."""

DEVIATIONS = 3.0902
"""Standard deviations that a normal variable exceeds in one of 1,000 draws."""


def stability_indices(
    one: NDArray[np.float64], other: NDArray[np.float64], starts: NDArray[np.intp]
) -> NDArray[np.float64]:
    """Return the index of each pair of distributions.

    The logarithm needs a share above 0 in every bin, so half a record of the smaller sample is added to each bin of
    both distributions (Krichevsky and Trofimov 1981, IEEE Transactions on Information Theory 27). Equal shares stay
    equal, and a bin that is empty by chance has little weight.

    Args:
        one: shape (bins of all,), counts of the first distribution of each pair, concatenated.
        other: of the same shape, counts of the second distributions.
        starts: shape (distributions,), index of the first bin of each, ascending, the first is 0.

    Returns:
        Shape (distributions,), NaN where a distribution has no counts.
    """
    bins = np.diff(starts, append=len(one))
    sizes = [np.add.reduceat(counts, starts) for counts in (one, other)]
    smaller = np.minimum(*sizes)
    with np.errstate(divide="ignore", invalid="ignore"):
        added = 0.5 / smaller
        p, q = (
            (counts / np.repeat(size, bins) + np.repeat(added, bins)) / np.repeat(1 + bins * added, bins)
            for counts, size in zip((one, other), sizes, strict=True)
        )
        indices = np.add.reduceat((p - q) * np.log(p / q), starts)
    return np.where(smaller > 0, indices, np.nan)


def min_records(bins: int, rows: int) -> float:
    """Return the minimum number of records for which chance rarely lifts an index to `ALERT`.

    For samples of n and N records from one population the index is about (1/n + 1/N) times a chi-squared
    variable with bins - 1 degrees of freedom (Yurdakul 2018, Statistical Properties of Population
    Stability Index, Western Michigan University). With the returned number of records it exceeds `ALERT` in
    one of 1,000 draws; the quantile is approximated as in Wilson and Hilferty 1931 (PNAS 17).

    Args:
        bins: number of bins with records of the reference.
        rows: size N of the reference.

    Returns:
        The minimum n; infinity if the reference itself is too small.
    """
    freedom = max(bins - 1, 1)
    spread = 2 / (9 * freedom)
    quantile = freedom * (1 - spread + DEVIATIONS * math.sqrt(spread)) ** 3
    room = ALERT / quantile - (1 / rows if rows else math.inf)
    return math.ceil(1 / room) if room > 0 else math.inf
