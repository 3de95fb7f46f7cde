"""The table as it was written: its encoding, its dialect, its rows."""

import codecs
import contextlib
import csv
import gzip
import io
import itertools
import re
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from importlib import import_module
from pathlib import Path
from typing import IO, Any, Generic, Protocol, TypeVar

Piece = TypeVar("Piece", bytes, str)


class SourceError(ValueError):
    """The file can't be read as a table; the message is a sentence that says what to do next."""


def _cased(word: str) -> Iterator[str]:
    return map("".join, itertools.product(*({letter.lower(), letter.upper()} for letter in word)))


MISSING = frozenset(
    (
        *("", "NA", "N/A", "n/a", "NULL", "null", "None", "<NA>", "#N/A", "?"),
        *(sign + word for sign in ("", "+", "-") for name in ("nan", "inf", "infinity") for word in _cased(name)),
    )
)
"""Cells that mean a missing value. Infinities are no measurements, and no JSON either."""

DELIMITERS = "\t;|,"
"""In the order of trust: a comma is also part of prose and of numbers."""

BLOCK = 1 << 20
"""Bytes read at once."""

MAX_LINE_LENGTH = 1 << 26
"""Most bytes between two line ends: more is no table, and would be held in memory whole."""

HEAD = 1 << 18
"""Characters at the start of the file that its delimiter is found from."""

HEAD_ROWS = 200
"""Rows at the start that count."""

PROBE = 1 << 14
"""Bytes of each of the places, spread over the file, that its decimal mark is found from."""

PROBES = 16

UNDEFINED_IN_CP1252 = re.compile(rb"[\x81\x8d\x8f\x90\x9d]")

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

CLEAR_COMMA = re.compile(r"[+-]?(?:\d*,(?:\d\d?|\d{4,})|0,\d+|\d{4,},\d+|\d{1,3}(?:\.\d{3})+,\d+)", re.ASCII)
CLEAR_POINT = re.compile(r"[+-]?(?:\d*\.(?:\d\d?|\d{4,})|0\.\d+|\d{4,}\.\d+|\d{1,3}(?:,\d{3})+\.\d+)", re.ASCII)
"""Numbers whose decimal mark can't be a thousands separator."""

MAX_COLUMNS = 20_000
"""More are no table: a name of each takes fifty times the memory of the delimiter in the file."""

MAX_NUMBER_LENGTH = 64
"""Characters: what is longer is none."""

QUOTE_ADVICE = "is a quotation mark left open? One within a quoted cell is written twice"

VAGUE_COMMA = re.compile(r"[+-]?\d{1,3},\d{3}", re.ASCII)


class _Reader(Protocol):
    """What csv.reader returns."""

    line_num: int

    def __iter__(self) -> Iterator[list[str]]: ...


