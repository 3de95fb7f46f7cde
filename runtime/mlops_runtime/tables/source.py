"""A table in a file, its cells as they are written."""

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

from mlops_runtime.tables.dialects import decimal_of, delimiter_of, distinct_names
from mlops_runtime.tables.encodings import SourceError, survey
from mlops_runtime.tables.parquet import parquet_header, parquet_rows

__all__ = ["GZIP", "MISSING", "PARQUET", "Source", "SourceError", "cleaned", "open_source"]


def _cased(word: str) -> Iterator[str]:
    return map("".join, itertools.product(*({letter.lower(), letter.upper()} for letter in word)))


MISSING = frozenset(
    (
        *("", "NA", "N/A", "n/a", "N.A.", "n.a.", "NULL", "null", "(null)", "<null>", "None", "<NA>", "NaT", "?"),
        *("#N/A", "#NA", "#DIV/0!", "#VALUE!", "#REF!", "#NAME?", "#NUM!", "#NULL!", "1.#IND", "-1.#IND", "1.#QNAN"),
        r"\N",
        *(sign + word for sign in ("", "+", "-") for name in ("nan", "inf", "infinity") for word in _cased(name)),
    )
)
"""Cells that mean a missing value, whatever the column. Infinities are no measurements, and no JSON either."""

HEAD = 1 << 18
"""Characters at the start of the file that its delimiter is told from."""

MAX_IN_MEMORY = 1 << 26
"""Bytes of the largest training table that is read into memory once, instead of several times as a stream."""

END_OF_FILE = "\x1a"
"""Ctrl-Z, the end of a file in DOS: some programs still write it as a last line."""

MAX_COLUMNS = 20_000
"""More are no table: a name of each takes fifty times the memory of the delimiter in the file."""

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
"""What reading may raise: EOFError and zlib.error are those of a damaged gzip file."""

QUOTE_ADVICE = "is a quotation mark left open? One within a quoted cell is written twice"


class _Reader(Protocol):
    """What csv.reader returns."""

    line_num: int

    def __iter__(self) -> Iterator[list[str]]: ...


