"""Notations of amounts that are not read as numbers: units, bounds, and durations."""

import re
from collections.abc import Collection, Sequence

from mlops_runtime.profiling.columns import quoted
from mlops_runtime.tables.cells import MIN_SHARE, number

MIN_AMOUNTS = 10
"""Minimum number of distinct amounts: fewer are likely to be the names of groups, such as `36 months`."""

MAX_AFFIXES = 4
"""Maximum number of distinct units and bounds: more are likely to be parts of codes."""

AFFIXED = re.compile(
    r"(?P<before>[<>≤≥~]?)\s?(?P<digits>[+-]?(?:[1-9][\d.,]*|0|0?[.,]\d+))\s?(?P<after>[^\d\s:-]{0,10})"
)
DURATION = re.compile(
    r"\d+:\d\d(?::\d\d)?(?:[.,]\d+)?|P(?=.)(?:\d+[YMWD])*(?:T(?:[\d.]+[HMS])+)?"
    r"|\d+ days?,? [\d:.]+|(?:\d+ ?(?:d|h|m|s|days?|hrs?|hours?|mins?|minutes?|secs?|seconds?)\b[ ,]*){2,}",
    re.IGNORECASE,
)


def notation_of(cells: Collection[str], decimal: str) -> str | None:
    """Return what a column of words consists of, if these are amounts: `durations`, or `numbers with 'km'`.

    Args:
        cells: some distinct cells.
        decimal: decimal mark of the table.
    """
    if len(cells) < MIN_AMOUNTS:
        return None
    if sum(DURATION.fullmatch(cell) is not None for cell in cells) >= MIN_SHARE * len(cells):
        return "durations"
    matches = [match for cell in cells if (match := AFFIXED.fullmatch(cell)) and number(match["digits"], decimal)]
    affixes = dict.fromkeys(affix for match in matches for affix in (match["before"], match["after"]) if affix)
    amounts = {match["digits"] for match in matches}
    if len(matches) < MIN_SHARE * len(cells) or len(amounts) < MIN_AMOUNTS or not 0 < len(affixes) <= MAX_AFFIXES:
        return None
    return f"numbers with {_listed(list(affixes))}"


def _listed(affixes: Sequence[str]) -> str:
    *others, last = map(quoted, affixes)
    return f"{', '.join(others)} or {last}" if others else last
