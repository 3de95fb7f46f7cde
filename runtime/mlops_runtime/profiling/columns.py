"""Inference of the kind of each column of a table, from running statistics of all its cells."""

import math
import re
import zlib
from array import array
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from mlops_runtime.missing import NO_VALUES
from mlops_runtime.profiling.names import words
from mlops_runtime.tables.cells import (
    BOOLEAN_PAIRS,
    DATE_FORMATS,
    MAX_CATEGORY_LENGTH,
    TIME_FORMATS,
    cleaned,
    iso_reader,
    number,
    without_unit,
)

MAX_INTEGER = 2**53
"""Limit of the integers that a float represents exactly."""

MAX_NUMBER = 1e100
"""Limit of the numbers whose square is safely a finite float."""

SKETCH_SIZE = 1024
"""Number of hashes from which the number of distinct values is estimated. The relative error is about 3 %, which is
one over the square root of this number."""

MAX_HASHES = 8 * SKETCH_SIZE
"""Number of hashes in memory at which the sketch is reduced to its smallest hashes."""

MAX_CHOICES = 50
"""Maximum number of values of a choice: a form can't show a longer list."""

MAX_UNSEEN_SHARE = 1 / 1000
"""Maximum estimated share of future values that do not occur in the table, for a column to be a choice."""

MIN_ROWS_PER_CHOICE = 5
"""Minimum number of rows per value of a choice: with fewer rows, that estimate is not reliable."""

MAX_DISTINCT_SHARE = 0.5
"""Maximum share of distinct values of a category. Above it, a string identifies its row, or is text."""

MIN_IDENTIFIER_SHARE = 0.9
"""Minimum share of distinct values for an integer column with a name such as `customer_id` to be an identifier."""

IDENTIFIER_WORDS = frozenset(("id", "ids", "uuid", "guid", "key", "index", "no", "nr", "number"))
"""Last words of the names of identifiers."""

MIN_WORDS_OF_TEXT = 2
"""Minimum mean number of words of a text."""

MIN_LENGTH_OF_TEXT = 40
"""Minimum mean number of characters of a text whose mean number of words is between one and `MIN_WORDS_OF_TEXT`."""

MIN_NUMBER_SHARE = 0.9
"""Minimum share of numbers for an unusable column to be reported as numeric with a few invalid cells."""

MIN_COUNTED_VALUES = 10_000
"""Number of values after which numbers are no longer counted in a column if they are less than half of its values."""

MAX_EXAMPLES = 5
"""Maximum number of most frequent values kept of a column that is not a choice."""

NOT_A_NUMBER = {".": re.compile(r"[^0-9.eE+\-\n]"), ",": re.compile(r"[^0-9,eE+\-\n]")}
LEADING_ZERO = re.compile(r"(?:^|\n)[+-]?0[0-9]")
"""A value with a leading zero, such as 007, is a code and not a number."""


@dataclass(frozen=True, slots=True)
class Format:
    """A format of dates or times: the kind, and the strftime format, or None for ISO 8601."""

    kind: str
    date_format: str | None

    @property
    def year_first(self) -> bool:
        """Whether this is ISO 8601 with optional leading zeros."""
        return (self.date_format or "").startswith("%Y-%m-%d")


FORMATS = (
    Format("date", None),
    Format("datetime", None),
    Format("time", None),
    *(Format("date", day) for day in DATE_FORMATS),
    *(Format("datetime", f"{day} {clock}") for day in DATE_FORMATS for clock in TIME_FORMATS),
    *(Format("time", clock) for clock in TIME_FORMATS),
)
"""Formats in descending order of preference."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column of the contract.

    Attributes:
        name: name in the header.
        kind: kind in the contract: number, integer, boolean, choice, category, text, date, datetime or time.
        rows: number of rows read.
        missing: number of rows without a value.
        distinct: number of distinct values; an estimate if there are many.
        optional: whether the contract allows missing values.
        most_common: most frequent values with their counts, in descending order: all values of a choice, at most
            `MAX_EXAMPLES` of other kinds, none if there are too many distinct values to count.
        low: minimum of the numbers, or earliest date in ISO 8601; None for other kinds.
        high: maximum of the numbers, or latest date.
        quartiles: first and third quartile of the numbers, or None.
        minimum: minimum allowed by the contract, or None.
        maximum: maximum allowed by the contract, or None.
        expected: expected range of the contract, or None.
        date_format: strftime format of the dates, or None for ISO 8601.
        mean_words: mean number of words of a text.
        max_length: number of characters of the longest value.
        missing_words: words that mean a missing value in this column, in addition to those of every column.
        values: words that are values in this column, although they mean a missing value elsewhere.
    """

    name: str
    kind: str
    rows: int
    missing: int
    distinct: int
    optional: bool
    most_common: tuple[tuple[str, int], ...] = ()
    low: float | str | None = None
    high: float | str | None = None
    quartiles: tuple[float, float] | None = None
    minimum: float | None = None
    maximum: float | None = None
    expected: tuple[float, float] | None = None
    date_format: str | None = None
    mean_words: float = 0.0
    max_length: int = 0
    missing_words: tuple[str, ...] = ()
    values: tuple[str, ...] = ()


