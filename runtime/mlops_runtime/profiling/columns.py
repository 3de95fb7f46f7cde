"""The columns of a table: what each one holds, told from all of its cells while rows pass by."""

import math
import re
import zlib
from array import array
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from mlops_runtime.profiling.names import words
from mlops_runtime.tables.cells import (
    BOOLEAN_PAIRS,
    DATE_FORMATS,
    MAX_CATEGORY_LENGTH,
    TIME_FORMATS,
    iso_reader,
    number,
    without_unit,
)
from mlops_runtime.tables.source import MISSING

MAX_INTEGER = 2**53
"""From here on, a float does not tell a whole number from the next."""

MAX_NUMBER = 1e100
"""Beyond, a square is no float any more."""

SKETCH = 1024
"""Hashes kept to estimate how many values are distinct: the error is about 3 % (one over the square root)."""

MAX_HASHES = 8 * SKETCH
"""Hashes held before all but the least are dropped."""

MAX_CHOICES = 50
"""Values of a closed choice: more is no list that a person reads or a form shows."""

UNSEEN_SHARE = 1 / 1000
"""Greatest estimated share of future values that are none of those seen, for a choice to be closed."""

ROWS_PER_CHOICE = 5
"""Least number of rows for each value of a closed choice: that estimate is worth nothing from a handful of rows."""

DISTINCT_SHARE = 0.5
"""Above this share of distinct values a string names its row: there is nothing to learn from it but its words."""

IDENTIFIER_SHARE = 0.9
"""From this share of distinct values, a whole number with a name like `customer_id` is one."""

IDENTIFIER_WORDS = frozenset(("id", "ids", "uuid", "guid", "key", "index", "no", "nr", "number"))
"""Last words of the names of columns that number things."""

WORDS_OF_TEXT = 2
"""Words of a value, on average, from which strings that hardly repeat are text."""

LENGTH_OF_TEXT = 40
"""Characters of a value, on average, from which strings with spaces are text, however few."""

NUMBERS_SHARE = 0.9
"""Share of numbers from which a column that also holds words is worth mending."""

SURE_VALUES = 10_000
"""Values after which a column that has few numbers among them is not searched for numbers any more."""

COMMONEST = 5
"""How many of the commonest values are told."""

NOT_A_NUMBER = {".": re.compile(r"[^0-9.eE+\-\n]"), ",": re.compile(r"[^0-9,eE+\-\n]")}
LEADING_ZERO = re.compile(r"(?:^|\n)[+-]?0[0-9]")
"""007 is a code, not a number."""


@dataclass(frozen=True, slots=True)
class Format:
    """A way to write dates or times: kind, and the codes of strftime, or None for ISO 8601."""

    kind: str
    date_format: str | None

    @property
    def year_first(self) -> bool:
        """Whether this is ISO 8601 but for zeros that may be lacking."""
        return (self.date_format or "").startswith("%Y-%m-%d")


