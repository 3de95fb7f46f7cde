"""The dialect of delimited text: its delimiter, its decimal mark, the names of its columns."""

import contextlib
import csv
import io
import itertools
import re
from collections.abc import Iterable, Sequence

DELIMITERS = "\t;|,"
"""In the order of trust: a comma is also part of prose and of numbers."""

HEAD_ROWS = 200
"""Rows at the start of a text that its dialect is told from."""

MAX_NUMBER_LENGTH = 64
"""Characters of a cell that may be a number."""

CLEAR_COMMA = re.compile(r"[+-]?(?:\d*,(?:\d\d?|\d{4,})|0,\d+|\d{4,},\d+|\d{1,3}(?:\.\d{3})+,\d+)", re.ASCII)
CLEAR_POINT = re.compile(r"[+-]?(?:\d*\.(?:\d\d?|\d{4,})|0\.\d+|\d{4,}\.\d+|\d{1,3}(?:,\d{3})+\.\d+)", re.ASCII)
"""Numbers whose decimal mark can't be a thousands separator."""

VAGUE_COMMA = re.compile(r"[+-]?\d{1,3},\d{3}", re.ASCII)


def delimiter_of(head: str, whole: bool) -> str:
    """Return the delimiter that cuts the first rows most evenly; a comma where none cuts the header.

    Args:
        head: text at the start of the file.
        whole: whether that is all of the file: if not, its last row may be cut.
    """

    def evenness(delimiter: str) -> tuple[float, int]:
        rows = _leading_rows(head, delimiter, whole)
        width = len(rows[0]) if rows else 0
        if width < 2:
            return 0, 0
        # Tenths: one ragged row is no reason to take another delimiter.
        return round(sum(len(cells) == width for cells in rows) / len(rows), 1), width

    best = max(DELIMITERS, key=evenness)
    return best if evenness(best)[1] else ","


def decimal_of(texts: Iterable[str], delimiter: str) -> str:
    """Return the decimal mark, by the numbers in which it can be told from a thousands separator."""
    cells = []
    for text in texts:
        # A text starts and ends within a cell, and in a wide table within one row.
        whole = [cell.strip() for row in _leading_rows(text, delimiter) for cell in row][1:-1]
        cells += [cell for cell in whole if len(cell) < MAX_NUMBER_LENGTH]
    commas = sum(CLEAR_COMMA.fullmatch(cell) is not None for cell in cells)
    points = sum(CLEAR_POINT.fullmatch(cell) is not None for cell in cells)
    if commas or points:
        return "," if commas > points else "."
    # Where a semicolon delimits, the comma is often the decimal mark.
    return "," if delimiter == ";" and any(map(VAGUE_COMMA.fullmatch, cells)) else "."


def distinct_names(cells: Sequence[str]) -> tuple[str, ...]:
    """Return a name for each column: its cell of the header, `column_3` where that is empty, `name_2` at a repeat."""
    names: list[str] = []
    taken = set()
    written = [" ".join(cell.split()) for cell in cells]
    for place, cell in enumerate(written, start=1):
        name = base = cell or f"column_{place}"
        for number in itertools.count(2):
            if name not in taken and (name == cell or name not in written):
                break
            name = f"{base}_{number}"
        taken.add(name)
        names.append(name)
    return tuple(names)


def _leading_rows(text: str, delimiter: str, whole: bool = True) -> list[list[str]]:
    """Return the first rows that are not blank, up to one that is not valid CSV."""
    rows: list[list[str]] = []
    with contextlib.suppress(csv.Error):
        for cells in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter):
            if any(cells):
                rows.append(cells)
            if len(rows) == HEAD_ROWS:
                return rows
    return rows if whole or len(rows) < 2 else rows[:-1]