class Tally:
    """Running statistics of the cells of a column, in bounded memory."""

    def __init__(self, name: str, decimal: str, max_values: int, missing: frozenset[str] = frozenset()) -> None:
        """Start without cells.

        Args:
            name: name of the column.
            decimal: decimal mark of the table.
            max_values: maximum number of distinct values to count; if there are more, their number is estimated.
            missing: cells that mean a missing value, in addition to `NO_VALUES`.
        """
        self.name = name
        self.rows = 0
        self.present = 0
        self.values: Counter[str] | None = Counter()
        self.markers: Counter[str] = Counter()
        self._missing = NO_VALUES | missing
        self.is_number = True
        self.integer_notation = True
        self.integral = True
        self.low = math.inf
        self.high = -math.inf
        self.zeros = 0
        self.numbers = 0
        self.formats: dict[Format, tuple[str, str]] | None = None
        self.equals_row_numbers = [True, True]
        self.max_length = 0
        self._decimal = decimal
        self._max_values = max_values
        self._sketch: array[int] = array("q")
        self._max_hash = 2**63
        self._distinct_seen = 0
        self._characters = 0
        self._spaces = 0

    def add(self, cells: Sequence[str], row_numbers: Sequence[Sequence[str]] = ()) -> None:
        """Add the cells of the next rows.

        Args:
            cells: raw cells.
            row_numbers: numbers of these rows counted from 0, and counted from 1.
        """
        self.rows += len(cells)
        self.equals_row_numbers = [
            equal and cells == numbers for equal, numbers in zip(self.equals_row_numbers, row_numbers, strict=False)
        ]
        counts = self._count(cells)
        self.present += counts.total()
        unseen = list(counts if self.values is None else counts.keys() - self.values.keys())
        if self.values is not None and len(self.values) + len(unseen) > self._max_values:
            self._add_to_sketch(self.values)
            self.values = None
        if self.values is None:
            self._add_to_sketch(unseen)
        else:
            self.values.update(counts)
        if unseen:
            self._add_unseen(unseen)
        if self.is_number:
            self.numbers += counts.total()
        elif self.present < MIN_COUNTED_VALUES or self.numbers * 2 > self.present:
            self.numbers += sum(counts[cell] for cell in counts if number(cell, self._decimal) is not None)
        if self.is_number and self.low <= 0 <= self.high:
            zeros = [cell for cell in counts if cell[:1] in "+-0.," and not cell.strip("+-0.,eE")]
            self.zeros += sum(counts[cell] for cell in zeros)

    def _count(self, cells: Sequence[str]) -> Counter[str]:
        """Return the counts of the cleaned cells that do not mean a missing value, and count the others."""
        counts = Counter(cells)
        distinct = list(counts)
        if list(map(cleaned, distinct)) != distinct:
            counts = Counter(map(cleaned, cells))
        for marker in self._missing.intersection(counts):
            count = counts.pop(marker)
            if marker:
                self.markers[marker] += count
        return counts

    def restore(self, markers: Collection[str]) -> None:
        """Count markers of missing values as words of the column."""
        counts = Counter({marker: self.markers[marker] for marker in markers})
        self.present += counts.total()
        self.is_number, self.formats = False, {}
        self.max_length = max(self.max_length, *map(len, markers))
        if self.values is None:
            self._add_to_sketch(counts)
        else:
            self.values.update(counts)

    def _add_unseen(self, cells: list[str]) -> None:
        self.max_length = max(self.max_length, max(map(len, cells)))
        if self.is_number:
            self._add_numbers(cells)
        if self.formats is None:
            self.formats = dict.fromkeys(FORMATS, ("", ""))
        if self.formats:
            self._add_dates(cells)
        if not self.is_number and not self.formats:
            joined = "\n".join(cells)
            self._distinct_seen += len(cells)
            self._characters += len(joined) - len(cells) + 1
            self._spaces += joined.count(" ")

    def _add_numbers(self, cells: Sequence[str]) -> None:
        numbers = _numbers(cells, self._decimal)
        if numbers is None:
            self.is_number = False
            return
        text, values = numbers
        low, high = min(values), max(values)
        if not -MAX_NUMBER < low <= high < MAX_NUMBER:
            self.is_number = False
            return
        self.low, self.high = min(self.low, low), max(self.high, high)
        if self.integer_notation:
            self.integer_notation = "." not in text and "e" not in text and "E" not in text
        self.integral = self.integral and (self.integer_notation or all(map(float.is_integer, values)))

    def _add_dates(self, cells: Sequence[str]) -> None:
        """Remove the formats that do not match all cells, and update the range of dates in the others."""
        matching: dict[Format, tuple[str, str]] = {}
        for form, (first, last) in (self.formats or {}).items():
            iso = Format(form.kind, None)
            if form.year_first and iso in matching:
                # Dates in ISO 8601 match the format with optional zeros too: no need to parse them again.
                if form.kind == "date":
                    matching[form] = matching[iso]
                continue
            dates = _dates(form, cells)
            if dates:
                matching[form] = (min(first or dates[0], *dates), max(last, *dates))
        self.formats = matching

    def _add_to_sketch(self, cells: Sequence[str] | Counter[str]) -> None:
        # The hash of a tuple of an integer is evenly distributed and, unlike that of a string, the same in each run.
        hashes = map(hash, zip(map(zlib.crc32, map(str.encode, cells)), strict=False))
        max_hash = self._max_hash
        self._sketch.extend([value for value in hashes if value < max_hash])
        if len(self._sketch) > MAX_HASHES:
            self._reduce_sketch()

    def _reduce_sketch(self) -> None:
        """Keep the smallest hashes."""
        self._sketch = array("q", sorted(set(self._sketch))[:SKETCH_SIZE])
        if len(self._sketch) == SKETCH_SIZE:
            self._max_hash = self._sketch[-1]

    @property
    def distinct(self) -> int:
        """Number of distinct values: the exact number, or an estimate from the smallest hashes.

        Source: Bar-Yossef et al. 2002, Counting distinct elements in a data stream, RANDOM 2002.
        """
        if self.values is not None:
            return len(self.values)
        self._reduce_sketch()
        if len(self._sketch) < SKETCH_SIZE:
            return len(self._sketch)
        return min(self.present, round((SKETCH_SIZE - 1) * 2**64 / (self._sketch[-1] + 2**63)))

    @property
    def distinct_share(self) -> float:
        """Share of the values that are distinct."""
        return self.distinct / self.present

    @property
    def mean_words(self) -> float:
        """Mean number of words of the distinct values."""
        return (self._spaces + self._distinct_seen) / max(1, self._distinct_seen)

    @property
    def mean_length(self) -> float:
        """Mean number of characters of the distinct values."""
        return self._characters / max(1, self._distinct_seen)

    @property
    def is_integer(self) -> bool:
        """Whether the numbers are integers.

        Many programs convert an integer column with missing values to floats, such as 5.0. Without missing values,
        a decimal point shows that the column is not an integer column.
        """
        integer = self.integer_notation or (self.integral and self.present < self.rows)
        return self.is_number and integer and max(-self.low, self.high) < MAX_INTEGER


