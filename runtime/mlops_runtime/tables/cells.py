"""Cells as the contract takes them: decimal points, ISO dates, true and false."""

import re
from collections.abc import Callable, Mapping
from datetime import date, datetime, time
from functools import cache

Canonical = Callable[[str], str]

MAX_CATEGORY_LENGTH = 200
MAX_TEXT_LENGTH = 20_000
"""Most characters, as the contract's types have it."""

FLAGS: Mapping[str, bool] = {
    "true": True, "yes": True, "y": True, "t": True,
    "false": False, "no": False, "n": False, "f": False,
}  # fmt: skip
"""What stands for true and false, in any case."""

FLAG_PAIRS = tuple(frozenset(pair) for pair in (("true", "false"), ("yes", "no"), ("y", "n"), ("t", "f")))

EXPONENT = r"(?:[eE][+-]?\d+)?"
PLAIN = {
    mark: re.compile(rf"[+-]?(?:\d+(?:{escaped}\d*)?|{escaped}\d+){EXPONENT}", re.ASCII)
    for mark, escaped in ((".", r"\."), (",", ","))
}
GROUPED = {
    ".": re.compile(r"[+-]?\d{1,3}(?:[,' \u00a0\u202f\u2019]\d{3})+(?:\.\d*)?", re.ASCII),
    ",": re.compile(r"[+-]?\d{1,3}(?:[.' \u00a0\u202f\u2019]\d{3})+(?:,\d*)?", re.ASCII),
}
"""Numbers with their thousands set apart, by the decimal mark of the table."""

SEPARATORS: Mapping[str, dict[int, int | None]] = {
    ".": str.maketrans("", "", ",' \u00a0\u202f\u2019"),
    ",": str.maketrans(",", ".", ".' \u00a0\u202f\u2019"),
}


CURRENCIES = "$€£¥"
UNITS = CURRENCIES + "%"
"""Signs that may stand beside a number; those of a currency before it as well."""


def without_unit(cell: str) -> tuple[str, str]:
    """Return a cell without the sign of a unit beside its number, and that sign: `-$5` is `-5` in `$`."""
    sign = "-" if cell.startswith("-") else ""
    rest = cell.removeprefix("-")
    if rest and rest[0] in CURRENCIES:
        return sign + rest[1:].lstrip(), rest[0]
    if rest and rest[-1] in UNITS:
        return sign + rest[:-1].rstrip(), rest[-1]
    return cell, ""


def number(cell: str, decimal: str) -> str | None:
    """Return the number in a cell as a program writes it, or None if there is none.

    The sign of a currency or of percent beside it is left out: `12 %` is 12.
    """
    found = _number(cell, decimal)
    if found is not None:
        return found
    bare, unit = without_unit(cell)
    return _number(bare, decimal) if unit else None


def _number(cell: str, decimal: str) -> str | None:
    if PLAIN[decimal].fullmatch(cell):
        return cell if decimal == "." else cell.replace(",", ".")
    if GROUPED[decimal].fullmatch(cell):
        return cell.translate(SEPARATORS[decimal])
    return None


MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")

CODES = {
    "%Y": r"(?P<year>\d{4})",
    "%y": r"(?P<short>\d{2})",
    "%m": r"(?P<month>\d{1,2})",
    "%b": rf"(?P<name>{'|'.join(MONTHS)})",
    "%d": r"(?P<day>\d{1,2})",
    "%H": r"(?P<hour>\d{1,2})",
    "%I": r"(?P<hour>\d{1,2})",
    "%M": r"(?P<minute>\d{2})",
    "%S": r"(?P<second>\d{2})",
    "%p": r"(?P<half>[ap]m)",
}
"""Codes of strftime, and what they match. Names of months are English whatever the machine speaks."""

DATE_FORMATS = (
    "%d/%m/%Y", "%m/%d/%Y", "%d.%m.%Y", "%d-%m-%Y", "%m-%d-%Y", "%Y/%m/%d", "%Y.%m.%d", "%Y-%m-%d",
    "%d %b %Y", "%d-%b-%Y", "%b %d, %Y",
    "%d/%m/%y", "%m/%d/%y", "%d.%m.%y", "%d-%b-%y",
)  # fmt: skip
TIME_FORMATS = ("%H:%M:%S", "%H:%M", "%I:%M:%S %p", "%I:%M %p")

