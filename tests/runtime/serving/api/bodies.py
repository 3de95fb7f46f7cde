"""Writes records as the body of a request, in each format."""

import json
from collections.abc import Callable, Sequence
from typing import Any

import pyarrow

from mlops_runtime.serving.api.negotiation import Format
from mlops_runtime.serving.api.prediction_writer import csv_text

Records = Sequence[dict[str, Any]]


def as_json(records: Records) -> bytes:
    return json.dumps(records).encode()


def as_lines(records: Records) -> bytes:
    return "\n".join(map(json.dumps, records)).encode()


def as_table(records: Records) -> bytes:
    names = list(dict.fromkeys(name for record in records for name in record))
    return csv_text(names, [[record.get(name) for name in names] for record in records]).encode()


def as_stream(records: Records) -> bytes:
    names = list(dict.fromkeys(name for record in records for name in record))
    return stream_of({name: [record.get(name) for record in records] for name in names})


def stream_of(columns: dict[str, Any], **options: Any) -> bytes:
    """Return columns as a stream of Arrow."""
    table = pyarrow.table(columns)
    sink = pyarrow.BufferOutputStream()
    with pyarrow.ipc.new_stream(sink, table.schema, options=pyarrow.ipc.IpcWriteOptions(**options)) as stream:
        stream.write_table(table)
    content: bytes = sink.getvalue().to_pybytes()
    return content


WRITERS: dict[Format, Callable[[Records], bytes]] = {
    Format.JSON: as_json,
    Format.NDJSON: as_lines,
    Format.CSV: as_table,
    Format.ARROW: as_stream,
}
