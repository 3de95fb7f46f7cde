"""Reading of dates and times in the forms in which databases, programs and people write them.

The order of day, month and year is the property of a column; the time after a date, its fraction and its offset from
UTC may differ from cell to cell.
"""

import re
from collections.abc import Callable, Mapping
from datetime import date, datetime, time
from enum import StrEnum
from functools import cache, lru_cache

from mlops_runtime.tables.date_words import MAX_DATE_LENGTH, has_month, in_ascii, in_english

Reader = Callable[[str], str | None]
"""Function from a cell to ISO 8601, or to None if the cell is no date or time."""


class Order(StrEnum):
    """Order of the parts of a date."""

    YEAR_FIRST = "%Y-%m-%d"
    MONTH_NAME = "%d %b %Y"
    DAY_FIRST = "%d/%m/%Y"
    MONTH_FIRST = "%m/%d/%Y"
    YEAR_MONTH = "%Y-%m"
    TIME = "%H:%M"


MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")

ZONES: Mapping[str, str] = {
    "EST": "-05:00", "EDT": "-04:00", "CST": "-06:00", "CDT": "-05:00", "MST": "-07:00", "MDT": "-06:00",
    "PST": "-08:00", "PDT": "-07:00", "AKST": "-09:00", "AKDT": "-08:00", "HST": "-10:00",
    "WET": "+00:00", "WEST": "+01:00", "CET": "+01:00", "CEST": "+02:00", "EET": "+02:00", "EEST": "+03:00",
    "MSK": "+03:00", "SGT": "+08:00", "HKT": "+08:00", "JST": "+09:00", "KST": "+09:00", "AEST": "+10:00",
    "AEDT": "+11:00", "NZST": "+12:00", "NZDT": "+13:00",
}  # fmt: skip
"""Offsets of the abbreviations of time zones that mean one zone alone, and of those of RFC 2822."""

HALF = r"[ap]\.?\s?m"


def clock(mark: str, end: str = "") -> str:
    """Return the pattern of a time of day; the last parts may be missing.

    Args:
        mark: pattern of the mark between its parts.
        end: pattern that follows an hour without minutes.
    """
    return (
        rf"(?P<hour>\d{{1,2}})(?={mark}|\s?{HALF}{end})"
        rf"(?:(?P<colon>{mark})(?P<minute>\d\d)(?:(?P=colon)(?P<second>\d\d)(?:[.,](?P<fraction>\d{{1,9}}))?)?)?"
        rf"(?:\s?(?P<half>{HALF}\.?))?"
    )


CLOCK = clock(":")
BASIC_CLOCK = r"(?P<hour>\d\d)(?P<minute>\d\d)(?:(?P<second>\d\d)(?:[.,](?P<fraction>\d{1,9}))?)?"
OFFSET = (
    rf"(?:\s?(?P<offset>(?:UTC|GMT)[+-]\d{{1,2}}(?::?\d\d)?|[+-]\d\d(?::?\d\d)?|Z|UTC|UT|GMT|{'|'.join(ZONES)})"
    r"(?P<comment>\s?\([^()]*\)|\[[\w/+-]+\])?|\s(?P<zone>[A-Z]+/\w+(?:/\w+)?))?"
)
AFTER_DATE = rf"\.?(?:(?:T|,?\s+|,|:)(?:(?:klo|kl\.?|um|at)\s)?{clock('[:.]', '|Z?$')}(?:\s?uhr)?{OFFSET})?"
WEEKDAY = r"(?:(?P<weekday>(?:mon|tues?|wed(?:nes)?|thu(?:rs)?|fri|sat(?:ur)?|sun)(?:day)?)\.?,?\s+)?"
NAME = rf"(?P<name>{'|'.join(MONTHS)})\.?"
YEAR = r"(?P<year>\d{4}|\d\d)"
DAY = r"(?P<day>\d{1,2})(?P<ordinal>st|nd|rd|th|er)?"

