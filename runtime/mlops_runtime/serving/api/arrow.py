"""Arrow as a format of tables, where pyarrow is installed: a service may do without.

A stream comes from anyone. So nothing that is compressed is unpacked, as a few bytes may stand for
gigabytes, all offsets are checked before they are followed, and columns have plain types alone.
"""

import struct
from collections.abc import Iterable, Sequence
from importlib.util import find_spec
from io import BytesIO
from typing import TYPE_CHECKING, Any

from flatbuffers import encode, packer
from flatbuffers.table import Table as FlatTable

if TYPE_CHECKING:
    import pyarrow

AVAILABLE = find_spec("pyarrow") is not None

MAX_CHARACTERS = 16 * 1024 * 1024
"""Characters that the texts of a stream may have: a dictionary repeats a long one for a few bytes."""

MAX_NAME_SHOWN = 80

# Places of fields in Arrow's own descriptions of messages, as Message.fbs of its format numbers them.
HEADER = 8
DICTIONARY_DATA = 6
COMPRESSION = 10


class ArrowError(ValueError):
    """A body is no stream of Arrow that this service reads."""


def read(body: bytes, most: int) -> tuple[list[str], list[list[Any]]]:
    """Return the names of the columns of a stream, and its rows as values that JSON has.

    Dates and times become texts, as JSON has none; decimals become floats.

    Args:
        body: the stream, in the format of Arrow's inter-process communication.
        most: rows that are read; one more is returned if there are more.

    Raises:
        ArrowError: if the body is no such stream, compressed, or has columns of types that no field takes.
    """
    import pyarrow

    try:
        refuse_compressed(pyarrow.ipc.MessageReader.open_stream(body))
        with pyarrow.ipc.open_stream(body) as stream:
            batches = []
            rows = 0
            for batch in stream:
                batch.validate(full=True)
                batches.append(batch.slice(0, most + 1 - rows))
                rows += batches[-1].num_rows
                if rows > most:
                    break
            table = pyarrow.Table.from_batches(batches, stream.schema)
        columns = [values(column, name) for name, column in zip(table.column_names, table.columns, strict=True)]
    except (pyarrow.ArrowException, OSError, UnicodeDecodeError) as error:
        raise ArrowError(" ".join(str(error).split())) from error
    if sum(len(value) for column in columns for value in column if isinstance(value, str)) > MAX_CHARACTERS:
        raise ArrowError(f"its texts have more than {MAX_CHARACTERS} characters")
    return table.column_names, [list(row) for row in zip(*columns, strict=True)]


def refuse_compressed(messages: Iterable["pyarrow.Message"]) -> None:
    """Refuse a stream of which any message is compressed.

    Raises:
        ArrowError: if there is one, or one that cannot be read.
    """
    for message in messages:
        try:
            packed = is_compressed(message)
        except (struct.error, IndexError, TypeError) as error:
            # Offsets that lead out of the message, or before it.
            raise ArrowError("one of its messages is damaged") from error
        if packed:
            raise ArrowError("send it without compression")


def is_compressed(message: "pyarrow.Message") -> bool:
    """Return whether the buffers of a message are compressed."""
    if message.type not in ("dictionary", "record batch"):
        return False
    described = message.metadata.to_pybytes()
    header = child(FlatTable(described, encode.Get(packer.uoffset, described, 0)), HEADER)
    batch = child(header, DICTIONARY_DATA) if message.type == "dictionary" else header
    return bool(batch.Offset(COMPRESSION))


def child(parent: FlatTable, place: int) -> FlatTable:
    """Return the table that a field of a flatbuffers table leads to."""
    return FlatTable(parent.Bytes, parent.Indirect(parent.Offset(place) + parent.Pos))


def values(column: "pyarrow.ChunkedArray", name: str) -> list[Any]:
    """Return the values of a column as JSON has them.

    Raises:
        ArrowError: if its type is one that no field takes.
    """
    import pyarrow

    kinds = pyarrow.types
    held = column.type
    if kinds.is_dictionary(held):
        return [value for chunk in column.chunks for value in of_dictionary(chunk, name)]
    if kinds.is_timestamp(held) and held.tz:
        column = column.cast(pyarrow.timestamp(held.unit, "UTC"))
    if kinds.is_temporal(held) and not kinds.is_duration(held) and not kinds.is_interval(held):
        column = column.cast(pyarrow.string())
    elif kinds.is_decimal(held):
        column = column.cast(pyarrow.float64())
    elif not any(
        fits(held)
        for fits in (
            kinds.is_null,
            kinds.is_boolean,
            kinds.is_integer,
            kinds.is_floating,
            kinds.is_string,
            kinds.is_large_string,
        )
    ):
        raise ArrowError(
            f"the column {name[:MAX_NAME_SHOWN]!r} has the type {str(held)[:MAX_NAME_SHOWN]}, which no field takes"
        )
    found: list[Any] = column.to_pylist()
    return found


def of_dictionary(chunk: "pyarrow.DictionaryArray", name: str) -> list[Any]:
    """Return the values that the keys of a column stand for."""
    import pyarrow

    known = values(pyarrow.chunked_array([chunk.dictionary]), name)
    return [None if key is None else known[key] for key in chunk.indices.to_pylist()]


def write(columns: Sequence[str], texts: Sequence[str], rows: Sequence[Sequence[Any]]) -> bytes:
    """Return a table as a stream of Arrow.

    Args:
        columns: their names.
        texts: names of those that hold texts; the others hold floats.
        rows: with a value, or None, for each column.
    """
    import pyarrow

    schema = pyarrow.schema([(name, pyarrow.string() if name in texts else pyarrow.float64()) for name in columns])
    arrays = [pyarrow.array(column, field.type) for column, field in zip(zip(*rows, strict=True), schema, strict=True)]
    file = BytesIO()
    with pyarrow.ipc.new_stream(file, schema) as stream:
        stream.write_batch(pyarrow.record_batch(arrays, schema=schema))
    return file.getvalue()
