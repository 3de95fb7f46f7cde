"""Prints the memory that each of many bodies takes, as a multiple of MAX_CONTENT_LENGTH.

Run it as a process of its own, with the folder of an artefact as its argument. Each body is read and, if it is
valid, predicted in a child process, which starts without free memory that Python could use again.
"""

import ctypes
import gc
import json
import os
import resource
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

import pyarrow

from mlops_runtime.contract import Task
from mlops_runtime.model import OnnxPredictor
from mlops_runtime.serving.api.negotiation import Format, Negotiation
from mlops_runtime.serving.api.predictions import PredictionApi
from mlops_runtime.serving.api.problems import InvalidRequestError
from mlops_runtime.testing import synthetic

MAX_CONTENT_LENGTH = 1024 * 1024
MAX_RECORDS = 1000
MAX_GROWTH = 512 * MAX_CONTENT_LENGTH
"""Memory at which a child process gives up."""

CONTRACT = synthetic.CONTRACTS[Task.BINARY]
HEADER = ",".join(f'"{name}"' for name in CONTRACT.features).encode() + b"\n"
ORDER = synthetic.some_orders(1)[0]


def filled(unit: bytes, before: bytes = b"", after: bytes = b"") -> bytes:
    """Return a body of the greatest length that repeats a unit."""
    return before + unit * ((MAX_CONTENT_LENGTH - len(before) - len(after)) // len(unit)) + after


def order(remark: str) -> bytes:
    """Return an order as JSON."""
    return ORDER.model_copy(update={"remark": remark}).model_dump_json().encode()


def unknown_names(count: int, value: bytes) -> bytes:
    return b"{" + b",".join(b'"%x":%b' % (number, value) for number in range(count)) + b"}"


def stream(columns: Mapping[str, object], batches: int = 1) -> bytes:
    """Return columns as a stream of Arrow, repeated as several batches."""
    batch = pyarrow.record_batch(columns)
    sink = pyarrow.BufferOutputStream()
    with pyarrow.ipc.new_stream(sink, batch.schema) as writer:
        for _ in range(batches):
            writer.write_batch(batch)
    content: bytes = sink.getvalue().to_pybytes()
    return content


def long_dictionary(values: object, rows: int = 3) -> bytes:
    keys = pyarrow.array([0] * rows, pyarrow.int8())
    return stream({"Remark": pyarrow.DictionaryArray.from_arrays(keys, values)})


def orders_with(**columns: object) -> bytes:
    """Return valid orders as a stream of Arrow, in which some columns are replaced."""
    rows = [ORDER.model_dump(mode="json")] * MAX_RECORDS
    made = {name: [row[name] for row in rows] for name in rows[0] if rows[0][name] is not None}
    return stream(made | columns)


BODIES: Mapping[str, tuple[Format, Callable[[], bytes]]] = {
    "json-valid-list": (Format.JSON, lambda: b"[" + b",".join([order("word " * 160)] * MAX_RECORDS) + b"]"),
    "json-valid-one-long-text": (
        Format.JSON,
        lambda: b"[" + b",".join([order("ab " * 6000), *[order("a")] * (MAX_RECORDS - 1)]) + b"]",
    ),
    "json-numbers": (Format.JSON, lambda: filled(b"1,", b"[", b"1]")),
    "json-small-objects": (Format.JSON, lambda: filled(b'{"":1},', b"[", b"1]")),
    "json-empty-texts": (Format.JSON, lambda: filled(b'"",', b"[", b"1]")),
    "json-unknown-fields": (Format.JSON, lambda: unknown_names(100_000, b"1")),
    "json-unknown-fields-with-lists": (Format.JSON, lambda: unknown_names(90_000, b"[]")),
    "json-unknown-fields-of-each-record": (
        Format.JSON,
        lambda: b"[" + b",".join([unknown_names(100, b"1")] * MAX_RECORDS) + b"]",
    ),
    "json-repeated-name": (Format.JSON, lambda: filled(b'"a":1,', b"{", b'"b":1}')),
    "json-repeated-name-of-a-valid-record": (
        Format.JSON,
        lambda: filled(b'"Items":1,', b"{", order("a")[1:]),
    ),
    "json-repeated-name-with-objects": (Format.JSON, lambda: filled(b'"a":{},', b"{", b'"b":1}')),
    "json-nested-lists": (Format.JSON, lambda: filled(b"[],", b'{"a":[', b"1]}")),
    "json-nested-objects": (Format.JSON, lambda: filled(b'{"":{}},', b'{"a":[', b"1]}")),
    "json-deep-objects": (Format.JSON, lambda: filled(b'{"":' * 100 + b"1" + b"}" * 100 + b",", b'{"a":[', b"1]}")),
    "json-nested-beside-a-valid-record": (
        Format.JSON,
        lambda: filled(b'{"":{}},', b"[" + order("a") + b',{"a":[', b"1]}]"),
    ),
    "json-open-lists": (Format.JSON, lambda: b"[" * MAX_CONTENT_LENGTH),
    "json-one-text": (Format.JSON, lambda: filled(b"x", b'{"Remark":"', b'"}')),
    "json-one-number": (Format.JSON, lambda: b"1" * MAX_CONTENT_LENGTH),
    "json-space": (Format.JSON, lambda: b" " * MAX_CONTENT_LENGTH),
    "ndjson-valid": (Format.NDJSON, lambda: b"\n".join([order("word " * 160)] * MAX_RECORDS)),
    "ndjson-blank-lines": (Format.NDJSON, lambda: b"\n" * MAX_CONTENT_LENGTH),
    "ndjson-numbers": (Format.NDJSON, lambda: filled(b"1\n")),
    "ndjson-nested-objects": (Format.NDJSON, lambda: filled(b'{"":{}},', b'{"a":[', b"1]}")),
    "csv-commas": (Format.CSV, lambda: b"," * MAX_CONTENT_LENGTH),
    "csv-blank-lines": (Format.CSV, lambda: b"\n" * MAX_CONTENT_LENGTH),
    "csv-many-columns": (Format.CSV, lambda: b",".join(b"%x" % number for number in range(170_000))),
    "csv-blank-lines-below-a-header": (Format.CSV, lambda: filled(b"\n", HEADER)),
    "csv-commas-below-a-header": (Format.CSV, lambda: filled(b",", HEADER)),
    "csv-empty-rows": (Format.CSV, lambda: filled(b",,,,,,,,,,,\n", HEADER)),
    "csv-cells-too-many": (Format.CSV, lambda: HEADER + (b",a" * 500 + b"\n") * MAX_RECORDS),
    "csv-open-quotation-mark": (Format.CSV, lambda: filled(b"x", b'"')),
    "csv-not-utf-8": (Format.CSV, lambda: b"\xff" * MAX_CONTENT_LENGTH),
    "arrow-nulls": (Format.ARROW, lambda: stream({"Remark": pyarrow.nulls(10**8)})),
    "arrow-dictionary-of-nulls": (Format.ARROW, lambda: long_dictionary(pyarrow.nulls(10**8))),
    "arrow-dictionary-of-booleans": (Format.ARROW, lambda: long_dictionary(pyarrow.array([True] * 8_000_000))),
    "arrow-repeated-text": (Format.ARROW, lambda: long_dictionary(pyarrow.array(["x" * 1_000_000]), MAX_RECORDS)),
    "arrow-valid-repeated-text": (
        Format.ARROW,
        lambda: orders_with(Remark=pyarrow.array(["word " * 200] * MAX_RECORDS).dictionary_encode()),
    ),
    "arrow-empty-batches": (Format.ARROW, lambda: stream({"Remark": pyarrow.array([], pyarrow.string())}, 4_000)),
    "arrow-many-columns": (Format.ARROW, lambda: stream({f"{number}": pyarrow.nulls(0) for number in range(9_000)})),
    "arrow-booleans": (Format.ARROW, lambda: orders_with(Express=pyarrow.array([True] * MAX_RECORDS))),
    "arrow-damaged": (Format.ARROW, lambda: stream({"Remark": pyarrow.array(["x"] * 10_000)})[:50_000]),
}
"""Bodies of at most the greatest length that are legal, or made to take much memory, by name."""


def factor_of(api: PredictionApi, sent: Format, body: bytes) -> float:
    """Return the memory that the response to a body takes, as a multiple of MAX_CONTENT_LENGTH."""
    assert len(body) <= MAX_CONTENT_LENGTH
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    before = peak()
    address_space = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (address_space + MAX_GROWTH, -1))
    with suppress(InvalidRequestError):
        api.respond(body, Negotiation(sent, sent))
    return (peak() - before) / MAX_CONTENT_LENGTH


def peak() -> int:
    """Return the most memory that this process has had in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def main(folder: str) -> None:
    """Print the factor of each body, by name, as JSON."""
    predictor = OnnxPredictor.load(CONTRACT, Path(folder))
    api = PredictionApi(CONTRACT, predictor.predict, MAX_RECORDS)
    # What is imported and made at the first request is not taken again.
    api.respond(orders_with(), Negotiation(Format.ARROW, Format.ARROW))
    for name, (sent, make) in BODIES.items():
        read_end, write_end = os.pipe()
        if child := os.fork():
            os.close(write_end)
            with os.fdopen(read_end) as pipe:
                text = pipe.read()
            os.waitpid(child, 0)
            print(json.dumps({"name": name, "factor": float(text or "inf")}), flush=True)
        else:
            os.write(write_end, str(factor_of(api, sent, make())).encode())
            os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1])
