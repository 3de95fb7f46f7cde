"""Conversion of cells to the format of the contract: decimal points, ISO 8601 dates, true and false."""

import re
from collections.abc import Callable, Container, Mapping
from datetime import date, datetime, time
from functools import cache

Canonical = Callable[[str], str]

MAX_CATEGORY_LENGTH = 200
MAX_TEXT_LENGTH = 20_000
"""Maximum number of characters of the contract's types."""

BOOLEANS: Mapping[str, bool] = {
    "true": True, "yes": True, "y": True, "t": True,
    "false": False, "no": False, "n": False, "f": False,
}  # fmt: skip
"""Words for true and false, in lower case; cells are compared without regard to case."""

BOOLEAN_PAIRS = tuple(frozenset(pair) for pair in (("true", "false"), ("yes", "no"), ("y", "n"), ("t", "f")))

EXPONENT = r"(?:[eE][+-]?\d+)?"
PLAIN_NUMBER = {
    mark: re.compile(rf"[+-]?(?:\d+(?:{escaped}\d*)?|{escaped}\d+){EXPONENT}", re.ASCII)
    for mark, escaped in ((".", r"\."), (",", ","))
}
"""Numbers without thousands separators, by the decimal mark of the table."""

GROUPED_NUMBER = {
    ".": re.compile(r"[+-]?\d{1,3}(?:[,' \u00a0\u202f\u2019]\d{3})+(?:\.\d*)?", re.ASCII),
    ",": re.compile(r"[+-]?\d{1,3}(?:[.' \u00a0\u202f\u2019]\d{3})+(?:,\d*)?", re.ASCII),
}
"""Numbers with thousands separators, by the decimal mark of the table."""

UNGROUP: Mapping[str, dict[int, int | None]] = {
    ".": str.maketrans("", "", ",' \u00a0\u202f\u2019"),
    ",": str.maketrans(",", ".", ".' \u00a0\u202f\u2019"),
}
"""Translations that remove the thousands separators of a number and make a point its decimal mark."""

CURRENCIES = "$€£¥"
UNITS = CURRENCIES + "%"
"""Symbols allowed after a number; currency symbols are allowed before it as well."""


def cleaned(cell: str) -> str:
    """Return a cell without blanks around it."""
    return cell.strip()


def without_unit(cell: str) -> tuple[str, str]:
    """Separate a number and the symbol of its unit: `-$5` gives `-5` and `$`."""
    sign = "-" if cell.startswith("-") else ""
    rest = cell.removeprefix("-")
    if rest and rest[0] in CURRENCIES:
        return sign + rest[1:].lstrip(), rest[0]
    if rest and rest[-1] in UNITS:
        return sign + rest[:-1].rstrip(), rest[-1]
    return cell, ""


def number(cell: str, decimal: str) -> str | None:
    """Return the number in a cell with a decimal point and without separators, or None if the cell is not a number.

    A symbol of a currency or a percent sign is removed: `12 %` gives `12`.
    """
    plain = _plain_number(cell, decimal)
    if plain is not None:
        return plain
    bare, unit = without_unit(cell)
    return _plain_number(bare, decimal) if unit else None


def _plain_number(cell: str, decimal: str) -> str | None:
    if PLAIN_NUMBER[decimal].fullmatch(cell):
        return cell if decimal == "." else cell.replace(",", ".")
    if GROUPED_NUMBER[decimal].fullmatch(cell):
        return cell.translate(UNGROUP[decimal])
    return None


MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")

DIRECTIVES = {
    "%Y": r"(?P<year>\d{4})",
    "%y": r"(?P<short_year>\d{2})",
    "%m": r"(?P<month>\d{1,2})",
    "%b": rf"(?P<month_name>{'|'.join(MONTHS)})",
    "%d": r"(?P<day>\d{1,2})",
    "%H": r"(?P<hour>\d{1,2})",
    "%I": r"(?P<hour>\d{1,2})",
    "%M": r"(?P<minute>\d{2})",
    "%S": r"(?P<second>\d{2})",
    "%p": r"(?P<am_pm>[ap]m)",
}
"""Regular expressions for strftime directives. Names of months are English in every locale."""

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
def iso_reader(kind: str, date_format: str | None) -> Callable[[str], str | None]:
    """Return a function that converts a cell to ISO 8601, or returns None if it does not match the format.

    Args:
        kind: date, datetime or time.
        date_format: strftime format of the cells, or None for ISO 8601.
    """
    return _iso_reader(kind) if date_format is None else _format_reader(kind, date_format)


