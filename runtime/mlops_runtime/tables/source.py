"""A table in a file, read row by row."""

import csv
import hashlib
import io
import itertools
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from mlops_runtime.tables.arrow import arrow_header, arrow_rows
from mlops_runtime.tables.compression import READ_ERRORS, opened
from mlops_runtime.tables.dialects import (
    DELIMITERS,
    RULE,
    Dialect,
    Reader,
    csv_reader,
    detect_decimal,
    detect_dialect,
    distinct_names,
)
from mlops_runtime.tables.encodings import SourceError, scan
from mlops_runtime.tables.formats import ARROW, ORC, PARQUET, START_SIZE, address_advice, advice_for
from mlops_runtime.tables.parts import files_of, partition_of, require_equal_columns
from mlops_runtime.tables.records import is_json, json_header, json_rows

__all__ = ["ConvertedSource", "Source", "SourceError", "open_source"]

HEAD_SIZE = 1 << 18
"""Number of characters at the start of the file from which the delimiter is detected."""

MAX_IN_MEMORY = 1 << 26
"""Maximum size in bytes of a training table that is kept in memory; a larger one is read from the file each time."""

ENDS_OF_FILE = ("\x1a", r"\.")
"""Last lines that are no rows: the end-of-file character of DOS, and the end of a copy by PostgreSQL."""

MAX_COLUMNS = 20_000
"""Maximum number of columns. The name of a column takes fifty times the memory of its delimiter, so that a file of
delimiters alone could exhaust the memory."""

SUM = re.compile(
    r"\W*(grand[ -]?total|(sub-?)?totals?|sum|summe|gesamt(summe)?|somme|suma|total general)\W*", re.IGNORECASE
)
"""First cell of a row of sums."""

FOOTER = re.compile(
    rf"{SUM.pattern}|{RULE.pattern}|\(?\d[\d,.]* (rows?|records?)\b.*|total\b[^:]*:[\s\d.,]+"
    r"|(source|notes?|quelle|fuente|fonte|stand)\b.*"
    r"|(generated|printed|exported|end of|copyright|confidential|©|\(c\))(?!\w).*|_{3,}|\* .*",
    re.IGNORECASE | re.DOTALL,
)
"""First cells of rows that end a report: sums, lines, the number of rows, notes."""

MAX_FOOTERS = 10
"""Maximum number of rows at the end of a file that may be such rows."""

MIN_COLUMNS_OF_NOTES = 3
"""Minimum number of columns for a row with nothing but its first cell to be a note beside such rows."""

QUOTE_ADVICE = "is a quotation mark not closed? Within a quoted cell, a quotation mark must be doubled"


