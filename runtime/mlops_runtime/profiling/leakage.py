"""Detection of target leakage: columns that reveal the target, and make a model look better than it is."""

import itertools
import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from operator import mul

from mlops_runtime.profiling.columns import Column, quoted

MIN_CORRELATION = 0.9999
"""Minimum absolute correlation of two columns with the same information."""

MIN_MEAN_COUNT = 2
"""Minimum mean number of rows per distinct value for a mapping from values to targets to be significant."""

MIN_SEPARATED_ROWS = 50
"""Minimum number of rows for a perfect separation of the labels to be significant."""

MIN_GAP_ROWS = 20
"""Minimum number of rows with a value, and of rows without, for their labels to be compared."""

MIN_LABEL_SHARE = 0.95
"""Minimum share of a label, among the rows with a value or among those without, that reveals the label."""

MAX_OTHER_LABEL_SHARE = 0.8
"""Maximum share of that label among the other rows: if nearly all rows have the label, gaps reveal nothing."""

ADVICE = "if it is known only after the target, delete its field from datamodel.py"

Values = Sequence[float] | Sequence[str]
Pairs = Sequence[tuple[float | str, float | str]]


def leakage_warning(column: Column, values: Values, target: Values, labelled: bool) -> str | None:
    """Return a warning if a column reveals the target, or None.

    Args:
        column: column of the contract.
        values: values of the column, row by row: numbers for a numeric column, NaN if missing; otherwise strings,
            "" if missing.
        target: numbers or labels of the same rows.
        labelled: whether the target consists of labels.
    """
    numeric = column.kind in ("number", "integer")
    present = [value == value if numeric else value != "" for value in values]
    rows: Iterable[tuple[float | str, float | str]] = zip(values, target, strict=True)
    pairs = list(itertools.compress(rows, present))
    if len(pairs) < 2:
        return None
    if _determines(pairs):
        return f"each value of {quoted(column.name)} occurs with a single value of the target: {ADVICE}"
    if numeric and not labelled and _correlates(pairs):
        return f"{quoted(column.name)} contains the same information as the target: {ADVICE}"
    if numeric and labelled and _separates(pairs):
        return f"{quoted(column.name)} separates the labels without an error: {ADVICE}"
    if labelled and (label := _label_of_gaps(present, target)) is not None:
        return f"whether {quoted(column.name)} is missing reveals the label {quoted(label)}: {ADVICE}"
    return None


def _determines(pairs: Pairs) -> bool:
    """Return whether the target is a function of the value, and values occur several times."""
    targets: dict[float | str, float | str] = {}
    for value, target in pairs:
        if targets.setdefault(value, target) != target:
            return False
    return 1 < len(targets) <= len(pairs) / MIN_MEAN_COUNT and len(set(targets.values())) > 1


def _correlates(pairs: Pairs) -> bool:
    """Return whether the absolute Pearson correlation of two numeric columns is nearly 1."""
    first, second = (_standardized([float(pair[side]) for pair in pairs]) for side in (0, 1))
    return abs(math.fsum(map(mul, first, second))) > MIN_CORRELATION


def _standardized(values: Sequence[float]) -> list[float]:
    """Return the deviations from the mean, scaled to a sum of squares of 1."""
    mean = math.fsum(values) / len(values)
    deviations = [value - mean for value in values]
    norm = math.hypot(*deviations)
    return [value / norm for value in deviations] if norm > 0 else deviations


def _separates(pairs: Pairs) -> bool:
    """Return whether thresholds separate the values of the labels."""
    if len(pairs) < MIN_SEPARATED_ROWS:
        return False
    groups: defaultdict[float | str, list[float]] = defaultdict(list)
    for value, label in pairs:
        groups[label].append(float(value))
    if len(groups) < 2:
        return False
    ranges = sorted((min(group), max(group)) for group in groups.values())
    return all(lower[1] < upper[0] for lower, upper in itertools.pairwise(ranges))


def _label_of_gaps(present: Sequence[bool], target: Values) -> str | None:
    """Return the label of nearly all rows with a value, or of nearly all rows without, that the others do not share."""
    with_value = list(itertools.compress(target, present))
    without = [label for label, is_present in zip(target, present, strict=True) if not is_present]
    if min(len(with_value), len(without)) < MIN_GAP_ROWS:
        return None
    for side, other in ((with_value, without), (without, with_value)):
        label = max(set(side), key=side.count)
        share, other_share = side.count(label) / len(side), other.count(label) / len(other)
        if share >= MIN_LABEL_SHARE and other_share <= MAX_OTHER_LABEL_SHARE:
            return str(label)
    return None
