"""What a column holds, said in a few words."""

from mlops_runtime.profiling.columns import Column
from mlops_runtime.profiling.source_code import prose

TOLD = 3
"""Values that are told of a column of strings."""

MAX_VALUE_LENGTH = 40
"""Characters of such a value."""


def seen(column: Column) -> str:
    """Return what the table has in a column: its range, or its commonest values, and how much is missing."""
    parts = [values_seen(column)]
    if column.missing:
        parts.append(f"{percent(column.missing / column.rows)} missing")
    return "; ".join(parts)


def values_seen(column: Column) -> str:
    """Return what values a column has: their range, or the commonest."""
    match column.kind:
        case "number" | "integer":
            text = f"{_told(column.low)} to {_told(column.high)}"
            if column.quartiles is None:
                return text
            lower, upper = map(_told, column.quartiles)
            return f"{text}, half of them {lower} to {upper}" if lower != upper else f"{text}, most often {lower}"
        case "date" | "datetime" | "time":
            return f"{column.low} to {column.high}"
        case "text":
            return f"about {max(1, round(column.words))} words, at most {column.longest} characters"
        case _:
            return _commonest(column)


def _commonest(column: Column) -> str:
    present = column.rows - column.missing
    told = [f"{prose(value, MAX_VALUE_LENGTH)} ({percent(count / present)})" for value, count in column.common[:TOLD]]
    if not told:
        return f"about {column.distinct} distinct values"
    others = f"; {column.distinct} distinct values" if column.distinct > TOLD else ""
    return f"most often {', '.join(told)}{others}"


def percent(share: float) -> str:
    """Return a share in percent, never rounded to none or all."""
    rounded = round(100 * share)
    if rounded == 0 and share > 0:
        return "less than 1 %"
    if rounded == 100 and share < 1:
        return "more than 99 %"
    return f"{rounded} %"


def _told(value: float | str | None) -> str:
    if not isinstance(value, float):
        return str(value)
    return str(int(value)) if value.is_integer() and abs(value) < 1e15 else f"{value:.4g}"
