import codecs
import csv
import gzip
import itertools
import re
import sys
from collections.abc import Callable, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mlops_runtime.tables import encodings
from mlops_runtime.tables import source as module
from mlops_runtime.tables.dialects import distinct_names
from mlops_runtime.tables.source import SourceError, open_source

ROWS = [["id", "price (€)", "city"], ["1", "2.50", "Zürich"], ["2", "0.75", "Genève"], ["3", "4", ""]]

QUOTED = [[f'"{cell}"' for cell in row] for row in ROWS]


def delimited(delimiter: str, rows: list[list[str]] = ROWS) -> str:
    return "".join(delimiter.join(row) + "\n" for row in rows)


@pytest.mark.parametrize(
    ("content", "encoding", "delimiter"),
    [
        pytest.param(delimited(",").encode(), "utf-8", ",", id="comma"),
        pytest.param(delimited(";").encode(), "utf-8", ";", id="semicolon"),
        pytest.param(delimited("\t").encode(), "utf-8", "\t", id="tab"),
        pytest.param(delimited("|").encode(), "utf-8", "|", id="bar"),
        pytest.param(codecs.BOM_UTF8 + delimited(",").encode(), "utf-8-sig", ",", id="utf-8-with-mark"),
        pytest.param(delimited(",").encode("utf-16"), "utf-16", ",", id="utf-16"),
        pytest.param(codecs.BOM_UTF16_BE + delimited(";").encode("utf-16-be"), "utf-16", ";", id="utf-16-big-endian"),
        pytest.param(delimited(",").encode("cp1252"), "cp1252", ",", id="cp1252"),
        pytest.param(gzip.compress(delimited(",").encode()), "utf-8", ",", id="gzip"),
        pytest.param(delimited(",").replace("\n", "\r\n").encode(), "utf-8", ",", id="windows-line-ends"),
        pytest.param(delimited(",").replace("\n", "\r").encode(), "utf-8", ",", id="old-mac-line-ends"),
        pytest.param(delimited(",").rstrip("\n").encode(), "utf-8", ",", id="no-line-end-at-the-end"),
        pytest.param(delimited(" , ").encode(), "utf-8", ",", id="spaces-around-cells"),
        pytest.param(delimited(",", QUOTED).encode(), "utf-8", ",", id="all-quoted"),
    ],
)
def test_each_dialect_gives_the_same_table(content: bytes, encoding: str, delimiter: str, tmp_path: Path) -> None:
    # given
    path = tmp_path / "table"
    path.write_bytes(content)
    # when
    source = open_source(path)
    # then
    assert (source.encoding, source.delimiter, source.decimal) == (encoding, delimiter, ".")
    assert source.header == ("id", "price (€)", "city")
    assert [cells for _, cells in source.rows()] == ROWS[1:]


