"""The profile of a table: its task, its columns, and what is to be known of them."""

import contextlib
import itertools
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path
from statistics import quantiles

from mlops_runtime.profiling.columns import Column, LeftOut, Tally, column_of, is_ambiguous, told
from mlops_runtime.profiling.leakage import Values, leak
from mlops_runtime.profiling.ranges import with_ranges
from mlops_runtime.profiling.target import TASKS, Target, TargetError, target_of
from mlops_runtime.tables.cells import number
from mlops_runtime.tables.source import MAX_IN_MEMORY, Source, cleaned, open_source

MAX_ROWS = 2_000_000
MAX_CELLS = 50_000_000
"""Most rows and cells that are read whole, in about half a minute: of a larger table a sample is read."""

SAMPLE_ROWS = 200_000
SAMPLE_CELLS = 20_000_000
"""Rows and cells of that sample."""

CHUNK_CELLS = 500_000
CHUNK_ROWS = 20_000
"""Most cells and rows that are held at once."""

COUNTED_VALUES = 1_000_000
MAX_COUNTED_VALUES = 20_000
MIN_COUNTED_VALUES = 200
"""Distinct values that are counted one by one, of all columns and of one."""

COMPARED_ROWS = 50_000
COMPARED_CELLS = 5_000_000
"""Rows and cells in which columns are compared with the target, and which quartiles are taken from."""

LISTED = 10
"""Names that a message lists."""

SUMMED_UP = 3
"""Columns left out, and warnings, that a summary shows."""

KIND_WORDS = {
    "number": ("number", "numbers"),
    "integer": ("integer", "integers"),
    "boolean": ("boolean", "booleans"),
    "choice": ("choice", "choices"),
    "category": ("category", "categories"),
    "text": ("text", "texts"),
    "date": ("date", "dates"),
    "datetime": ("datetime", "datetimes"),
    "time": ("time", "times"),
}
"""What kinds are called, one and several."""


class ProfileError(ValueError):
    """The table can't be learned from; the message is a sentence that says what to do next."""


@dataclass(frozen=True, slots=True)
class Profile:
    """What a table holds.

    Attributes:
        path: of the table.
        source: its dialect.
        rows: in the table; about so many where it was sampled.
        sampled: whether rows were passed over.
        target: name of the column to predict.
        task: binary, multiclass or regression.
        reason: why that task, and how to have another.
        labels: of the target, sorted; none for a regression.
        columns: that the contract takes.
        left_out: names of the other columns, with reasons.
        warnings: what a person should look at.
    """

    path: Path
    source: Source
    rows: int
    sampled: bool
    target: str
    task: str
    reason: str
    labels: tuple[str, ...]
    columns: tuple[Column, ...]
    left_out: tuple[tuple[str, str], ...]
    warnings: tuple[str, ...]