@dataclass(slots=True)
class Source:
    """A table of delimited text.

    Attributes:
        path: of the file.
        encoding: of its text.
        delimiter: between two cells of a row.
        decimal: mark of its numbers, a point or a comma.
        header: names of the columns: stripped, none empty, no two alike.
        lines: line ends in the file, which are as many as rows where no cell holds one.
        quoted: whether a quotation mark stands anywhere, so that a cell may hold a line end.
        written_header: cells of the header as they are written.
        content: bytes of the file if it is kept in memory.
        repeated_headers: rows equal to the header that the last reading has left out.
    """

    path: Path
    encoding: str
    delimiter: str
    decimal: str
    header: tuple[str, ...]
    lines: int
    quoted: bool
    written_header: list[str] = field(default_factory=list)
    content: bytes | None = field(default=None, repr=False)
    repeated_headers: int = 0

    def sha256(self) -> str:
        """Return the hash of the file's bytes.

        Raises:
            OSError: if the file can't be read.
        """
        if self.content is not None:
            return hashlib.sha256(self.content).hexdigest()
        with self.path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    def rows(self) -> Iterator[tuple[int, list[str]]]:
        """Yield each row that is not blank: its line in the file, and its cells, stripped, "" where missing.

        Raises:
            SourceError: if a row is not valid, or longer than the header.
        """
        for line, cells in self.raw_rows():
            yield line, cleaned(cells)

    def sample(self, rows: int) -> list[list[str]]:
        """Return about so many rows, spread evenly over the file, as `rows` gives them.

        Raises:
            SourceError: as `rows`.
        """
        return [cleaned(cells) for _, cells in self.raw_rows(self.step(rows))]

    def step(self, rows: int) -> int:
        """Return how many rows one of a sample of so many rows stands for."""
        return max(1, -(-self.lines // rows))

    def raw_rows(self, step: int = 1, *, fit: bool = True) -> Iterator[tuple[int, list[str]]]:
        """Yield one row out of `step`: its line in the file, and its cells as they are written.

        Blank rows and repeated headers, as in tables that were put together from several, are left out.

        Args:
            step: every so many rows.
            fit: fill a short row, and refuse a long one; otherwise rows may have any number of cells.

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
                    fitted = self._fitted(line, cells) if fit and len(cells) != len(self.header) else cells
                    if fitted == self.written_header:
                        self.repeated_headers += 1
                    elif any(fitted) and not _ends_file(fitted):
                        yield line, fitted
        except csv.Error as error:
            place = max(line + 1, reader.line_num)
            raise SourceError(f"{self.path.name}, row {place} is not valid CSV: {_shown(error)}") from error
        except READ_ERRORS as error:
            raise SourceError(f"{self.path.name} can't be read after row {line}: {error}; is it complete?") from error

    def _numbered(self, text: Iterator[str], reader: "_Reader", step: int) -> Iterator[tuple[int, list[str]]]:
        if step == 1 or self.quoted:
            for cells in itertools.islice(reader, step - 1, None, step):
                yield reader.line_num, cells
        else:
            # Without a quotation mark a line is a row: those left out need not be parsed.
            lines = itertools.islice(text, step - 1, None, step)
            picked = csv.reader(lines, delimiter=self.delimiter, strict=True)
            yield from zip(itertools.count(reader.line_num + step, step), picked, strict=False)

    def _fitted(self, line: int, cells: list[str]) -> list[str]:
        width = len(self.header)
        if any(map(str.strip, cells[width:])):
            raise SourceError(
                f"{self.path.name}, row {line} has {len(cells)} cells, but the header names {width} columns: "
                "mend the row, or put a cell that holds the delimiter in quotation marks"
            )
        return cells[:width] + [""] * (width - len(cells))


class ParquetSource(Source):
    """A table in a Parquet file, its values as text."""

    __slots__ = ()

    def raw_rows(self, step: int = 1, *, fit: bool = True) -> Iterator[tuple[int, list[str]]]:  # noqa: ARG002
        """Yield one row out of `step` as text; what would be its line in a file of text is its number here."""
        for place, cells in enumerate(parquet_rows(self.path), start=1):
            if place % step == 0 and any(cells):
                yield place + 1, cells


def cleaned(cells: Iterable[str]) -> list[str]:
    """Return the cells stripped, and those that mean a missing value empty."""
    return ["" if cell in MISSING else cell for cell in map(str.strip, cells)]


def open_source(path: Path, max_in_memory: int = 0) -> Source:
    """Return the table in a file: text of any usual dialect, such text in gzip, or Parquet.

    The whole file is read once, to be sure of its encoding.

    Args:
        path: of the file.
        max_in_memory: bytes of the largest file that is then kept in memory, and not read again.

    Raises:
        SourceError: if there is no such file, or no table in it.
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
            found = survey(path.name, binary)
        with _opened(path, content) as binary, io.TextIOWrapper(binary, found.encoding, newline="") as text:
            head = text.read(HEAD)
            delimiter = delimiter_of(head, len(head) < HEAD)
            text.seek(0)
            written_header = _header(path, text, delimiter)
    except IsADirectoryError as error:
        raise SourceError(f"{path} is a folder: name the file in it") from error
    except FileNotFoundError as error:
        raise SourceError(f"{path} does not exist: check the path") from error
    except READ_ERRORS as error:
        raise SourceError(f"{path} can't be read: {getattr(error, 'strerror', None) or error}") from error
    decimal = decimal_of([head, *found.probes], delimiter)
    header = distinct_names(written_header)
    return Source(
        path,
        found.encoding,
        delimiter,
        decimal,
        header,
        found.lines,
        found.quoted,
        written_header,
        content,
    )


def _opened(path: Path, content: bytes | None) -> IO[bytes]:
    """Return the file, or its content, as bytes that gzip compresses no more."""
    file = path.open("rb") if content is None else io.BufferedReader(io.BytesIO(content))
    if not file.peek(2).startswith(GZIP):
        return file
    file.close()
    return gzip.open(path if content is None else io.BytesIO(content))  # type: ignore[return-value]  # but for its type


def _header(path: Path, text: Iterable[str], delimiter: str) -> list[str]:
    """Return the cells of the first row that is not blank.

    Raises:
        SourceError: if there is none.
    """
    try:
        cells = next(filter(any, csv.reader(text, delimiter=delimiter, strict=True)), None)
    except csv.Error as error:
        raise SourceError(f"{path.name}, row 1 is not valid CSV: {_shown(error)}") from error
    if cells is None:
        raise SourceError(f"{path.name} holds no table: the first row must name the columns")
    if len(cells) > MAX_COLUMNS:
        raise SourceError(f"{path.name} has more than {MAX_COLUMNS:,} columns: is it a table?")
    return cells


def _ends_file(cells: list[str]) -> bool:
    return cells[0] == END_OF_FILE and not any(cells[1:])


def _shown(error: csv.Error) -> str:
    return f"{error}; {QUOTE_ADVICE}".replace("\t", "tab")