FORMATS = (
    Format("date", None),
    Format("datetime", None),
    Format("time", None),
    *(Format("date", day) for day in DATE_FORMATS),
    *(Format("datetime", f"{day} {clock}") for day in DATE_FORMATS for clock in TIME_FORMATS),
    *(Format("time", clock) for clock in TIME_FORMATS),
)
"""In the order of trust."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """What is known of a column that the contract takes.

    Attributes:
        name: in the header.
        kind: as the contract calls it: number, whole, flag, choice, category, text, date, datetime or time.
        rows: that were read.
        missing: how many of them have no value.
        distinct: values, estimated where there are many.
        optional: whether the contract lets a value be missing.
        common: the commonest values as they are written with their counts, commonest first; all of
            them for a choice, none where there were too many to count.
        low: least number, or earliest date in ISO 8601; None for other kinds.
        high: greatest number, or latest date.
        quartiles: numbers that a quarter and three quarters of the values are not above, or None.
        minimum: least number that the contract allows, or None.
        maximum: greatest number that the contract allows, or None.
        expected: numbers between which the contract expects one, or None.
        date_format: format of its dates in the codes of strftime, or None for ISO 8601.
        words: of a value, on average, for a text.
        longest: characters of the longest value.
    """

    name: str
    kind: str
    rows: int
    missing: int
    distinct: int
    optional: bool
    common: tuple[tuple[str, int], ...] = ()
    low: float | str | None = None
    high: float | str | None = None
    quartiles: tuple[float, float] | None = None
    minimum: float | None = None
    maximum: float | None = None
    expected: tuple[float, float] | None = None
    date_format: str | None = None
    words: float = 0.0
    longest: int = 0


class Tally:
    """What the cells of a column that have passed by were, in memory that does not grow with them."""

    def __init__(self, name: str, decimal: str, most_values: int) -> None:
        """Start with no cell.

        Args:
            name: of the column.
            decimal: mark of the table's numbers.
            most_values: distinct values that are counted one by one; beyond, their number is estimated.
        """
        self.name = name
        self.rows = 0
        self.present = 0
        self.values: Counter[str] | None = Counter()
        self.is_number = True
        self.is_code = False
        self.written_whole = True
        self.integral = True
        self.low = math.inf
        self.high = -math.inf
        self.zeros = 0
        self.numbers = 0
        self.formats: dict[Format, tuple[str, str]] | None = None
        self.in_order = [True, True]
        self.longest = 0
        self._decimal = decimal
        self._most_values = most_values
        self._sketch: array[int] = array("q")
        self._greatest = 2**63
        self._distinct_seen = 0
        self._characters = 0
        self._spaces = 0

    def add(self, cells: Sequence[str], numbered: Sequence[Sequence[str]] = ()) -> None:
        """Count these cells.

        Args:
            cells: of the next rows, as they are written.
            numbered: what they would be if the column numbered the rows from 0, and from 1.
        """
        self.rows += len(cells)
        self.in_order = [still and cells == expected for still, expected in zip(self.in_order, numbered, strict=False)]
        counts = self._counted(cells)
        self.present += counts.total()
        unseen = list(counts if self.values is None else counts.keys() - self.values.keys())
        if self.values is not None and len(self.values) + len(unseen) > self._most_values:
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
        elif self.present < SURE_VALUES or self.numbers * 2 > self.present:
            self.numbers += sum(counts[cell] for cell in counts if number(cell, self._decimal) is not None)
        if self.is_number and self.low <= 0 <= self.high:
            zeros = [cell for cell in counts if cell[:1] in "+-0.," and not cell.strip("+-0.,eE")]
            self.zeros += sum(counts[cell] for cell in zeros)

    def _counted(self, cells: Sequence[str]) -> Counter[str]:
        counts = Counter(cells)
        written = list(counts)
        stripped = list(map(str.strip, written))
        if stripped != written:
            counts = Counter()
            for cell in cells:
                counts[cell.strip()] += 1
        for word in MISSING.intersection(counts):
            del counts[word]
        return counts

    def _add_unseen(self, cells: list[str]) -> None:
        self.longest = max(self.longest, max(map(len, cells)))
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
        found = _numbers(cells, self._decimal)
        if found is None:
            self.is_number = False
            self.is_code = _numbers([cell.lstrip("+-0") or "0" for cell in cells], self._decimal) is not None
            return
        texts, values = found
        low, high = min(values), max(values)
        if not -MAX_NUMBER < low <= high < MAX_NUMBER:
            self.is_number = False
            return
        self.low, self.high = min(self.low, low), max(self.high, high)
        if self.written_whole:
            self.written_whole = "." not in texts and "e" not in texts and "E" not in texts
        self.integral = self.integral and (self.written_whole or all(map(float.is_integer, values)))

    def _add_dates(self, cells: Sequence[str]) -> None:
        left: dict[Format, tuple[str, str]] = {}
        for form, (first, last) in (self.formats or {}).items():
            iso = Format(form.kind, None)
            if form.year_first and iso in left:
                # Dates of ISO 8601 are also dates that may lack a zero: no need to read them again.
                if form.kind == "date":
                    left[form] = left[iso]
                continue
            dates = _dates(form, cells)
            if dates:
                left[form] = (min(first or dates[0], *dates), max(last, *dates))
        self.formats = left

    def _add_to_sketch(self, cells: Sequence[str] | Counter[str]) -> None:
        # The hash of a tuple of a number is well spread and, unlike that of a string, the same in each run.
        hashes = map(hash, zip(map(zlib.crc32, map(str.encode, cells)), strict=False))
        greatest = self._greatest
        self._sketch.extend([value for value in hashes if value < greatest])
        if len(self._sketch) > MAX_HASHES:
            self._shorten_sketch()

    def _shorten_sketch(self) -> None:
        self._sketch = array("q", sorted(set(self._sketch))[:SKETCH])
        if len(self._sketch) == SKETCH:
            self._greatest = self._sketch[-1]

    @property
    def distinct(self) -> int:
        """Number of distinct values; beyond those counted an estimate by the k least hashes.

        Source: Bar-Yossef and others 2002, Counting distinct elements in a data stream, RANDOM 2002.
        """
        if self.values is not None:
            return len(self.values)
        self._shorten_sketch()
        if len(self._sketch) < SKETCH:
            return len(self._sketch)
        return min(self.present, round((SKETCH - 1) * 2**64 / (self._sketch[-1] + 2**63)))

    @property
    def distinct_share(self) -> float:
        """Share of the values that are distinct."""
        return self.distinct / self.present

    @property
    def mean_words(self) -> float:
        """Words of a distinct value, on average."""
        return (self._spaces + self._distinct_seen) / max(1, self._distinct_seen)

    @property
    def mean_length(self) -> float:
        """Characters of a distinct value, on average."""
        return self._characters / max(1, self._distinct_seen)

    @property
    def is_whole(self) -> bool:
        """Whether the numbers are whole, and written so.

        Many programs write the whole numbers of a column that has gaps as 5.0: with none, the
        point shows that the values could have been others.
        """
        written = self.written_whole or (self.integral and self.present < self.rows)
        return self.is_number and written and max(-self.low, self.high) < MAX_INTEGER


def _dates(form: Format, cells: Sequence[str]) -> list[str] | None:
    """Return the dates in ISO 8601, or None unless all cells are dates in this format."""
    read = iso_reader(form.kind, form.date_format)
    dates = []
    for cell in cells:
        found = read(cell)
        if found is None:
            return None
        dates.append(found)
    return dates


def _numbers(cells: Sequence[str], decimal: str) -> tuple[str, list[float]] | None:
    """Return the cells as a program writes numbers, joined, and their values; None unless all are numbers."""
    joined = "\n".join(cells)
    if NOT_A_NUMBER[decimal].search(joined):
        # Thousands set apart, or no numbers at all.
        plain = [number(cell, decimal) for cell in cells]
        # Amounts in two currencies are no numbers that can be compared; neither are 5 % and 0.05.
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
    # A line end within a cell would make two numbers of it.
    return (joined, values) if len(values) == len(cells) else None


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Why a column is not taken."""

    reason: str


