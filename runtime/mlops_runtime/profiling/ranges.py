"""The ranges that a contract gives its numbers: limits where the table makes them evident, else what is usual."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

from mlops_runtime.profiling.columns import Column, Tally
from mlops_runtime.profiling.names import words

MAX_STEPS = 12
"""Most values of a rating scale: months and scales from 0 to 10 are, ages are not."""

SCALE_VALUES = 50
"""Fewest values that show a scale of more than two steps."""

END_SHARE = 1 / 4
"""Least count of either end of a scale, as a share of what it were if all steps were as common: counts of
things, such as children, fade out instead."""

COLUMNS_OF_A_SCALE = 3
"""So many columns between the same ends use the same scale, though some may lack a step of it."""

LIMIT_VALUES = 50
"""Fewest values that show a limit."""

ZERO_SHARE = 0.01
"""Least share of zeros that shows that a quantity starts there."""

NEAR_END = 0.02
"""How near to both ends of 0 to 1, or 0 to 100, shares come, as a part of the whole."""

PERCENT = frozenset(("percent", "percentage", "pct"))

HEADROOM = 0.1
"""How far beyond the values of the table, as a part of their range, a number is still usual."""

DIGITS = 6
"""Most digits of the ends of what is usual."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Least and greatest number that a contract allows; None where it sets no limit."""

    minimum: float | None = None
    maximum: float | None = None


def with_ranges(columns: Sequence[Column], tallies: Sequence[Tally], sampled: bool) -> tuple[Column, ...]:
    """Return the columns with the limits and usual ranges of their numbers.

    Args:
        columns: that the contract takes.
        tallies: of their cells, in the same order.
        sampled: whether rows were passed over: then no limit is evident.
    """
    scales = [
        _scale(tally) if column.kind == "integer" else None for column, tally in zip(columns, tallies, strict=True)
    ]
    sharing = Counter((column.low, column.high) for column in columns if column.kind == "integer")
    shown = {scale for scale in scales if scale is not None and sharing[scale] >= COLUMNS_OF_A_SCALE}
    found = []
    for column, tally, scale in zip(columns, tallies, scales, strict=True):
        if column.kind not in ("number", "integer"):
            found.append(column)
            continue
        if sampled:
            limits = Limits()
        elif scale is not None or (tally.low, tally.high) in shown:
            limits = Limits(tally.low, tally.high)
        else:
            limits = _limits(column, tally)
        bounded = limits.minimum is not None and limits.maximum is not None
        usual = None if bounded else usual_range(tally.low, tally.high, whole=column.kind == "integer")
        found.append(replace(column, minimum=limits.minimum, maximum=limits.maximum, expected=usual))
    return tuple(found)


def _scale(tally: Tally) -> tuple[float, float] | None:
    """Return the ends of the rating scale that a column of whole numbers uses, if it evidently does."""
    if tally.values is None or tally.low not in (0, 1) or tally.high - tally.low >= MAX_STEPS:
        return None
    steps = int(tally.high - tally.low) + 1
    counts: Counter[int] = Counter()
    for cell, count in tally.values.items():
        counts[_step(cell)] += count
    if len(counts) < steps:
        return None
    ends = (tally.low, tally.high)
    if ends == (0, 1):
        return ends
    of_each = [counts[step] for step in range(int(tally.low), int(tally.high) + 1)]
    rare = min(of_each[0], of_each[-1]) < END_SHARE * tally.present / steps
    # Few of them, fewer still, hardly any: that is how counts of things fall off.
    fades = tally.low == 0 and of_each == sorted(of_each, reverse=True)
    return None if rare or fades or tally.present < SCALE_VALUES else ends


def _step(cell: str) -> int:
    # A small whole number, that may be written with a decimal mark and zeros.
    return int(float(cell.replace(",", ".")))


def _limits(column: Column, tally: Tally) -> Limits:
    if tally.low < 0 or tally.present < LIMIT_VALUES:
        return Limits()
    if column.kind == "number":
        for whole in (1.0, 100.0):
            near = NEAR_END * whole
            if tally.low <= near and whole - near <= tally.high <= whole and (whole == 1 or _is_percentage(tally)):
                return Limits(0.0, whole)
    return Limits(0.0) if tally.zeros >= ZERO_SHARE * tally.present else Limits()


def _is_percentage(tally: Tally) -> bool:
    """Return whether a column of numbers up to 100 can have none above: it says percent, or stops right there."""
    return "%" in tally.name or bool(PERCENT.intersection(words(tally.name))) or tally.high == 100


def usual_range(low: float, high: float, whole: bool) -> tuple[float, float]:
    """Return the range of a table's numbers with some headroom, its ends rounded outward to few digits."""
    least, greatest = Decimal(low), Decimal(high)
    room = (greatest - least) * Decimal(HEADROOM)
    lower, upper = least - room, greatest + room
    size = max(abs(lower), abs(upper))
    # Two digits of the range matter; and no more than can be read.
    digits = max((greatest - least).adjusted() - 1, size.adjusted() - DIGITS + 1)
    if whole:
        digits = max(digits, 0)
    lowest = float(_rounded(lower, digits, ROUND_FLOOR))
    highest = float(_rounded(upper, digits, ROUND_CEILING))
    if low >= 0:
        lowest = max(lowest, 0.0)
    return min(lowest, low), max(highest, high)


def _rounded(value: Decimal, digits: int, rounding: str) -> Decimal:
    return value.scaleb(-digits).to_integral_value(rounding).scaleb(digits)
