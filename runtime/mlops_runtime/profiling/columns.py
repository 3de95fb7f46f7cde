"""Inference of the kind of each column of a table, from running statistics of all its cells."""

import itertools
import math
import zlib
from array import array
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from mlops_runtime.missing import NO_VALUES
from mlops_runtime.profiling.dates import DateStatistics, Reading
from mlops_runtime.profiling.names import words
from mlops_runtime.profiling.numbers import NumberStatistics, Sentinel
from mlops_runtime.tables.cells import BOOLEAN_PAIRS, MAX_CATEGORY_LENGTH, MIN_SHARE, all_cleaned, cleaned

MAX_INTEGER = 2**53
"""Limit of the integers that a float represents exactly."""

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

MIN_DATES_AS_NUMBERS = 3
"""Minimum number of distinct integers of eight digits that are taken for dates."""

MIN_WORDS_OF_TEXT = 2
"""Minimum mean number of words of a text."""

MIN_LENGTH_OF_TEXT = 40
"""Minimum mean number of characters of a text whose mean number of words is between one and `MIN_WORDS_OF_TEXT`."""

MIN_ROWS_OF_A_MARK = 5
MIN_MISSING_SHARE_OF_A_MARK = 0.05
"""Minimum number of rows with the only value of a column, and minimum share of rows without it, for the value to be a
mark of these rows, such as a cross."""

MAX_DISTINCT_EXAMPLES = 100
"""Maximum number of distinct cells kept to tell the notation of a column of words."""

MAX_EXAMPLES = 5
"""Maximum number of most frequent values kept of a column that is not a choice."""


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
        odd: number of cells that are no number, date or time, though the others are; they count as missing.
        odd_cells: some of these cells.
        sentinels: numbers that may stand for a missing value.
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
    odd: int = 0
    odd_cells: tuple[str, ...] = ()
    sentinels: tuple[Sentinel, ...] = ()


class Statistics:
    """Running statistics of the cells of a column that do not mean a missing value."""

    def __init__(self, decimal: str, max_odd: float) -> None:
        """Start without cells; the arguments are those of `NumberStatistics`."""
        self.numbers = NumberStatistics(decimal, max_odd)
        self.dates = DateStatistics(max_odd)
        self.max_length = 0
        self.examples: list[str] = []
        self._distinct = 0
        self._characters = 0
        self._spaces = 0

    def add(self, counts: Counter[str]) -> None:
        """Add distinct cells with their counts."""
        if not counts:
            return
        are_numbers = self.numbers.add(counts)
        self.dates.add(counts, are_numbers and not self.numbers.may_be_dates)
        self.max_length = max(self.max_length, max(map(len, counts)))
        if not are_numbers:
            self.examples += itertools.islice(counts, MAX_DISTINCT_EXAMPLES - len(self.examples))
            joined = "\n".join(counts)
            self._distinct += len(counts)
            self._characters += len(joined) - len(counts) + 1
            self._spaces += joined.count(" ")

    @property
    def mean_words(self) -> float:
        """Mean number of words of the distinct values."""
        return (self._spaces + self._distinct) / max(1, self._distinct)

    @property
    def mean_length(self) -> float:
        """Mean number of characters of the distinct values."""
        return self._characters / max(1, self._distinct)