def _iso_reader(kind: str) -> Callable[[str], str | None]:
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


def _format_reader(kind: str, date_format: str) -> Callable[[str], str | None]:
    parts = re.split(r"(%[A-Za-z])", date_format)
    pattern = re.compile("".join(DIRECTIVES.get(part) or re.escape(part) for part in parts), re.ASCII | re.IGNORECASE)
    isoformat = {"date": _date, "datetime": _datetime, "time": _time}[kind]

    def read(cell: str) -> str | None:
        match = pattern.fullmatch(cell)
        try:
            return isoformat(match.groupdict()) if match else None
        except ValueError:
            return None

    return read


def _date(parts: Mapping[str, str]) -> str:
    month = MONTHS.index(parts["month_name"].lower()) + 1 if "month_name" in parts else int(parts["month"])
    return date(_year(parts), month, int(parts["day"])).isoformat()


def _year(parts: Mapping[str, str]) -> int:
    if "year" in parts:
        return int(parts["year"])
    # POSIX defines for strptime that 69 to 99 mean 1969 to 1999.
    short_year = int(parts["short_year"])
    return short_year + (1900 if short_year >= 69 else 2000)


def _time(parts: Mapping[str, str]) -> str:
    hour = int(parts["hour"])
    if "am_pm" in parts:
        if not 1 <= hour <= 12:
            raise ValueError(f"{hour} is not an hour of the 12-hour clock")
        hour = hour % 12 + (12 if parts["am_pm"].lower() == "pm" else 0)
    return time(hour, int(parts["minute"]), int(parts.get("second", 0))).isoformat()


def _datetime(parts: Mapping[str, str]) -> str:
    return f"{_date(parts)}T{_time(parts)}"


def cell_reader(
    kind: str,
    decimal: str,
    date_format: str | None,
    missing: Container[str],
    words: tuple[str, str] = ("true", "false"),
) -> Callable[[str], str]:
    """Return a function that cleans a cell and converts it to the contract's format; "" for a missing value.

    Args:
        kind: as for `canonicalizer`.
        decimal: as for `canonicalizer`.
        date_format: as for `canonicalizer`.
        missing: cells that mean a missing value.
        words: as for `canonicalizer`.
    """
    canonical = canonicalizer(kind, decimal, date_format, words)

    def read(cell: str) -> str:
        text = cleaned(cell)
        return "" if text in missing else canonical(text)

    return read


def canonicalizer(
    kind: str, decimal: str, date_format: str | None, words: tuple[str, str] = ("true", "false")
) -> Canonical:
    """Return a function that converts a cell to the contract's format, and returns an invalid cell unchanged.

    Args:
        kind: kind of the field: number, integer, boolean, choice, category, text, date, datetime or time.
        decimal: decimal mark of the table, a point or a comma.
        date_format: strftime format of the column's dates, or None for ISO 8601.
        words: words of the column for true and false, beside the common ones.
    """
    match kind:
        case "number" | "integer":
            return _canonical_number(decimal)
        case "boolean":
            return _canonical_boolean(words)
        case "category":
            return lambda cell: cell[:MAX_CATEGORY_LENGTH]
        case "text":
            return lambda cell: cell[:MAX_TEXT_LENGTH]
        case "date" | "datetime" | "time" if date_format is not None:
            read = iso_reader(kind, date_format)
            return lambda cell: read(cell) or cell
        case _:
            return str


def _canonical_number(decimal: str) -> Canonical:
    def canonical(cell: str) -> str:
        # A fast path for the most frequent cells.
        if cell.isdigit():
            return cell
        return number(cell, decimal) or cell

    return canonical


def _canonical_boolean(words: tuple[str, str]) -> Canonical:
    known = {word: str(value).lower() for word, value in BOOLEANS.items()} | {"1": "true", "0": "false"}
    known |= zip(map(str.casefold, words), ("true", "false"), strict=True)
    return lambda cell: known.get(cell.casefold(), cell)
