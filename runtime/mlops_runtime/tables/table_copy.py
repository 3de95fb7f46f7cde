"""The copy of a table in a project."""

import csv
import re
import shutil
from pathlib import Path

from mlops_runtime.tables.compression import opened
from mlops_runtime.tables.formats import START_SIZE
from mlops_runtime.tables.source import is_converted, open_source

GZIP_SUFFIX = ".gz"
TEXT_SUFFIXES = (".csv", ".tsv", ".tab", ".txt")


def copy_name(path: Path) -> str:
    """Return a file name for the copy of a table that needs no quoting in makefiles, shells and git."""
    suffixes = [suffix.lower() for suffix in path.suffixes[-2:]]
    text_suffix = next((suffix for suffix in suffixes if suffix in TEXT_SUFFIXES), ".csv")
    stem = re.sub(r"[^A-Za-z0-9_-]+", "_", path.name.split(".")[0]).strip("_-") or "table"
    return f"{stem}{text_suffix}{GZIP_SUFFIX if suffixes[-1:] == [GZIP_SUFFIX] else ''}"


def write_copy(path: Path, copy: Path) -> None:
    """Copy a table byte by byte, or decompressed. Convert other formats to CSV, which every environment can read.

    Raises:
        SourceError: if the table cannot be read.
        OSError: if a file cannot be read or written.
    """
    if path.is_dir() or is_converted(_start(path)):
        source = open_source(path)
        with copy.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, delimiter=source.delimiter, lineterminator="\n")
            writer.writerow(source.header)
            writer.writerows(cells for _, cells in source.raw_rows())
    elif copy.suffix == GZIP_SUFFIX:
        shutil.copyfile(path, copy)
    else:
        with opened(path) as table, copy.open("wb") as file:
            shutil.copyfileobj(table, file)


def _start(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(START_SIZE)
