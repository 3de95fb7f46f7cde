"""Columns that give the target away: what is known only once the target is, and makes a model look too good."""

import itertools
import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from operator import mul

from mlops_runtime.profiling.columns import Column, told

ALIKE = 0.9999
"""Correlation from which two columns of numbers are the same."""

REPEATS = 2
"""Rows for each distinct value, on average, from which it means something that each goes with one target value."""

SEPARATING_ROWS = 50
"""Fewest rows in which a perfect separation means something."""

GAP_ROWS = 20
"""Fewest rows with a value, and without one, in which the label means something."""

GIVEN_AWAY = 0.95
"""Share of one label among the rows with a value, or without one, from which that gives the label away."""

CONTRAST = 0.8
"""Greatest share of that label on the other side: where nearly all rows have it, gaps give nothing away."""

ADVICE = "if it is known only afterwards, delete its field from datamodel.py"

Values = Sequence[float] | Sequence[str]
Pairs = Sequence[tuple[float | str, float | str]]


def leak(column: Column, values: Values, target: Values, labelled: bool) -> str | None:
    """Return a sentence that warns of a column, or None.

    Args:
        column: that the contract takes.
        values: of that column, row by row: numbers, NaN where missing, for a column of numbers; else strings, "" where
            missing.
        target: of the same rows, numbers or labels.
        labelled: whether the target are labels.
    """
    numeric = column.kind in ("number", "integer")
    present = [value == value if numeric else value != "" for value in values]
    both: Iterable[tuple[float | str, float | str]] = zip(values, target, strict=True)
    pairs = [pair for pair, there in zip(both, present, strict=True) if there]
    if len(pairs) < 2:
        return None
    if _determines(pairs):
        return f"each value of {told(column.name)} goes with a single value of the target: {ADVICE}"
    if numeric and not labelled and _is_alike(pairs):
        return f"{told(column.name)} holds the same information as the target: {ADVICE}"
    if numeric and labelled and _separates(pairs):
        return f"{told(column.name)} separates the labels without an error: {ADVICE}"
    if labelled and (label := _label_of_gaps(present, target)) is not None:
        return f"whether {told(column.name)} has a value gives the label {told(label)} away: {ADVICE}"
    return None


def _determines(pairs: Pairs) -> bool:
    """Return whether each value goes with one target value, and values repeat."""
    goes_with: dict[float | str, float | str] = {}
    for value, target in pairs:
        if goes_with.setdefault(value, target) != target:
            return False
    return 1 < len(goes_with) <= len(pairs) / REPEATS and len(set(goes_with.values())) > 1


def _is_alike(pairs: Pairs) -> bool:
    """Return whether two columns of numbers are correlated as if they were one."""
    first, second = (_scaled([float(pair[side]) for pair in pairs]) for side in (0, 1))
    return abs(math.fsum(map(mul, first, second))) > ALIKE


def _scaled(values: Sequence[float]) -> list[float]:
    """Return the values minus their mean, in units in which their squares add up to 1."""
    mean = math.fsum(values) / len(values)
    off = [value - mean for value in values]
    length = math.hypot(*off)
    return [value / length for value in off] if length > 0 else off


def _separates(pairs: Pairs) -> bool:
    """Return whether a threshold lies between each pair of labels."""
    if len(pairs) < SEPARATING_ROWS:
        return False
    groups: defaultdict[float | str, list[float]] = defaultdict(list)
    for value, label in pairs:
        groups[label].append(float(value))
    if len(groups) < 2:
        return False
    ends = sorted((min(group), max(group)) for group in groups.values())
    return all(before[1] < after[0] for before, after in itertools.pairwise(ends))


def _label_of_gaps(present: Sequence[bool], target: Values) -> str | None:
    """Return the label that nearly all rows with a value have, or nearly all rows without, but not the others."""
    sides = [[label for label, there in zip(target, present, strict=True) if there is side] for side in (True, False)]
    if min(map(len, sides)) < GAP_ROWS:
        return None
    for side, other in (sides, sides[::-1]):
        label = max(set(side), key=side.count)
        if side.count(label) >= GIVEN_AWAY * len(side) and other.count(label) <= CONTRAST * len(other):
            return str(label)
    return None
