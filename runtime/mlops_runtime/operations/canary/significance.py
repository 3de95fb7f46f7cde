"""Fisher's exact test: is a share in one sample above that in another one by more than chance?

It is exact for any number of observations, as few as there may be (Fisher 1922, Journal of the Royal Statistical
Society 85). By hand, because whoever deploys from a fresh clone has the standard library alone; the tests compare it
with `scipy.stats`.
"""

import math
from dataclasses import dataclass

NEGLIGIBLE = 1e-12
"""Share of the first terms of a sum below which further ones are left out."""


@dataclass(frozen=True)
class Share:
    """How many of all observations have a property."""

    part: int
    whole: int

    def __add__(self, other: "Share") -> "Share":
        return Share(self.part + other.part, self.whole + other.whole)

    @property
    def value(self) -> float:
        """The share; 0 without observations."""
        return self.part / self.whole if self.whole else 0.0

    @property
    def complement(self) -> "Share":
        """How many do not have the property."""
        return Share(self.whole - self.part, self.whole)


def p_value(one: Share, other: Share) -> float:
    """Return the probability, if both samples come from one population, of a first share as high or higher.

    That is the upper tail of the hypergeometric distribution of `one.part`, given the sums of both samples. A share
    that is not above the other has 1, which is never significant.
    """
    if one.value <= other.value:
        return 1.0
    total = one + other
    highest = min(total.part, one.whole)
    term = math.exp(
        _log_choices(total.part, one.part)
        + _log_choices(total.whole - total.part, one.whole - one.part)
        - _log_choices(total.whole, one.whole)
    )
    tail = 0.0
    for part in range(one.part, highest + 1):
        tail += term
        # The ratio of the next term to this one. Above the mean, terms fall.
        term *= (total.part - part) * (one.whole - part)
        term /= (part + 1) * (total.whole - total.part - one.whole + part + 1)
        if term < NEGLIGIBLE * tail:
            break
    return min(tail, 1.0)


def _log_choices(of: int, some: int) -> float:
    """Return the logarithm of the number of ways to choose some out of all."""
    return math.lgamma(of + 1) - math.lgamma(some + 1) - math.lgamma(of - some + 1)
