"""Limits and expected ranges of numbers, inferred from a table."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

from mlops_runtime.profiling.columns import Column, Tally
from mlops_runtime.profiling.names import words

MAX_SCALE_VALUES = 12
"""Maximum number of values of a rating scale: months and scales from 0 to 10 are rating scales, ages are not."""

MIN_SCALE_ROWS = 50
"""Minimum number of rows for a rating scale of more than two values."""

MIN_END_SHARE = 1 / 4
"""Minimum count of the lowest and highest value of a rating scale, relative to the mean count of its values. In
counts, such as a number of children, the highest value is rarer."""

MIN_SCALE_COLUMNS = 3
"""Minimum number of columns with the same range that share a rating scale, even if some lack one of its values."""

MIN_LIMIT_ROWS = 50
"""Minimum number of rows from which a limit is inferred."""

MIN_ZERO_SHARE = 0.01
"""Minimum share of zeros in a column that cannot be negative."""

MAX_END_DISTANCE = 0.02
"""Maximum distance of a column of shares or percentages from the ends of its range, 0 and 1, or 0 and 100, relative
to the range."""

PERCENT_WORDS = frozenset(("percent", "percentage", "pct"))

MARGIN = 0.1
"""Margin of an expected range on both sides, relative to the range of the table."""

MAX_DIGITS = 6
"""Maximum number of significant digits of the ends of an expected range."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Minimum and maximum allowed by the contract; None if there is no limit."""

    minimum: float | None = None
    maximum: float | None = None


def add_ranges(columns: Sequence[Column], tallies: Sequence[Tally], sampled: bool) -> tuple[Column, ...]:
    """Return the columns, with limits and expected ranges of the numeric ones.

    Args:
        columns: columns of the contract.
        tallies: statistics of the columns, in the same order.
        sampled: whether only a sample of the rows was read: then no limits are inferred.
    """
    scales = [
        _scale(tally) if column.kind == "integer" else None for column, tally in zip(columns, tallies, strict=True)
    ]
    counts = Counter((column.low, column.high) for column in columns if column.kind == "integer")
    shared = {scale for scale in scales if scale is not None and counts[scale] >= MIN_SCALE_COLUMNS}
    ranged = []
    for column, tally, scale in zip(columns, tallies, scales, strict=True):
        if column.kind not in ("number", "integer"):
            ranged.append(column)
            continue
        if sampled:
            limits = Limits()
        elif scale is not None or (tally.numbers.low, tally.numbers.high) in shared:
            limits = Limits(tally.numbers.low, tally.numbers.high)
        else:
            limits = _limits(column, tally)
        bounded = limits.minimum is not None and limits.maximum is not None
        expected = (
            None if bounded else expected_range(tally.numbers.low, tally.numbers.high, integer=column.kind == "integer")
        )
        ranged.append(replace(column, minimum=limits.minimum, maximum=limits.maximum, expected=expected))
    return tuple(ranged)


def _scale(tally: Tally) -> tuple[float, float] | None:
    """Return the lowest and highest value of an integer column if it is a rating scale, else None."""
    low, high = tally.numbers.low, tally.numbers.high
    if tally.values is None or low not in (0, 1) or high - low >= MAX_SCALE_VALUES:
        return None
    counter: Counter[int] = Counter()
    for cell, count in tally.values.items():
        if (value := _small_integer(cell)) is not None:
            counter[value] += count
    counts = [counter[value] for value in range(int(low), int(high) + 1)]
    if 0 in counts:
        return None
    ends = (low, high)
    if ends == (0, 1):
        return ends
    present = tally.numbers.count
    has_rare_end = min(counts[0], counts[-1]) < MIN_END_SHARE * present / len(counts)
    # Counts of things, such as a number of children, start at 0 and are the less frequent the higher they are.
    descends = low == 0 and counts == sorted(counts, reverse=True)
    return None if has_rare_end or descends or present < MIN_SCALE_ROWS else ends


def _small_integer(cell: str) -> int | None:
    """Return the integer in a cell, or None if it is odd."""
    try:
        return int(float(cell.replace(",", ".")))
    except ValueError:
        return None


def _limits(column: Column, tally: Tally) -> Limits:
    numbers = tally.numbers
    if numbers.low < 0 or numbers.count < MIN_LIMIT_ROWS:
        return Limits()
    if column.kind == "number":
        for top in (1.0, 100.0):
            distance = MAX_END_DISTANCE * top
            if (
                numbers.low <= distance
                and top - distance <= numbers.high <= top
                and (top == 1 or _is_percentage(tally))
            ):
                return Limits(0.0, top)
    return Limits(0.0) if numbers.zeros >= MIN_ZERO_SHARE * numbers.count else Limits()


def _is_percentage(tally: Tally) -> bool:
    """Return whether the name of a column says that it is a percentage, or its maximum is exactly 100."""
    return "%" in tally.name or not PERCENT_WORDS.isdisjoint(words(tally.name)) or tally.numbers.high == 100


def expected_range(low: float, high: float, integer: bool) -> tuple[float, float]:
    """Return the range of a table's numbers plus a margin, rounded outwards to a few digits.

    Args:
        low: minimum in the table.
        high: maximum in the table.
        integer: whether to round to integers.
    """
    width = Decimal(high) - Decimal(low)
    lower, upper = Decimal(low) - width * Decimal(MARGIN), Decimal(high) + width * Decimal(MARGIN)
    magnitude = max(abs(lower), abs(upper))
    # Exponent of the last digit: two significant digits of the width, but at most MAX_DIGITS of the ends.
    exponent = max(width.adjusted() - 1, magnitude.adjusted() - MAX_DIGITS + 1)
    if integer:
        exponent = max(exponent, 0)
    lowest = float(_rounded(lower, exponent, ROUND_FLOOR))
    highest = float(_rounded(upper, exponent, ROUND_CEILING))
    if low >= 0:
        lowest = max(lowest, 0.0)
    return min(lowest, low), max(highest, high)


def _rounded(value: Decimal, exponent: int, rounding: str) -> Decimal:
    return value.scaleb(-exponent).to_integral_value(rounding).scaleb(exponent)
