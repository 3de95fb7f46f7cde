"""The training table, read from a file and validated cell by cell against the contract."""

import math
import reprlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from mlops_runtime.contract import Contract, Features, Kind, RecordModel
from mlops_runtime.tables.cells import MIN_SHARE, cleaned, number, value_reader
from mlops_runtime.tables.dialects import decimal_of, numbers_of
from mlops_runtime.tables.problems import MAX_LISTED, MAX_PROBLEMS, problem_list
from mlops_runtime.tables.source import MAX_IN_MEMORY, ConvertedSource, Source, SourceError, open_source
from mlops_runtime.training.settings import MAX_ROWS, MIN_ROWS

MIN_LABEL_ROWS = 2
"""Minimum number of rows of a label: cross-validation needs a row to fit on and a row to hold out."""

TOLERANCE = 10
"""Read the whole table if its rows exceed the maximum by at most 1 / TOLERANCE, not every second row."""

CHUNK = 10_000
"""Number of records to convert to arrays at a time; arrays take a tenth of the memory of records."""

MAX_ODD_SHARE = 2 * (1 - MIN_SHARE)
"""Maximum share of odd cells among those of a column of numbers, dates or times: profiling allows half as many, and
other rows may have been read for it."""

NOUNS: Mapping[Kind, str] = {
    Kind.NUMBER: "finite number", Kind.INTEGER: "finite number", Kind.DATE: "date",
    Kind.DATETIME: "date and time", Kind.TIME: "time of day",
}  # fmt: skip
"""What a cell of a column is, by the kind of the column."""

DECIMAL_ROWS = 1000
"""Approximate number of rows in which the decimal mark is detected if it is not that of the contract."""

MAX_RECORDS = 10_000
"""Maximum number of rows to keep as records, evenly spaced, for the choice of golden records."""


@dataclass(frozen=True, slots=True)
class Problem:
    """A problem of a table, with its row (the header is row 1) and its column, if it has any."""

    message: str
    row: int | None = None
    column: str | None = None

    def __str__(self) -> str:
        position = [f"row {self.row}"] if self.row is not None else []
        position += [f"column {self.column}"] if self.column is not None else []
        return f"{', '.join(position)}: {self.message}" if position else self.message


class TableError(ValueError):
    """The training table breaks the contract, or cannot be read; has a list of problems."""

    def __init__(self, path: Path, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__(problem_list(f"{path} breaks the contract,", problems))


@dataclass(frozen=True, slots=True)
class Table:
    """The training table as arrays.

    Attributes:
        features: features of all rows.
        target: shape (rows,), indices of labels in the contract, or values.
        records: some of the rows as records, by their index.
        ignored: columns of the file that are not in the contract.
        notes: sentences about rows that were not read.
        sha256: hash of the bytes of the file.
    """

    features: Features
    target: NDArray[Any]
    records: Mapping[int, RecordModel]
    ignored: tuple[str, ...]
    notes: tuple[str, ...]
    sha256: str

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.target)

    def take(self, rows: Sequence[int] | NDArray[np.intp]) -> Self:
        """Return a table of some rows, in the given order."""
        indices = np.asarray(rows, dtype=np.intp)
        records = {new: self.records[old] for new, old in enumerate(indices.tolist()) if old in self.records}
        return type(self)(
            self.features.take(indices), self.target[indices], records, self.ignored, self.notes, self.sha256
        )


def read_table(
    contract: Contract, path: Path, max_rows: int = MAX_ROWS, on_opened: Callable[[int], None] = lambda _: None
) -> Table:
    """Return the validated table of a file.

    Rows without a target are dropped, and rows with a label that is not in the contract and has no other row.
    The notes of the table count these rows, and state whether the file was sampled.

    Args:
        contract: contract of the rows.
        path: path of the file.
        max_rows: approximate maximum number of rows to read, which bounds memory and time.
        on_opened: called with the estimated number of rows to read, before they are read.

    Raises:
        TableError: if the file cannot be read, or breaks the contract.
    """
    try:
        source = open_source(path, MAX_IN_MEMORY)
        if problems := list(_header_problems(contract, source.header)):
            raise TableError(path, problems)
        on_opened(min(source.lines, max_rows))
        reader = _Reader(contract, source, max_rows)
        reader.read()
        sha256 = source.sha256()
    except SourceError as error:
        raise TableError(path, [Problem(str(error))]) from error
    except OSError as error:
        raise TableError(path, [Problem(f"the file cannot be read: {error.strerror}")]) from error
    if problems := reader.problems or list(_count_problems(contract, reader.target)):
        raise TableError(path, problems)
    ignored = tuple(name for name in source.header if name not in (*contract.features, contract.target))
    return Table(reader.features(), np.array(reader.target), reader.records, ignored, tuple(reader.notes()), sha256)


