"""Short descriptions of the values of a column."""

from mlops_runtime.number_format import exact, readable
from mlops_runtime.profiling.columns import Column
from mlops_runtime.profiling.source_code import prose

MAX_LISTED = 3
"""Maximum number of values in a description."""

MAX_VALUE_LENGTH = 40
"""Maximum number of characters of such a value."""


def description(column: Column) -> str:
    """Return the range or the most frequent values of a column, and the share of missing values."""
    missing = f"; {percent(column.missing / column.rows)} missing" if column.missing else ""
    return value_description(column) + missing


def value_description(column: Column) -> str:
    """Return the range or the most frequent values of a column."""
    match column.kind:
        case "number" | "integer":
            text = f"{_number(column.low)} to {_number(column.high)}"
            if column.quartiles is None:
                return text
            lower, upper = map(_number, column.quartiles)
            return f"{text}, half of them {lower} to {upper}" if lower != upper else f"{text}, most often {lower}"
        case "date" | "datetime" | "time":
            return f"{column.low} to {column.high}"
        case "text":
            return f"about {max(1, round(column.mean_words))} words, at most {column.max_length} characters"
        case _:
            return _most_common(column)


def _most_common(column: Column) -> str:
    present = column.rows - column.missing
    values = [
        f"{prose(value, MAX_VALUE_LENGTH)} ({percent(count / present)})"
        for value, count in column.most_common[:MAX_LISTED]
    ]
    if not values:
        return f"about {column.distinct} distinct values"
    others = f"; {column.distinct} distinct values" if column.distinct > MAX_LISTED else ""
    return f"most often {', '.join(values)}{others}"


def percent(share: float) -> str:
    """Return a share in percent, rounded, but not to 0 % unless it is 0, nor to 100 % unless it is 1."""
    rounded = round(100 * share)
    if rounded == 0 and share > 0:
        return "less than 1 %"
    if rounded == 100 and share < 1:
        return "more than 99 %"
    return f"{rounded} %"


def _number(value: float | str | None) -> str:
    if not isinstance(value, float):
        return str(value)
    return exact(value) if value.is_integer() else readable(value, 4)
