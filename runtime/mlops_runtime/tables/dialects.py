"""Detection of the dialect of delimited text: delimiter, decimal mark and column names."""

import contextlib
import csv
import io
import itertools
import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from string import digits
from typing import Protocol

from mlops_runtime.missing import NO_VALUES
from mlops_runtime.tables.cells import number, without_unit

DELIMITERS = "\t;|,\x01\x1f^~"
"""Delimiters in descending order of preference: a comma is also part of prose and of numbers."""

HEAD_ROWS = 200
"""Maximum number of rows from which the dialect is detected."""

NUMBER_STARTS = "+-.," + digits
"""First characters of a number without a unit."""

MAX_NUMBER_LENGTH = 64
"""Maximum number of characters of a cell that may be a number."""


def _telling(mark: str, groups: str) -> re.Pattern[str]:
    """Return the pattern of numbers that tell the decimal mark: it cannot be a separator of thousands.

    Args:
        mark: decimal mark.
        groups: numbers with the other mark as the separator of several groups.
    """
    forms = (
        rf"\d*{mark}(?:\d\d?|\d{{4,}})", rf"0{mark}\d+", rf"\d{{4,}}{mark}\d+", rf"\d*{mark}\d+[eE][+-]?\d+",
        groups,
    )  # fmt: skip
    return re.compile(rf"[+-]?(?:{'|'.join(forms)})", re.ASCII)


DECIMAL_COMMA = _telling(",", r"\d{1,3}(?:\.\d{3})+,\d+|\d{1,3}(?:\.\d{3}){2,}")
DECIMAL_POINT = _telling(r"\.", r"\d{1,3}(?:,\d{2,3})+\.\d+|\d{1,3}(?:,\d{2,3})+,\d{3}")

AMBIGUOUS_COMMA = re.compile(r"[+-]?[1-9]\d{0,2},\d{3}", re.ASCII)
AMBIGUOUS_POINT = re.compile(r"[+-]?[1-9]\d{0,2}\.\d{3}", re.ASCII)
"""Numbers whose comma or point may be a decimal mark or a thousands separator."""


COMMENT = re.compile(r"\s*(#|//|%)")
"""Start of a comment before the header."""

RULE = re.compile(r"[\s|+:=-]*(---|===)[\s|+:=-]*")
"""Line that database clients, and Markdown, draw around a table or below its header."""

QUALTRICS_ROW = re.compile(r'\{"ImportId":.*\}', re.DOTALL)
"""Cell of the third line of a survey by Qualtrics; the second has the questions."""

EXCEL_DELIMITER = re.compile(r"sep=(.)\s*", re.IGNORECASE)
"""Line by which Excel is told the delimiter."""

MAX_PREAMBLE = 50
"""Maximum number of lines before the header."""

MAX_SUBHEADER = 2
MIN_SUBHEADER_ROWS = 10
MIN_SUBHEADER_COLUMNS = 2
"""Maximum number of rows with units or questions below the header, and the minimum number of rows of the table and of
its columns of numbers that tell them."""

MIN_TABLE_ROWS = 3
MIN_UNIFORMITY = 0.9
"""Minimum number of rows of equal width, and their minimum share, for a header that is not the first row."""


class Reader(Protocol):
    """Type of the object that csv.reader returns."""

    line_num: int

    def __iter__(self) -> Iterator[list[str]]: ...


@dataclass(frozen=True, slots=True)
class Dialect:
    """How text is divided into rows.

    Attributes:
        delimiter: between cells; a space stands for any number of spaces.
        preamble: number of lines before the header.
        unnamed: number of columns at the left that the header does not name, as R writes the names of rows.
        subheader: number of rows below the header that are no rows of the table: a line, units, questions.
    """

    delimiter: str
    preamble: int = 0
    unnamed: int = 0
    subheader: int = 0


def csv_reader(lines: Iterable[str], delimiter: str, *, strict: bool = True) -> Reader:
    """Return a reader of the rows; a space as the delimiter stands for any number of spaces."""
    return csv.reader(lines, delimiter=delimiter, skipinitialspace=delimiter == " ", strict=strict)


