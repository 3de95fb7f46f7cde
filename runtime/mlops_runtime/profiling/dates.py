"""Running statistics of the dates and times in a column."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from mlops_runtime.tables.cells import MIN_SHARE
from mlops_runtime.tables.dates import LENGTH_OF_DATE, Order, form_of, parser

MAX_ODD_EXAMPLES = 3
"""Maximum number of odd cells to keep as examples."""

BATCH = 1_000
"""Number of distinct cells after which a hopeless order is noticed."""

MAX_FORM_LENGTH = 23
"""Maximum length of a strftime format in a contract: the first line of a field then fits the line length."""

FORM_CELLS = 20
"""Number of cells of a batch from which the form is inferred."""

PLAUSIBLE_YEARS = range(1900, 2101)
"""Years of months that are written as numbers, such as 2020-05."""

DIGIT = re.compile(r"\d", re.ASCII)


@dataclass(slots=True)
class Reading:
    """The cells of a column, read as dates in one order.

    Attributes:
        order: order of the parts of the dates, or the times.
        count: number of cells that are dates.
        odd: number of cells that are not.
        odd_cells: some of these.
        low: earliest date.
        high: latest date.
        has_time: whether a date has a time.
        forms: strftime formats, None for ISO 8601, with the number of cells that were looked at.
        is_span: whether each is a span of two years, such as 2011-12.
    """

    order: Order
    count: int = 0
    odd: int = 0
    odd_cells: list[str] = field(default_factory=list)
    low: str = ""
    high: str = ""
    has_time: bool = False
    forms: Counter[str | None] = field(default_factory=Counter)
    is_span: bool = True

    @property
    def kind(self) -> str:
        """Kind of the column: date, datetime or time."""
        if self.order is Order.TIME:
            return "time"
        return "datetime" if self.has_time else "date"

    @property
    def date_format(self) -> str | None:
        """The most frequent strftime format, or that of the order; None if all cells are in the contract's form."""
        others = {form: count for form, count in self.forms.items() if form is not None}
        # Of equally frequent formats, the longest one has a time.
        form = max(others, key=lambda form: (others[form], len(form)), default=None)
        return self.order.value if form is not None and len(form) > MAX_FORM_LENGTH else form

    @property
    def is_column(self) -> bool:
        """Whether the column consists of these dates, except for a few odd cells."""
        if self.order is Order.YEAR_MONTH and (self.odd or self.is_span):
            return False
        return self.count > 0 and self.count >= MIN_SHARE * (self.count + self.odd)

    def add(self, cells: Sequence[str], counts: Counter[str]) -> None:
        """Add distinct cells with their counts."""
        parse = parser(self.order)
        dates = {cell: text for cell in cells if (text := parse(cell)) is not None and self._is_plausible(text)}
        if len(dates) < len(cells):
            self.add_odd([cell for cell in cells if cell not in dates], counts)
        if not dates:
            return
        self.count += sum(map(counts.__getitem__, dates))
        texts = dates.values()
        self.low, self.high = min(self.low or "~", *texts), max(self.high, *texts)
        if self.order is not Order.TIME and not self.has_time:
            self.has_time = any(len(text) > LENGTH_OF_DATE for text in texts)
        for cell in list(dates)[:FORM_CELLS]:
            self.forms[form_of(cell, self.order)] += counts[cell]
        if self.order is Order.YEAR_MONTH and self.is_span:
            self.is_span = all((int(text[:4]) + 1) % 100 == int(text[5:7]) for text in texts)

    def add_odd(self, cells: Sequence[str], counts: Counter[str]) -> None:
        """Add distinct cells that are not dates, with their counts."""
        self.odd += sum(map(counts.__getitem__, cells))
        self.odd_cells += cells[: MAX_ODD_EXAMPLES - len(self.odd_cells)]

    def _is_plausible(self, text: str) -> bool:
        return self.order is not Order.YEAR_MONTH or int(text[:4]) in PLAUSIBLE_YEARS


class DateStatistics:
    """Running statistics of the dates and times in a column, of which a few cells may be odd: no dates."""

    def __init__(self, max_odd: float) -> None:
        """Start without cells.

        Args:
            max_odd: number of odd cells above which the column cannot be one of dates.
        """
        self._max_odd = max_odd
        self._readings = [Reading(order) for order in Order]

    def add(self, counts: Counter[str], are_numbers: bool) -> None:
        """Add distinct cells with their counts.

        Args:
            counts: cells with their counts.
            are_numbers: whether the cells are numbers that cannot be dates.
        """
        cells = list(counts)
        for start in range(0, len(cells), BATCH):
            if not self._readings:
                return
            batch = cells[start : start + BATCH]
            hopeless = are_numbers or not DIGIT.search("\n".join(batch))
            for reading in self._readings:
                if hopeless:
                    reading.add_odd(batch, counts)
                else:
                    reading.add(batch, counts)
            self._readings = [reading for reading in self._readings if reading.odd <= self._max_odd]

    def best(self, day_first: bool) -> Reading | None:
        """Return the reading with the fewest odd cells, or None if the column does not consist of dates.

        Args:
            day_first: whether the day is first if day and month cannot be told apart.
        """
        readings = [reading for reading in self._readings if reading.is_column]
        later = Order.MONTH_FIRST if day_first else Order.DAY_FIRST
        return min(readings, key=lambda reading: (reading.odd, reading.order is later), default=None)

    @property
    def is_ambiguous(self) -> bool:
        """Whether day and month of the dates cannot be told apart."""
        odd = {reading.order: reading.odd for reading in self._readings if reading.is_column}
        best = self.best(day_first=True)
        return best is not None and best.order is Order.DAY_FIRST and odd.get(Order.MONTH_FIRST) == best.odd
