"""Detection of the dialect of delimited text: delimiter, decimal mark and column names."""

import contextlib
import csv
import io
import itertools
import re
from collections.abc import Iterable, Sequence

DELIMITERS = "\t;|,"
"""Delimiters in descending order of preference: a comma is also part of prose and of numbers."""

HEAD_ROWS = 200
"""Maximum number of rows from which the dialect is detected."""

MAX_NUMBER_LENGTH = 64
"""Maximum number of characters of a cell that may be a number."""

DECIMAL_COMMA = re.compile(r"[+-]?(?:\d*,(?:\d\d?|\d{4,})|0,\d+|\d{4,},\d+|\d{1,3}(?:\.\d{3})+,\d+)", re.ASCII)
DECIMAL_POINT = re.compile(r"[+-]?(?:\d*\.(?:\d\d?|\d{4,})|0\.\d+|\d{4,}\.\d+|\d{1,3}(?:,\d{3})+\.\d+)", re.ASCII)
"""Numbers whose decimal mark can't be a thousands separator."""

AMBIGUOUS_COMMA = re.compile(r"[+-]?\d{1,3},\d{3}", re.ASCII)
"""Numbers whose comma may be a decimal mark or a thousands separator."""


def detect_delimiter(head: str, complete: bool) -> str:
    """Return the delimiter that gives the most rows of equal width; a comma if none splits the header.

    Args:
        head: start of the file.
        complete: whether the head is the complete file; otherwise its last row may be truncated.
    """

    def uniformity(delimiter: str) -> tuple[float, int]:
        rows = _leading_rows(head, delimiter, complete)
        width = len(rows[0]) if rows else 0
        if width < 2:
            return 0, 0
        # Rounded, so that a single ragged row does not decide.
        return round(sum(len(cells) == width for cells in rows) / len(rows), 1), width

    best = max(DELIMITERS, key=uniformity)
    return best if uniformity(best)[1] else ","


def detect_decimal(texts: Iterable[str], delimiter: str) -> str:
    """Return the decimal mark: that of the majority of the numbers in which it is unambiguous."""
    cells = []
    for text in texts:
        # The first and the last cell of a text may be truncated.
        complete = [cell.strip() for row in _leading_rows(text, delimiter) for cell in row][1:-1]
        cells += [cell for cell in complete if len(cell) < MAX_NUMBER_LENGTH]
    commas = sum(DECIMAL_COMMA.fullmatch(cell) is not None for cell in cells)
    points = sum(DECIMAL_POINT.fullmatch(cell) is not None for cell in cells)
    if commas or points:
        return "," if commas > points else "."
    # Files with semicolons usually have decimal commas.
    return "," if delimiter == ";" and any(map(AMBIGUOUS_COMMA.fullmatch, cells)) else "."


def distinct_names(cells: Sequence[str]) -> tuple[str, ...]:
    """Return distinct names for the columns of a header: `column_3` for an empty cell, `name_2` for a duplicate."""
    names: dict[str, None] = {}
    header = [" ".join(cell.split()) for cell in cells]
    for position, cell in enumerate(header, start=1):
        name = base = cell or f"column_{position}"
        for number in itertools.count(2):
            if name not in names and (name == cell or name not in header):
                break
            name = f"{base}_{number}"
        names[name] = None
    return tuple(names)


def _leading_rows(text: str, delimiter: str, complete: bool = True) -> list[list[str]]:
    """Return the first rows that are not blank, up to the first that is not valid CSV."""
    rows: list[list[str]] = []
    with contextlib.suppress(csv.Error):
        for cells in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter):
            if any(cells):
                rows.append(cells)
            if len(rows) == HEAD_ROWS:
                return rows
    return rows if complete or len(rows) < 2 else rows[:-1]
