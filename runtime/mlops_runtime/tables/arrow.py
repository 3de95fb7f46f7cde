"""Reading of Parquet, ORC and Feather (Arrow IPC) files, with their values converted to text."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from importlib import import_module
from pathlib import Path
from typing import Any

from mlops_runtime.tables.encodings import SourceError
from mlops_runtime.tables.formats import ARROW, ORC, PARQUET

BATCH_CELLS = 500_000
"""Number of cells of a batch in memory."""

FORMATS = {PARQUET: "Parquet", ORC: "ORC"} | dict.fromkeys(ARROW, "Feather")
"""Names of the formats by their first bytes."""

VALUE_ERRORS = (ValueError, OverflowError, KeyError)
"""Exceptions of values that Python can't represent: a date in the year 10000, an unknown time zone."""


@dataclass(frozen=True, slots=True)
class _File:
    """An open file.

    Attributes:
        names: names of the columns; a column of records has a name for each of its fields.
        rows: number of rows.
        batches: its batches of rows.
    """

    names: list[str]
    rows: int
    batches: Iterator[Any]


def arrow_header(path: Path) -> tuple[list[str], int]:
    """Return the names of the columns and the number of rows.

    Raises:
        SourceError: if the file is damaged, or pyarrow is not installed.
    """
    file = _opened(path)
    return file.names, file.rows


def arrow_rows(path: Path) -> Iterator[list[str]]:
    """Yield the cells of each row.

    Raises:
        SourceError: if a value can't be converted to text, or the file is damaged.
    """
    file = _opened(path)
    start = 1
    for batch in file.batches:
        columns = [_cells(path.name, name, start, column) for name, column in zip(file.names, batch, strict=True)]
        yield from map(list, zip(*columns, strict=True))
        start += len(batch[0]) if batch else 0


def _opened(path: Path) -> _File:
    with path.open("rb") as file:
        start = file.read(8)
    kind = next(name for signature, name in FORMATS.items() if start.startswith(signature))
    try:
        pyarrow = import_module("pyarrow")
        library = import_module(f"pyarrow.{kind.lower()}")
    except ImportError as error:
        raise SourceError(
            f"{path.name} is {kind}: run `python -m pip install pyarrow` to read it, or save the table as CSV"
        ) from error
    try:
        schema, rows, batches = _READERS[kind](library, path)
        names = [field.name for field in _flattened(pyarrow, schema.empty_table()).schema]
    except (pyarrow.ArrowException, OSError, ValueError) as error:
        raise SourceError(f"{path.name} can't be read as {kind}: {_one_line(error)}") from error
    if not names:
        raise SourceError(f"{path.name} contains no table: it has no columns")
    return _File(names, rows, _columns(pyarrow, path.name, kind, len(names), batches))


def _parquet(library: Any, path: Path) -> tuple[Any, int, Iterator[Any]]:
    file = library.ParquetFile(path)
    size = max(1, BATCH_CELLS // max(1, len(file.schema_arrow)))
    return file.schema_arrow, file.metadata.num_rows, file.iter_batches(batch_size=size)


def _orc(library: Any, path: Path) -> tuple[Any, int, Iterator[Any]]:
    file = library.ORCFile(path)
    return file.schema, file.nrows, map(file.read_stripe, range(file.nstripes))


def _feather(library: Any, path: Path) -> tuple[Any, int, Iterator[Any]]:
    table = library.read_table(path, memory_map=True)
    return table.schema, table.num_rows, iter(table.to_batches())


_READERS = {"Parquet": _parquet, "ORC": _orc, "Feather": _feather}


def _columns(pyarrow: Any, name: str, kind: str, width: int, batches: Iterator[Any]) -> Iterator[list[Any]]:
    """Yield the columns of each batch, of at most `BATCH_CELLS` cells."""
    size = max(1, BATCH_CELLS // width)
    try:
        for batch in batches:
            # Values of a damaged file could end outside its memory.
            batch.validate(full=True)
            table = _flattened(pyarrow, pyarrow.Table.from_batches([batch]))
            for start in range(0, table.num_rows, size):
                yield [column.combine_chunks() for column in table.slice(start, size).columns]
    except (pyarrow.ArrowException, OSError) as error:
        raise SourceError(f"{name} can't be read as {kind}: {_one_line(error)}") from error


def _flattened(pyarrow: Any, table: Any) -> Any:
    """Return a table with a column for each field of a record."""
    while any(map(pyarrow.types.is_struct, table.schema.types)):
        table = table.flatten()
    return table


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())


def _cells(file: str, name: str, start: int, column: Any) -> list[str]:
    """Return the values of a column as text; `start` is the number of its first row."""
    cells = []
    for row, value in enumerate(_values(file, name, start, column), start=start):
        cell = _cell(value)
        if cell is None:
            raise SourceError(
                f"{file}, column {name!r}, row {row} contains {_kind(value)}: give its values columns of their own, "
                "or remove the column"
            )
        if "\0" in cell:
            raise SourceError(f"{file}, column {name!r}, row {row} contains a null character: replace it in the table")
        cells.append(cell)
    return cells


def _values(file: str, name: str, start: int, column: Any) -> list[Any]:
    """Return the values of a column as Python objects, with times in microseconds.

    Raises:
        SourceError: if Python can't represent a value, such as a date in the year 10000.
    """
    type_ = column.type
    if getattr(type_, "unit", None) == "ns":
        column = column.cast(_in_microseconds(type_), safe=False)
    try:
        return list(column.to_pylist())
    except VALUE_ERRORS as error:
        row = next((row for row in range(len(column)) if _fails(column[row])), 0)
        raise SourceError(
            f"{file}, column {name!r}, row {start + row} contains a value that can't be read, {_one_line(error)}: "
            "correct the value, or remove the column"
        ) from error


def _in_microseconds(type_: Any) -> Any:
    pyarrow = import_module("pyarrow")
    if pyarrow.types.is_timestamp(type_):
        return pyarrow.timestamp("us", type_.tz)
    return pyarrow.time64("us") if pyarrow.types.is_time(type_) else pyarrow.duration("us")


def _fails(scalar: Any) -> bool:
    try:
        scalar.as_py()
    except VALUE_ERRORS:
        return True
    return False


def _cell(value: Any) -> str | None:
    """Return a value as text; None for a value that is no single value."""
    match value:
        case None:
            return ""
        case bool():
            return str(value).lower()
        case datetime():
            return value.isoformat(" ")
        case date() | time():
            return value.isoformat()
        case timedelta():
            return repr(value.total_seconds())
        case Decimal():
            return format(value, "f")
        case bytes():
            try:
                return value.decode()
            except UnicodeDecodeError:
                return None
        case list() | dict() | tuple():
            return None
        case _:
            return str(value)


def _kind(value: Any) -> str:
    match value:
        case bytes():
            return "bytes that are not text in UTF-8"
        case dict():
            return "a record"
        case _:
            return "a list"