ISO_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
ISO_DATETIME = re.compile(
    r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d(?:\.\d{1,6})?)?(?:Z|[+-]\d\d:\d\d)?",
    re.ASCII,
)
ISO_TIME = re.compile(r"\d\d:\d\d(?::\d\d(?:\.\d{1,6})?)?", re.ASCII)


@cache
def iso_reader(kind: str, written: str | None) -> Callable[[str], str | None]:
    """Return a function that gives a date, datetime or time in ISO 8601, or None for a cell that is none.

    Args:
        kind: date, datetime or time.
        written: its format in the codes of strftime, or None for ISO 8601.
    """
    return _iso(kind) if written is None else _written(kind, written)


def _iso(kind: str) -> Callable[[str], str | None]:
    pattern, parse = {
        "date": (ISO_DATE, date.fromisoformat),
        "datetime": (ISO_DATETIME, datetime.fromisoformat),
        "time": (ISO_TIME, time.fromisoformat),
    }[kind]

    def read(cell: str) -> str | None:
        if not pattern.fullmatch(cell):
            return None
        try:
            parse(cell)
        except ValueError:
            return None
        return cell

    return read


def _written(kind: str, written: str) -> Callable[[str], str | None]:
    parts = re.split(r"(%[A-Za-z])", written)
    pattern = re.compile("".join(CODES.get(part) or re.escape(part) for part in parts), re.ASCII | re.IGNORECASE)
    make = {"date": _date, "datetime": _datetime, "time": _time}[kind]

    def read(cell: str) -> str | None:
        found = pattern.fullmatch(cell)
        try:
            return make(found.groupdict()) if found else None
        except ValueError:
            return None

    return read


def _date(parts: Mapping[str, str]) -> str:
    month = MONTHS.index(parts["name"].lower()) + 1 if "name" in parts else int(parts["month"])
    return date(_year(parts), month, int(parts["day"])).isoformat()


def _year(parts: Mapping[str, str]) -> int:
    if "year" in parts:
        return int(parts["year"])
    # As POSIX has it for strptime: 69 to 99 are of the last century.
    short = int(parts["short"])
    return short + (1900 if short >= 69 else 2000)


def _time(parts: Mapping[str, str]) -> str:
    hour = int(parts["hour"])
    if "half" in parts:
        if not 1 <= hour <= 12:
            raise ValueError(f"{hour} is no hour of half a day")
        hour = hour % 12 + (12 if parts["half"].lower() == "pm" else 0)
    return time(hour, int(parts["minute"]), int(parts.get("second", 0))).isoformat()


def _datetime(parts: Mapping[str, str]) -> str:
    return f"{_date(parts)}T{_time(parts)}"


def canonicalizer(kind: str, decimal: str, written: str | None) -> Canonical:
    """Return a function that gives a cell as the contract takes it, or as it is where it does not fit.

    Args:
        kind: of the field: number, whole, flag, choice, category, text, date, datetime or time.
        decimal: mark of the table's numbers, a point or a comma.
        written: format of the table's dates in the codes of strftime, or None for ISO 8601.
    """
    match kind:
        case "number" | "integer":
            return _canonical_number(decimal)
        case "boolean":
            return _canonical_flag
        case "category":
            return lambda cell: cell[:MAX_CATEGORY_LENGTH]
        case "text":
            return lambda cell: cell[:MAX_TEXT_LENGTH]
        case "date" | "datetime" | "time" if written is not None:
            read = iso_reader(kind, written)
            return lambda cell: read(cell) or cell
        case _:
            return str


def _canonical_number(decimal: str) -> Canonical:
    def canonical(cell: str) -> str:
        # Most numbers are plain, and this is asked of every cell.
        if cell.isdigit():
            return cell
        return number(cell, decimal) or cell

    return canonical


def _canonical_flag(cell: str) -> str:
    value = FLAGS.get(cell.lower())
    return cell if value is None else str(value).lower()


def canonical(cell: str, kind: str, decimal: str = ".", written: str | None = None) -> str:
    """Return a cell as the contract takes it, as `canonicalizer` says."""
    return canonicalizer(kind, decimal, written)(cell)
