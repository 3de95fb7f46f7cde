"""Reads and writes streams of Arrow, if pyarrow is installed.

A stream comes from an untrusted caller. So only plain column types are accepted, compressed streams are refused
because a few bytes can expand to gigabytes, and all offsets are validated before use.
"""

import struct
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from importlib.util import find_spec
from io import BytesIO
from typing import TYPE_CHECKING, Any

from mlops_runtime.serving.api.record_keys import KEY, key_text

if TYPE_CHECKING:
    import pyarrow

AVAILABLE = find_spec("pyarrow") is not None

MAX_REPEATED_CHARACTERS = 1024 * 1024
"""Bytes by which the texts of a stream may exceed its length: a dictionary repeats a long text in a few bytes."""

MAX_NAME_SHOWN = 80

# Positions of fields in the flatbuffers tables of Message.fbs.
HEADER = 2
CUSTOM_METADATA = 4
DICTIONARY_DATA = 1
COMPRESSION = 3


class ArrowError(ValueError):
    """A body is not a valid or supported stream of Arrow."""


def read(
    body: bytes, max_rows: int, columns_of: Callable[[Sequence[str]], Collection[str]]
) -> Iterator[dict[str, Any]]:
    """Yield the rows of a stream as JSON values by column.

    Dates and times become texts, and decimals become floats.

    Args:
        body: stream in the Arrow IPC format.
        max_rows: maximum number of rows; if the stream has more, one further row is yielded.
        columns_of: function of the names of all columns that returns those to read; may raise an error.

    Raises:
        ArrowError: if the body is not a valid stream, is compressed, or has columns of unsupported types.
    """
    import pyarrow

    try:
        refuse_compressed(pyarrow.ipc.MessageReader.open_stream(body))
        with pyarrow.ipc.open_stream(body) as stream:
            wanted = columns_of(stream.schema.names)
            indices = [index for index, name in enumerate(stream.schema.names) if name in wanted]
            for index in indices:
                _check_type(stream.schema.field(index))
            rows = characters = 0
            for batch in stream:
                batch.validate(full=True)
                part = batch.select(indices).slice(0, max_rows + 1 - rows)
                characters += sum(map(_characters, part.columns))
                if characters > len(body) + MAX_REPEATED_CHARACTERS:
                    raise ArrowError(f"its texts have more than {characters - 1} characters")
                columns = [_values(column) for column in part.columns]
                for row in zip(*columns, strict=True):
                    yield dict(zip(part.schema.names, row, strict=True))
                rows += part.num_rows
                if rows > max_rows:
                    return
    except (pyarrow.ArrowException, OSError, UnicodeDecodeError) as error:
        raise ArrowError(" ".join(str(error).split())) from error


def refuse_compressed(messages: Iterable["pyarrow.Message"]) -> None:
    """Refuse compressed messages.

    Raises:
        ArrowError: if a message is compressed or damaged.
    """
    for message in messages:
        if message.type not in ("dictionary", "record batch"):
            continue
        try:
            compressed = _is_compressed(message.metadata.to_pybytes(), in_dictionary=message.type == "dictionary")
        except struct.error as error:
            # An offset points outside the message.
            raise ArrowError("one of its messages is damaged") from error
        if compressed:
            raise ArrowError("send it without compression and without metadata of its batches")


def _is_compressed(data: bytes, *, in_dictionary: bool) -> bool:
    """Return whether a message may be compressed; early versions of Arrow say so in the custom metadata of a batch."""
    message = _follow(data, 0)
    if _field(data, message, CUSTOM_METADATA):
        return True
    batch = _follow(data, _field(data, message, HEADER))
    if in_dictionary:
        batch = _follow(data, _field(data, batch, DICTIONARY_DATA))
    return _field(data, batch, COMPRESSION) != 0


def _follow(data: bytes, position: int) -> int:
    """Return the position of the flatbuffers table to which an offset points."""
    (offset,) = struct.unpack_from("<I", data, position)
    return position + int(offset)


