"""A table in a file, read row by row."""

import csv
import gzip
import hashlib
import io
import itertools
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Protocol

from mlops_runtime.tables.cells import cleaned
from mlops_runtime.tables.dialects import detect_decimal, detect_delimiter, distinct_names
from mlops_runtime.tables.encodings import SourceError, scan
from mlops_runtime.tables.parquet import parquet_header, parquet_rows

__all__ = ["GZIP", "PARQUET", "Source", "SourceError", "open_source"]


HEAD_SIZE = 1 << 18
"""Number of characters at the start of the file from which the delimiter is detected."""

MAX_IN_MEMORY = 1 << 26
"""Maximum size in bytes of a training table that is kept in memory; a larger one is read from the file each time."""

END_OF_FILE = "\x1a"
"""Ctrl-Z, the end-of-file character of DOS, which some programs still write as the last line."""

MAX_COLUMNS = 20_000
"""Maximum number of columns. The name of a column takes fifty times the memory of its delimiter, so that a file of
delimiters alone could exhaust the memory."""

GZIP = b"\x1f\x8b"
PARQUET = b"PAR1"

OTHER_FORMATS = {
    b"PK": "is an Excel workbook or a zip archive: save the sheet, or the file inside, as CSV",
    b"\xd0\xcf\x11\xe0": "is an Excel workbook: save the sheet as CSV",
    b"BZh": "is compressed by bzip2: decompress it, or use gzip",
    b"\xfd7zXZ": "is compressed by xz: decompress it, or use gzip",
    b"\x28\xb5\x2f\xfd": "is compressed by zstd: decompress it, or use gzip",
}

READ_ERRORS = (OSError, EOFError, zlib.error, UnicodeError)
"""Exceptions of reading; a damaged gzip file raises EOFError or zlib.error."""

QUOTE_ADVICE = "is a quotation mark not closed? Within a quoted cell, a quotation mark must be doubled"


