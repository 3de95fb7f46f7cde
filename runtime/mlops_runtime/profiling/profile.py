"""The profile of a table: its task, its columns, and warnings."""

import contextlib
import itertools
import re
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path
from statistics import quantiles

from mlops_runtime.missing import NO_VALUES, WORD_KINDS, missing_words
from mlops_runtime.profiling.columns import Column, ExcludedColumn, Tally, infer_column, is_ambiguous, quoted
from mlops_runtime.profiling.leakage import Values, leakage_warning
from mlops_runtime.profiling.markers import NOTHING_NAMED, Named, marker_warnings, word_values
from mlops_runtime.profiling.oddities import (
    OddRows,
    case_warnings,
    notation_warnings,
    odd_cells,
    odd_rows,
    odd_warnings,
    same_but_case,
    sentinel_warnings,
    unusual_marker_warnings,
    unusual_markers,
)
from mlops_runtime.profiling.ranges import add_ranges
from mlops_runtime.profiling.target import TASKS, Target, TargetError, infer_target, merged_labels
from mlops_runtime.tables.cells import all_cleaned, cleaned, number
from mlops_runtime.tables.source import MAX_IN_MEMORY, Source, open_source

MAX_ROWS = 2_000_000
MAX_CELLS = 50_000_000
"""Maximum size of a table that is read completely, in about half a minute. Of a larger table, a sample is read."""

SAMPLE_ROWS = 200_000
SAMPLE_CELLS = 20_000_000
"""Maximum size of that sample."""

CHUNK_CELLS = 500_000
CHUNK_ROWS = 20_000
"""Maximum number of cells and rows in memory."""

MAX_TOTAL_VALUES = 1_000_000
MAX_COLUMN_VALUES = 20_000
MIN_COLUMN_VALUES = 200
"""Maximum number of distinct values to count in all columns together, and limits of that number for each column."""

COMPARED_ROWS = 50_000
COMPARED_CELLS = 5_000_000
"""Maximum size of the sample for quartiles and for the comparison of columns with the target."""

HEADER_CHECK_ROWS = 10
"""Number of rows from which a missing header is detected."""

MAX_LISTED_NAMES = 10
"""Maximum number of names in a message."""

MAX_LISTED_SENTENCES = 3
"""Maximum number of excluded columns, and of warnings, in a summary."""

UNNAMED = re.compile(r"Unnamed: \d+(\.\d+)*")
"""Name that pandas gives to a column without one."""