def test_bytes_that_no_other_encoding_has_are_read_as_latin_1(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_bytes(b"a,b\n\xe9,\x81\n")
    source = open_source(path)
    assert source.encoding == "latin-1"
    assert [cells for _, cells in source.rows()] == [["é", "\x81"]]


def test_the_encoding_is_detected_in_the_complete_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # given: small blocks, so that characters are split between them; the only byte that is not UTF-8 is the last
    monkeypatch.setattr(encodings, "BLOCK_SIZE", 5)
    path = tmp_path / "table.csv"
    path.write_bytes(b"a,b\n" + "ü,é\n".encode() * 10)
    assert open_source(path).encoding == "utf-8"
    with path.open("ab") as file:
        file.write(b"\xfc,1\n")
    assert open_source(path).encoding != "utf-8"


@pytest.mark.parametrize(
    ("delimiter", "cells", "decimal"),
    [
        pytest.param(";", ["1,5", "2,25"], ",", id="comma"),
        pytest.param(";", ["1.5", "2.25"], ".", id="point"),
        pytest.param(";", ["1.234,5", "2"], ",", id="thousands-by-point"),
        pytest.param(";", ["1,234.5", "2"], ".", id="thousands-by-comma"),
        pytest.param(";", ["1,234", "2,345"], ",", id="three-digits-in-a-semicolon-table"),
        pytest.param("\t", ["1,234", "2,345"], ".", id="three-digits-in-a-tab-table"),
        pytest.param(",", ['"1,5"', '"2,25"'], ",", id="quoted-commas"),
        pytest.param(";", ["1.234", "2.345.678"], ",", id="groups-of-points"),
        pytest.param(";", ["1,234", "2,345,678"], ".", id="groups-of-commas"),
        pytest.param("\t", ["12,5 %", "7,25 %"], ",", id="percents"),
        pytest.param("\t", ["€ 12,5", "€ 1.234"], ",", id="euros"),
        pytest.param(";", ["1.5e-3", "2,345"], ".", id="exponents"),
        pytest.param(";", ["red, green", "3.4.2020"], ".", id="words-and-dates"),
        pytest.param(";", ["1,50 €", "2.000,25 €"], ",", id="currency"),
        pytest.param("\t", ["12,5 %", "(7,25)"], ",", id="percent-and-brackets"),
        pytest.param(";", ["12,34,567.50", "1,00,000.25"], ".", id="groups-of-two"),
    ],
)
def test_the_decimal_mark_is_detected_in_the_numbers(
    delimiter: str, cells: list[str], decimal: str, tmp_path: Path
) -> None:
    path = tmp_path / "table.csv"
    path.write_text(delimited(delimiter, [["name", "value"], *(["x", cell] for cell in cells * 3)]))
    assert open_source(path).decimal == decimal


def test_the_decimal_mark_is_detected_in_the_complete_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encodings, "BLOCK_SIZE", 100)
    monkeypatch.setattr(module, "HEAD_SIZE", 100)
    path = tmp_path / "table.csv"
    path.write_text("a;b\n" + "1;2\n" * 100 + "1;2,5\n" * 300)
    assert open_source(path).decimal == ","


