"""Conversion of cells to the format of the contract: decimal points, ISO 8601, true and false."""

import math
import re
import unicodedata
from collections.abc import Callable, Container, Mapping, Sequence

from mlops_runtime.tables.dates import date_reader

Canonical = Callable[[str], str]
"""Function that converts a cell to the contract's format."""

MIN_SHARE = 0.9
"""Minimum share of numbers, or of dates, in a column of them. The other cells are odd and count as missing."""

MAX_CATEGORY_LENGTH = 200
MAX_TEXT_LENGTH = 20_000
"""Maximum number of characters of the contract's types."""

MAX_FINITE_DIGITS = 300
"""Number of digits above which an integer may be no finite float."""

BOOLEANS: Mapping[str, bool] = {
    "true": True, "yes": True, "y": True, "t": True, "on": True,
    "false": False, "no": False, "n": False, "f": False, "off": False,
}  # fmt: skip
"""Words for true and false, in lower case; cells are compared without regard to case."""

TRUTH_WORDS = ("true", "false")

BOOLEAN_PAIRS = tuple(frozenset(pair) for pair in (("true", "false"), ("yes", "no"), ("y", "n"), ("t", "f")))

EXPONENT = r"(?:[eE][+-]?\d+)?"
PLAIN_NUMBER = {
    mark: re.compile(rf"[+-]?(?:\d+(?:{escaped}\d*)?|{escaped}\d+){EXPONENT}", re.ASCII)
    for mark, escaped in ((".", r"\."), (",", ","))
}
"""Numbers without thousands separators, by the decimal mark of the table."""

GROUPED_NUMBER = {
    ".": re.compile(r"[+-]?[1-9](?:\d{0,2}(?:[,' \u00a0\u202f\u2019]\d{3})+|\d?(?:,\d\d)+,\d{3})(?:\.\d*)?", re.ASCII),
    ",": re.compile(r"[+-]?[1-9]\d{0,2}(?:[.' \u00a0\u202f\u2019]\d{3})+(?:,\d*)?", re.ASCII),
}
"""Numbers with thousands separators, by the decimal mark of the table; in India, with groups of two digits."""

UNGROUP: Mapping[str, dict[int, int | None]] = {
    ".": str.maketrans("", "", ",' \u00a0\u202f\u2019"),
    ",": str.maketrans(",", ".", ".' \u00a0\u202f\u2019"),
}
"""Translations that remove the thousands separators of a number and make a point its decimal mark."""

CURRENCY = (
    r"(?:(?:US|CA|AU|NZ|HK|NT|MX|R|A|C|S)?\$|[£¥¢฿元円원\u20a0-\u20cf]|kr\.?|zł|Kč|Ft|lei|лв\.?"
    r"|руб\.?|Rs\.?|Rp\.?|RM|Fr\.?"  # noqa: RUF001 - Cyrillic letters
    r"|AED|ARS|AUD|BGN|BRL|CAD|CHF|CLP|CNY|COP|CZK|DKK|EGP|EUR|GBP|HKD|HUF|IDR|ILS|INR|ISK|JPY|KES|KRW|KZT|MAD|MXN|MYR"
    r"|NGN|NOK|NZD|PEN|PHP|PKR|PLN|RON|RSD|RUB|SAR|SEK|SGD|THB|TRY|TWD|UAH|USD|VND|ZAR)"
)
AMOUNT = re.compile(
    rf"(?P<open>\()?(?P<sign>[+\u2212-])?(?P<before>{CURRENCY})?[ \u00a0\u202f]?(?P<inner>\()?"
    rf"(?P<sign_after>[+\u2212-])?"
    rf"(?P<digits>[\d.,](?:[\d.,' \u00a0\u202f\u2019]*[\d.,])?(?:[eE][+-]?\d+)?)"
    rf"[ \u00a0\u202f]?(?P<after>{CURRENCY}|%)?(?P<minus>-)?(?P<close>\))?",
    re.ASCII,
)
"""Numbers with the symbol of a currency or a percent sign, and numbers with a minus that is no hyphen, follows the
digits, or is written as brackets: `(1,200.00)` in accounts."""


INVISIBLE = re.compile(
    "[\u00ad\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u2064\u2066-\u2069\ufeff]"
    "|(?<![^\\x00-\\x7f])[\u200c\u200d]|[\u200c\u200d](?![^\\x00-\\x7f])"
)
"""Characters without a width. Joiners are left between letters of other scripts and in emoji, where they matter."""

FORMULA = '="'
FORMULA_QUOTES = 2
"""Start of a text as a formula, and the number of its quotation marks."""

BLANKS = re.compile(r"[^\S\r\n]{2,}|[^\S\r\n ]")
"""Blanks within a line other than a single space."""


def cleaned(cell: str) -> str:
    """Return a cell without blanks around it and invisible characters in it, with single spaces between words.

    A text that is written as a formula, so that a spreadsheet program keeps its zeros, is unwrapped: `="007"`.
    """
    text = cell.strip()
    if text.startswith(FORMULA) and text.endswith('"') and text.count('"') == FORMULA_QUOTES:
        text = text[len(FORMULA) : -1].strip()
    if text.isascii():
        return BLANKS.sub(" ", text) if "  " in text or "\t" in text else text
    visible = INVISIBLE.sub("", unicodedata.normalize("NFC", text))
    return BLANKS.sub(" ", visible).strip()


