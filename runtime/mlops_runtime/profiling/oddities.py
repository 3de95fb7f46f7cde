"""Warnings about cells that do not fit their column: odd cells, sentinels, and values that differ only in case."""

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence

from mlops_runtime.missing import NO_VALUES, WORD_KINDS, WORDS
from mlops_runtime.profiling.columns import Column, ExcludedColumn, Tally, quoted
from mlops_runtime.profiling.notations import notation_of
from mlops_runtime.tables.cells import cleaned
from mlops_runtime.tables.source import Source

MAX_LISTED = 3
"""Maximum number of values in a warning."""

OddRows = Mapping[str, Sequence[tuple[int, str]]]
"""Rows of some odd cells, with the cells, by the name of the column."""

NOUNS = {
    "number": "number", "integer": "number", "date": "date", "datetime": "date and time", "time": "time of day",
}  # fmt: skip


def odd_rows(source: Source, step: int, cells: Mapping[str, Collection[str]]) -> OddRows:
    """Return the first row of each odd cell; the file is read up to the last of them.

    Args:
        source: table.
        step: one row out of `step` is read.
        cells: odd cells by the name of their column.
    """
    wanted = {name: set(values) for name, values in cells.items()}
    found: defaultdict[str, list[tuple[int, str]]] = defaultdict(list)
    positions = [(name, source.header.index(name), values) for name, values in wanted.items()]
    for line, row in source.raw_rows(step) if positions else ():
        for name, position, values in positions:
            cell = cleaned(row[position])
            if cell in values:
                values.discard(cell)
                found[name].append((line, cell))
        if not any(values for _, _, values in positions):
            break
    return found


def odd_cells(name: str, odd: int, rows: OddRows) -> str:
    """Return the start of a sentence about odd cells: their number, column, rows and values, and a verb."""
    found = [(row, cell) for row, cell in rows.get(name, ()) if cell not in NO_VALUES]
    places = ", ".join(f"{quoted(cell)} in row {row}" for row, cell in found[:MAX_LISTED])
    if odd == 1:
        return f"1 cell of {quoted(name)}, {places}, is"
    return f"{odd} cells of {quoted(name)}, such as {places}, are"


def odd_warnings(columns: Sequence[Column], rows: OddRows) -> Iterator[str]:
    """Yield a sentence about the odd cells of each column that has any."""
    for column in columns:
        if column.odd:
            start = odd_cells(column.name, column.odd, rows)
            verb = "counts" if column.odd == 1 else "count"
            yield f"{start} no {NOUNS[column.kind]}, though the others are: {verb} as missing"


def unusual_markers(columns: Sequence[Column], tallies: Mapping[str, Tally]) -> dict[str, list[str]]:
    """Return the words among the numbers, dates, times and truth values that are a value in a column of words."""
    words = {
        column.name: [cell for cell in tallies[column.name].markers if cell not in WORDS]
        for column in columns
        if column.kind not in WORD_KINDS
    }
    return {name: cells for name, cells in words.items() if cells}


def unusual_marker_warnings(
    markers: Mapping[str, Sequence[str]], tallies: Mapping[str, Tally], rows: OddRows
) -> Iterator[str]:
    """Yield a sentence about such words in each column: their number, the first row, and that they are missing."""
    for name, cells in markers.items():
        count = sum(tallies[name].markers[cell] for cell in cells)
        if count and (places := [place for place in rows.get(name, ()) if place[1] in cells]):
            row, cell = places[0]
            start = f"1 cell of {quoted(name)} is" if count == 1 else f"{count} cells of {quoted(name)}, the first"
            if count == 1:
                yield f"{start} {quoted(cell)}, in row {row}: counts as missing"
            else:
                yield f"{start} {quoted(cell)} in row {row}, are words for a missing value: count as missing"


def sentinel_warnings(columns: Sequence[Column]) -> Iterator[str]:
    """Yield a sentence about each number that may stand for a missing value."""
    for column in columns:
        for sentinel in column.sentinels:
            yield (
                f"{sentinel.rows} cells of {quoted(column.name)} are {sentinel.cell}, far from the others "
                f"({sentinel.low:g} to {sentinel.high:g}): if that means a missing value, "
                f'add Missing("{sentinel.cell}") to its field in datamodel.py, or answer missing="auto,{sentinel.cell}"'
            )


def notation_warnings(columns: Mapping[str, Column | ExcludedColumn], tallies: Mapping[str, Tally]) -> Iterator[str]:
    """Yield a sentence about each column that is read as words and consists of amounts."""
    for name, column in columns.items():
        is_words = isinstance(column, ExcludedColumn) or column.kind in WORD_KINDS
        if is_words and tallies[name].present:
            notation = notation_of(tallies[name].statistics.examples, tallies[name].decimal)
            if notation is not None:
                place = "excluded" if isinstance(column, ExcludedColumn) else f"read as a {column.kind}"
                yield f"{quoted(name)} contains {notation} and is {place}: write plain numbers in the table to use them"


def case_warnings(columns: Sequence[Column], tallies: Mapping[str, Tally]) -> Iterator[str]:
    """Yield a sentence about the values of each column that differ only in case."""
    for column in columns:
        if column.kind in ("choice", "category"):
            yield from same_but_case(column.name, tallies[column.name].values or (), "values")


def same_but_case(name: str, values: Collection[str], noun: str) -> Iterator[str]:
    """Yield a sentence about values that differ only in case, if there are any."""
    groups: defaultdict[str, list[str]] = defaultdict(list)
    for value in values:
        groups[value.casefold()].append(value)
    same = [group for group in groups.values() if len(group) > 1]
    if same:
        first = ", ".join(map(quoted, sorted(same[0])[:MAX_LISTED]))
        more = f" and {len(same) - 1} more such groups" if len(same) > 1 else ""
        yield (
            f"{first}{more} differ only in case and are different {noun} of {quoted(name)}: "
            "write them in the same way in the table to merge them"
        )