def test_a_row_may_be_longer_than_the_text_in_which_the_dialect_is_detected(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given: a header and rows that are longer than the head, the blocks and the excerpts
    monkeypatch.setattr(module, "HEAD_SIZE", 50)
    for name in ("BLOCK_SIZE", "EXCERPT_SIZE"):
        monkeypatch.setattr(encodings, name, 50)
    names = [f"a long name {number}" for number in range(99)]
    path = tmp_path / "table.csv"
    path.write_text(delimited(";", [names, *[["1,5"] * 99] * 9]))
    # when
    source = open_source(path)
    # then
    assert source.header == tuple(names)
    assert (source.delimiter, source.decimal) == (";", ",")


@pytest.mark.parametrize(
    ("content", "delimiter", "header"),
    [
        pytest.param("a;b\n1,5;2,5\n1,2;3,4\n", ";", ("a", "b"), id="more-decimals-than-delimiters"),
        pytest.param('"a, b";c\n"1;2";3\n', ";", ("a, b", "c"), id="delimiters-within-quotes"),
        pytest.param("a\n1\n2\n", ",", ("a",), id="a-single-column"),
        pytest.param("a,b\n1,2\n3\n4,5\n" + "6,7\n" * 9, ",", ("a", "b"), id="a-ragged-row"),
        pytest.param("\n\na,b\n1,2\n", ",", ("a", "b"), id="blank-lines-first"),
    ],
)
def test_the_delimiter_gives_rows_of_equal_width(
    content: str, delimiter: str, header: tuple[str, ...], tmp_path: Path
) -> None:
    path = tmp_path / "table.csv"
    path.write_text(content)
    source = open_source(path)
    assert (source.delimiter, source.header) == (delimiter, header)


@pytest.mark.parametrize(
    ("cells", "names"),
    [
        pytest.param([" a ", "b"], ("a", "b"), id="spaces"),
        pytest.param(["a", "a", "a"], ("a", "a_2", "a_3"), id="duplicates"),
        pytest.param(["a", "", "a_2", "a"], ("a", "column_2", "a_2", "a_3"), id="duplicate-that-is-in-use"),
        pytest.param(["", "column_1"], ("column_1_2", "column_1"), id="default-name-that-is-in-use"),
        pytest.param(["two\nlines"], ("two lines",), id="line-end"),
    ],
)
def test_columns_have_distinct_names(cells: list[str], names: tuple[str, ...]) -> None:
    assert distinct_names(cells) == names


@given(cells=st.lists(st.sampled_from(["", " ", "a", "a_2", "a_2_2", "column_1", "column_2"]), max_size=8))
def test_any_header_gives_distinct_names(cells: list[str]) -> None:
    names = distinct_names(cells)
    assert len(set(names)) == len(cells)
    assert all(names)


def test_rows_have_the_number_of_their_last_line(tmp_path: Path) -> None:
    # given: a blank line, a row of empty cells, a cell of two lines
    path = tmp_path / "table.csv"
    path.write_text('a,b\n1,2\n\n,\n"two\nlines",3\n4,5\n')
    assert list(open_source(path).rows()) == [(2, ["1", "2"]), (6, ["two\nlines", "3"]), (7, ["4", "5"])]


@pytest.mark.parametrize(
    ("row", "cells"),
    [
        pytest.param("1,2,3,,", ["1", "2", "3"], id="additional-empty-cells"),
        pytest.param("1,2", ["1", "2", ""], id="missing-cell"),
    ],
)
def test_rows_are_truncated_or_padded_to_the_header(row: str, cells: list[str], tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text(f"a,b,c\n4,5,6\n{row}\n")
    assert list(open_source(path).rows())[1] == (3, cells)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param("a,b\n1,2\n1,2,3\n", "row 3 has 3 cells, but the header names 2 columns", id="too-long"),
        pytest.param('a,b\n1,2\n1,"2\n3,4\n', "row {end} is not valid CSV", id="unclosed-quotation-mark"),
        pytest.param('a,b\n1,2\n1,"2"x\n', "row 3 is not valid CSV", id="text-after-a-quotation-mark"),
        pytest.param(f"a,b\n1,2\n1,{'x' * 200_000}\n", "row 3 is not valid CSV: field larger", id="huge-cell"),
    ],
)
@pytest.mark.parametrize("suffix", ["", "\n" * 5], ids=["end", "blank-lines"])
def test_an_invalid_row_is_refused_with_its_number(content: str, message: str, suffix: str, tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text(content + suffix)
    message = message.format(end=4 + len(suffix))
    source = open_source(path)
    with pytest.raises(SourceError, match=re.escape(f"table.csv, {message}")):
        list(source.rows())


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(b"", "is empty", id="empty"),
        pytest.param(b" \n\n", "is empty", id="blank-lines"),
        pytest.param(codecs.BOM_UTF8, "contains no table", id="byte-order-mark-alone"),
        pytest.param(gzip.compress(b""), "is empty", id="empty-gzip"),
        pytest.param(
            b"PK\x03\x04 and so on", "can't be unpacked, File is not a zip file: run `unzip table.csv`", id="zip"
        ),
        pytest.param(b"\xd0\xcf\x11\xe0 and so on", "Excel workbook: save", id="old-excel"),
        pytest.param(b"BZh91AY", "can't be read", id="truncated-bzip2"),
        pytest.param(b"a,b\n1,\0\n", "null bytes: save", id="null-bytes"),
        pytest.param(b'"a,b\n1,2\n', "row 1 is not valid CSV", id="unclosed-quotation-mark"),
        pytest.param("a,b\n".encode("utf-16-le"), "null bytes: save", id="utf-16-without-byte-order-mark"),
        pytest.param(codecs.BOM_UTF16_LE + b"a\0\0\0", "null bytes: save", id="null-characters-in-utf-16"),
        pytest.param(codecs.BOM_UTF16_LE + b"a\0b", "not valid UTF-16", id="truncated-character-of-utf-16"),
        pytest.param(gzip.compress(b"a,b\n1,2\n" * 99)[:-9], "can't be read", id="truncated-gzip"),
        pytest.param(b"\x1f\x8bnonsense", "can't be read", id="invalid-gzip"),
    ],
)
def test_a_file_that_is_not_a_table_is_refused_with_advice(content: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_bytes(content)
    with pytest.raises(SourceError, match=message):
        open_source(path)


def test_a_line_that_is_too_long_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encodings, "BLOCK_SIZE", 10)
    monkeypatch.setattr(encodings, "MAX_LINE_LENGTH", 100)
    path = tmp_path / "table.csv"
    path.write_text("a,b\n" + "1,2\n" * 100)
    assert open_source(path).header == ("a", "b")
    path.write_text("a,b\n" + "1,2 " * 100)
    with pytest.raises(SourceError, match="a line of more than 100 bytes"):
        open_source(path)


