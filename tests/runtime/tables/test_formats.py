"""Files of other formats: read as the same table, or refused in one sentence with what to do."""

import bz2
import gzip
import io
import json
import lzma
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mlops_runtime.tables import compression
from mlops_runtime.tables.formats import address_advice
from mlops_runtime.tables.source import SourceError, open_source
from mlops_runtime.tables.table_copy import copy_name, write_copy

HEADER = ("id", "city", "price")
ROWS = [["1", "Oslo", "2.5"], ["2", "", "0.75"], ["3", "Zürich", "4"], ["4", "Bern", "5"]]
RECORDS = [
    {"id": 1, "city": "Oslo", "price": 2.5},
    {"id": 2, "city": None, "price": 0.75},
    {"id": 3, "city": "Zürich", "price": 4},
    {"id": 4, "city": "Bern", "price": 5},
]
CSV = "".join(",".join(row) + "\n" for row in (HEADER, *ROWS))


def zipped(**members: str | bytes) -> bytes:
    """Return a zip archive; a double underscore in a name stands for a slash."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name.replace("__", "/").replace("_", "."), content)
    return buffer.getvalue()


def json_lines(records: list[dict[str, object]]) -> str:
    return "".join(json.dumps(record) + "\n" for record in records)


READ = {
    "zip-of-one-file": zipped(table_csv=CSV),
    "zip-with-hidden-files": zipped(folder__table_csv=CSV, folder___DS_Store="x"),
    "bzip2": bz2.compress(CSV.encode()),
    "xz": lzma.compress(CSV.encode()),
    "gzip-of-two-parts": gzip.compress(CSV[:30].encode()) + gzip.compress(CSV[30:].encode()),
    "json-array": json.dumps(RECORDS).encode(),
    "json-array-in-many-lines": json.dumps(RECORDS, indent=2, ensure_ascii=False).encode(),
    "json-lines": json_lines(RECORDS).encode(),
    "json-lines-with-mark-and-blank-lines": b"\xef\xbb\xbf" + json_lines(RECORDS).replace("\n", "\r\n\r\n").encode(),
    "json-lines-without-nulls": json_lines(
        [{k: v for k, v in each.items() if v is not None} for each in RECORDS]
    ).encode(),
    "title": ("Prices of cities\n\n" + CSV).encode(),
    "comments": ("# made by hand\n# at 12:00, on Monday\n" + CSV).encode(),
    "slashed-comments": ("// made by hand\n\n" + CSV).encode(),
    "delimiter-for-excel": ("sep=;\n" + CSV.replace(",", ";")).encode(),
    "spaces": 'id city price\n1 Oslo 2.5\n2 "" 0.75\n3 Zürich 4\n4 Bern 5\n'.encode(),
    "aligned-by-spaces": (
        '  id   city  price\n   1   Oslo    2.5\n   2     ""   0.75\n   3 Zürich      4\n   4   Bern   5 \n'
    ).encode(),
    "total": (CSV + "Total,,12.25\n").encode(),
    "sums-and-notes": (CSV + "Sum:,,12.25\n\nSource: the town hall\n").encode(),
    "number-of-rows": (CSV + "(4 rows)\n").encode(),
}


@pytest.mark.parametrize("name", READ)
def test_a_file_of_another_format_is_read(name: str, tmp_path: Path) -> None:
    # given
    path = tmp_path / "prices.dat"
    path.write_bytes(READ[name])
    # when
    source = open_source(path)
    rows = [cells for _, cells in source.raw_rows()]
    # then
    assert source.header == HEADER
    assert rows == ROWS
    # and: so is its copy in a project
    copy = tmp_path / copy_name(path)
    write_copy(path, copy)
    copied = open_source(copy)
    assert (copied.header, [cells for _, cells in copied.raw_rows()]) == (HEADER, ROWS)


def test_what_was_skipped_is_counted(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text(f"Prices\n\n{CSV}Total,,12.25\n")
    source = open_source(path)
    assert [line for line, _ in source.raw_rows()] == [4, 5, 6, 7]
    assert (source.preamble, source.footers) == (1, 1)


KEPT = {
    "a-total-among-the-rows": "name,a,b\nTotal,,1\nx,1,2\ny,2,3\nz,2,3\n",
    "a-name-like-a-sum": "name,a,b\nx,1,2\ny,2,3\nTotal,1,2\n",
    "a-header-like-a-comment": "#id,a\n1,2\n2,3\n3,4\n",
    "columns-without-names": ",,y\n1,2,3\n2,3,4\n3,4,5\n",
    "an-index-without-a-name": ",y\n1,2\n2,3\n3,4\n",
    "one-column": "name\nx\ny\nz\n",
    "a-short-header": "a,b\n1,2\n1\n",
    "words-with-spaces": "full name\nJane Roe\nJohn Doe\nJim Poe\n",
}


@pytest.mark.parametrize("name", KEPT)
def test_a_row_that_may_be_of_the_table_is_kept(name: str, tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text(KEPT[name])
    source = open_source(path)
    assert (source.preamble, len(list(source.raw_rows()))) == (0, KEPT[name].count("\n") - 1)


def test_the_names_of_rows_that_r_writes_are_a_column(tmp_path: Path) -> None:
    path = tmp_path / "table.txt"
    path.write_text('"a" "b"\n"1" 1.5 "x"\n"2" 2.5 "y z"\n"3" 3 "x"\n')
    source = open_source(path)
    assert source.header == ("column_1", "a", "b")
    assert [cells for _, cells in source.raw_rows()][1] == ["2", "2.5", "y z"]


REFUSED = {
    "excel": (zipped(xl__workbook_xml="<x/>"), "is an Excel workbook: save the sheet as CSV, or run `libreoffice"),
    "open-document": (zipped(mimetype="x", content_xml="<x/>"), "is an OpenDocument sheet"),
    "zip-of-two-files": (zipped(a_csv=CSV, b_csv=CSV), "of 2 files (a.csv, b.csv): run `unzip table.dat`"),
    "zip-of-nothing": (zipped(), "is an empty zip archive"),
    "zip-of-json": (zipped(a_json="[{}]"), "is a zip archive of a.json: run `unzip table.dat`"),
    "zip-of-parquet": (zipped(a_parquet=b"PAR1"), "is a zip archive of a.parquet: run `unzip table.dat`"),
    "truncated-zip": (zipped(a_csv=CSV)[:-30], "can't be unpacked, File is not a zip file"),
    "damaged-xz": (lzma.compress(CSV.encode())[:-20] + b"x" * 20, "can't be read"),
    "zstd": (b"\x28\xb5\x2f\xfd and so on", "is compressed by zstd: run `zstd -d table.dat`"),
    "html": (b"\n<!DOCTYPE html>\n<html><p>Sign in", "is an HTML page, not the table: download the file behind it"),
    "xml": (b"<?xml version='1.0'?><a/>", "is HTML or XML: open it in a spreadsheet program"),
    "git-lfs": (b"version https://git-lfs.github.com/spec/v1\noid 0\n", "not the table: run `git lfs pull`"),
    "sqlite": (b"SQLite format 3\0\x10\0", "is an SQLite database: run `sqlite3 -header -csv table.dat"),
    "pickle": (b"\x80\x04\x95", "is a pickle, which runs code when it is read"),
    "tar": (b"a" * 257 + b"ustar\0", "is a tar archive: run `tar -xf table.dat`"),
    "arff": (b"% comment\n@RELATION iris\n", "is an ARFF file"),
    "pdf": (b"%PDF-1.7", "is a PDF document"),
    "json-object": (b'{"a": {"0": 1, "1": 2},\n "b": 3}', "line 2 is not valid JSON"),
    "json-nothing": (b"[]", "contains no table"),
    "json-list": (b'[{"a": 1}, {"a": [2]}]', "column 'a', row 2 contains a list"),
    "json-record": (b'{"a": 1}\n{"a": {"b": 2}}\n', "column 'a', row 2 contains a record"),
    "json-null-character": (b'[{"a": "x\\u0000"}]', "column 'a', row 1 contains a null character"),
    "json-mixed": (b'[{"a": 1}, 2]', "row 2 is not a record"),
    "json-truncated": (b'[{"a": 1}, {"a"', "is not valid JSON"),
    "json-deep": (b'[{"a": ' + b"[" * 100_000, "is not valid JSON"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_a_file_of_another_format_is_refused_in_one_sentence(name: str, tmp_path: Path) -> None:
    # given
    content, message = REFUSED[name]
    path = tmp_path / "table.dat"
    path.write_bytes(content)
    # when
    with pytest.raises(SourceError) as refusal:
        list(open_source(path).raw_rows())
    # then
    assert message in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_a_module_that_python_lacks_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "table.bz2"
    path.write_bytes(READ["bzip2"])
    monkeypatch.setitem(compression.MODULES, compression.BZIP2, ("no_such_module", "bzip2"))
    with pytest.raises(SourceError, match=r"is compressed by bzip2: run `bzip2 -dk table.bz2`"):
        open_source(path)


@pytest.mark.parametrize(
    ("text", "advice"),
    [
        pytest.param("https://x.org/a/b.csv?c=1", "run `curl -fLO 'https://x.org/a/b.csv?c=1'`, and", id="url"),
        pytest.param("https:/x.org/b.csv", "https://x.org/b.csv is an address, not a path", id="url-as-a-path"),
        pytest.param("s3://b/a.csv", "`aws s3 cp s3://b/a.csv .`, and give the path of the copy, a.csv", id="s3"),
        pytest.param("postgresql://h/db", "an address, not a path: copy the table to this machine", id="database"),
    ],
)
def test_an_address_is_told_from_a_path(text: str, advice: str) -> None:
    assert advice in (address_advice(text) or "")


@pytest.mark.parametrize("text", ["data/a.csv", "/data/a.csv", "C:/data/a.csv", "a:b.csv", "a b: c/d.csv"])
def test_a_path_is_no_address(text: str) -> None:
    assert address_advice(text) is None


def test_an_address_that_was_made_a_path_is_refused() -> None:
    with pytest.raises(SourceError, match=r"^s3://bucket/a.csv is an address"):
        open_source(Path("s3://bucket/a.csv"))


def _csv_parts(folder: Path) -> None:
    (folder / "part-0.csv").write_text(CSV[:30].rpartition("\n")[0] + "\n")
    rest = CSV[len(CSV[:30].rpartition("\n")[0]) + 1 :]
    (folder / "part-1.csv").write_text("id,city,price\n" + rest)
    (folder / "_SUCCESS").touch()
    (folder / ".part-0.csv.crc").write_bytes(b"\0")


def _json_parts(folder: Path) -> None:
    for number in (0, 2):
        (folder / f"part-{number}.jsonl").write_text(json_lines(RECORDS[number : number + 2]))


def _parquet_parts(folder: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    for number in (0, 2):
        parquet = pytest.importorskip("pyarrow.parquet")
        records = [{name: record[name] for name in ("city", "price")} for record in RECORDS[number : number + 2]]
        for row, record in enumerate(records, start=number + 1):
            (folder / f"id={row}").mkdir()
            parquet.write_table(pyarrow.Table.from_pylist([record]), folder / f"id={row}/part.parquet")


@pytest.mark.parametrize("write", [_csv_parts, _json_parts], ids=["csv", "json-lines"])
def test_a_folder_of_parts_is_one_table(write: Callable[[Path], None], tmp_path: Path) -> None:
    # given
    folder = tmp_path / "prices"
    folder.mkdir()
    write(folder)
    # when
    source = open_source(folder)
    write_copy(folder, tmp_path / copy_name(folder))
    # then
    for each in (source, open_source(tmp_path / "prices.csv")):
        assert each.header == HEADER
        assert [cells for _, cells in each.raw_rows()] == ROWS
    assert len(source.sha256()) == 64


def test_the_names_of_folders_are_values_of_the_rows(tmp_path: Path) -> None:
    _parquet_parts(tmp_path)
    source = open_source(tmp_path)
    assert source.header == ("city", "price", "id")
    assert next(cells for _, cells in source.raw_rows()) == ["Oslo", "2.5", "1"]


def test_a_folder_of_different_tables_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(CSV)
    (tmp_path / "b.csv").write_text("x,y\n1,2\n")
    with pytest.raises(SourceError, match=r"tables with different columns, such as a.csv and b.csv: give the path"):
        open_source(tmp_path)


FILES = [*READ.values(), *(content for content, _ in REFUSED.values())]
PIECES = [
    b"#",
    b"sep=",
    b"\n",
    b"\r",
    b'"',
    b",",
    b";",
    b" ",
    b"\t",
    b"a",
    b"1.5",
    b"{",
    b"[",
    b'{"a":1}',
    b"Total",
    b"\xe9",
]


@given(
    content=st.one_of(
        st.builds(
            lambda content, start, end, piece: content[: min(start, end)] + piece + content[max(start, end) :],
            st.sampled_from(FILES),
            st.integers(0, 400),
            st.integers(0, 400),
            st.binary(max_size=4) | st.sampled_from(PIECES),
        ),
        st.lists(st.sampled_from(PIECES), max_size=40).map(b"".join),
    )
)
@settings(max_examples=400, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_damaged_file_is_a_table_or_one_sentence(content: bytes, tmp_path: Path) -> None:
    # given
    path = tmp_path / "table"
    path.write_bytes(content)
    # when
    refusal, rows, header = "", [], ()
    try:
        source = open_source(path)
        header, rows = source.header, [cells for _, cells in source.raw_rows()]
        write_copy(path, tmp_path / "copy.csv")
    except SourceError as error:
        refusal = str(error)
    # then
    assert "\n" not in refusal
    assert refusal or open_source(tmp_path / "copy.csv").header == header
    assert {len(cells) for cells in rows} <= {len(header)}
