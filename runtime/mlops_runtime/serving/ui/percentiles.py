"""The comparison of a record with the training rows: where each of its values lies among theirs."""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from typing import Any

from mlops_runtime.contract.features import EPOCH, tokens
from mlops_runtime.model.baseline import FieldBaseline, NumberBaseline, ValueBaseline
from mlops_runtime.serving.ui.number_format import whole_percent

MAX_STRIPES = 10
"""Values of a field that are drawn; the baseline has as many bins of numbers."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """Where a value lies among those of the training rows.

    Attributes:
        words: as a sentence would have it.
        shares: of the training rows, by bin of numbers in their order, or by value with the commonest first.
        own: the place of the value among these; None if it is missing, or beyond them all.
    """

    words: str
    shares: tuple[float, ...] = ()
    own: int | None = None


def compared(value: Any, baseline: FieldBaseline) -> Comparison:
    """Return where the value of a field lies among those of the training rows."""
    if value is None:
        share = baseline.missing_share
        return Comparison(f"missing, as in {whole_percent(share)}" if share else "missing, as in none")
    if isinstance(baseline, NumberBaseline):
        return _among_numbers(as_number(value), baseline)
    return _among_values(str(value).lower() if isinstance(value, bool) else str(value), baseline)


def as_number(value: Any) -> float:
    """Return the number a value has in the baseline: the day of a date, the hour of a time, the words of a text."""
    match value:
        case datetime():
            moment = value.astimezone(UTC) if value.tzinfo else value
            return float(moment.toordinal() - EPOCH)
        case date():
            return float(value.toordinal() - EPOCH)
        case time():
            return value.hour + value.minute / 60 + value.second / 3600
        case str():
            return float(len(tokens(value)))
        case _:
            return float(value)


def _among_numbers(number: float, baseline: NumberBaseline) -> Comparison:
    shares = baseline.bin_shares
    if not shares:
        return Comparison("no training row has a value")
    if number > baseline.maximum:
        return Comparison("higher than all", shares)
    if number < baseline.minimum:
        return Comparison("lower than all", shares)
    own = min(bisect_right(baseline.bin_edges, number), len(shares)) - 1
    # Groups of the same size tell more where one bin holds nearly all, bins where a group is wide.
    group = bisect_right(baseline.cuts, number)
    places = [(shares, own), (baseline.cut_shares, group)]
    lower, near, higher = min((around(*place) for place in places), key=lambda parts: parts[1])
    # What shares the bin or group may be lower or higher: nothing is said of it.
    if near >= max(lower, higher):
        words = f"close to {whole_percent(near)}"
    elif lower >= higher:
        words = f"higher than {whole_percent(lower)}"
    else:
        words = f"lower than {whole_percent(higher)}"
    return Comparison(words, shares, own)


def around(shares: Sequence[float], place: int) -> tuple[float, float, float]:
    """Return which shares lie below a place, at it and above it."""
    return sum(shares[:place]), shares[place], sum(shares[place + 1 :])


def _among_values(value: str, baseline: ValueBaseline) -> Comparison:
    ranked = sorted(baseline.shares, key=lambda one: -baseline.shares[one])
    shown = ranked[:MAX_STRIPES]
    if value in baseline.shares and value not in shown:
        shown[-1] = value
    shares = tuple(baseline.shares[one] for one in shown)
    if value not in shown:
        return Comparison("not known from training", shares)
    return Comparison(f"as in {whole_percent(baseline.shares[value])}", shares, shown.index(value))
