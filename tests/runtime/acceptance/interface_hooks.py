"""What Schemathesis needs to know to make requests of the formats that OpenAPI has no words for."""

from typing import Any

import schemathesis
from hypothesis import strategies as st
from schemathesis.generation import GenerationMode

import tests.conftest  # noqa: F401 - it says how records are made
from mlops_runtime.contract.features import FEATURES
from mlops_runtime.serving.api.formats import csv_text
from mlops_runtime.serving.api.negotiation import FORMATS, Format, prefers_lenient

some_records = st.lists(st.from_type(Record), min_size=1, max_size=5)


def as_lines(records: list[Record]) -> bytes:
    return b"".join(record.model_dump_json().encode() + b"\n" for record in records)


def as_table(records: list[Record]) -> bytes:
    return csv_text(FEATURES, [list(record.model_dump(mode="json").values()) for record in records]).encode()


def as_stream(records: list[Record]) -> bytes:
    import pyarrow

    table = pyarrow.Table.from_pylist([record.model_dump(mode="json") for record in records])
    sink = pyarrow.BufferOutputStream()
    with pyarrow.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table)
    content: bytes = sink.getvalue().to_pybytes()
    return content


WRITERS = {Format.NDJSON: as_lines, Format.CSV: as_table, Format.ARROW: as_stream}

for media_type in FORMATS:
    if media_type in WRITERS:
        schemathesis.openapi.media_type(media_type.value, some_records.map(WRITERS[media_type]))


@schemathesis.hook
def before_call(
    context: schemathesis.HookContext,  # noqa: ARG001 - the names are given
    case: schemathesis.Case,
    kwargs: dict[str, Any],  # noqa: ARG001
) -> None:
    """Want no lenience for a request that must be refused."""
    headers = case.headers or {}
    negative = case.meta is not None and case.meta.generation.mode is GenerationMode.NEGATIVE
    if negative and prefers_lenient(str(headers.get("Prefer", ""))):
        del headers["Prefer"]