def column_of(tally: Tally, decimal: str, day_first: bool, sampled: bool) -> Column | LeftOut:
    """Return what the contract is to say of a column, or why it leaves it out.

    Args:
        tally: of its cells.
        decimal: mark of the table's numbers.
        day_first: whether 3/4 is the third of April where no value tells.
        sampled: whether rows were passed over: then nothing is claimed of what values there are.
    """
    if not tally.present:
        return LeftOut("it has no value")
    if tally.values is not None and len(tally.values) == 1:
        return LeftOut(f"its only value is {told(next(iter(tally.values)))}")
    if tally.is_number:
        return _number_column(tally, sampled)
    if tally.formats:
        return _date_column(tally, day_first, sampled)
    return _string_column(tally, decimal, sampled)


def _number_column(tally: Tally, sampled: bool) -> Column | LeftOut:
    whole = tally.is_whole
    if tally.written_whole:
        if any(tally.in_order):
            return LeftOut("it numbers the rows")
        named = bool(IDENTIFIER_WORDS.intersection(words(tally.name)[-1:]))
        share = tally.distinct_share
        if share >= IDENTIFIER_SHARE and (named or not whole):
            return LeftOut(f"it is an identifier: {tally.distinct} of {tally.present} values are distinct")
    kind = "integer" if whole and not sampled else "number"
    return _column(tally, kind, sampled, low=tally.low, high=tally.high)