PATTERNS: Mapping[Order, tuple[str, ...]] = {
    Order.YEAR_FIRST: (
        rf"(?P<year>\d{{4}})(?P<mark>[-/_]|\.\s?)(?P<month>\d{{1,2}})(?P=mark)(?P<day>\d{{1,2}}){AFTER_DATE}",
        rf"(?P<year>\d{{4}})(?P<month>\d\d)(?P<day>\d\d){AFTER_DATE}",
        rf"(?P<year>\d{{4}})(?P<month>\d\d)(?P<day>\d\d)[T ]?{BASIC_CLOCK}{OFFSET}",
        r"(?P<year>\d{4})(?P<month>\d\d)(?P<day>\d\d)(?P<hour>\d\d)(?P<minute>\d\d)(?P<second>\d\d)"
        r"(?P<fraction>\d{3})",
        r"(?P<year>\d{4})[-_](?P<month>\d\d)[-_](?P<day>\d\d)[_T ](?P<hour>\d\d)[-_](?P<minute>\d\d)"
        r"[-_](?P<second>\d\d)",
    ),
    Order.MONTH_NAME: (
        rf"{WEEKDAY}{DAY}[\s/.-]*{NAME}[\s,/-]*{YEAR}{AFTER_DATE}",
        rf"{WEEKDAY}{NAME}[\s/-]*{DAY}(?:,\s*|[\s/-]+){YEAR}{AFTER_DATE}",
        rf"{WEEKDAY}{NAME}\s+{DAY},?\s+{CLOCK}{OFFSET}\s+(?P<year>\d{{4}})",
        rf"(?P<year>\d{{4}})[\s/-]?{NAME}[\s/-]?{DAY}{AFTER_DATE}",
        rf"{NAME}[\s,/-]*(?P<year>\d{{4}})",
    ),
    Order.DAY_FIRST: (
        rf"{WEEKDAY}(?P<day>\d{{1,2}})(?P<mark>[-/]|\.\s?)(?P<month>\d{{1,2}})(?P=mark){YEAR}{AFTER_DATE}",
    ),
    Order.MONTH_FIRST: (rf"{WEEKDAY}(?P<month>\d{{1,2}})(?P<mark>[-/])(?P<day>\d{{1,2}})(?P=mark){YEAR}{AFTER_DATE}",),
    Order.YEAR_MONTH: (
        r"(?P<year>\d{4})[-/](?P<month>\d\d)",
        r"(?P<month>\d\d)[-/](?P<year>\d{4})",
        r"(?P<year>\d{4})[-\s]?Q(?P<quarter>\d)",
        r"Q(?P<quarter>\d)[-\s/]?(?P<year>\d{4})",
    ),
    Order.TIME: (CLOCK, r"(?P<hour>\d\d)\.(?P<minute>\d\d)\.(?P<second>\d\d)"),
}

ISO_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
ISO_DATETIME = re.compile(
    r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?(?:Z|[+-]\d\d:\d\d)?",
    re.ASCII,
)
ISO_TIME = re.compile(r"\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?", re.ASCII)
"""Forms of the contract, which need no conversion."""

TO_ZEROS = str.maketrans("123456789", "0" * 9)
MAX_SHAPES = 4096
"""Translation of a cell to its shape, and maximum number of shapes to remember."""

LENGTH_OF_DATE = len("2020-12-31")
MIDNIGHT = re.compile(r"[T ]00:00(?::00(?:\.0+)?)?")


@cache
def parser(order: Order) -> Reader:
    """Return a function that reads a date, a date and time, or a time of day, in ISO 8601."""
    patterns = _patterns(order)

    def parse(cell: str) -> str | None:
        if not _may_be_date(cell.translate(TO_ZEROS), order):
            return None
        text = _normalized(cell, order)
        try:
            for pattern in patterns:
                if match := pattern.fullmatch(text):
                    return _iso(match.groupdict())
        except ValueError:
            return None
        return None

    def parse_year_first(cell: str) -> str | None:
        # A fast path for the most frequent forms.
        try:
            if ISO_DATE.fullmatch(cell):
                date.fromisoformat(cell)
                return cell
            if ISO_DATETIME.fullmatch(cell):
                datetime.fromisoformat(cell)
                return cell
        except ValueError:
            return None
        return parse(cell)

    def parse_time(cell: str) -> str | None:
        if ISO_TIME.fullmatch(cell):
            try:
                time.fromisoformat(cell)
            except ValueError:
                return None
            return cell
        return parse(cell)

    return {Order.YEAR_FIRST: parse_year_first, Order.TIME: parse_time}.get(order, parse)


@lru_cache(maxsize=MAX_SHAPES)
def _may_be_date(shape: str, order: Order) -> bool:
    """Return whether cells with this shape, in which each digit is 0, may be dates in this order."""
    if len(shape) > MAX_DATE_LENGTH or "0" not in shape:
        return False
    text = _normalized(shape, order)
    return any(pattern.fullmatch(text) for pattern in _patterns(order))


def _normalized(cell: str, order: Order) -> str:
    """Return a cell with the words of dates in English, or an empty text if it is no date in this order."""
    text = cell if cell.isascii() else in_ascii(cell)
    if text.startswith("[") and text.endswith("]"):
        text = text[1:-1]
    if order is Order.MONTH_NAME:
        return in_english(text) if has_month(text) else ""
    return text


@cache
def _patterns(order: Order) -> tuple[re.Pattern[str], ...]:
    return tuple(re.compile(pattern, re.ASCII | re.IGNORECASE) for pattern in PATTERNS[order])


