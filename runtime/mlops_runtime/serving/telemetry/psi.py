"""The population stability index: how far two distributions over the same bins are from one another.

The sum over the bins of (p - q) · ln(p / q), p and q being the shares of a bin in either. It is 0 where
they are the same and grows with what moved (Siddiqi 2006, Credit Risk Scorecards, pp. 136-137).
"""

import math

import numpy as np
from numpy.typing import NDArray

LOOK = 0.1
"""An index from which something has moved: look at it. The rule of thumb of Siddiqi."""
ALERT = 0.25
"""An index from which the population is another one: what was measured in training holds no more."""

DEVIATIONS = 3.0902
"""Standard deviations beyond which a normal variable lies in one of 1,000 draws."""


def stability_indices(
    one: NDArray[np.float64], other: NDArray[np.float64], starts: NDArray[np.intp]
) -> NDArray[np.float64]:
    """Return the index of each pair of distributions.

    A logarithm needs a share in every bin. So half a record of the smaller sample is added to each
    (Krichevsky and Trofimov 1981, IEEE Transactions on Information Theory 27), to both distributions
    alike: equal shares stay equal, and what a small sample happens to lack weighs little.

    Args:
        one: shape (bins of all,), counts of the first of each pair, one distribution after the other.
        other: of the same shape, counts of the second.
        starts: shape (distributions,), where each begins, ascending, the first at 0.

    Returns:
        Shape (distributions,), NaN where a distribution has no counts.
    """
    bins = np.diff(starts, append=len(one))
    sizes = [np.add.reduceat(counts, starts) for counts in (one, other)]
    least = np.minimum(*sizes)
    with np.errstate(divide="ignore", invalid="ignore"):
        added = 0.5 / least
        p, q = (
            (counts / np.repeat(size, bins) + np.repeat(added, bins)) / np.repeat(1 + bins * added, bins)
            for counts, size in zip((one, other), sizes, strict=True)
        )
        indices = np.add.reduceat((p - q) * np.log(p / q), starts)
    return np.where(least > 0, indices, np.nan)


def least_records(bins: int, rows: int) -> float:
    """Return how many records an index needs, so that chance alone hardly ever lifts it to `ALERT`.

    Between samples of n and N out of one population the index is about (1/n + 1/N) times a chi-squared
    variable of bins - 1 degrees of freedom (Yurdakul 2018, Statistical Properties of Population
    Stability Index, Western Michigan University). With so many records that comes to `ALERT` in one of
    1,000 draws; the quantile is that of Wilson and Hilferty 1931 (PNAS 17).

    Args:
        bins: that the records of the reference fall into.
        rows: size N of the reference.

    Returns:
        The least n; infinity if the reference itself is too small.
    """
    freedom = max(bins - 1, 1)
    spread = 2 / (9 * freedom)
    quantile = freedom * (1 - spread + DEVIATIONS * math.sqrt(spread)) ** 3
    room = ALERT / quantile - (1 / rows if rows else math.inf)
    return math.ceil(1 / room) if room > 0 else math.inf