def _date_column(tally: Tally, day_first: bool, sampled: bool) -> Column:
    formats = tally.formats or {}
    form = next(iter(formats))
    if is_ambiguous(tally) and not day_first:
        form = next(other for other in formats if (other.date_format or "").startswith("%m"))
    low, high = formats[form]
    return _column(tally, form.kind, sampled, low=low, high=high, date_format=form.date_format)


def is_ambiguous(tally: Tally) -> bool:
    """Return whether no date of a column tells the day from the month."""
    starts = {(form.date_format or "")[:2] for form in tally.formats or ()}
    return {"%d", "%m"} <= starts


def _string_column(tally: Tally, decimal: str, sampled: bool) -> Column | LeftOut:
    values = tally.values
    if values is not None and not sampled:
        if frozenset(map(str.lower, values)) in BOOLEAN_PAIRS:
            return _column(tally, "boolean", sampled)
        if _is_closed(values, tally.present) and tally.longest <= MAX_CATEGORY_LENGTH:
            return _column(tally, "choice", sampled)
    if tally.distinct_share <= DISTINCT_SHARE:
        return _column(tally, "category", sampled)
    long = tally.mean_words > 1 and tally.mean_length >= LENGTH_OF_TEXT
    if tally.mean_words >= WORDS_OF_TEXT or long:
        return _column(tally, "text", sampled, words=tally.mean_words)
    if tally.numbers >= NUMBERS_SHARE * tally.present and values is not None:
        odd = next((value for value in values if number(value, decimal) is None), None)
        if odd is not None:
            return LeftOut(
                f"{tally.numbers} of {tally.present} values are numbers, others are words such as {told(odd)}: "
                "make those cells empty to use it"
            )
    return LeftOut(f"it is an identifier: {tally.distinct} of {tally.present} values are distinct")


def _is_closed(values: Counter[str], present: int) -> bool:
    """Return whether hardly any value is to be expected that has not been seen.

    The share of values that are still unseen is about the share of those that were seen once.
    Source: Good 1953, The population frequencies of species, Biometrika 40.
    """
    seen_once = sum(count == 1 for count in values.values())
    return (
        len(values) <= MAX_CHOICES and present >= ROWS_PER_CHOICE * len(values) and seen_once <= UNSEEN_SHARE * present
    )


def _column(
    tally: Tally,
    kind: str,
    sampled: bool,
    *,
    low: float | str | None = None,
    high: float | str | None = None,
    date_format: str | None = None,
    words: float = 0.0,
) -> Column:
    values = tally.values or Counter()
    # Equal counts in the order of the values: the same table always gives the same contract.
    common = sorted(values.items(), key=lambda pair: (-pair[1], pair[0]))
    return Column(
        name=tally.name,
        kind=kind,
        rows=tally.rows,
        missing=tally.rows - tally.present,
        distinct=tally.distinct,
        optional=sampled or tally.present < tally.rows,
        common=tuple(common if kind == "choice" else common[:COMMONEST]),
        low=low,
        high=high,
        date_format=date_format,
        words=words,
        longest=tally.longest,
    )


def told(value: str, longest: int = 40) -> str:
    """Return a value as a person is told of it: in quotation marks, cut where it is long."""
    flat = " ".join(value.split())
    return repr(flat if len(flat) <= longest else f"{flat[: longest - 1]}…")