@dataclass(slots=True)
class _OddCells:
    """Odd cells of a column: no numbers, dates or times, though the others are.

    Attributes:
        count: number of these cells.
        row: row of the first one.
        cell: the first one.
        last_row: row of the last one.
        last_cell: the last one.
    """

    count: int = 0
    row: int = 0
    cell: str = ""
    last_row: int = 0
    last_cell: str = ""

    def add(self, row: int, cell: str) -> None:
        if not self.count:
            self.row, self.cell = row, cell
        self.last_row, self.last_cell = row, cell
        self.count += 1


class _Reader:
    """Converts the rows of a file to arrays."""

    def __init__(self, contract: Contract, source: Source, max_rows: int) -> None:
        self.problems: list[Problem] = []
        self.target: list[Any] = []
        self.records: dict[int, RecordModel] = {}
        self._contract = contract
        self._source = source
        self._step = source.step(max_rows + max_rows // TOLERANCE)
        self._every = 1
        self._without_target = 0
        self._odd = {name: _OddCells() for name in (*contract.features, contract.target)}
        self._kinds = {field.name: field.kind for field in contract.fields}
        self._present = dict.fromkeys(self._odd, 0)
        self._unknown: Counter[str] = Counter()
        self._unknown_rows: dict[str, int] = {}
        self._chunk: list[RecordModel] = []
        self._parts: list[Features] = []
        decimal = _decimal_mark(contract, source)
        positions = {name: index for index, name in enumerate(source.header)}
        self._target_position = positions[contract.target]
        self._columns = tuple(
            (
                field.name,
                positions[field.name],
                value_reader(
                    field.kind.value,
                    decimal,
                    field.date_format,
                    contract.missing[field.name],
                    field.words.pair,
                ),
            )
            for field in contract.fields
        )
        labels = [str(label) for label in contract.labels]
        self._value = _label_reader(labels, decimal) if labels else _value_reader(decimal)

    def read(self) -> None:
        for row, cells in self._source.raw_rows(self._step):
            if len(self.problems) >= MAX_PROBLEMS:
                return
            cell = cleaned(cells[self._target_position])
            if self._contract.is_missing(self._contract.target, cell):
                self._without_target += 1
                continue
            try:
                value = self._value(cell)
            except KeyError:
                self._unknown[cell] += 1
                self._unknown_rows.setdefault(cell, row)
                continue
            except ValueError:
                self._odd[self._contract.target].add(row, cell)
                continue
            self._add(row, cells, value)
        if not self.problems:
            self._check_odd_cells()
        for label, count in self._unknown.items():
            if count >= MIN_LABEL_ROWS:
                message = f"{reprlib.repr(label)} is not a label of the contract ({_listed(self._contract.labels)})"
                self.problems.append(Problem(message, self._unknown_rows[label], self._contract.target))

    def _check_odd_cells(self) -> None:
        """Refuse the table if a column of numbers, dates or times has too many other cells."""
        for name, odd in self._odd.items():
            if odd.count > MAX_ODD_SHARE * (odd.count + self._present[name]):
                noun = NOUNS[self._kinds.get(name, Kind.NUMBER)]
                message = f"{reprlib.repr(odd.cell)} is no {noun}, and neither are {odd.count - 1} further cells"
                self.problems.append(Problem(message, odd.row, name))

    def _texts(self, number: int, cells: Sequence[str]) -> dict[str, str]:
        """Return the cells of the fields that have a value, in the format of the contract."""
        texts = {}
        for name, position, read in self._columns:
            text = read(cells[position])
            if text:
                texts[name] = text
                self._present[name] += 1
            elif text is None:
                self._odd[name].add(number, cleaned(cells[position]))
        return texts

    def _add(self, number: int, cells: Sequence[str], value: Any) -> None:
        present = self._texts(number, cells)
        try:
            record = self._contract.record.model_validate_strings(present)
        except ValidationError as error:
            for detail in error.errors(include_url=False):
                name = str(detail["loc"][0])
                odd = self._odd[name]
                if name not in present and odd.count and odd.last_row == number:
                    message = _odd_message(odd.last_cell, self._kinds[name])
                else:
                    message = _cell_message(present.get(name), detail["msg"])
                self.problems.append(Problem(message, number, name))
            return
        row = len(self.target)
        self._present[self._contract.target] += 1
        self.target.append(value)
        if row % self._every == 0:
            self.records[row] = record
            if len(self.records) > MAX_RECORDS:
                self._every *= 2
                self.records = {index: kept for index, kept in self.records.items() if index % self._every == 0}
        self._chunk.append(record)
        if len(self._chunk) == CHUNK:
            self._flush()

    def _flush(self) -> None:
        self._parts.append(self._contract.encode(self._chunk))
        self._chunk = []

    def features(self) -> Features:
        self._flush()
        return Features(
            self._contract.layout,
            np.concatenate([part.numbers for part in self._parts]),
            np.concatenate([part.categories for part in self._parts]),
            np.concatenate([part.texts for part in self._parts]),
        )

    def notes(self) -> Iterator[str]:
        if self._step > 1:
            yield f"One in {self._step} of about {self._source.lines:,} rows was read: MAX_ROWS sets the maximum."
        if self._without_target:
            yield f"{_count(self._without_target)} without a value in {self._contract.target}: not used."
        for name, odd in self._odd.items():
            if odd.count:
                is_target = name == self._contract.target
                treatment = "not used" if is_target else "counted as missing"
                cells = f"{_cells(odd.count)} of {name}, the first {reprlib.repr(odd.cell)} in row {odd.row}"
                yield f"{cells}, cannot be read in this column: {treatment}."
        single = [label for label, count in self._unknown.items() if count < MIN_LABEL_ROWS]
        if single:
            target = self._contract.target
            yield f"These values of {target} have a single row each, which is not used: {_listed(single)}."


def _decimal_mark(contract: Contract, source: Source) -> str:
    """Return the decimal mark of a table: the contract's if no number tells it, as 1,234 does not."""
    if source.decimal == contract.decimal or isinstance(source, ConvertedSource):
        return source.decimal
    names = {field.name for field in contract.fields if field.kind in (Kind.NUMBER, Kind.INTEGER)}
    names |= set() if contract.labels else {contract.target}
    return decimal_of(numbers_of(source.header, names, source.sample(DECIMAL_ROWS))) or contract.decimal


def _count(rows: int) -> str:
    return "1 row" if rows == 1 else f"{rows} rows"


def _cells(count: int) -> str:
    return "1 cell" if count == 1 else f"{count} cells"


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - MAX_LISTED} more" if len(names) > MAX_LISTED else ""
    return ", ".join(reprlib.repr(str(name)) for name in names[:MAX_LISTED]) + more


