"""Types of columns in Parquet, ORC and Feather files: read as text, or refused with column and row."""

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

import pytest

from mlops_runtime.tables.source import SourceError, open_source
from mlops_runtime.tables.table_copy import write_copy

pyarrow = pytest.importorskip("pyarrow")


def _write_parquet(table: Any, path: Path) -> None:
    from pyarrow import parquet

    parquet.write_table(table, path)


def _write_orc(table: Any, path: Path) -> None:
    from pyarrow import orc

    orc.write_table(table, path)


def _write_feather(table: Any, path: Path) -> None:
    from pyarrow import feather

    feather.write_feather(table, path)


Write = Callable[[Any, Path], None]
FORMATS = [_write_parquet, _write_orc, _write_feather]
FORMAT_IDS = ["parquet", "orc", "feather"]


@pytest.mark.parametrize("write", FORMATS, ids=FORMAT_IDS)
def test_a_table_is_the_same_in_each_format(write: Write, tmp_path: Path) -> None:
    # given: names of columns that are not distinct, and records in records
    path = tmp_path / "table"
    records = [{"id": 1, "name": "Zoë", "at": {"x": 1.5, "y": {"z": True}}}, {"id": 2, "name": None, "at": None}]
    write(pyarrow.Table.from_pylist(records), path)
    # when
    source = open_source(path)
    write_copy(path, tmp_path / "copy.csv")
    # then
    for each in (source, open_source(tmp_path / "copy.csv")):
        assert each.header == ("id", "name", "at.x", "at.y.z")
        assert [cells for _, cells in each.raw_rows()] == [["1", "Zoë", "1.5", "true"], ["2", "", "", ""]]


def column(values: list[Any], kind: Any) -> Any:
    return pyarrow.array(values, kind)


READ = {
    "nanoseconds": (column([1_500_000_007, None], pyarrow.timestamp("ns")), ["1970-01-01 00:00:01.500000", ""]),
    "offset": (column([0], pyarrow.timestamp("us", "+05:30")), ["1970-01-01 05:30:00+05:30"]),
    "duration": (column([90_000_000_007], pyarrow.duration("ns")), ["90.0"]),
    "decimal": (column([Decimal("1E+3"), Decimal("1.50")], pyarrow.decimal128(20, 2)), ["1000.00", "1.50"]),
    "dictionary": (column(["a", "b", "a"], pyarrow.string()).dictionary_encode(), ["a", "b", "a"]),
    "large-text": (column(["é"], pyarrow.large_string()), ["é"]),
    "text-as-bytes": (column([b"ab", None], pyarrow.binary()), ["ab", ""]),
    "large-integer": (column([2**64 - 1], pyarrow.uint64()), ["18446744073709551615"]),
    "nothing": (pyarrow.nulls(2), ["", ""]),
}


@pytest.mark.parametrize("name", READ)
def test_a_type_is_read_as_text(name: str, tmp_path: Path) -> None:
    values, cells = READ[name]
    path = tmp_path / "table.parquet"
    _write_parquet(pyarrow.table({"a": values, "b": ["x"] * len(values)}), path)
    assert [row[0] for _, row in open_source(path).raw_rows()] == cells


REFUSED = {
    "after-year-9999": (column([0, 253402300800], pyarrow.timestamp("s")), "contains a value that can't be read"),
    "date-after-year-9999": (column([0, 2932897], pyarrow.date32()), "contains a value that can't be read"),
    "before-year-1": (column([0, -(10**14)], pyarrow.timestamp("ms")), "contains a value that can't be read"),
    "bytes": (column([b"ab", b"\xff\xfe"], pyarrow.binary()), "contains bytes that are not text in UTF-8"),
    "null-character": (column(["a", "b\0"], pyarrow.string()), "contains a null character"),
    "list": (column([None, [1, 2]], pyarrow.list_(pyarrow.int64())), "contains a list"),
    "map": (column([None, [("a", 1)]], pyarrow.map_(pyarrow.string(), pyarrow.int64())), "contains a list"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_value_without_text_is_refused_with_its_column_and_row(name: str, tmp_path: Path) -> None:
    values, message = REFUSED[name]
    path = tmp_path / "table.parquet"
    _write_parquet(pyarrow.table({"b": ["x"] * len(values), "a": values}), path)
    with pytest.raises(SourceError, match=f"table.parquet, column 'a', row 2 {message}"):
        list(open_source(path).raw_rows())


def test_a_file_without_columns_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "table.parquet"
    _write_parquet(pyarrow.table({}), path)
    with pytest.raises(SourceError, match="contains no table"):
        open_source(path)


@pytest.mark.parametrize("write", FORMATS, ids=FORMAT_IDS)
def test_a_damaged_file_is_a_table_or_one_sentence(write: Write, tmp_path: Path) -> None:
    # given
    path = tmp_path / "table"
    write(pyarrow.table({"a": range(99), "b": [str(row) for row in range(99)]}), path)
    content = path.read_bytes()
    draw = Random(0)
    refusals = []
    # when
    for _ in range(60):
        damaged = bytearray(content)
        for _ in range(draw.randrange(1, 6)):
            damaged[draw.randrange(8, len(damaged))] = draw.randrange(256)
        path.write_bytes(damaged[: draw.choice([len(damaged), draw.randrange(9, len(damaged))])])
        try:
            assert len(list(open_source(path).raw_rows())) <= len(content)
        except SourceError as error:
            refusals.append(str(error))
    # then
    assert refusals
    assert not any("\n" in refusal for refusal in refusals)