def _dates(form: Format, cells: Sequence[str]) -> list[str] | None:
    """Return the dates in ISO 8601, or None if a cell does not match the format."""
    read = iso_reader(form.kind, form.date_format)
    dates = []
    for cell in cells:
        date = read(cell)
        if date is None:
            return None
        dates.append(date)
    return dates


def _numbers(cells: Sequence[str], decimal: str) -> tuple[str, list[float]] | None:
    """Return the joined numbers with decimal points, and their values; None if a cell is not a number."""
    joined = "\n".join(cells)
    if NOT_A_NUMBER[decimal].search(joined):
        # Numbers with thousands separators or units, or cells that are not numbers.
        plain = [number(cell, decimal) for cell in cells]
        # Amounts in two currencies can't be compared; neither can 5 % and 0.05.
        if None in plain or len({without_unit(cell)[1] for cell in cells}) > 1:
            return None
        joined = "\n".join(filter(None, plain))
    elif decimal == ",":
        joined = joined.replace(",", ".")
    if LEADING_ZERO.search(joined):
        return None
    try:
        values = list(map(float, joined.split("\n")))
    except ValueError:
        return None
    # A cell that contains a line end gives two numbers.
    return (joined, values) if len(values) == len(cells) else None


@dataclass(frozen=True, slots=True)
class ExcludedColumn:
    """A column that is not in the contract, with the reason."""

    reason: str


