"""Running statistics of the numbers in a column."""

import math
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from mlops_runtime.tables.cells import MIN_SHARE, number, without_unit

MAX_NUMBER = 1e100
"""Limit of the numbers whose square is safely a finite float."""

MAX_ODD_EXAMPLES = 3
"""Maximum number of odd cells to keep as examples."""

BATCH = 1_000
"""Number of distinct cells after which a hopeless column is noticed."""

NOT_A_NUMBER = {".": re.compile(r"[^0-9.eE+\-\n]"), ",": re.compile(r"[^0-9,eE+\-\n]")}
LEADING_ZERO = re.compile(r"(?:^|\n)[+-]?0[0-9]")
"""A value with a leading zero, such as 007, is a code and not a number."""

DATES_AS_NUMBERS = tuple(
    (19_000_101 * 10**digits, 21_001_232 * 10**digits - 1)
    for digits in (0, len("hhmm"), len("hhmmss"), len("hhmmssfff"))
)
"""Ranges of dates that are written as numbers of eight digits, and of dates and times."""

MIN_SENTINEL_ROWS = 2
"""Minimum number of rows of a number that may stand for a missing value."""

MAX_ZERO_SHARE = 0.2
"""Maximum share of zeros that may stand for missing values."""

MIN_SENTINEL_DISTINCT = 20
"""Minimum number of other values for a number that is neither negative nor of nines."""

NINES = re.compile(r"-?9{2,}")


@dataclass(frozen=True, slots=True)
class Sentinel:
    """A number that may stand for a missing value.

    Attributes:
        cell: the number as in the table.
        rows: number of rows with it.
        low: lowest of the other numbers.
        high: highest of the other numbers.
    """

    cell: str
    rows: int
    low: float
    high: float


class NumberStatistics:
    """Running statistics of the numbers in a column, of which a few cells may be odd: no numbers."""

    def __init__(self, decimal: str, max_odd: float) -> None:
        """Start without cells.

        Args:
            decimal: decimal mark of the table.
            max_odd: number of odd cells above which the column cannot be one of numbers.
        """
        self.count = 0
        self.odd = 0
        self.odd_cells: list[str] = []
        self.integer_notation = True
        self.integral = True
        self.low = math.inf
        self.high = -math.inf
        self.zeros = 0
        self._decimal = decimal
        self._max_odd = max_odd
        self._is_code = False
        self._units: set[str] = set()
        self._repeated_ends: Counter[float] = Counter()
        self._end_cells: dict[float, str] = {}
        self._inner = (math.inf, -math.inf)

    @property
    def is_column(self) -> bool:
        """Whether the column consists of numbers, except for a few odd cells."""
        return (
            not self._is_code
            and len(self._units) <= 1
            and self.count >= MIN_SHARE * (self.count + self.odd)
            and -MAX_NUMBER < self.low <= self.high < MAX_NUMBER
        )

    @property
    def may_be_dates(self) -> bool:
        """Whether all numbers may be dates of eight digits, or dates and times."""
        return self.integer_notation and any(
            lowest <= self.low <= self.high <= highest for lowest, highest in DATES_AS_NUMBERS
        )

    def add(self, counts: Counter[str]) -> bool:
        """Add distinct cells with their counts; return whether all are numbers."""
        cells = list(counts)
        if self._is_code or self.odd > self._max_odd:
            self._add_odd(cells, counts)
            return False
        if (numbers := _plain_numbers(cells, self._decimal)) is not None:
            if any(numbers[1]):
                self._units.add("")
            self._add_numbers(cells, *numbers, counts)
            return True
        odd_before = self.odd
        for start in range(0, len(cells), BATCH):
            batch = cells[start : start + BATCH]
            if self.odd > self._max_odd:
                self._add_odd(batch, counts)
            else:
                self._add_mixed(batch, counts)
        return self.odd == odd_before

    def _add_mixed(self, cells: Sequence[str], counts: Counter[str]) -> None:
        plain = {cell: number(cell, self._decimal) for cell in cells}
        texts = {cell: text for cell, text in plain.items() if text is not None and math.isfinite(float(text))}
        self._add_odd([cell for cell in cells if cell not in texts], counts)
        # Amounts in two currencies can't be compared; neither can 5 % and 0.05. Zero needs no unit.
        self._units.update(without_unit(cell)[1] for cell, text in texts.items() if float(text))
        if texts:
            self._add_numbers(list(texts), "\n".join(texts.values()), list(map(float, texts.values())), counts)

    def _add_odd(self, cells: Sequence[str], counts: Counter[str]) -> None:
        self.odd += sum(map(counts.__getitem__, cells))
        self.odd_cells += cells[: MAX_ODD_EXAMPLES - len(self.odd_cells)]

    def _add_numbers(self, cells: Sequence[str], text: str, values: list[float], counts: Counter[str]) -> None:
        self._is_code = self._is_code or LEADING_ZERO.search(text) is not None
        self.count += sum(map(counts.__getitem__, cells))
        low, high = min(values), max(values)
        self.low, self.high = min(self.low, low), max(self.high, high)
        if self.integer_notation:
            self.integer_notation = "." not in text and "e" not in text and "E" not in text
        self.integral = self.integral and (self.integer_notation or all(map(float.is_integer, values)))
        if low <= 0 <= high:
            self.zeros += sum(counts[cell] for cell, value in zip(cells, values, strict=True) if value == 0)
        self._add_ends(cells, values, counts)

    def _add_ends(self, cells: Sequence[str], values: list[float], counts: Counter[str]) -> None:
        """Count the lowest and the highest number if they are repeated, and update the range of the others."""
        ends = set()
        for end in (min(values), max(values)):
            cell = cells[values.index(end)]
            if counts[cell] >= MIN_SENTINEL_ROWS and end not in ends:
                self._end_cells.setdefault(end, cell)
                self._repeated_ends[end] += counts[cell]
                ends.add(end)
        inner = [value for value in values if value not in ends] if ends else values
        if inner:
            self._inner = (min(self._inner[0], min(inner)), max(self._inner[1], max(inner)))

    def sentinels(self, distinct: int) -> Iterator[Sentinel]:
        """Yield the numbers at the ends that are repeated and far from the others.

        Args:
            distinct: number of distinct values of the column.
        """
        ends = {self.low, self.high}.intersection(self._repeated_ends)
        others = [value for value in (*self._inner, *self._repeated_ends, self.low, self.high) if value not in ends]
        low, high = min(others, default=math.inf), max(others, default=-math.inf)
        for end in sorted(ends):
            cell, rows = self._end_cells[end], self._repeated_ends[end]
            distance = low - end if end < low else end - high
            is_marked = end < 0 <= low or NINES.fullmatch(f"{end:.0f}") is not None
            if (
                low < high
                and distance > high - low
                and (is_marked or distinct >= MIN_SENTINEL_DISTINCT)
                and (end != 0 or rows <= MAX_ZERO_SHARE * self.count)
            ):
                yield Sentinel(cell, rows, low, high)


def _plain_numbers(cells: Sequence[str], decimal: str) -> tuple[str, list[float]] | None:
    """Return the joined numbers and their values; None if a cell has a separator or unit, or is no number."""
    text = "\n".join(cells)
    if NOT_A_NUMBER[decimal].search(text):
        return None
    if decimal == ",":
        text = text.replace(",", ".")
    try:
        values = list(map(float, text.split("\n")))
    except ValueError:
        return None
    # A cell that contains a line end gives two numbers.
    return (text, values) if len(values) == len(cells) and all(map(math.isfinite, values)) else None