def detect_dialect(head: str, complete: bool, guess: bool = True) -> Dialect:
    """Return how a text is divided into rows.

    Args:
        head: start of the file.
        complete: whether the head is the complete file; otherwise its last row may be truncated.
        guess: whether rows below the header are taken for units if they are words in columns of numbers.
    """
    lines = list(io.StringIO(head, newline=""))
    told = EXCEL_DELIMITER.fullmatch(lines[0].lstrip("\ufeff")) if lines else None
    if told:
        return Dialect(told[1], 1)
    comments = _comment_lines(lines)
    text = "".join(lines[comments:])
    delimiter = detect_delimiter(text, complete)
    rows = _leading_rows(text, delimiter, complete)
    if not rows:
        return Dialect(delimiter)
    if comments and len(rows[0]) > 1:
        # The header may be a comment as well.
        (last,) = _leading_rows(lines[comments - 1], delimiter) or [[]]
        if len(last) == len(rows[0]):
            return Dialect(delimiter, comments - 1)
    title = 0 if delimiter == " " else _title_rows(rows)
    width = len(rows[title])
    named = len(rows[title + 1 :]) >= MIN_TABLE_ROWS and all(rows[title])
    longer = named and all(len(cells) == width + 1 and cells[-1] for cells in rows[title + 1 :])
    below = rows[title + 1 :]
    subheader = _certain_subheader(below) or (_likely_subheader(below) if guess else 0)
    return Dialect(delimiter, comments + _lines_of(lines[comments:], title, delimiter), int(longer), subheader)


def _comment_lines(lines: list[str]) -> int:
    """Return the number of lines of comments, and of blank lines between them, at the start."""
    commented = 0
    for count, line in enumerate(lines[:MAX_PREAMBLE], start=1):
        if COMMENT.match(line) or RULE.fullmatch(line):
            commented = count
        elif line.strip():
            return commented
    return 0


def _title_rows(rows: list[list[str]]) -> int:
    """Return the number of rows before the header: shorter than the table's, and the header is no row of data."""
    ((width, _),) = Counter(map(len, rows)).most_common(1)
    first = next((index for index, cells in enumerate(rows) if len(cells) == width and 2 * _filled(cells) > width), 0)
    after = rows[first + 1 :]
    uniform = sum(len(cells) == width for cells in after)
    titles = all(2 * _filled(cells) <= width and _is_title(cells, width) for cells in rows[:first])
    if not titles:
        few = all(len(cells) < width or _filled(cells) == 1 for cells in rows[:first])
        titles = few and _is_header(rows[first], after)
    return first if titles and uniform >= max(MIN_TABLE_ROWS, MIN_UNIFORMITY * len(after)) else 0


def _is_header(header: list[str], rows: list[list[str]]) -> bool:
    """Return whether a row has names, and a column below it has numbers."""
    return not any(map(_is_number, header)) and bool(_numeric_columns(rows))


def _certain_subheader(rows: list[list[str]]) -> int:
    """Return the number of rows below the header up to a line, or to the identifiers of questions."""
    if rows and RULE.fullmatch("|".join(rows[0])):
        return 1
    questions = (number for number, cells in enumerate(rows[:MAX_SUBHEADER], 1) if QUALTRICS_ROW.fullmatch(cells[0]))
    return next(questions, 0)


def _likely_subheader(rows: list[list[str]]) -> int:
    """Return the number of rows below the header that have words in each column of numbers, such as units."""
    numeric = _numeric_columns(rows[MAX_SUBHEADER:])
    if len(rows) < MIN_SUBHEADER_ROWS or len(numeric) < MIN_SUBHEADER_COLUMNS:
        return 0
    words = (
        all(len(cells) > column and not _is_number(cells[column], or_missing=True) for column in numeric)
        for cells in rows[:MAX_SUBHEADER]
    )
    return sum(itertools.takewhile(bool, words))


def _numeric_columns(rows: list[list[str]]) -> list[int]:
    """Return the positions of the columns in which nearly all cells are numbers."""
    columns = enumerate(itertools.zip_longest(*rows, fillvalue=""))
    return [
        position
        for position, cells in columns
        if any(map(_is_number, cells))
        and sum(_is_number(cell, or_missing=True) for cell in cells) >= MIN_UNIFORMITY * len(cells)
    ]


def _is_number(cell: str, *, or_missing: bool = False) -> bool:
    text = cell.strip()
    return any(number(text, decimal) is not None for decimal in ".,") or (or_missing and text in NO_VALUES)


def _filled(cells: list[str]) -> int:
    return sum(map(bool, map(str.strip, cells)))