def _value_reader(decimal: str) -> Callable[[str], float]:
    """Return a function that returns the number in a cell, or raises a ValueError."""

    def read(cell: str) -> float:
        value = float(number(cell, decimal) or "nan")
        if not math.isfinite(value):
            raise ValueError(cell)
        return value

    return read


def _label_reader(labels: Sequence[str], decimal: str) -> Callable[[str], int]:
    """Return a function that returns the index of a label, or raises a KeyError; equal numbers are one label."""
    indices = {label: index for index, label in enumerate(labels)}
    numbers = {float(text): index for label, index in indices.items() if (text := number(label, decimal)) is not None}
    if len(numbers) < len(labels):
        return indices.__getitem__

    def read(cell: str) -> int:
        text = number(cell, decimal)
        return indices[cell] if text is None else numbers[float(text)]

    return read


def _header_problems(contract: Contract, header: Sequence[str]) -> Iterator[Problem]:
    expected = (*contract.features, contract.target)
    if not set(expected) & set(header):
        names = reprlib.repr(",".join(header))
        yield Problem(f"{names} has no column of the contract: the first row must be a header", 1)
        return
    unknown = [name for name in header if name not in expected]
    for name in expected:
        if name not in header:
            nearest = get_close_matches(name, unknown, n=1)
            hint = f"; rename {nearest[0]!r} if it is this column" if nearest else ""
            yield Problem(f"the header does not have this column{hint}", 1, name)


def _odd_message(cell: str, kind: Kind) -> str:
    reason = f"it is no {NOUNS[kind]}, and the column requires a value"
    return f"{reprlib.repr(cell)} breaks the contract: {reason}; see make datamodel"


def _cell_message(cell: str | None, message: str) -> str:
    if cell is None:
        return "the cell is empty, and the contract requires a value in this column"
    return f"{reprlib.repr(cell)} breaks the contract: {message[0].lower()}{message[1:]}; see make datamodel"


def _count_problems(contract: Contract, target: Iterable[Any]) -> Iterator[Problem]:
    counts = Counter(target)
    if counts.total() < MIN_ROWS:
        yield Problem(f"the table has {counts.total()} usable rows; training needs at least {MIN_ROWS}")
    for index, label in enumerate(contract.labels):
        if counts[index] < MIN_LABEL_ROWS:
            yield Problem(
                f"the label {str(label)!r} has {_count(counts[index])}; training needs at least {MIN_LABEL_ROWS}",
                column=contract.target,
            )
    if not contract.labels and len(counts) == 1:
        yield Problem("all rows have the same value: there is nothing to learn", column=contract.target)