KIND_NAMES = {
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
"""Singular and plural of each kind."""


class ProfileError(ValueError):
    """The table is not suitable for training; the message says what to do next."""


@dataclass(frozen=True, slots=True)
class Profile:
    """Profile of a table.

    Attributes:
        path: path of the table.
        source: reader of the table, with its dialect.
        rows: number of rows; an estimate if the table was sampled.
        sampled: whether only a sample of the rows was read.
        target: name of the column to predict.
        task: binary, multiclass or regression.
        reason: reason for the task, and how to choose another one.
        labels: sorted labels of the target; empty for regression.
        columns: columns of the contract.
        excluded: name of each other column, with the reason to exclude it.
        warnings: sentences about problems that a person should check.
        missing: words that a person named for a missing value in columns of words, or None.
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
    excluded: tuple[tuple[str, str], ...]
    warnings: tuple[str, ...]
    missing: tuple[str, ...] | None = None


def profile(path: Path, target: str, task: str = "auto", named: Named = NOTHING_NAMED) -> Profile:
    """Profile a table.

    Args:
        path: path of the table.
        target: name of the column to predict.
        task: binary, multiclass, regression, or auto to infer the task from the target's values.
        named: words for a missing value that a person named.

    Raises:
        SourceError: if the file can't be read as a table.
        ProfileError: if the table is not suitable for training.
    """
    if task not in TASKS:
        raise ProfileError(f"task={task} is not valid: choose {', '.join(TASKS)}")
    source = open_source(path, MAX_IN_MEMORY)
    target = " ".join(target.split())
    _require_target(source, target)
    sampled = source.lines > MAX_ROWS or source.lines * len(source.header) > MAX_CELLS
    step = source.step(min(SAMPLE_ROWS, SAMPLE_CELLS // len(source.header))) if sampled else 1
    tallies = _tallies(source, step, target, named)
    tally = tallies.pop(target)
    if not tally.rows:
        raise ProfileError(f"{path.name} has a header but no rows: add rows")
    day_first = source.decimal == "," or source.delimiter == ";"
    columns = {name: infer_column(column, day_first, sampled) for name, column in tallies.items()}
    decisions = _restore_words(tallies, columns, tally, named)
    for name, (column, values) in decisions.items():
        if name != target and values:
            columns[name] = infer_column(column, day_first, sampled)
    try:
        inferred = infer_target(tally, source.decimal, task, sampled)
    except TargetError as error:
        raise ProfileError(str(error)) from error
    columns = {name: _with_words(column, decisions, named) for name, column in columns.items()}
    included = [column for column in columns.values() if isinstance(column, Column)]
    excluded = tuple((name, column.reason) for name, column in columns.items() if isinstance(column, ExcludedColumn))
    if not included:
        raise ProfileError(f"no column of {path.name} is suitable for training: {_reasons(excluded)}")
    ranged = add_ranges(included, [tallies[column.name] for column in included], sampled)
    odd = {column.name: column.odd_cells for column in ranged if column.odd} | {target: inferred.odd_cells}
    markers = unusual_markers(ranged, tallies)
    wanted = {name: (*odd.get(name, ()), *markers.get(name, ())) for name in odd.keys() | markers.keys()}
    rows = odd_rows(source, step, {name: cells for name, cells in wanted.items() if cells})
    warnings = [
        *_header_warnings(source),
        *_target_warnings(inferred, tally, rows),
        *odd_warnings(ranged, rows),
        *unusual_marker_warnings(markers, tallies, rows),
        *_date_warnings(ranged, tallies),
        *sentinel_warnings(ranged),
        *case_warnings(ranged, tallies),
        *notation_warnings(columns, tallies),
    ]
    missing = {column.name: _missing_words(column, named) for column in ranged}
    missing[target] = _target_words(inferred, named)
    labels = merged_labels(tally.values or Counter(), source.decimal) if inferred.labels else None
    compared, leaks = _compare(ranged, _values(source, ranged, target, labels, missing), target, labels is not None)
    return Profile(
        path=path,
        source=source,
        rows=_rounded(tally.rows * step) if sampled else tally.rows,
        sampled=sampled,
        target=target,
        task=inferred.task,
        reason=inferred.reason,
        labels=inferred.labels,
        columns=compared,
        excluded=excluded,
        warnings=(*leaks, *warnings, *marker_warnings(decisions)),
        missing=named.words,
    )


Decisions = dict[str, tuple[Tally, frozenset[str]]]
"""Statistics of the columns of words that have markers of missing values, and which of these are values."""


def _restore_words(
    tallies: Mapping[str, Tally], columns: Mapping[str, Column | ExcludedColumn], target: Tally, named: Named
) -> Decisions:
    """Decide which markers of missing values are values in the columns of words, and count them as such."""
    of_words = [
        tally for name, tally in tallies.items() if tally.markers and not _is_of_other_kind(columns[name], tally)
    ]
    of_table = {marker for tally in tallies.values() if tally not in of_words for marker in tally.markers}
    decisions = {}
    if target.markers and not target.is_number:
        of_words.append(target)
    for tally in of_words:
        values = word_values(tally, of_table, named, is_target=tally is target)
        if values:
            tally.restore(values)
        decisions[tally.name] = (tally, values)
    return decisions


def _is_of_other_kind(column: Column | ExcludedColumn, tally: Tally) -> bool:
    """Return whether a column consists of numbers, dates, times or truth values."""
    if isinstance(column, Column):
        return column.kind not in WORD_KINDS
    return bool(tally.present) and (tally.is_number or tally.dates() is not None)


def _with_words(column: Column | ExcludedColumn, decisions: Decisions, named: Named) -> Column | ExcludedColumn:
    """Return the column with the words that mean a missing value, or are values, in it alone."""
    if isinstance(column, ExcludedColumn):
        return column
    _, values = decisions.get(column.name, (None, frozenset()))
    usual = missing_words(column.kind, named.words)
    own = () if column.kind == "choice" else sorted(values & usual)
    return replace(column, missing_words=tuple(named.missing.get(column.name, ())), values=tuple(own))


def _missing_words(column: Column, named: Named) -> frozenset[str]:
    choices = [value for value, _ in column.most_common] if column.kind == "choice" else []
    return missing_words(column.kind, named.words, column.missing_words, (*column.values, *choices))


def _target_words(target: Target, named: Named) -> frozenset[str]:
    kind = "choice" if target.labels else "number"
    return missing_words(kind, named.words, values=target.labels)


def summary(profile: Profile) -> str:
    """Return a summary for people, of a few lines even for a wide table."""
    counts = Counter(column.kind for column in profile.columns)
    kinds = ", ".join(f"{counts[kind]} {names[counts[kind] > 1]}" for kind, names in KIND_NAMES.items() if counts[kind])
    about = "about " if profile.sampled else ""
    lines = [
        f"{profile.path.name}: {about}{profile.rows} rows, {len(profile.source.header)} columns",
        f"  target    {quoted(profile.target)}, {profile.task}: {profile.reason}",
        f"  columns   {len(profile.columns)} in the contract: {kinds}",
    ]
    lines += _listed("excluded", [f"{quoted(name)}: {reason}" for name, reason in profile.excluded])
    lines += _listed("warning", profile.warnings)
    return "\n".join(lines)


def _listed(heading: str, sentences: Sequence[str]) -> Iterator[str]:
    for sentence in sentences[:MAX_LISTED_SENTENCES]:
        yield f"  {heading:<9} {sentence}"
    if len(sentences) > MAX_LISTED_SENTENCES:
        yield f"  {heading:<9} and {len(sentences) - MAX_LISTED_SENTENCES} more: see data/README.md"


def _rounded(rows: int) -> int:
    """Return an estimated number of rows, rounded to three digits."""
    return int(float(f"{rows:.3g}"))


def _require_target(source: Source, target: str) -> None:
    """Check that the target is a column.

    Raises:
        ProfileError: if it is not.
    """
    if target in source.header:
        return
    near = get_close_matches(target, source.header, n=3)
    if not near and _lacks_header(source):
        raise ProfileError(f"{source.path.name} has no header, its first row is data: add a row of column names")
    names = ", ".join(map(quoted, source.header[:MAX_LISTED_NAMES]))
    if len(source.header) > MAX_LISTED_NAMES:
        names += ", …"
    if not target:
        raise ProfileError(f"a dataset needs a target: set target= to one of the columns {names}")
    hint = f"did you mean {' or '.join(map(quoted, near))}?" if near else f"its columns are {names}"
    raise ProfileError(f"{source.path.name} has no column {quoted(target)}: {hint}")


def _lacks_header(source: Source) -> bool:
    """Return whether the names of all numeric columns are numbers."""
    rows = [list(map(cleaned, cells)) for _, cells in itertools.islice(source.raw_rows(), HEADER_CHECK_ROWS)]
    numeric = [
        name
        for name, cells in zip(source.header, zip(*rows, strict=True), strict=False)
        if any(cells) and all(number(cell, source.decimal) is not None for cell in cells if cell not in NO_VALUES)
    ]
    return bool(numeric) and all(number(name, source.decimal) is not None for name in numeric)


def _tallies(source: Source, step: int, target: str, named: Named) -> dict[str, Tally]:
    """Return the statistics of each column, by name."""
    width = len(source.header)
    max_values = min(MAX_COLUMN_VALUES, max(MIN_COLUMN_VALUES, MAX_TOTAL_VALUES // width))
    nameless = _count_nameless(source)
    tallies = {
        name: Tally(
            name,
            source.decimal,
            MAX_COLUMN_VALUES if name == target else max_values,
            named.in_every_kind(name),
            max_rows=source.lines / step + 1,
            nameless=position < nameless,
        )
        for position, name in enumerate(source.header)
    }
    chunk_rows = max(1, min(CHUNK_ROWS, CHUNK_CELLS // width))
    rows = 0
    for chunk in _chunks(source.raw_rows(step), chunk_rows):
        # Each row of a sample is the last of the `step` rows that it represents.
        first = (rows + 1) * step
        row_numbers = [tuple(map(str, range(start, start + len(chunk) * step, step))) for start in (first - 1, first)]
        for tally, cells in zip(tallies.values(), zip(*chunk, strict=True), strict=True):
            tally.add(cells, row_numbers)
        rows += len(chunk)
    return tallies


def _count_nameless(source: Source) -> int:
    """Return the number of columns at the left without a name, as the index that pandas exports, once or repeatedly."""
    names = [name.strip() for name in source.raw_header or source.header]
    unnamed = sum(1 for _ in itertools.takewhile(lambda name: not name or UNNAMED.fullmatch(name), names))
    return unnamed if unnamed < len(names) else 0


def _chunks(rows: Iterable[tuple[int, list[str]]], size: int) -> Iterator[list[list[str]]]:
    cells = (cells for _, cells in rows)
    while chunk := list(itertools.islice(cells, size)):
        yield chunk


def _reasons(excluded: Sequence[tuple[str, str]]) -> str:
    if not excluded:
        return "the target is its only column"
    return "; ".join(f"{quoted(name)}: {reason}" for name, reason in excluded[:MAX_LISTED_SENTENCES])


def _header_warnings(source: Source) -> Iterator[str]:
    if source.repeated_headers:
        rows = "1 row repeats" if source.repeated_headers == 1 else f"{source.repeated_headers} rows repeat"
        yield f"{rows} the header: excluded"
    if not source.encoding.startswith("utf"):
        yield f"the table is not in UTF-8 and read as {source.encoding}: if names or words are wrong, save it in UTF-8"
    for count, place in (
        (source.preamble, "before the header"),
        (source.subheader, "below the header, such as units,"),
        (source.comments, "of comments among the rows"),
        (source.footers, "after the table, such as sums,"),
    ):
        if count:
            yield f"1 line {place} was skipped" if count == 1 else f"{count} lines {place} were skipped"
    if source.sums:
        rows = "1 row starts" if len(source.sums) == 1 else f"{len(source.sums)} rows start"
        first = f"in row {source.sums[0]}" if len(source.sums) == 1 else f"the first in row {source.sums[0]}"
        yield f"{rows} with a word for a sum, {first}: remove them from the table unless they are data"


def _target_warnings(target: Target, tally: Tally, rows: OddRows) -> Iterator[str]:
    missing = tally.rows - tally.present
    if target.odd:
        excluded = "its row is" if target.odd == 1 else "their rows are"
        yield f"{odd_cells(tally.name, target.odd, rows)} no number: {excluded} excluded"
    if missing:
        count = "1 row is" if missing == 1 else f"{missing} rows are"
        yield f"{count} without a value of the target {quoted(tally.name)}: excluded"
    if target.excluded:
        names = ", ".join(quoted(label) for label, _ in target.excluded[:MAX_LISTED_SENTENCES])
        more = len(target.excluded) - MAX_LISTED_SENTENCES
        yield f"labels of a single row are excluded: {names}" + (f" and {more} more" if more > 0 else "")
    yield from same_but_case(tally.name, target.labels, "labels")


def _date_warnings(columns: Sequence[Column], tallies: dict[str, Tally]) -> Iterator[str]:
    for column in columns:
        if column.date_format is not None and is_ambiguous(tallies[column.name]):
            yield f"the dates of {quoted(column.name)} are ambiguous and read as {column.date_format}"


def _compare(
    columns: Sequence[Column], values: dict[str, Values], target: str, labelled: bool
) -> tuple[tuple[Column, ...], list[str]]:
    """Return the columns with their quartiles, and warnings about columns that reveal the target."""
    target_values = values.pop(target)
    compared, warnings = [], []
    for column in columns:
        column_values = values.pop(column.name)
        quartiles = _quartiles(column_values) if isinstance(column_values, array) else None
        compared.append(replace(column, quartiles=quartiles))
        warning = leakage_warning(column, column_values, target_values, labelled)
        if warning is not None:
            warnings.append(warning)
    return tuple(compared), warnings


def _values(
    source: Source,
    columns: Sequence[Column],
    target: str,
    labels: Mapping[str, str] | None,
    missing: Mapping[str, frozenset[str]],
) -> dict[str, Values]:
    """Return a sample of the values of each column and the target, from rows with a target."""
    indices = {name: index for index, name in enumerate(source.header)}
    numeric = {column.name for column in columns if column.kind in ("number", "integer")}
    if labels is None:
        numeric.add(target)
    names = [*(column.name for column in columns), target]
    values: dict[str, array[float] | list[str]] = {name: array("d") if name in numeric else [] for name in names}
    step = source.step(min(COMPARED_ROWS, max(1, COMPARED_CELLS // len(names))))
    interned: dict[str, str] = {}
    rows = (row for _, row in source.raw_rows(step) if cleaned(row[indices[target]]) not in missing[target])
    while chunk := list(itertools.islice(rows, max(1, CHUNK_CELLS // len(source.header)))):
        chunk_columns = list(zip(*chunk, strict=True))
        for name, column_values in values.items():
            words = missing[name]
            cells = all_cleaned(chunk_columns[indices[name]])
            if not words.isdisjoint(cells):
                cells = ["" if cell in words else cell for cell in cells]
            if isinstance(column_values, array):
                column_values.extend(_floats(cells, source.decimal))
            else:
                # Equal strings share one object, to save memory.
                column_values.extend([interned.setdefault(cell, cell) for cell in cells])
    if labels is not None:
        values[target] = [labels.get(cell, cell) for cell in values[target]]  # type: ignore[arg-type]
    return dict(values)


def _floats(cells: Sequence[str], decimal: str) -> list[float]:
    if decimal == ".":
        # A fast path: thousands separators are rare.
        with contextlib.suppress(ValueError):
            return [float(cell or "nan") for cell in cells]
    return [float(number(cell, decimal) or "nan") for cell in cells]


def _quartiles(values: Sequence[float]) -> tuple[float, float] | None:
    present = [value for value in values if value == value]
    if len(present) < 2:
        return None
    low, _, high = quantiles(present, n=4, method="inclusive")
    return low, high