def _is_title(cells: list[str], width: int) -> bool:
    # A header may leave all columns but one without a name.
    return len(cells) < width or (width > MIN_TABLE_ROWS and bool(cells[0]) and _filled(cells) == 1)


def _lines_of(lines: list[str], rows: int, delimiter: str) -> int:
    """Return the number of lines of the first rows that are not blank."""
    reader = csv_reader(lines, delimiter, strict=False)
    for _ in itertools.islice(filter(any, reader), rows):
        pass
    return reader.line_num


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

    def uniform(delimiter: str) -> tuple[float, int]:
        """Return the share of the rows of equal width below a title, and their width."""
        rows = [cells[: -1 if cells[-1] == "" else None] for cells in _leading_rows(head, delimiter, complete)]
        ((width, count),) = Counter(map(len, rows)).most_common(1) or [(0, 0)]
        first = next((index for index, cells in enumerate(rows) if len(cells) == width), 0)
        regular = width > 1 and count >= max(MIN_TABLE_ROWS, MIN_UNIFORMITY * len(rows[first:]))
        return (round(count / len(rows), 1), width) if regular else (0, 0)

    best = max(DELIMITERS, key=uniformity)
    if uniformity(best)[0] > MIN_UNIFORMITY / 2:
        return best
    below = max(DELIMITERS + " ", key=uniform)
    if uniform(below)[1]:
        return below
    return best if uniformity(best)[1] else ","


def detect_decimal(texts: Iterable[str], delimiter: str) -> str:
    """Return the decimal mark: that of the majority of the numbers in which it is unambiguous."""
    cells: list[str] = []
    for text in texts:
        # The first and the last cell of a text may be truncated.
        cells += [cell.strip() for row in _leading_rows(text, delimiter) for cell in row][1:-1]
    # Files with semicolons usually have decimal commas.
    ambiguous = delimiter == ";" and any(map(AMBIGUOUS_COMMA.fullmatch, _bare(cells)))
    return decimal_of(cells) or ("," if ambiguous else ".")


def decimal_of(cells: Iterable[str]) -> str | None:
    """Return the decimal mark of most of the numbers in which it is unambiguous; None if no number tells it."""
    numbers = list(_bare(cells))
    commas = sum(DECIMAL_COMMA.fullmatch(cell) is not None for cell in numbers)
    points = sum(DECIMAL_POINT.fullmatch(cell) is not None for cell in numbers)
    if commas == points:
        return None
    return "," if commas > points else "."


def _bare(cells: Iterable[str]) -> Iterator[str]:
    """Yield the cells that may be numbers with a comma or a point, without their units."""
    for cell in cells:
        if ("," in cell or "." in cell) and len(cell) < MAX_NUMBER_LENGTH:
            # Most numbers have no unit, and looking for one takes longer than the rest.
            has_unit = cell[0] not in NUMBER_STARTS or cell[-1] not in digits
            yield without_unit(cell)[0] if has_unit else cell


def numbers_of(header: Sequence[str], names: Collection[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Return the cells of some columns that may be numbers with a comma or a point, without their units.

    Args:
        header: names of all columns.
        names: of the columns to return, if the table has them.
        rows: of the table.
    """
    positions = [position for position, name in enumerate(header) if name in names]
    return list(_bare(row[position].strip() for row in rows for position in positions if position < len(row)))


def distinct_names(cells: Sequence[str]) -> tuple[str, ...]:
    """Return distinct names for the columns of a header: `column_3` for an empty cell, `name_2` for a duplicate."""
    names: dict[str, None] = {}
    header = [" ".join(cell.split()) for cell in cells]
    taken = set(header)
    numbers: dict[str, Iterator[int]] = {}
    for position, cell in enumerate(header, start=1):
        name = base = cell or f"column_{position}"
        while name in names or (name != cell and name in taken):
            name = f"{base}_{next(numbers.setdefault(base, itertools.count(2)))}"
        names[name] = None
    return tuple(names)


def _leading_rows(text: str, delimiter: str, complete: bool = True) -> list[list[str]]:
    """Return the first rows that are not blank, up to the first that is not valid CSV."""
    rows: list[list[str]] = []
    with contextlib.suppress(csv.Error):
        for cells in csv_reader(io.StringIO(text, newline=""), delimiter, strict=False):
            if any(cells):
                rows.append(cells)
            if len(rows) == HEAD_ROWS:
                return rows
    return rows if complete or len(rows) < 2 else rows[:-1]