def _iso(parts: Mapping[str, str | None]) -> str:
    """Return the parts of a date or time as ISO 8601.

    Raises:
        ValueError: if there is no such date or time.
    """
    if not parts.get("year"):
        return _clock(parts)
    if name := parts.get("name"):
        month = MONTHS.index(name[:3].lower()) + 1
    elif quarter := parts.get("quarter"):
        # There is no fifth quarter: date() refuses its month.
        month = 3 * int(quarter) - 2
    else:
        month = int(parts["month"] or 0)
    day = date(_year(parts["year"] or ""), month, int(parts.get("day") or 1)).isoformat()
    return f"{day}T{_clock(parts)}{_offset(parts.get('offset'))}" if parts.get("hour") else day


def _year(digits: str) -> int:
    if len(digits) > 2:
        return int(digits)
    # POSIX defines for strptime that 69 to 99 mean 1969 to 1999.
    return int(digits) + (1900 if int(digits) >= 69 else 2000)


def _clock(parts: Mapping[str, str | None]) -> str:
    hour = int(parts["hour"] or 0)
    if half := parts.get("half"):
        if not 1 <= hour <= 12:
            raise ValueError(f"{hour} is not an hour of the 12-hour clock")
        hour = hour % 12 + (12 if half[0] in "pP" else 0)
    text = time(hour, int(parts["minute"] or 0), int(parts["second"] or 0)).isoformat()
    return f"{text}.{fraction}" if (fraction := parts.get("fraction")) else text


def _offset(text: str | None) -> str:
    if text is None:
        return ""
    if text.upper() in ZONES:
        return ZONES[text.upper()]
    digits = re.sub(r"\D", "", text)
    if not digits:
        return "Z"
    hours, minutes = digits[:2].zfill(2), digits[2:] or "00"
    if int(hours) > 23 or int(minutes) > 59:
        raise ValueError(f"{text} is not an offset")
    return f"{'-' if '-' in text else '+'}{hours}:{minutes}"


@cache
def date_reader(kind: str, date_format: str | None) -> Reader:
    """Return a function that converts a cell to ISO 8601, or returns None if it is no date or time in this order.

    A date in a column of date-times means midnight.

    Args:
        kind: date, datetime or time.
        date_format: strftime format that shows the order of day, month and year, or None for ISO 8601.

    Raises:
        ValueError: if the format has no order that is supported.
    """
    parse = parser(order_of(kind, date_format))
    if kind == "time":
        return parse

    def read(cell: str) -> str | None:
        text = parse(cell)
        if text is None or (len(text) > LENGTH_OF_DATE) is (kind == "datetime"):
            return text
        if kind == "datetime":
            return f"{text}T00:00:00"
        return text[:LENGTH_OF_DATE] if MIDNIGHT.fullmatch(text[LENGTH_OF_DATE:]) else None

    return read


def order_of(kind: str, date_format: str | None) -> Order:
    """Return the order of the parts of a date.

    Raises:
        ValueError: if the format has no order that is supported.
    """
    if kind == "time":
        return Order.TIME
    parts = "".join(re.findall(r"%([YymdbB])", date_format or Order.YEAR_FIRST)).lower()
    if "b" in parts:
        return Order.MONTH_NAME
    orders = {
        "ymd": Order.YEAR_FIRST, "dmy": Order.DAY_FIRST, "mdy": Order.MONTH_FIRST,
        "ym": Order.YEAR_MONTH, "my": Order.YEAR_MONTH,
    }  # fmt: skip
    if parts not in orders:
        raise ValueError(
            f"DateFormat({date_format!r}) names no order of day, month and year: write one such as %d/%m/%Y"
        )
    return orders[parts]


def form_of(cell: str, order: Order) -> str | None:
    """Return the strftime format of a date or time; None for a form of ISO 8601 that needs no conversion."""
    if any(pattern.fullmatch(cell) for pattern in (ISO_DATE, ISO_DATETIME, ISO_TIME)):
        return None
    text = _normalized(cell, order)
    match = next(filter(None, (pattern.fullmatch(text) for pattern in _patterns(order))), None)
    if match is None:
        return None
    if match.groupdict().get("quarter"):
        return order.value
    spans = {match.span(group): _directive(group, part) for group, part in match.groupdict().items() if part}
    for (start, end), directive in sorted(spans.items(), reverse=True):
        text = text[:start] + directive + text[end:]
    form = " ".join(text.split())
    return form.replace("%H", "%I") if "%p" in form else form


def _directive(group: str, part: str) -> str:
    match group:
        case "year":
            return "%Y" if len(part) > 2 else "%y"
        case "name":
            return "%b"
        case "weekday":
            return "%A" if len(part) > len("thurs") else "%a"
        case "hour":
            return "%H"
        case "offset":
            return "%z" if "+" in part or "-" in part else part
        case "ordinal" | "comment" | "zone":
            return ""
        case _:
            return {
                "month": "%m", "day": "%d", "minute": "%M", "second": "%S", "fraction": "%f", "half": "%p",
            }.get(group, part)  # fmt: skip
