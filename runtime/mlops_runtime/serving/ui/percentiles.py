"""Percentiles: comparison of each value of a record with the training rows."""

import math
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

from mlops_runtime.contract import Features, FieldSpec, Kind
from mlops_runtime.contract.features import tokens
from mlops_runtime.model.baseline import Baseline, NumberBaseline, ValueBaseline
from mlops_runtime.number_format import whole_percent
from mlops_runtime.serving.telemetry.binning import baseline_columns

MAX_BARS = 10
"""Maximum number of values in a histogram; the baseline has as many bins for numbers."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """Comparison of a value with those of the training rows.

    Attributes:
        words: the result, as part of a sentence.
        shares: of the training rows in each bin of numbers, or with each value, the most common one first.
        index: of the bin or value of the record among these; None if it is missing or in none of them.
    """

    words: str
    shares: tuple[float, ...] = ()
    index: int | None = None


def compare(features: Features, baseline: Baseline) -> dict[str, Comparison]:
    """Return how each value of a record compares with those of the training rows, by field.

    Args:
        features: of one record.
        baseline: of the training rows.
    """
    columns = baseline_columns(features.layout)
    comparisons = {}
    for field in features.layout.fields:
        value, known = _value(field, features, columns[field.name]), baseline.fields[field.name]
        if value is None:
            share = known.missing_share
            comparison = Comparison(f"missing, as in {whole_percent(share)}" if share else "missing, as in none")
        elif isinstance(known, NumberBaseline):
            comparison = compare_number(float(value), known)
        else:
            comparison = compare_value(str(value), known)
        comparisons[field.name] = comparison
    return comparisons


def _value(field: FieldSpec, features: Features, column: int) -> float | str | None:
    """Return the value of a field as its baseline has it; None if it is missing."""
    if field.kind is Kind.CATEGORY:
        return features.categories[0, column] or None
    if field.kind is Kind.TEXT:
        text = features.texts[0, column]
        return float(len(tokens(text))) if text else None
    number = float(features.numbers[0, column])
    if math.isnan(number) or (field.kind is Kind.CHOICE and number < 0):
        return None
    match field.kind:
        case Kind.CHOICE:
            return field.choices[int(number)]
        case Kind.BOOLEAN:
            return "true" if number else "false"
        case _:
            return number


def compare_number(number: float, baseline: NumberBaseline) -> Comparison:
    """Return how a number compares with those of the training rows."""
    shares = baseline.bin_shares
    if not shares:
        return Comparison("no training row has a value")
    if number > baseline.maximum:
        return Comparison("higher than all", shares)
    if number < baseline.minimum:
        return Comparison("lower than all", shares)
    index = min(bisect_right(baseline.bin_edges, number), len(shares)) - 1
    # Groups of equal size are more precise if one bin has nearly all rows; bins are, if a group is wide.
    group = bisect_right(baseline.cuts, number)
    candidates = (split(shares, index), split(baseline.cut_shares, group))
    lower, near, higher = min(candidates, key=lambda parts: parts[1])
    # Rows in the same bin or group can be lower or higher, so they count as neither.
    if near >= max(lower, higher):
        words = f"close to {whole_percent(near)}"
    elif lower >= higher:
        words = f"higher than {whole_percent(lower)}"
    else:
        words = f"lower than {whole_percent(higher)}"
    return Comparison(words, shares, index)


def split(shares: Sequence[float], index: int) -> tuple[float, float, float]:
    """Return the sum of the shares before an index, the share at it, and the sum of those after it."""
    return sum(shares[:index]), shares[index], sum(shares[index + 1 :])


def compare_value(value: str, baseline: ValueBaseline) -> Comparison:
    """Return how a choice, a boolean or a category compares with those of the training rows."""
    ranked = sorted(baseline.shares, key=lambda known: -baseline.shares[known])
    shown = ranked[:MAX_BARS]
    if value in baseline.shares and value not in shown:
        shown[-1] = value
    shares = tuple(baseline.shares[known] for known in shown)
    if value not in shown:
        return Comparison("not in the training rows", shares)
    return Comparison(f"same as {whole_percent(baseline.shares[value])}", shares, shown.index(value))