def infer_column(tally: Tally, decimal: str, day_first: bool, sampled: bool) -> Column | ExcludedColumn:
    """Infer the column of the contract, or the reason to exclude it.

    Args:
        tally: statistics of the cells.
        decimal: decimal mark of the table.
        day_first: whether to read an ambiguous date such as 3/4/2020 as the third of April.
        sampled: whether only a sample of the rows was read: then the contract must allow values that are not in it.
    """
    if not tally.present:
        return ExcludedColumn("all values are missing")
    if tally.values is not None and len(tally.values) == 1:
        return ExcludedColumn(f"its only value is {quoted(next(iter(tally.values)))}")
    if tally.is_number:
        return _number_column(tally, sampled)
    if tally.formats:
        return _date_column(tally, day_first, sampled)
    return _string_column(tally, decimal, sampled)


def _number_column(tally: Tally, sampled: bool) -> Column | ExcludedColumn:
    if tally.integer_notation:
        if any(tally.equals_row_numbers):
            return ExcludedColumn("it numbers the rows")
        has_identifier_name = not IDENTIFIER_WORDS.isdisjoint(words(tally.name)[-1:])
        if tally.distinct_share >= MIN_IDENTIFIER_SHARE and (has_identifier_name or not tally.is_integer):
            return ExcludedColumn(f"it is an identifier: {tally.distinct} of {tally.present} values are distinct")
    kind = "integer" if tally.is_integer and not sampled else "number"
    return _column(tally, kind, sampled, low=tally.low, high=tally.high)


def _date_column(tally: Tally, day_first: bool, sampled: bool) -> Column:
    formats = tally.formats or {}
    form = next(iter(formats))
    if is_ambiguous(tally) and not day_first:
        form = next(other for other in formats if (other.date_format or "").startswith("%m"))
    low, high = formats[form]
    return _column(tally, form.kind, sampled, low=low, high=high, date_format=form.date_format)


def is_ambiguous(tally: Tally) -> bool:
    """Return whether all dates of a column are valid with day and month in either order."""
    starts = {(form.date_format or "")[:2] for form in tally.formats or ()}
    return {"%d", "%m"} <= starts


def _string_column(tally: Tally, decimal: str, sampled: bool) -> Column | ExcludedColumn:
    values = tally.values
    if values is not None and not sampled:
        if frozenset(map(str.lower, values)) in BOOLEAN_PAIRS:
            return _column(tally, "boolean", sampled)
        if _is_complete(values, tally.present) and tally.max_length <= MAX_CATEGORY_LENGTH:
            return _column(tally, "choice", sampled)
    if tally.distinct_share <= MAX_DISTINCT_SHARE:
        return _column(tally, "category", sampled)
    long = tally.mean_words > 1 and tally.mean_length >= MIN_LENGTH_OF_TEXT
    if tally.mean_words >= MIN_WORDS_OF_TEXT or long:
        return _column(tally, "text", sampled, mean_words=tally.mean_words)
    if tally.numbers >= MIN_NUMBER_SHARE * tally.present and values is not None:
        word = next((value for value in values if number(value, decimal) is None), None)
        if word is not None:
            return ExcludedColumn(
                f"{tally.numbers} of {tally.present} values are numbers, others are words such as {quoted(word)}: "
                "empty these cells to use the column"
            )
    return ExcludedColumn(f"it is an identifier: {tally.distinct} of {tally.present} values are distinct")


def _is_complete(values: Counter[str], present: int) -> bool:
    """Return whether the table is likely to contain every value of the column.

    The share of values that are not in the table is estimated by the share of values that occur once.
    Source: Good 1953, The population frequencies of species, Biometrika 40.
    """
    singletons = sum(count == 1 for count in values.values())
    return (
        len(values) <= MAX_CHOICES
        and present >= MIN_ROWS_PER_CHOICE * len(values)
        and singletons <= MAX_UNSEEN_SHARE * present
    )


def _column(
    tally: Tally,
    kind: str,
    sampled: bool,
    *,
    low: float | str | None = None,
    high: float | str | None = None,
    date_format: str | None = None,
    mean_words: float = 0.0,
) -> Column:
    values = tally.values or Counter()
    # Values of equal count are sorted, so that a table always gives the same contract.
    most_common = sorted(values.items(), key=lambda pair: (-pair[1], pair[0]))
    return Column(
        name=tally.name,
        kind=kind,
        rows=tally.rows,
        missing=tally.rows - tally.present,
        distinct=tally.distinct,
        optional=sampled or tally.present < tally.rows,
        most_common=tuple(most_common if kind == "choice" else most_common[:MAX_EXAMPLES]),
        low=low,
        high=high,
        date_format=date_format,
        mean_words=mean_words,
        max_length=tally.max_length,
    )


def quoted(value: str, max_length: int = 40) -> str:
    """Return a value in quotation marks for a message, on one line and truncated if it is long."""
    flat = " ".join(value.split())
    return repr(flat if len(flat) <= max_length else f"{flat[: max_length - 1]}…")
