"""Reading of Parquet files, with their values converted to text."""

from collections.abc import Iterator
from datetime import date, datetime, time
from importlib import import_module
from pathlib import Path
from typing import Any

from mlops_runtime.tables.encodings import SourceError

BATCH_CELLS = 500_000
"""Number of cells of a batch in memory."""


def parquet_header(path: Path) -> tuple[list[str], int]:
    """Return the names of the columns and the number of rows.

    Raises:
        SourceError: if the file is damaged, or pyarrow is not installed.
    """
    with _opened(path) as file:
        return file.schema_arrow.names, file.metadata.num_rows


def parquet_rows(path: Path) -> Iterator[list[str]]:
    """Yield the cells of each row.

    Raises:
        SourceError: if a value can't be converted to text.
    """
    with _opened(path) as file:
        names = file.schema_arrow.names
        start = 1
        for batch in file.iter_batches(batch_size=max(1, BATCH_CELLS // len(names))):
            columns = [
                _cells(path.name, name, start, column) for name, column in zip(names, batch.columns, strict=True)
            ]
            yield from map(list, zip(*columns, strict=True))
            start += batch.num_rows


def _opened(path: Path) -> Any:
    try:
        pyarrow = import_module("pyarrow")
        parquet = import_module("pyarrow.parquet")
    except ImportError as error:
        raise SourceError(
            f"{path.name} is Parquet: run `python -m pip install pyarrow` to read it, or save the table as CSV"
        ) from error
    try:
        return parquet.ParquetFile(path)
    except (pyarrow.ArrowException, OSError) as error:
        raise SourceError(f"{path.name} can't be read as Parquet: {error}") from error


def _cells(file: str, name: str, start: int, column: Any) -> list[str]:
    """Return the values of a column as text; `start` is the number of its first row."""
    cells = []
    for row, value in enumerate(_values(file, name, start, column), start=start):
        cell = _cell(value)
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
    except (ValueError, OverflowError) as error:
        row = next(row for row in range(len(column)) if _fails(column[row]))
        raise SourceError(
            f"{file}, column {name!r}, row {start + row} contains a value that can't be read, {error}: "
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
    except (ValueError, OverflowError):
        return True
    return False


def _cell(value: Any) -> str:
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