class Tally:
    """Running statistics of the cells of a column, in bounded memory.

    The distinct values are counted and looked at in the end. If there are too many, they are looked at as they come.
    """

    def __init__(
        self,
        name: str,
        decimal: str,
        max_values: int,
        missing: frozenset[str] = frozenset(),
        max_rows: float = math.inf,
        nameless: bool = False,
    ) -> None:
        """Start without cells.

        Args:
            name: name of the column.
            decimal: decimal mark of the table.
            max_values: maximum number of distinct values to count; if there are more, their number is estimated.
            missing: cells that mean a missing value, in addition to `NO_VALUES`.
            max_rows: number of rows that the table has at most.
            nameless: whether the header names another column, and not this one.
        """
        self.name = name
        self.nameless = nameless
        self.rows = 0
        self.present = 0
        self.values: Counter[str] | None = Counter()
        self.markers: Counter[str] = Counter()
        self.equals_row_numbers = [True, True]
        # Most columns share one set.
        self._missing = NO_VALUES if missing <= NO_VALUES else NO_VALUES | missing
        self.decimal = decimal
        self._max_values = max_values
        self._max_rows = max_rows
        self._statistics: Statistics | None = None
        self._sketch: array[int] = array("q")
        self._max_hash = 2**63

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
        self._add(counts)

    def _add(self, counts: Counter[str]) -> None:
        if self.values is not None:
            self._statistics = None
            self.values.update(counts)
            if len(self.values) <= self._max_values:
                return
            counts, self.values = self.values, None
            self._statistics = Statistics(self.decimal, (1 - MIN_SHARE) * self._max_rows)
        self._add_to_sketch(counts)
        self.statistics.add(counts)

    @property
    def statistics(self) -> Statistics:
        """Statistics of the cells."""
        if self._statistics is None:
            self._statistics = Statistics(self.decimal, (1 - MIN_SHARE) * self.present)
            self._statistics.add(self.values or Counter())
        return self._statistics

    @property
    def numbers(self) -> NumberStatistics:
        """Statistics of the numbers."""
        return self.statistics.numbers

    @property
    def is_number(self) -> bool:
        """Whether the column consists of numbers, except for a few odd cells."""
        return self.numbers.is_column

    def dates(self, day_first: bool = False) -> Reading | None:
        """Return how the dates of the column are read, or None if it does not consist of dates."""
        return self.statistics.dates.best(day_first)

    def _count(self, cells: Sequence[str]) -> Counter[str]:
        """Return the counts of the cleaned cells that do not mean a missing value, and count the others."""
        counts = Counter(cells)
        distinct = list(counts)
        if all_cleaned(distinct) != distinct:
            counts = Counter(map(cleaned, cells))
        for marker in sorted(self._missing.intersection(counts)):
            count = counts.pop(marker)
            if marker:
                self.markers[marker] += count
        return counts

    def restore(self, markers: Collection[str]) -> None:
        """Count markers of missing values as words of the column."""
        counts = Counter({marker: self.markers[marker] for marker in markers})
        self.present += counts.total()
        self._add(counts)

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
    def is_integer(self) -> bool:
        """Whether the numbers are integers.

        Many programs convert an integer column with missing values to floats, such as 5.0. Without missing values,
        a decimal point shows that the column is not an integer column.
        """
        numbers = self.numbers
        integer = numbers.integer_notation or (numbers.integral and numbers.count < self.rows)
        return self.is_number and integer and max(-numbers.low, numbers.high) < MAX_INTEGER

    @property
    def is_mark(self) -> bool:
        """Whether the only value marks some of the rows."""
        missing = self.rows - self.present
        return self.present >= MIN_ROWS_OF_A_MARK and missing >= MIN_MISSING_SHARE_OF_A_MARK * self.rows

    @property
    def has_identifier_name(self) -> bool:
        """Whether the name is that of an identifier; the index of a table is exported without a name."""
        return self.nameless or not IDENTIFIER_WORDS.isdisjoint(words(self.name)[-1:])


@dataclass(frozen=True, slots=True)
class ExcludedColumn:
    """A column that is not in the contract, with the reason."""

    reason: str


def infer_column(tally: Tally, day_first: bool, sampled: bool) -> Column | ExcludedColumn:
    """Infer the column of the contract, or the reason to exclude it.

    Args:
        tally: statistics of the cells.
        day_first: whether to read an ambiguous date such as 3/4/2020 as the third of April.
        sampled: whether only a sample of the rows was read: then the contract must allow values that are not in it.
    """
    if not tally.present:
        return ExcludedColumn("all values are missing")
    if tally.values is not None and len(tally.values) == 1:
        if tally.is_mark and not sampled:
            return _string_column(tally, sampled)
        return ExcludedColumn(f"its only value is {quoted(next(iter(tally.values)))}")
    dates = tally.dates(day_first)
    if tally.is_number and not (dates and _are_dates(dates, tally)):
        return _number_column(tally, sampled)
    if dates is not None:
        return _date_column(tally, dates, sampled)
    return _string_column(tally, sampled)


