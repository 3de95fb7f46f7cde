"""Formats numbers, rounded to meaningful digits."""

import math
from fractions import Fraction

MAX_INTEGER_LENGTH = 1e15
"""From this value on, numbers have an exponent, because a double does not hold their last digits."""
SIGNIFICANT_DIGITS = 6
MAX_DECIMALS = 12


def exact(value: float) -> str:
    """Return a number with all its digits, so that parsing gives the same number; integers have no decimal point."""
    if value.is_integer() and abs(value) < MAX_INTEGER_LENGTH:
        return str(int(value))
    return repr(value)


def readable(value: float, digits: int = SIGNIFICANT_DIGITS) -> str:
    """Return a number rounded to some significant digits, but with all digits before the point."""
    if 10**digits <= abs(value) < MAX_INTEGER_LENGTH:
        return f"{value:.0f}"
    return f"{value:.{digits}g}"


def rounded(value: float, spread: float) -> str:
    """Return a number rounded to the second significant digit of its uncertainty.

    Args:
        value: the number.
        spread: its uncertainty, in the same unit: at least 0.
    """
    if not 0 < spread < math.inf or abs(value) >= MAX_INTEGER_LENGTH:
        return readable(value)
    decimals = 1 - math.floor(math.log10(spread))
    if decimals > MAX_DECIMALS:
        return readable(value)
    # Adding 0.0 turns minus zero into zero.
    return f"{round(value, max(decimals, 0)) + 0.0:,.{max(decimals, 0)}f}"


def percent(share: float) -> str:
    """Return a share between 0 and 1 in per cent with one decimal; only 0 and 1 themselves are 0 % and 100 %."""
    if 0.999 < share < 1:
        return "over 99.9 %"
    if 0 < share < 0.001:
        return "under 0.1 %"
    return f"{share * 100:.1f} %"


def whole_percent(share: float) -> str:
    """Return a share between 0 and 1 in whole per cent; only 0 and 1 themselves are 0 % and 100 %."""
    if 0.99 < share < 1:
        return "over 99 %"
    if 0 < share < 0.01:
        return "under 1 %"
    return f"{share * 100:.0f} %"


def ratio(share: float) -> str:
    """Return a share between 0 and 1 as a ratio: 0.9 is 9 of 10, 0.95 is 19 of 20."""
    fraction = Fraction(share).limit_denominator(100)
    if fraction.denominator < 10 and 10 % fraction.denominator == 0:
        return f"{fraction * 10} of 10"
    return f"{fraction.numerator} of {fraction.denominator}"
