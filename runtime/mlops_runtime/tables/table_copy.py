"""The copy of a table in a project."""

import csv
import re
import shutil
from pathlib import Path

from mlops_runtime.tables.source import PARQUET, open_source

GZIP_SUFFIX = ".gz"
TEXT_SUFFIXES = (".csv", ".tsv", ".tab", ".txt")


def copy_name(path: Path) -> str:
    """Return a file name for the copy of a table that needs no quoting in makefiles, shells and git."""
    suffixes = [suffix.lower() for suffix in path.suffixes[-2:]]
    text_suffix = next((suffix for suffix in suffixes if suffix in TEXT_SUFFIXES), ".csv")
    stem = re.sub(r"[^A-Za-z0-9_-]+", "_", path.name.split(".")[0]).strip("_-") or "table"
    return f"{stem}{text_suffix}{GZIP_SUFFIX if suffixes[-1:] == [GZIP_SUFFIX] else ''}"


def write_copy(path: Path, copy: Path) -> None:
    """Copy a table byte by byte. Convert a Parquet file to CSV, which every environment can read.

    Raises:
        SourceError: if a Parquet file cannot be read.
        OSError: if a file cannot be read or written.
    """
    with path.open("rb") as table:
        magic = table.read(len(PARQUET))
    if magic != PARQUET:
        shutil.copyfile(path, copy)
        return
    source = open_source(path)
    with copy.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(source.header)
        writer.writerows(cells for _, cells in source.rows())