@dataclass(slots=True)
class Source:
    """A table of delimited text.

    Attributes:
        path: path of the file.
        encoding: encoding of the text.
        delimiter: delimiter between the cells of a row.
        decimal: decimal mark, a point or a comma.
        header: names of the columns: stripped, not empty, distinct.
        lines: number of line ends in the file; equals the number of rows if no cell contains a line end.
        quoted: whether the file contains a quotation mark: only a quoted cell can contain a line end.
        raw_header: cells of the header, unchanged.
        content: bytes of the file if it is kept in memory.
        preamble: number of lines before the header, such as a title or comments.
        repeated_headers: number of rows equal to the header that the last reading skipped.
        subheader: number of rows below the header, such as units, that are skipped.
        footers: number of rows after the table, such as sums, that the last reading skipped.
        comments: number of comments among the rows that the last reading skipped.
        sums: lines of rows that may be sums, which the last reading did not skip.
    """

    path: Path
    encoding: str
    delimiter: str
    decimal: str
    header: tuple[str, ...]
    lines: int
    quoted: bool
    raw_header: list[str] = field(default_factory=list)
    content: bytes | None = field(default=None, repr=False)
    preamble: int = 0
    subheader: int = 0
    repeated_headers: int = 0
    footers: int = 0
    comments: int = 0
    sums: list[int] = field(default_factory=list)

    def sha256(self) -> str:
        """Return the SHA-256 of the file.

        Raises:
            OSError: if the file can't be read.
        """
        if self.content is not None:
            return hashlib.sha256(self.content).hexdigest()
        with self.path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    def rows(self) -> Iterator[tuple[int, list[str]]]:
        """Yield the line number and the stripped cells of each row that is not blank.

        Raises:
            SourceError: if a row is not valid, or longer than the header.
        """
        for line, cells in self.raw_rows():
            yield line, list(map(str.strip, cells))

    def sample(self, rows: int) -> list[list[str]]:
        """Return about this number of rows at regular distances in the file, with stripped cells.

        Raises:
            SourceError: as `rows`.
        """
        return [list(map(str.strip, cells)) for _, cells in self.raw_rows(self.step(rows))]

    def step(self, rows: int) -> int:
        """Return the step of a sample of this number of rows: one row out of `step` is in the sample."""
        return max(1, -(-self.lines // rows))

    def raw_rows(self, step: int = 1, *, fit: bool = True, blank: bool = False) -> Iterator[tuple[int, list[str]]]:
        """Yield the line number and the unchanged cells of one row out of `step`.

        Blank rows are skipped, and so are repeated headers, which concatenated files have.

        Args:
            step: distance between the rows.
            fit: pad a short row and refuse a long one; otherwise rows may have any number of cells.
            blank: yield rows whose cells are all empty too.

        Raises:
            SourceError: as `rows`.
        """
        pending: list[tuple[int, list[str]]] = []
        footed = False
        width, spaced = len(self.header), self.delimiter == " "
        for line, cells in self._rows(step, fit, blank):
            # A row of sums or notes has an empty cell; if cells are separated by spaces, a sentence has many.
            may_be_footer = width > 1 and ("" in cells or len(cells) < width or spaced)
            if may_be_footer and len(pending) < MAX_FOOTERS:
                is_footer = self._is_footer(cells)
                if is_footer or (self._is_note(cells) and (footed or " " in cells[0])):
                    pending.append((line, cells))
                    footed = footed or is_footer
                    continue
            if pending:
                yield from self._kept(pending)
                pending, footed = [], False
            yield line, cells
            if SUM.fullmatch(cells[0]):
                self.sums.append(line)
        if footed:
            self.footers = len(pending)
        else:
            yield from pending

    def _kept(self, rows: list[tuple[int, list[str]]]) -> Iterator[tuple[int, list[str]]]:
        self.sums += [line for line, cells in rows if SUM.fullmatch(cells[0])]
        yield from rows

    def _is_footer(self, cells: list[str]) -> bool:
        """Return whether a row is none of the table if it is one of the last."""
        if self.delimiter == " ":
            return cells[0].startswith("(") and FOOTER.fullmatch(" ".join(cells)) is not None
        return FOOTER.fullmatch(cells[0]) is not None

    def _is_note(self, cells: list[str]) -> bool:
        """Return whether a row of a table of several columns has nothing but its first cell."""
        return len(self.header) >= MIN_COLUMNS_OF_NOTES and bool(cells[0]) and not any(cells[1:])

    def _rows(self, step: int, fit: bool, blank: bool) -> Iterator[tuple[int, list[str]]]:
        line = 0
        self.repeated_headers = self.footers = self.comments = 0
        self.sums = []
        try:
            with (
                opened(self.path, self.content) as binary,
                io.TextIOWrapper(binary, self.encoding, newline="") as text,
            ):
                line = sum(1 for _ in itertools.islice(text, self.preamble))
                reader = csv_reader(text, self.delimiter)
                for _ in itertools.islice(filter(any, reader), 1 + self.subheader):
                    pass
                width, header = len(self.header), self.raw_header
                for line, cells in self._numbered(text, reader, step):
                    row = cells
                    if len(cells) != width:
                        if len(cells) == 1 and cells[0].startswith("#"):
                            self.comments += 1
                            continue
                        row = self._fitted(line, cells) if fit else cells
                    if row == header:
                        self.repeated_headers += 1
                    elif (any(row) or (blank and row)) and not (row[0] in ENDS_OF_FILE and not any(row[1:])):
                        yield line, row
        except csv.Error as error:
            line = max(line + 1, self.preamble + reader.line_num)
            raise SourceError(f"{self.path.name}, row {line} is not valid CSV: {_csv_advice(error)}") from error
        except READ_ERRORS as error:
            raise SourceError(f"{self.path.name} can't be read after row {line}: {error}; is it complete?") from error

    def _numbered(self, text: Iterator[str], reader: Reader, step: int) -> Iterator[tuple[int, list[str]]]:
        if step == 1 or self.quoted:
            for cells in itertools.islice(reader, step - 1, None, step):
                yield self.preamble + reader.line_num, cells
        else:
            # Without quotation marks, each line is a row: the skipped ones need no parsing.
            lines = itertools.islice(text, step - 1, None, step)
            rows = csv_reader(lines, self.delimiter)
            yield from zip(itertools.count(self.preamble + reader.line_num + step, step), rows, strict=False)

    def _fitted(self, line: int, cells: list[str]) -> list[str]:
        row = fitted(cells, len(self.header))
        if row is None:
            columns = f"{len(self.header)} columns"
            raise SourceError(
                f"{self.path.name}, row {line} has {len(cells)} cells, but the header names {columns}: "
                "correct the row, or put a cell that contains the delimiter in quotation marks"
            )
        return row


@dataclass(slots=True)
class ConvertedSource(Source):
    """A table that is no delimited text, with its values converted to text.

    Attributes:
        converted: returns the cells of each row.
        files: files of the table.
    """

    converted: Callable[[], Iterator[list[str]]] = lambda: iter(())
    files: tuple[Path, ...] = ()

    def sha256(self) -> str:
        """Return the SHA-256 of the file, or of those of its parts."""
        hashes = []
        for path in self.files:
            with path.open("rb") as file:
                hashes.append(hashlib.file_digest(file, "sha256").hexdigest())
        return hashes[0] if len(hashes) == 1 else hashlib.sha256("".join(hashes).encode()).hexdigest()

    def raw_rows(
        self,
        step: int = 1,
        *,
        fit: bool = True,  # noqa: ARG002
        blank: bool = False,  # noqa: ARG002
    ) -> Iterator[tuple[int, list[str]]]:
        """Yield one row out of `step` as text, with the line number that it would have in a CSV file."""
        for row, cells in enumerate(self.converted(), start=1):
            if row % step == 0 and any(cells):
                yield row + 1, cells


def fitted(cells: Sequence[str], width: int) -> list[str] | None:
    """Return a row with the number of cells of its header: a short row is padded; None if a row is too long."""
    if any(map(str.strip, cells[width:])):
        return None
    return [*cells[:width], *[""] * (width - len(cells))]


def open_source(path: Path, max_in_memory: int = 0, names: Collection[str] = ()) -> Source:
    """Open the table in a file: delimited text, JSON, Parquet, ORC or Feather, or a folder of these.

    Text may be compressed by gzip, bzip2, xz or zip. It is read once to determine its encoding.

    Args:
        path: path of the file.
        max_in_memory: maximum size in bytes of a file that is kept in memory.
        names: of columns that are expected, which tell the delimiter; empty if they are not known.

    Raises:
        SourceError: if the file does not exist, or does not contain a table.
    """
    try:
        if path.is_dir():
            return _open_parts(path)
        with path.open("rb") as file:
            start = file.read(START_SIZE)
            if advice := advice_for(path.name, start):
                raise SourceError(advice)
            if is_converted(start):
                return _open_converted(path, start, names)
            size = path.stat().st_size
            content = start + file.read() if size <= max_in_memory else None
        return text_source(path, content, names)
    except FileNotFoundError as error:
        raise SourceError(address_advice(str(path)) or f"{path} does not exist: check the path") from error
    except READ_ERRORS as error:
        raise SourceError(f"{path} can't be read: {getattr(error, 'strerror', None) or error}") from error


def text_source(path: Path, content: bytes | None, names: Collection[str] = ()) -> Source:
    """Return the table in delimited text.

    Args:
        path: path of the file, or a name for messages.
        content: bytes of the file, or None to read them from the file.
        names: of columns that are expected, which tell the dialect; empty if they are not known.

    Raises:
        SourceError: if it is not a table.
        OSError: if the file can't be read.
    """
    with opened(path, content) as binary:
        properties = scan(path.name, binary)
    with opened(path, content) as binary, io.TextIOWrapper(binary, properties.encoding, newline="") as text:
        head = text.read(HEAD_SIZE)

        def header(dialect: Dialect) -> list[str]:
            text.seek(0)
            return _header(path, itertools.islice(text, dialect.preamble, None), dialect)

        def expected(dialect: Dialect) -> int:
            try:
                return len(set(names).intersection(distinct_names(header(dialect))))
            except SourceError:
                return 0

        dialect = detect_dialect(head, len(head) < HEAD_SIZE, guess=not names)
        if names:
            dialect = max([dialect, *map(Dialect, DELIMITERS)], key=expected)
        raw_header = header(dialect)
    return Source(
        path,
        properties.encoding,
        dialect.delimiter,
        detect_decimal([head, *properties.excerpts], dialect.delimiter),
        distinct_names(raw_header),
        properties.lines,
        properties.quoted,
        raw_header,
        content,
        dialect.preamble,
        dialect.subheader,
    )


def is_converted(start: bytes) -> bool:
    """Return whether a file that starts with these bytes is no delimited text, and its values are converted."""
    return start.startswith((PARQUET, ORC, *ARROW)) or is_json(start)


def _open_converted(path: Path, start: bytes, expected: Collection[str] = ()) -> Source:
    if is_json(start):
        (names, count), rows = json_header(path), partial(json_rows, path, expected)
    else:
        (names, count), rows = arrow_header(path), partial(arrow_rows, path)
    _require_possible(path, names)
    return ConvertedSource(
        *(path, "utf-8", ",", ".", distinct_names(names), count, True), converted=rows, files=(path,)
    )


def _open_parts(folder: Path) -> Source:
    """Open the table whose rows are in the files of a folder."""
    files = files_of(folder)
    parts = [open_source(file) for file in files]
    partitions = [partition_of(folder, file) for file in files]
    headers = [(*part.header, *partition) for part, partition in zip(parts, partitions, strict=True)]
    require_equal_columns(folder, list(zip(files, headers, strict=True)))

    def rows() -> Iterator[list[str]]:
        for part, partition in zip(parts, partitions, strict=True):
            for _, cells in part.raw_rows():
                yield [*cells, *partition.values()]

    ((decimal, _),) = Counter(part.decimal for part in parts).most_common(1)
    lines = sum(part.lines for part in parts)
    first = parts[0]
    return ConvertedSource(
        *(folder, first.encoding, first.delimiter, decimal, distinct_names(headers[0]), lines, True),
        converted=rows,
        files=tuple(files),
    )


def _header(path: Path, text: Iterable[str], dialect: Dialect) -> list[str]:
    """Return the cells of the first row that is not blank.

    Raises:
        SourceError: if there is no such row, or it is not valid.
    """
    try:
        cells = next(filter(any, csv_reader(text, dialect.delimiter)), None)
    except csv.Error as error:
        raise SourceError(f"{path.name}, row 1 is not valid CSV: {_csv_advice(error)}") from error
    if cells is None:
        raise SourceError(f"{path.name} contains no table: the first row must name the columns")
    cells = [*[""] * dialect.unnamed, *cells]
    while dialect.delimiter == " " and cells[-1] == "":
        cells.pop()
    _require_possible(path, cells)
    return cells


def _require_possible(path: Path, names: list[str]) -> None:
    if len(names) > MAX_COLUMNS:
        raise SourceError(f"{path.name} has more than {MAX_COLUMNS:,} columns: is it a table?")


def _csv_advice(error: csv.Error) -> str:
    return f"{error}; {QUOTE_ADVICE}".replace("\t", "tab")