def _are_dates(dates: Reading, tally: Tally) -> bool:
    """Return whether integers of eight digits are dates: all are, and they are no identifier."""
    complete = not dates.odd and not tally.numbers.odd
    return complete and tally.distinct >= MIN_DATES_AS_NUMBERS and not tally.has_identifier_name


def _number_column(tally: Tally, sampled: bool) -> Column | ExcludedColumn:
    numbers = tally.numbers
    if numbers.integer_notation:
        if any(tally.equals_row_numbers):
            return ExcludedColumn("it numbers the rows")
        if tally.distinct_share >= MIN_IDENTIFIER_SHARE and (tally.has_identifier_name or not tally.is_integer):
            kind = "the index of the rows" if tally.nameless else "an identifier"
            return ExcludedColumn(f"it is {kind}: {tally.distinct} of {tally.present} values are distinct")
    kind = "integer" if tally.is_integer and not sampled else "number"
    return replace(
        _column(tally, kind, sampled, odd=numbers.odd, odd_cells=numbers.odd_cells),
        low=numbers.low,
        high=numbers.high,
        sentinels=tuple(numbers.sentinels(tally.distinct)),
    )


def _date_column(tally: Tally, dates: Reading, sampled: bool) -> Column:
    return replace(
        _column(tally, dates.kind, sampled, odd=dates.odd, odd_cells=dates.odd_cells),
        low=dates.low,
        high=dates.high,
        date_format=dates.date_format,
    )


def is_ambiguous(tally: Tally) -> bool:
    """Return whether day and month of the dates of a column cannot be told apart."""
    return tally.statistics.dates.is_ambiguous


def _string_column(tally: Tally, sampled: bool) -> Column | ExcludedColumn:
    values = tally.values
    if values is not None and not sampled:
        if frozenset(map(str.lower, values)) in BOOLEAN_PAIRS:
            return _column(tally, "boolean", sampled)
        if _is_complete(values, tally.present) and tally.statistics.max_length <= MAX_CATEGORY_LENGTH:
            return _column(tally, "choice", sampled)
    if tally.distinct_share <= MAX_DISTINCT_SHARE:
        return _column(tally, "category", sampled)
    statistics = tally.statistics
    long = statistics.mean_words > 1 and statistics.mean_length >= MIN_LENGTH_OF_TEXT
    if statistics.mean_words >= MIN_WORDS_OF_TEXT or long:
        return replace(_column(tally, "text", sampled), mean_words=statistics.mean_words)
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


def _column(tally: Tally, kind: str, sampled: bool, odd: int = 0, odd_cells: Collection[str] = ()) -> Column:
    values = tally.values or Counter()
    if odd:
        values = Counter({value: count for value, count in values.items() if value not in odd_cells})
    # Values of equal count are sorted, so that a table always gives the same contract.
    most_common = sorted(values.items(), key=lambda pair: (-pair[1], pair[0]))
    present = tally.present - odd
    return Column(
        name=tally.name,
        kind=kind,
        rows=tally.rows,
        missing=tally.rows - present,
        distinct=tally.distinct,
        optional=sampled or present < tally.rows,
        most_common=tuple(most_common if kind == "choice" else most_common[:MAX_EXAMPLES]),
        max_length=tally.statistics.max_length,
        odd=odd,
        odd_cells=tuple(odd_cells),
    )


def quoted(value: str, max_length: int = 40) -> str:
    """Return a value in quotation marks for a message, on one line and truncated if it is long."""
    flat = " ".join(value.split())
    return repr(flat if len(flat) <= max_length else f"{flat[: max_length - 1]}…")
