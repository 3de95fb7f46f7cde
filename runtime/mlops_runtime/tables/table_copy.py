"""The way of a table into the project: the name it gets there, and the copy."""

import csv
import re
import shutil
from pathlib import Path

from mlops_runtime.tables.source import PARQUET, open_source

GZIP = ".gz"
PLAIN = (".csv", ".tsv", ".tab", ".txt")


def copy_name(path: Path) -> str:
    """Return the name of a table's copy: one that makefiles, shells and git take as it is."""
    suffixes = [suffix.lower() for suffix in path.suffixes[-2:]]
    kept = next((suffix for suffix in suffixes if suffix in PLAIN), ".csv")
    stem = path.name.split(".")[0] or "table"
    name = re.sub(r"[^A-Za-z0-9_-]+", "_", stem).strip("_-") or "table"
    packed = GZIP if suffixes and suffixes[-1] == GZIP else ""
    return f"{name}{kept}{packed}"


def write_copy(path: Path, copy: Path) -> None:
    """Copy a table byte by byte; one in Parquet becomes CSV, so that whoever has the project can read it.

    Raises:
        SourceError: if a Parquet file cannot be read.
        OSError: if a file cannot be read or written.
    """
    with path.open("rb") as file:
        magic = file.read(len(PARQUET))
    if magic != PARQUET:
        shutil.copyfile(path, copy)
        return
    source = open_source(path)
    with copy.open("w", newline="", encoding="utf-8") as written:
        writer = csv.writer(written, lineterminator="\n")
        writer.writerow(source.header)
        writer.writerows(cells for _, cells in source.rows())
