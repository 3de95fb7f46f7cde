"""Formats of files: those that are not a table are recognised by their first bytes, and named with what to do."""

import re
from shlex import quote

START_SIZE = 512
"""Number of bytes from which a format is recognised."""

GZIP = b"\x1f\x8b"
BZIP2 = b"BZh"
XZ = b"\xfd7zXZ\0"
ZIP = b"PK\x03\x04"
PARQUET = b"PAR1"
ORC = b"ORC"
ARROW = (b"ARROW1", b"FEA1")

COMPRESSED = (GZIP, BZIP2, XZ, ZIP, PARQUET, ORC, *ARROW)
"""First bytes of formats that can expand without limit."""

EXCEL = "is an Excel workbook: save the sheet as CSV, or run `libreoffice --headless --convert-to csv {name}`"
OPEN_DOCUMENT = "is an OpenDocument sheet: save it as CSV, or run `libreoffice --headless --convert-to csv {name}`"
PICKLE = "is a pickle, which runs code when it is read: write the table with DataFrame.to_csv instead"

ADVICE = (
    (rb"PK\x05\x06", "is an empty zip archive: give the path of the table"),
    (rb"\xd0\xcf\x11\xe0", EXCEL),
    (rb"\x28\xb5\x2f\xfd", "is compressed by zstd: run `zstd -d {name}`, or use gzip"),
    (rb"\x04\x22\x4d\x18", "is compressed by lz4: run `lz4 -d {name}`, or use gzip"),
    (rb"\x1f\x9d", "is compressed by compress: run `uncompress {name}`, or use gzip"),
    (rb"7z\xbc\xaf", "is a 7z archive: run `7z x {name}`, and give the path of the table"),
    (rb"Rar!", "is a RAR archive: run `unrar x {name}`, and give the path of the table"),
    (rb".{257}ustar", "is a tar archive: run `tar -xf {name}`, and give the path of the table"),
    (rb"version https://git-lfs", "is a Git LFS pointer, not the table: run `git lfs pull`"),
    (rb"\s*(<!doctype html|<html|<head|<body)", "is an HTML page, not the table: download the file behind it"),
    (rb"\s*<(table|\?xml)", "is HTML or XML: open it in a spreadsheet program, and save the table as CSV"),
    (rb"%PDF", "is a PDF document: save the table as CSV"),
    (rb"\{\\rtf", "is a text document in RTF: save the table as CSV"),
    (rb"SQLite format 3", "is an SQLite database: run `sqlite3 -header -csv {name} 'SELECT * FROM NAME' > table.csv`"),
    (rb"\x80[\x02-\x05]", PICKLE),
    (rb"\x93NUMPY", "is a NumPy array: write it with numpy.savetxt, with a header"),
    (rb"\x89HDF", "is an HDF5 file: write the table with DataFrame.to_csv"),
    (rb"Obj\x01", "is an Avro file: convert it to Parquet or CSV"),
    (rb"(<stata_dta>|[qrs]\x01\x01|\x73\x02\x01)", "is a Stata file: write it with `export delimited`"),
    (rb"\$FL[23]", "is an SPSS file: write it with `SAVE TRANSLATE /TYPE=CSV`"),
    (rb"\0{12}\xc2\xea\x81\x60", "is a SAS file: write it with `PROC EXPORT DBMS=CSV`"),
    (rb"(RDX[23]|RDA[23])\n|X\n\0\0\0[\x02\x03]", "is an R data file: write the table with write.csv"),
    (rb"\s*(%[^\n]*\n\s*)*@relation\s", "is an ARFF file: write the table as CSV"),
    (
        rb"\s*((--|/\*)[^\n]*\s+)*(insert into|create (table|database)|drop table|use \S+;|set \w+ ?=)\b",
        "is an SQL dump: load it into a database, and export the table as CSV",
    ),
    (rb"[+-]?\d+(\.\d+)?( \d+:[-+\d.eE]+)+\s", "is in the format of LIBSVM: write the table as CSV, with a header"),
    (rb"\S+ \S+ \S+ \[\d\d/\w{3}/\d{4}:[^\]]*\] \"", "is the log of a web server: write it as CSV, with a header"),
    (rb"ARFE|\xff\xd8\xff|\x89PNG|GIF8", "is an image: give the path of a table"),
)
"""Regular expressions for the first bytes of other formats, with advice."""

ADDRESS = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]+):/{1,3}[^/]")
FETCH = {
    "s3": "aws s3 cp {address} .",
    "s3a": "aws s3 cp {address} .",
    "gs": "gcloud storage cp {address} .",
    "hdfs": "hdfs dfs -get {address}",
    "http": "curl -fLO {address}",
    "https": "curl -fLO {address}",
    "ftp": "curl -fLO {address}",
}
"""Commands that fetch a file."""


def advice_for(name: str, start: bytes) -> str | None:
    """Return a sentence for a file that is not a table, given its first bytes; None for others."""
    for pattern, advice in ADVICE:
        if re.match(pattern, start, re.IGNORECASE | re.DOTALL):
            return f"{name} {advice.format(name=quote(name))}"
    return None


def address_advice(text: str) -> str | None:
    """Return a sentence for the address of a table, such as a URL, in place of a path; None for a path."""
    match = ADDRESS.match(text)
    if not match:
        return None
    scheme, rest = text.split(":", 1)
    address = f"{scheme}://{rest.lstrip('/')}"
    command = FETCH.get(scheme.lower())
    if not command:
        return f"{address} is an address, not a path: copy the table to this machine, and give the path of the copy"
    name = rest.rstrip("/").rpartition("/")[2]
    return (
        f"{address} is an address, not a path: run `{command.format(address=quote(address))}`, "
        f"and give the path of the copy, {name.partition('?')[0] or 'its file'}"
    )