class _Reader(Protocol):
    """Type of the object that csv.reader returns."""

    line_num: int

    def __iter__(self) -> Iterator[list[str]]: ...


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
        repeated_headers: number of rows equal to the header that the last reading skipped.
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
    repeated_headers: int = 0

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
        """Yield the line number and the cleaned cells of each row that is not blank.

        Raises:
            SourceError: if a row is not valid, or longer than the header.
        """
        for line, cells in self.raw_rows():
            yield line, list(map(cleaned, cells))

    def sample(self, rows: int) -> list[list[str]]:
        """Return about this number of rows at regular distances in the file, with cleaned cells.

        Raises:
            SourceError: as `rows`.
        """
        return [list(map(cleaned, cells)) for _, cells in self.raw_rows(self.step(rows))]

    def step(self, rows: int) -> int:
        """Return the step of a sample of this number of rows: one row out of `step` is in the sample."""
        return max(1, -(-self.lines // rows))

    def raw_rows(self, step: int = 1, *, fit: bool = True) -> Iterator[tuple[int, list[str]]]:
        """Yield the line number and the unchanged cells of one row out of `step`.

        Blank rows are skipped, and so are repeated headers, which concatenated files have.

        Args:
            step: distance between the rows.
            fit: pad a short row and refuse a long one; otherwise rows may have any number of cells.

        Raises:
            SourceError: as `rows`.
        """
        line = 0
        self.repeated_headers = 0
        try:
            with (
                _opened(self.path, self.content) as binary,
                io.TextIOWrapper(binary, self.encoding, newline="") as text,
            ):
                reader = csv.reader(text, delimiter=self.delimiter, strict=True)
                next(filter(any, reader), None)
                line = reader.line_num
                for line, cells in self._numbered(text, reader, step):
                    row = self._fitted(line, cells) if fit and len(cells) != len(self.header) else cells
                    if row == self.raw_header:
                        self.repeated_headers += 1
                    elif any(row) and not _is_end_of_file(row):
                        yield line, row
        except csv.Error as error:
            line = max(line + 1, reader.line_num)
            raise SourceError(f"{self.path.name}, row {line} is not valid CSV: {_csv_advice(error)}") from error
        except READ_ERRORS as error:
            raise SourceError(f"{self.path.name} can't be read after row {line}: {error}; is it complete?") from error

    def _numbered(self, text: Iterator[str], reader: "_Reader", step: int) -> Iterator[tuple[int, list[str]]]:
        if step == 1 or self.quoted:
            for cells in itertools.islice(reader, step - 1, None, step):
                yield reader.line_num, cells
        else:
            # Without quotation marks, each line is a row: the skipped ones need no parsing.
            lines = itertools.islice(text, step - 1, None, step)
            rows = csv.reader(lines, delimiter=self.delimiter, strict=True)
            yield from zip(itertools.count(reader.line_num + step, step), rows, strict=False)

    def _fitted(self, line: int, cells: list[str]) -> list[str]:
        width = len(self.header)
        if any(map(str.strip, cells[width:])):
            raise SourceError(
                f"{self.path.name}, row {line} has {len(cells)} cells, but the header names {width} columns: "
                "correct the row, or put a cell that contains the delimiter in quotation marks"
            )
        return cells[:width] + [""] * (width - len(cells))


class ParquetSource(Source):
    """A table in a Parquet file, with its values converted to text."""

    __slots__ = ()

    def raw_rows(self, step: int = 1, *, fit: bool = True) -> Iterator[tuple[int, list[str]]]:  # noqa: ARG002
        """Yield one row out of `step` as text, with the line number that it would have in a CSV file."""
        for row, cells in enumerate(parquet_rows(self.path), start=1):
            if row % step == 0 and any(cells):
                yield row + 1, cells


def open_source(path: Path, max_in_memory: int = 0) -> Source:
    """Open the table in a file: delimited text, plain or gzip, or Parquet.

    The complete file is read once to determine its encoding.

    Args:
        path: path of the file.
        max_in_memory: maximum size in bytes of a file that is kept in memory.

    Raises:
        SourceError: if the file does not exist, or does not contain a table.
    """
    try:
        with path.open("rb") as file:
            start = file.read(8)
            if start.startswith(PARQUET):
                names, rows = parquet_header(path)
                return ParquetSource(path, "parquet", "", ".", distinct_names(names), rows, True)
            for signature, advice in OTHER_FORMATS.items():
                if start.startswith(signature):
                    raise SourceError(f"{path.name} {advice}")
            size = path.stat().st_size
            content = start + file.read() if size <= max_in_memory else None
        with _opened(path, content) as binary:
            properties = scan(path.name, binary)
        with _opened(path, content) as binary, io.TextIOWrapper(binary, properties.encoding, newline="") as text:
            head = text.read(HEAD_SIZE)
            delimiter = detect_delimiter(head, len(head) < HEAD_SIZE)
            text.seek(0)
            raw_header = _header(path, text, delimiter)
    except IsADirectoryError as error:
        raise SourceError(f"{path} is a folder: give the path of a file") from error
    except FileNotFoundError as error:
        raise SourceError(f"{path} does not exist: check the path") from error
    except READ_ERRORS as error:
        raise SourceError(f"{path} can't be read: {getattr(error, 'strerror', None) or error}") from error
    return Source(
        path,
        properties.encoding,
        delimiter,
        detect_decimal([head, *properties.excerpts], delimiter),
        distinct_names(raw_header),
        properties.lines,
        properties.quoted,
        raw_header,
        content,
    )


def _opened(path: Path, content: bytes | None) -> IO[bytes]:
    """Open the file, or its content in memory, and decompress gzip."""
    file = path.open("rb") if content is None else io.BufferedReader(io.BytesIO(content))
    if not file.peek(2).startswith(GZIP):
        return file
    file.close()
    return gzip.open(path if content is None else io.BytesIO(content))  # type: ignore[return-value]


def _header(path: Path, text: Iterable[str], delimiter: str) -> list[str]:
    """Return the cells of the first row that is not blank.

    Raises:
        SourceError: if there is no such row, or it is not valid.
    """
    try:
        cells = next(filter(any, csv.reader(text, delimiter=delimiter, strict=True)), None)
    except csv.Error as error:
        raise SourceError(f"{path.name}, row 1 is not valid CSV: {_csv_advice(error)}") from error
    if cells is None:
        raise SourceError(f"{path.name} contains no table: the first row must name the columns")
    if len(cells) > MAX_COLUMNS:
        raise SourceError(f"{path.name} has more than {MAX_COLUMNS:,} columns: is it a table?")
    return cells


def _is_end_of_file(cells: list[str]) -> bool:
    return cells[0] == END_OF_FILE and not any(cells[1:])


def _csv_advice(error: csv.Error) -> str:
    return f"{error}; {QUOTE_ADVICE}".replace("\t", "tab")