def profile(path: Path, target: str, task: str = "auto") -> Profile:
    """Return what the table holds.

    Args:
        path: of the table.
        target: name of the column to predict.
        task: binary, multiclass, regression, or auto to have it told from the target's values.

    Raises:
        SourceError: if the file can't be read as a table.
        ProfileError: if the table can't be learned from.
    """
    if task not in TASKS:
        raise ProfileError(f"task={task} is none: choose {', '.join(TASKS)}")
    source = open_source(path, MAX_IN_MEMORY)
    target = " ".join(target.split())
    _require_target(source, target)
    sampled = source.lines > MAX_ROWS or source.lines * len(source.header) > MAX_CELLS
    step = source.step(min(SAMPLE_ROWS, SAMPLE_CELLS // len(source.header))) if sampled else 1
    tallies = _tallies(source, step, target)
    tally = tallies.pop(target)
    if not tally.rows:
        raise ProfileError(f"{path.name} has a header and no row: add rows")
    try:
        found = target_of(tally, source.decimal, task, sampled)
    except TargetError as error:
        raise ProfileError(str(error)) from error
    day_first = source.decimal == "," or source.delimiter == ";"
    columns = {name: column_of(column, source.decimal, day_first, sampled) for name, column in tallies.items()}
    kept = [column for column in columns.values() if isinstance(column, Column)]
    left_out = tuple((name, column.reason) for name, column in columns.items() if isinstance(column, LeftOut))
    if not kept:
        raise ProfileError(f"no column of {path.name} can be learned from: {_reasons(left_out)}")
    ranged = with_ranges(kept, [tallies[column.name] for column in kept], sampled)
    warnings = [*_header_warnings(source), *_target_warnings(found, tally), *_date_warnings(ranged, tallies)]
    compared, leaks = _compared(source, ranged, target, bool(found.labels))
    return Profile(
        path=path,
        source=source,
        rows=_rounded(tally.rows * step) if sampled else tally.rows,
        sampled=sampled,
        target=target,
        task=found.task,
        reason=found.reason,
        labels=found.labels,
        columns=compared,
        left_out=left_out,
        warnings=(*leaks, *warnings),
    )


def summary(profile: Profile) -> str:
    """Return what a person reads once the contract is written: a few lines, however wide the table."""
    kinds = {kind: [column for column in profile.columns if column.kind == kind] for kind in KIND_WORDS}
    counted = ", ".join(f"{len(of)} {KIND_WORDS[kind][len(of) > 1]}" for kind, of in kinds.items() if of)
    about = "about " if profile.sampled else ""
    lines = [
        f"{profile.path.name}: {about}{profile.rows} rows, {len(profile.source.header)} columns",
        f"  target    {told(profile.target)}, {profile.task}: {profile.reason}",
        f"  columns   {len(profile.columns)} taken: {counted}",
    ]
    lines += _listed("left out", [f"{told(name)}: {reason}" for name, reason in profile.left_out])
    lines += _listed("warning", profile.warnings)
    return "\n".join(lines)


def _listed(heading: str, sentences: Sequence[str]) -> Iterator[str]:
    for sentence in sentences[:SUMMED_UP]:
        yield f"  {heading:<9} {sentence}"
    if len(sentences) > SUMMED_UP:
        yield f"  {heading:<9} and {len(sentences) - SUMMED_UP} more: see data/README.md"


def _rounded(rows: int) -> int:
    """Return an estimated number of rows to three digits."""
    return int(float(f"{rows:.3g}"))


def _require_target(source: Source, target: str) -> None:
    """Check that the target is a column.

    Raises:
        ProfileError: if it is none.
    """
    if target in source.header:
        return
    near = get_close_matches(target, source.header, n=3)
    if not near and _lacks_header(source):
        raise ProfileError(f"{source.path.name} has no header, its first row is data: add a row that names the columns")
    names = ", ".join(map(told, source.header[:LISTED])) + (", …" if len(source.header) > LISTED else "")
    if not target:
        raise ProfileError(f"a dataset needs a target: set target= to one of the columns {names}")
    hint = f"did you mean {' or '.join(map(told, near))}?" if near else f"its columns are {names}"
    raise ProfileError(f"{source.path.name} has no column {told(target)}: {hint}")


def _lacks_header(source: Source) -> bool:
    """Return whether the first row has numbers wherever the next ones do."""
    rows = [cleaned(cells) for _, cells in itertools.islice(source.raw_rows(), LISTED)]
    numeric = [
        place
        for place, cells in enumerate(zip(*rows, strict=True))
        if any(cells) and all(number(cell, source.decimal) is not None for cell in cells if cell)
    ]
    return bool(numeric) and all(number(source.header[place], source.decimal) is not None for place in numeric)


def _tallies(source: Source, step: int, target: str) -> dict[str, Tally]:
    """Return what the cells of each column are, by its name."""
    width = len(source.header)
    most = min(MAX_COUNTED_VALUES, max(MIN_COUNTED_VALUES, COUNTED_VALUES // width))
    tallies = {
        name: Tally(name, source.decimal, MAX_COUNTED_VALUES if name == target else most) for name in source.header
    }
    chunk_rows = max(1, min(CHUNK_ROWS, CHUNK_CELLS // width))
    seen = 0
    for chunk in _chunks(source.raw_rows(step), chunk_rows):
        numbered = [
            # A sample starts with the last of the first rows, not with the first.
            tuple(map(str, range(first + (seen + 1) * step, first + (seen + len(chunk) + 1) * step, step)))
            for first in (-1, 0)
        ]
        for tally, cells in zip(tallies.values(), zip(*chunk, strict=True), strict=True):
            tally.add(cells, numbered)
        seen += len(chunk)
    return tallies


def _chunks(rows: Iterable[tuple[int, list[str]]], size: int) -> Iterator[list[list[str]]]:
    cells = (cells for _, cells in rows)
    while chunk := list(itertools.islice(cells, size)):
        yield chunk


def _reasons(left_out: Sequence[tuple[str, str]]) -> str:
    if not left_out:
        return "the target is its only column"
    return "; ".join(f"{told(name)}: {reason}" for name, reason in left_out[:SUMMED_UP])


def _header_warnings(source: Source) -> Iterator[str]:
    if source.repeated_headers:
        rows = "1 row repeats" if source.repeated_headers == 1 else f"{source.repeated_headers} rows repeat"
        yield f"{rows} the header: left out"


def _target_warnings(target: Target, tally: Tally) -> Iterator[str]:
    missing = tally.rows - tally.present
    if missing:
        rows = "1 row is" if missing == 1 else f"{missing} rows are"
        yield f"{rows} without a value of the target {told(tally.name)}: left out"
    if target.left_out:
        names = ", ".join(told(label) for label, _ in target.left_out[:SUMMED_UP])
        more = f" and {len(target.left_out) - SUMMED_UP} more" if len(target.left_out) > SUMMED_UP else ""
        yield f"labels that a single row has are left out: {names}{more}"


def _date_warnings(columns: Sequence[Column], tallies: dict[str, Tally]) -> Iterator[str]:
    for column in columns:
        if column.date_format is not None and is_ambiguous(tallies[column.name]):
            yield f"the dates of {told(column.name)} are read as {column.date_format}: no value tells day from month"


def _compared(
    source: Source, columns: Sequence[Column], target: str, labelled: bool
) -> tuple[tuple[Column, ...], list[str]]:
    """Return the columns with their quartiles, and warnings of those that give the target away."""
    values = _values(source, columns, target, labelled)
    targets = values.pop(target)
    compared, warnings = [], []
    for column in columns:
        of_column = values.pop(column.name)
        if isinstance(of_column, array):
            compared.append(replace(column, quartiles=_quartiles(of_column)))
        else:
            compared.append(column)
        warning = leak(column, of_column, targets, labelled)
        if warning is not None:
            warnings.append(warning)
    return tuple(compared), warnings


def _values(source: Source, columns: Sequence[Column], target: str, labelled: bool) -> dict[str, Values]:
    """Return values of the columns and the target, of rows that have a target, spread evenly over the table."""
    places = {name: place for place, name in enumerate(source.header)}
    numeric = {column.name for column in columns if column.kind in ("number", "integer")} | ({target} - {""})
    if labelled:
        numeric.discard(target)
    names = [*(column.name for column in columns), target]
    stores: dict[str, array[float] | list[str]] = {name: array("d") if name in numeric else [] for name in names}
    step = source.step(min(COMPARED_ROWS, max(1, COMPARED_CELLS // len(names))))
    known: dict[str, str] = {}
    of_target = places[target]
    rows = (cells for cells in map(cleaned, (raw for _, raw in source.raw_rows(step))) if cells[of_target])
    while chunk := list(itertools.islice(rows, max(1, CHUNK_CELLS // len(source.header)))):
        cells_of = list(zip(*chunk, strict=True))
        for name, store in stores.items():
            cells = cells_of[places[name]]
            if isinstance(store, array):
                store.extend(_floats(cells, source.decimal))
            else:
                # The same string is kept once.
                store.extend([known.setdefault(cell, cell) for cell in cells])
    return dict(stores)


def _floats(cells: Sequence[str], decimal: str) -> list[float]:
    if decimal == ".":
        # Thousands that are set apart are rare, and looking for them slow.
        with contextlib.suppress(ValueError):
            return [float(cell or "nan") for cell in cells]
    return [float(number(cell, decimal) or "nan") for cell in cells]


def _quartiles(values: Sequence[float]) -> tuple[float, float] | None:
    present = [value for value in values if value == value]
    if len(present) < 2:
        return None
    low, _, high = quantiles(present, n=4, method="inclusive")
    return low, high