@dataclass(frozen=True, slots=True)
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
    """

    path: Path
    encoding: str
    delimiter: str
    decimal: str
    header: tuple[str, ...]
    lines: int
    quoted: bool

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
        """Yield one row out of `step` that is not blank: its line in the file, and its cells as they are written.

        Args:
            step: every so many rows.
            fit: fill a short row, and refuse a long one; otherwise rows may have any number of cells.

        Raises:
            SourceError: as `rows`.
        """
        line = 0
        try:
            with opened(self.path) as binary, io.TextIOWrapper(binary, self.encoding, newline="") as text:
                reader = csv.reader(text, delimiter=self.delimiter, strict=True)
                next(filter(any, reader), None)
                line = reader.line_num
                for line, cells in self._numbered(text, reader, step):
                    fitted = self._fitted(line, cells) if fit and len(cells) != len(self.header) else cells
                    if any(fitted):
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

    def raw_rows(self, step: int = 1, *, fit: bool = True) -> Iterator[tuple[int, list[str]]]:  # noqa: ARG002
        """Yield one row out of `step` as text; what would be its line in a file of text is its number here."""
        place = 0
        with _parquet(self.path) as file:
            for batch in file.iter_batches(batch_size=max(1, 500_000 // len(self.header))):
                for values in zip(*(column.to_pylist() for column in batch.columns), strict=True):
                    place += 1
                    if place % step == 0:
                        cells = list(map(_parquet_cell, values))
                        if any(cells):
                            yield place + 1, cells


def cleaned(cells: Iterable[str]) -> list[str]:
    """Return the cells stripped, and those that mean a missing value empty."""
    return ["" if cell in MISSING else cell for cell in map(str.strip, cells)]


def open_source(path: Path) -> Source:
    """Return the table in a file: text of any usual dialect, such text in gzip, or Parquet.

    The whole file is read once, as a stream, to be sure of its encoding.

    Raises:
        SourceError: if there is no such file, or no table in it.
    """
    try:
        with path.open("rb") as file:
            magic = file.read(8)
            if magic.startswith(PARQUET):
                return _open_parquet(path)
            for signature, advice in OTHER_FORMATS.items():
                if magic.startswith(signature):
                    raise SourceError(f"{path.name} {advice}")
        with opened(path) as binary:
            survey = _survey(path, binary)
        with opened(path) as binary, io.TextIOWrapper(binary, survey.encoding, newline="") as text:
            head = text.read(HEAD)
    except IsADirectoryError as error:
        raise SourceError(f"{path} is a folder: name the file in it") from error
    except FileNotFoundError as error:
        raise SourceError(f"{path} does not exist: check the path") from error
    except READ_ERRORS as error:
        raise SourceError(f"{path} can't be read: {getattr(error, 'strerror', None) or error}") from error
    delimiter = _delimiter(head, len(head) < HEAD)
    header = _header(path, survey.encoding, delimiter)
    decimal = _decimal([head, *survey.probes], delimiter)
    return Source(path, survey.encoding, delimiter, decimal, header, survey.lines, survey.quoted)


def opened(path: Path) -> IO[bytes]:
    """Return the file, opened for its content, whether or not that is compressed by gzip."""
    file = path.open("rb")
    if not file.peek(2).startswith(GZIP):
        return file
    file.close()
    return gzip.open(path)  # type: ignore[return-value]  # a GzipFile is an IO[bytes] but for its type


@dataclass(frozen=True, slots=True)
class _Survey:
    encoding: str
    lines: int
    quoted: bool
    probes: tuple[str, ...]


def _survey(path: Path, file: IO[bytes]) -> _Survey:
    """Read the file through, in memory that does not grow with it.

    Raises:
        SourceError: if it is empty, or no text.
    """
    blocks = iter(lambda: file.read(BLOCK), b"")
    first = next(blocks, b"")
    if not first.strip():
        raise SourceError(f"{path.name} is empty: a table has a header and rows")
    blocks = itertools.chain([first], blocks)
    if first.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return _survey_utf_16(path, blocks)
    decoder = codecs.getincrementaldecoder("utf-8")()
    fits_utf_8, fits_cp1252, quoted, feeds, returns, run = True, True, False, 0, 0, 0
    probes = _Probes[bytes]()
    for block in blocks:
        if b"\0" in block:
            raise SourceError(f"{path.name} is no text, it holds bytes of zero: save the table as CSV in UTF-8")
        fits_utf_8 = fits_utf_8 and _decodes(decoder, block)
        fits_cp1252 = fits_cp1252 and not UNDEFINED_IN_CP1252.search(block)
        quoted = quoted or b'"' in block
        feeds += block.count(b"\n")
        returns += block.count(b"\r")
        last = max(block.rfind(b"\n"), block.rfind(b"\r"))
        run = run + len(block) if last < 0 else len(block) - last
        if run > MAX_LINE_LENGTH:
            raise SourceError(f"{path.name} has a line of more than {MAX_LINE_LENGTH} bytes: is it a table?")
        probes.add(block[:PROBE])
    fits_utf_8 = fits_utf_8 and _decodes(decoder, b"", final=True)
    if fits_utf_8:
        encoding = "utf-8-sig" if first.startswith(codecs.BOM_UTF8) else "utf-8"
    else:
        encoding = "cp1252" if fits_cp1252 else "latin-1"
    texts = tuple(probe.decode(encoding, errors="ignore") for probe in probes.kept)
    return _Survey(encoding, max(1, feeds or returns), quoted, texts)


def _survey_utf_16(path: Path, blocks: Iterable[bytes]) -> _Survey:
    decoder = codecs.getincrementaldecoder("utf-16")()
    quoted, feeds, returns = False, 0, 0
    probes = _Probes[str]()
    for block in itertools.chain(blocks, [b""]):
        try:
            text = decoder.decode(block, final=not block)
        except UnicodeDecodeError as error:
            raise SourceError(f"{path.name} starts as UTF-16 but is not: save it as CSV in UTF-8") from error
        if "\0" in text:
            raise SourceError(f"{path.name} is no text, it holds zeros: save the table as CSV in UTF-8")
        quoted = quoted or '"' in text
        feeds += text.count("\n")
        returns += text.count("\r")
        probes.add(text[:PROBE])
    return _Survey("utf-16", max(1, feeds or returns), quoted, tuple(probes.kept))


class _Probes(Generic[Piece]):
    """Pieces spread evenly over a stream whose length is not known before its end."""

    def __init__(self) -> None:
        self.kept: list[Piece] = []
        self._stride = 1
        self._seen = 0

    def add(self, piece: Piece) -> None:
        if self._seen % self._stride == 0:
            self.kept.append(piece)
        self._seen += 1
        if len(self.kept) > PROBES:
            self.kept, self._stride = self.kept[::2], self._stride * 2


def _decodes(decoder: codecs.IncrementalDecoder, block: bytes, final: bool = False) -> bool:
    try:
        decoder.decode(block, final)
    except UnicodeDecodeError:
        return False
    return True


def _delimiter(head: str, whole: bool) -> str:
    """Return the delimiter that cuts the first rows most evenly; a comma where none cuts the header."""

    def evenness(delimiter: str) -> tuple[float, int]:
        rows = _leading_rows(head, delimiter, whole)
        width = len(rows[0]) if rows else 0
        if width < 2:
            return 0, 0
        # Tenths: one ragged row is no reason to take another delimiter.
        return round(sum(len(cells) == width for cells in rows) / len(rows), 1), width

    best = max(DELIMITERS, key=evenness)
    return best if evenness(best)[1] else ","


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


def _header(path: Path, encoding: str, delimiter: str) -> tuple[str, ...]:
    """Return the names of the columns.

    Raises:
        SourceError: if there are none.
    """
    with opened(path) as binary, io.TextIOWrapper(binary, encoding, newline="") as text:
        try:
            cells = next(filter(any, csv.reader(text, delimiter=delimiter, strict=True)), None)
        except csv.Error as error:
            raise SourceError(f"{path.name}, row 1 is not valid CSV: {_shown(error)}") from error
    if cells is None:
        raise SourceError(f"{path.name} holds no table: the first row must name the columns")
    if len(cells) > MAX_COLUMNS:
        raise SourceError(f"{path.name} has more than {MAX_COLUMNS:,} columns: is it a table?")
    return distinct_names(cells)


def _shown(error: csv.Error) -> str:
    return f"{error}; {QUOTE_ADVICE}".replace("\t", "tab")


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


def _decimal(texts: Iterable[str], delimiter: str) -> str:
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
    # A semicolon delimits where the comma is taken: by decimals.
    return "," if delimiter == ";" and any(map(VAGUE_COMMA.fullmatch, cells)) else "."


def _open_parquet(path: Path) -> Source:
    with _parquet(path) as file:
        names, rows = file.schema_arrow.names, file.metadata.num_rows
    return ParquetSource(path, "parquet", "", ".", distinct_names(names), rows, True)


def _parquet(path: Path) -> Any:
    """Return the open Parquet file.

    Raises:
        SourceError: if it is damaged, or pyarrow is not installed.
    """
    try:
        pyarrow = import_module("pyarrow")
        parquet = import_module("pyarrow.parquet")
    except ImportError as error:
        raise SourceError(f"{path.name} is Parquet: install pyarrow to read it, or save the table as CSV") from error
    try:
        return parquet.ParquetFile(path)
    except (pyarrow.ArrowException, OSError) as error:
        raise SourceError(f"{path.name} can't be read as Parquet: {error}") from error


def _parquet_cell(value: Any) -> str:
    match value:
        case None:
            return ""
        case bool():
            return str(value).lower()
        case datetime():
            return value.isoformat(" ")
        case date() | time():
            return value.isoformat()
        case bytes():
            return value.decode(errors="replace")
        case _:
            return str(value)