@pytest.mark.parametrize(
    ("name", "message"),
    [pytest.param("none.csv", "does not exist", id="no-file"), pytest.param("", "is an empty folder", id="folder")],
)
def test_a_path_without_a_file_is_refused(name: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=message):
        open_source(tmp_path / name)


@pytest.mark.parametrize("quoted", [False, True], ids=["plain", "quoted"])
@pytest.mark.parametrize(("rows", "step"), [(10, 10), (7, 15), (1000, 1)])
def test_a_sample_is_spread_evenly(rows: int, step: int, quoted: bool, tmp_path: Path) -> None:
    # given: a hundred rows that contain their line number
    mark = '"' if quoted else ""
    path = tmp_path / "table.csv"
    path.write_text("line,b\n" + "".join(f"{mark}{line}{mark},x\n" for line in range(2, 101)))
    source = open_source(path)
    # when
    sample = source.sample(rows)
    # then
    lines = [int(cells[0]) for cells in sample]
    assert abs(len(sample) - min(rows, 99)) <= 1
    assert {after - before for before, after in itertools.pairwise(lines)} == {step}
    assert [line for line, _ in source.raw_rows(step)] == lines


@given(
    rows=st.lists(st.tuples(st.text('ab ,;"\n\t|é', max_size=4), st.sampled_from("xyz")), min_size=2, max_size=8),
    delimiter=st.sampled_from(",;\t|"),
)
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_output_of_the_csv_module_is_read(rows: list[tuple[str, str]], delimiter: str, tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, delimiter=delimiter, quoting=csv.QUOTE_ALL).writerows([("first", "second"), *rows])
    source = open_source(path)
    assert source.delimiter == delimiter
    assert [cells for _, cells in source.rows()] == [[first.strip(), second] for first, second in rows]


@pytest.fixture
def parquet(tmp_path: Path) -> Callable[..., Path]:
    """Return a function that writes a Parquet file from the values and type of each column."""
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    def write(**columns: tuple[Sequence[object], str]) -> Path:
        path = tmp_path / "table.parquet"
        arrays = {name: pyarrow.array(values, type_alias(kind)) for name, (values, kind) in columns.items()}
        parquet.write_table(pyarrow.table(arrays), path)
        return path

    def type_alias(kind: str) -> object:
        return pyarrow.timestamp(kind[10:-1]) if kind.startswith("timestamp[") else pyarrow.type_for_alias(kind)

    return write


@pytest.mark.parametrize(
    ("values", "kind", "cells"),
    [
        pytest.param([1.5, None, float("nan")], "float64", ["1.5", ""], id="numbers"),
        pytest.param([True, False], "bool", ["true", "false"], id="booleans"),
        pytest.param([date(2020, 1, 2)], "date32", ["2020-01-02"], id="dates"),
        pytest.param([1_500_000_007], "timestamp[ns]", ["1970-01-01 00:00:01.500000"], id="nanoseconds"),
        pytest.param([3_600_000_000_000], "time64[ns]", ["01:00:00"], id="times"),
        pytest.param([b"x", None], "binary", ["x", ""], id="bytes"),
    ],
)
def test_parquet_is_read_as_text(
    values: Sequence[object], kind: str, cells: list[str], parquet: Callable[..., Path]
) -> None:
    # given: a second column, because blank rows are skipped
    path = parquet(a=(values, kind), b=(["x"] * len(values), "string"))
    # when
    source = open_source(path)
    # then
    assert source.header == ("a", "b")
    assert [row[0] for _, row in source.rows()][: len(cells)] == cells


