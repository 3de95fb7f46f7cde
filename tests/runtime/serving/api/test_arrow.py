import json
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import pyarrow
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_runtime.serving.api import arrow
from mlops_runtime.testing.synthetic import Order
from tests.runtime.serving.api.bodies import stream_of

MAX_ROWS = 50


def read(body: bytes) -> list[dict[str, Any]]:
    """Return the rows of a stream, whatever its columns."""
    return list(arrow.read(body, MAX_ROWS, lambda names: names))


@given(orders=st.lists(st.from_type(Order), min_size=1, max_size=5))
def test_fields_of_every_kind_survive_arrow(orders: list[Order]) -> None:
    # Given orders as columns: dates and times as such, sizes by their keys in a dictionary
    made = {name: [order.model_dump()[name] for order in orders] for name in orders[0].model_dump()}
    made = {
        name: [getattr(value, "value", value) for value in column]
        for name, column in made.items()
        # A column has one offset for all of its values, or none
        if name != "Paid at"
    }
    made["Size"] = pyarrow.array(made["Size"], pyarrow.string()).dictionary_encode()

    # When they are read
    rows = read(stream_of(made))

    # Then they are the orders
    result = [Order.model_validate_json(json.dumps(row)) for row in rows]
    assert result == [order.model_copy(update={"paid": None}) for order in orders]


@given(position=st.integers(min_value=0), junk=st.binary(min_size=1, max_size=8), data=st.data())
def test_a_damaged_stream_is_read_or_refused(position: int, junk: bytes, data: st.DataObject) -> None:
    # Given a stream of which some bytes were overwritten
    names: dict[str, Any] = data.draw(
        st.sampled_from([{"a": ["x", "yz", None]}, {"a": [1, 2, 3], "b": [True, None, False]}])
    )
    body = bytearray(stream_of(names))
    start = position % len(body)
    body[start : start + len(junk)] = junk

    # Then it is read, or refused with a reason
    with suppress(arrow.ArrowError):
        assert len({tuple(row) for row in read(bytes(body))}) <= 1


@pytest.mark.parametrize("kind", ["zstd", "lz4"])
def test_a_compressed_stream_is_refused_before_it_is_decompressed(kind: str) -> None:
    with pytest.raises(arrow.ArrowError, match="without compression"):
        read(stream_of({"a": [0] * 10_000}, compression=kind))


def test_a_compressed_dictionary_is_refused() -> None:
    packed = pyarrow.array(["x" * 10_000]).dictionary_encode()

    with pytest.raises(arrow.ArrowError, match="without compression"):
        read(stream_of({"a": packed}, compression="zstd"))


def test_the_repetition_of_a_long_text_is_limited() -> None:
    long = pyarrow.DictionaryArray.from_arrays([0] * MAX_ROWS, ["x" * (arrow.MAX_REPEATED_CHARACTERS // 40)])

    with pytest.raises(arrow.ArrowError, match="characters"):
        read(stream_of({"a": long}))


@pytest.mark.parametrize(
    "column",
    [[[1]], [{"b": 1}], [b"x"], pyarrow.nulls(9).dictionary_encode()],
    ids=["list", "struct", "binary", "dictionary-of-nulls"],
)
def test_a_column_of_an_unsupported_type_is_refused_by_name(column: Any) -> None:
    with pytest.raises(arrow.ArrowError, match="'a' has the type"):
        read(stream_of({"a": column}))


def test_rows_without_bytes_are_read_up_to_the_limit() -> None:
    assert len(read(stream_of({"a": pyarrow.nulls(10**7)}))) == MAX_ROWS + 1


def test_the_columns_are_checked_before_a_row_is_read() -> None:
    class CheckedError(Exception):
        pass

    def check(names: Sequence[str]) -> None:
        assert names == ["a"]
        raise CheckedError

    with pytest.raises(CheckedError):
        next(arrow.read(stream_of({"a": [[1]]}), MAX_ROWS, check))


def test_a_batch_with_metadata_is_refused() -> None:
    # Given a batch whose metadata may say that it is compressed, as in streams of 2020
    sink = pyarrow.BufferOutputStream()
    batch = pyarrow.record_batch({"a": [1]})
    with pyarrow.ipc.new_stream(sink, batch.schema) as stream:
        stream.write_batch(batch, {"ARROW:experimental_compression": "lz4"})

    # Then it is not read
    with pytest.raises(arrow.ArrowError, match="metadata"):
        read(sink.getvalue().to_pybytes())


def test_a_stream_may_have_empty_batches() -> None:
    sink = pyarrow.BufferOutputStream()
    batch = pyarrow.record_batch({"a": [1, 2]})
    with pyarrow.ipc.new_stream(sink, batch.schema) as stream:
        for part in (batch.slice(0, 0), batch.slice(0, 1), batch.slice(0, 0), batch.slice(1, 1)):
            stream.write_batch(part)

    assert read(sink.getvalue().to_pybytes()) == [{"a": 1}, {"a": 2}]