def _field(data: bytes, table: int, index: int) -> int:
    """Return the position of a field of a flatbuffers table; 0 if the table lacks the field."""
    (distance,) = struct.unpack_from("<i", data, table)
    fields = table - distance
    if fields < 0:
        raise struct.error("the offset leads before the message")
    (size,) = struct.unpack_from("<H", data, fields)
    entry = 4 + 2 * index
    if entry + 2 > size:
        return 0
    (offset,) = struct.unpack_from("<H", data, fields + entry)
    return table + int(offset) if offset else 0


def _check_type(field: "pyarrow.Field") -> None:
    """Refuse a column of a type that no field of a contract accepts.

    Dictionaries of nulls or of dictionaries are refused too, because their length is not limited by the bytes.

    Raises:
        ArrowError: if the type is not supported.
    """
    import pyarrow

    types = pyarrow.types
    in_dictionary = types.is_dictionary(field.type)
    value_type = field.type.value_type if in_dictionary else field.type
    plain = (
        types.is_boolean(value_type)
        or types.is_integer(value_type)
        or types.is_floating(value_type)
        or types.is_decimal(value_type)
        or types.is_string(value_type)
        or types.is_large_string(value_type)
        or types.is_date(value_type)
        or types.is_time(value_type)
        or types.is_timestamp(value_type)
        or (types.is_null(value_type) and not in_dictionary)
    )
    if not plain:
        name, shown = field.name[:MAX_NAME_SHOWN], str(field.type)[:MAX_NAME_SHOWN]
        raise ArrowError(f"the column {name!r} has the type {shown}, which no field takes")


def _characters(column: "pyarrow.Array") -> int:
    """Return the number of bytes of the texts of a column, including repetitions."""
    import pyarrow
    from pyarrow import compute

    types = pyarrow.types
    texts = column.dictionary if types.is_dictionary(column.type) else column
    if not types.is_string(texts.type) and not types.is_large_string(texts.type):
        return 0
    lengths = compute.binary_length(texts)
    if texts is not column:
        lengths = lengths.take(column.indices)
    return int(compute.sum(lengths).as_py() or 0)


def _values(column: "pyarrow.Array") -> list[Any]:
    """Return the values of a column as JSON values."""
    import pyarrow

    types = pyarrow.types
    if types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if types.is_timestamp(column.type) and column.type.tz:
        column = column.cast(pyarrow.timestamp(column.type.unit, "UTC"))
    if types.is_temporal(column.type):
        column = column.cast(pyarrow.string())
    elif types.is_decimal(column.type):
        column = column.cast(pyarrow.float64())
    values: list[Any] = column.to_pylist()
    return values


def _keys(values: Sequence[Any]) -> "pyarrow.Array":
    """Return keys as a column of their type; keys of several types, or without a type, as texts."""
    import pyarrow

    if len({type(value) for value in values if value is not None}) == 1:
        try:
            return pyarrow.array(values)
        except (pyarrow.ArrowException, OverflowError):
            # An integer may have more than 64 bits.
            pass
    return pyarrow.array([None if value is None else key_text(value) for value in values], pyarrow.string())


def write(columns: Sequence[str], texts: Collection[str], rows: Sequence[Sequence[Any]]) -> bytes:
    """Return a table as a stream of Arrow.

    Args:
        columns: names of the columns.
        texts: names of the columns of texts; the others are columns of floats.
        rows: values of each row, with None for a missing value.
    """
    import pyarrow

    types = {name: pyarrow.string() if name in texts else pyarrow.float64() for name in columns}
    arrays = [
        _keys(column) if name == KEY else pyarrow.array(column, types[name])
        for name, column in zip(columns, zip(*rows, strict=True), strict=True)
    ]
    schema = pyarrow.schema([(name, array.type) for name, array in zip(columns, arrays, strict=True)])
    file = BytesIO()
    with pyarrow.ipc.new_stream(file, schema) as stream:
        stream.write_batch(pyarrow.record_batch(arrays, schema=schema))
    return file.getvalue()