@pytest.mark.parametrize(
    ("values", "kind", "message"),
    [
        pytest.param(["a", "b\0c"], "string", "column 'a', row 2 contains a null character", id="null-character"),
        pytest.param([0, 2**60], "timestamp[us]", "column 'a', row 2 contains a value that can't be read", id="year"),
    ],
)
def test_a_parquet_value_that_has_no_text_is_refused_with_its_column_and_row(
    values: Sequence[object], kind: str, message: str, parquet: Callable[..., Path]
) -> None:
    source = open_source(parquet(a=(values, kind)))
    with pytest.raises(SourceError, match=message):
        list(source.rows())


def test_damaged_parquet_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    path = tmp_path / "table.parquet"
    path.write_bytes(b"PAR1damaged")
    with pytest.raises(SourceError, match="can't be read as Parquet"):
        open_source(path)


def test_parquet_without_pyarrow_is_refused_with_advice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "table.parquet"
    path.write_bytes(b"PAR1...")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(SourceError, match="install pyarrow"):
        open_source(path)


CITIES = {
    "cp1250": "Łódź,Kraków,Gdańsk,Wrocław",
    "cp1251": "Москва,Казань,Самара,Пермь",
    "koi8-r": "Москва,Казань,Самара,Пермь",
    "cp932": "東京,大阪,名古屋,札幌",
    "gb18030": "北京,上海,广州,深圳",
}


@pytest.mark.parametrize("encoding", CITIES)
def test_the_encoding_is_detected_in_non_ascii_characters(encoding: str, tmp_path: Path) -> None:
    # given: non-ASCII characters after rows of ASCII
    cities = CITIES[encoding].split(",")
    path = tmp_path / "table.csv"
    path.write_bytes(b"city,x\n" + b"Oslo,1\n" * 20 + "".join(f"{city},1\n" for city in cities * 9).encode(encoding))
    # when
    cells = {row[0] for _, row in open_source(path).rows()}
    # then
    assert cells == {"Oslo", *cities}


def test_an_encoding_that_needs_chardet_is_refused_without_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "table.csv"
    path.write_bytes("город,x\nМосква,1\n".encode("cp1251"))
    monkeypatch.setitem(sys.modules, "chardet", None)
    with pytest.raises(SourceError, match=r"save it as CSV in UTF-8, or run `python -m pip install chardet`"):
        open_source(path)


def test_a_repeated_header_is_skipped_and_counted(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text("a, b\n1,2\na, b\n3,4\n")
    source = open_source(path)
    assert [cells for _, cells in source.rows()] == [["1", "2"], ["3", "4"]]
    assert source.repeated_headers == 1


def test_the_end_of_file_character_of_dos_is_not_a_row(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text("a,b\n1,2\n\x1a")
    assert [cells for _, cells in open_source(path).rows()] == [["1", "2"]]


@pytest.mark.parametrize("compress", [bytes, gzip.compress], ids=["plain", "gzip"])
@pytest.mark.parametrize(("limit", "count"), [(1 << 20, 1), (20, 4)], ids=["small", "large"])
def test_a_small_file_is_read_once(
    compress: Callable[[bytes], bytes], limit: int, count: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given
    path = tmp_path / "table.csv"
    path.write_bytes(compress(b"a,b\n" + b"1,2\n" * 20))
    opened: list[Path] = []
    original = Path.open

    def counting(path: Path, *arguments: Any, **options: Any) -> Any:
        opened.append(path)
        return original(path, *arguments, **options)

    monkeypatch.setattr(Path, "open", counting)
    # when
    rows = list(open_source(path, limit).rows())
    # then: a large file is opened for its first bytes, its encoding, its header and its rows
    assert len(rows) == 20
    assert len(opened) == count