def all_cleaned(cells: Sequence[str]) -> list[str]:
    """Return the cells of a column, each cleaned."""
    joined = "\n".join(cells)
    # A fast path: most columns have no blanks or characters that need cleaning.
    plain = joined.isascii() and "  " not in joined and "\t" not in joined and FORMULA not in joined
    return list(map(str.strip if plain else cleaned, cells))


def without_unit(cell: str) -> tuple[str, str]:
    """Separate a number and its unit: `$(5)` gives `-5` and `$`. A cell of another form is returned unchanged."""
    match = AMOUNT.fullmatch(cell)
    if match is None:
        return cell, ""
    before, after, digits = match["before"], match["after"], match["digits"]
    signs = [sign for sign in (match["sign"], match["sign_after"], match["minus"]) if sign]
    brackets = [bracket for bracket in (match["open"], match["inner"]) if bracket]
    if (before and after) or len(brackets) != bool(match["close"]) or len(signs) + len(brackets) > 1:
        return cell, ""
    return ("" if not brackets and signs in ([], ["+"]) else "-") + digits, before or after or ""


def number(cell: str, decimal: str) -> str | None:
    """Return the number in a cell with a decimal point and without separators, or None if the cell is not a number.

    A symbol of a currency or a percent sign is removed: `12 %` gives `12`. `(12)` and `12-` give `-12`.
    """
    plain = _plain_number(cell, decimal)
    if plain is not None:
        return plain
    bare, _ = without_unit(cell)
    return _plain_number(bare, decimal) if bare != cell else None


def _plain_number(cell: str, decimal: str) -> str | None:
    if PLAIN_NUMBER[decimal].fullmatch(cell):
        return cell if decimal == "." else cell.replace(",", ".")
    if GROUPED_NUMBER[decimal].fullmatch(cell):
        return cell.translate(UNGROUP[decimal])
    return None


Reader = Callable[[str], str | None]
"""Function that converts a cell to the contract's format; "" for a missing value, None for an odd cell."""


def value_reader(
    kind: str, decimal: str, date_format: str | None, missing: Container[str], words: tuple[str, str] = TRUTH_WORDS
) -> Reader:
    """Return a function that cleans a cell and converts it to the contract's format.

    It returns "" for a missing value, and None for an odd cell: one that is no number, date or time in a column of
    these. Cells of other kinds are returned even if the contract does not allow them.

    Args:
        kind: kind of the field: number, integer, boolean, choice, category, text, date, datetime or time.
        decimal: decimal mark of the table, a point or a comma.
        date_format: strftime format that shows the order of the dates' parts, or None for ISO 8601.
        missing: cells that mean a missing value.
        words: words of the column for true and false, beside the common ones.
    """
    convert = _converter(kind, decimal, date_format, words)

    def read(cell: str) -> str | None:
        text = cleaned(cell)
        return "" if text in missing else convert(text)

    return read


def cell_reader(
    kind: str, decimal: str, date_format: str | None, missing: Container[str], words: tuple[str, str] = TRUTH_WORDS
) -> Canonical:
    """Return a function like that of `value_reader`, which returns an odd cell as it is."""
    read = value_reader(kind, decimal, date_format, missing, words)

    def read_any(cell: str) -> str:
        text = read(cell)
        return cleaned(cell) if text is None else text

    return read_any


def canonicalizer(kind: str, decimal: str, date_format: str | None, words: tuple[str, str] = TRUTH_WORDS) -> Canonical:
    """Return a function that converts a cell to the contract's format, and returns an odd cell unchanged.

    The arguments are those of `value_reader`.
    """
    convert = _converter(kind, decimal, date_format, words)
    return lambda cell: convert(cell) or cell


def _converter(kind: str, decimal: str, date_format: str | None, words: tuple[str, str]) -> Reader:
    match kind:
        case "number" | "integer":
            return _number_converter(decimal)
        case "boolean":
            return _canonical_boolean(words)
        case "category":
            return lambda cell: cell[:MAX_CATEGORY_LENGTH]
        case "text":
            return lambda cell: cell[:MAX_TEXT_LENGTH]
        case "date" | "datetime" | "time":
            return date_reader(kind, date_format)
        case _:
            return str


def _number_converter(decimal: str) -> Reader:
    def convert(cell: str) -> str | None:
        # A fast path for the most frequent cells.
        if cell.isdigit() and cell.isascii() and len(cell) < MAX_FINITE_DIGITS:
            return cell
        text = number(cell, decimal)
        return text if text is not None and math.isfinite(float(text)) else None

    return convert


def _canonical_boolean(words: tuple[str, str]) -> Canonical:
    known = {word: str(value).lower() for word, value in BOOLEANS.items()} | {"1": "true", "0": "false"}
    known |= zip(map(str.casefold, words), ("true", "false"), strict=True)
    return lambda cell: known.get(cell.casefold(), cell)
