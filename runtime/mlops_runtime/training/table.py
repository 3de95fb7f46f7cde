"""The training table: read from the user's file, and checked cell by cell against the contract."""

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

from mlops_runtime.contract import Contract, Features, RecordModel
from mlops_runtime.tables.cells import canonicalizer
from mlops_runtime.tables.source import MAX_IN_MEMORY, Source, SourceError, cleaned, open_source

MINIMUM_ROWS = 12
"""Fewest rows to train on: fewer leave no fold or no held-out part worth the name."""

MINIMUM_LABEL_ROWS = 2
"""Fewest rows of a label: one to learn from and one to fold."""

LISTED_PROBLEMS = 10
"""How many problems an error lists; the rest are counted."""

MAX_PROBLEMS = 1000
"""Problems after which reading stops: a column of another kind has one in each row."""

MAX_ROWS = 1_000_000
"""Rows that are read by default: of a longer file one row out of several, evenly spread."""

SLACK = 10
"""A tenth more rows than asked for are still read whole, rather than every second one left out."""

CHUNK = 10_000
"""Rows that are records at the same time: the rest are arrays, which take a tenth of the memory."""

KEPT_RECORDS = 10_000
"""Rows that stay records, evenly spread over the table: the golden ones are chosen among them."""


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong in one place of a file. The row is the line number in the file, the header being row 1."""

    message: str
    row: int | None = None
    column: str | None = None

    def __str__(self) -> str:
        places = [f"row {self.row}"] if self.row is not None else []
        places += [f"column {self.column}"] if self.column is not None else []
        return f"{', '.join(places)}: {self.message}" if places else self.message


class TableError(ValueError):
    """The training table cannot be used; carries every problem that was found."""

    def __init__(self, path: Path, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        listed = [str(problem) for problem in problems[:LISTED_PROBLEMS]]
        if len(problems) > LISTED_PROBLEMS:
            listed.append(f"and {len(problems) - LISTED_PROBLEMS} more")
        count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
        if len(problems) >= MAX_PROBLEMS:
            count += " or more"
        super().__init__("\n  ".join([f"{path} breaks the contract, {count}:", *listed]))


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of the table, as the model takes them.

    Attributes:
        features: of each row.
        target: shape (rows,), the index of each row's label in the contract, or its value.
        records: some of the rows as records, by row.
        ignored: columns of the file that the contract does not know.
        notes: sentences on rows that were left out.
        sha256: hash of the file's bytes.
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
        """Return a table of these rows alone, in the order given."""
        places = np.asarray(rows, dtype=np.intp)
        records = {place: self.records[row] for place, row in enumerate(places.tolist()) if row in self.records}
        return type(self)(
            self.features.take(places), self.target[places], records, self.ignored, self.notes, self.sha256
        )


def read_table(contract: Contract, path: Path, max_rows: int = MAX_ROWS) -> Table:
    """Return the table in a file, every cell that is read checked.

    Rows without a target are left out, as are those whose label stands on one row alone and is no
    label of the contract; the notes count them, and tell of a file that was not read whole.

    Args:
        contract: that every cell must keep.
        path: of the file.
        max_rows: to read, so that memory and time are bounded.

    Raises:
        TableError: if the file cannot be read, or any part of it breaks the contract.
    """
    try:
        source = open_source(path, MAX_IN_MEMORY)
        if problems := list(_header_problems(contract, source.header)):
            raise TableError(path, problems)
        reading = _Reading(contract, source, max_rows)
        reading.read()
        sha256 = source.sha256()
    except SourceError as error:
        raise TableError(path, [Problem(str(error))]) from error
    except OSError as error:
        raise TableError(path, [Problem(f"the file cannot be read: {error.strerror}")]) from error
    if problems := reading.problems or list(_count_problems(contract, reading.target)):
        raise TableError(path, problems)
    ignored = tuple(name for name in source.header if name not in (*contract.features, contract.target))
    return Table(reading.features(), np.array(reading.target), reading.kept, ignored, tuple(reading.notes()), sha256)


class _Reading:
    """A file on its way to arrays."""

    def __init__(self, contract: Contract, source: Source, max_rows: int) -> None:
        self.problems: list[Problem] = []
        self.target: list[Any] = []
        self.kept: dict[int, RecordModel] = {}
        self._contract = contract
        self._source = source
        self._step = source.step(max_rows + max_rows // SLACK)
        self._every = 1
        self._without_target = 0
        self._unknown: Counter[str] = Counter()
        self._unknown_rows: dict[str, int] = {}
        self._chunk: list[RecordModel] = []
        self._parts: list[Features] = []
        places = {name: place for place, name in enumerate(source.header)}
        self._target_place = places[contract.target]
        self._columns = tuple(
            (field.name, places[field.name], canonicalizer(field.kind.value, source.decimal, field.date_format))
            for field in contract.fields
        )
        labels = {str(label): place for place, label in enumerate(contract.labels)}
        self._value: Callable[[str], Any] = (
            labels.__getitem__ if labels else _value(canonicalizer("number", source.decimal, None))
        )

    def read(self) -> None:
        for number, raw_cells in self._source.raw_rows(self._step):
            if len(self.problems) >= MAX_PROBLEMS:
                return
            cells = cleaned(raw_cells)
            cell = cells[self._target_place]
            if not cell:
                self._without_target += 1
                continue
            try:
                value = self._value(cell)
            except KeyError:
                self._unknown[cell] += 1
                self._unknown_rows.setdefault(cell, number)
                continue
            except ValueError:
                self.problems.append(
                    Problem(f"{reprlib.repr(cell)} is no finite number", number, self._contract.target)
                )
                continue
            self._add(number, cells, value)
        for label, count in self._unknown.items():
            if count >= MINIMUM_LABEL_ROWS:
                message = f"{reprlib.repr(label)} is no label of the contract ({_listed(self._contract.labels)})"
                self.problems.append(Problem(message, self._unknown_rows[label], self._contract.target))

    def _add(self, number: int, cells: Sequence[str], value: Any) -> None:
        present = {name: canonical(cells[place]) for name, place, canonical in self._columns if cells[place]}
        try:
            record = self._contract.record.model_validate_strings(present)
        except ValidationError as error:
            for detail in error.errors(include_url=False):
                name = str(detail["loc"][0])
                self.problems.append(Problem(_cell_message(present.get(name), detail["msg"]), number, name))
            return
        row = len(self.target)
        self.target.append(value)
        if row % self._every == 0:
            self.kept[row] = record
            if len(self.kept) > KEPT_RECORDS:
                self._every *= 2
                self.kept = {place: kept for place, kept in self.kept.items() if place % self._every == 0}
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
            yield f"One row in {self._step} was read, of about {self._source.lines:,}: MAX_ROWS says how many to take."
        if self._without_target:
            yield f"{_rows(self._without_target)} without a value in {self._contract.target}: left out."
        single = [label for label, count in self._unknown.items() if count < MINIMUM_LABEL_ROWS]
        if single:
            target = self._contract.target
            yield f"Only one row each has the {target} {_listed(single)}: too few to learn from, left out."


def _rows(count: int) -> str:
    return "1 row is" if count == 1 else f"{count} rows are"


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - LISTED_PROBLEMS} more" if len(names) > LISTED_PROBLEMS else ""
    return ", ".join(reprlib.repr(str(name)) for name in names[:LISTED_PROBLEMS]) + more


def _value(canonical: Callable[[str], str]) -> Callable[[str], float]:
    def value(cell: str) -> float:
        number = float(canonical(cell))
        if not math.isfinite(number):
            raise ValueError(cell)
        return number

    return value


def _header_problems(contract: Contract, header: Sequence[str]) -> Iterator[Problem]:
    expected = (*contract.features, contract.target)
    if not set(expected) & set(header):
        names = reprlib.repr(",".join(header))
        yield Problem(f"{names} names no column of the contract: the first row must be a header", 1)
        return
    unknown = [name for name in header if name not in expected]
    for name in expected:
        if name not in header:
            nearest = get_close_matches(name, unknown, n=1)
            hint = f"; did you mean this by {nearest[0]!r}?" if nearest else ""
            yield Problem(f"the header lacks this column{hint}", 1, name)


def _cell_message(cell: str | None, message: str) -> str:
    if cell is None:
        return "the cell is empty, and this column may have no missing value"
    return f"{reprlib.repr(cell)} is refused: {message[0].lower()}{message[1:]}; see make datamodel"


def _count_problems(contract: Contract, target: Iterable[Any]) -> Iterator[Problem]:
    counts = Counter(target)
    if counts.total() < MINIMUM_ROWS:
        yield Problem(f"rows that can be used: {counts.total()}; training needs {MINIMUM_ROWS} or more")
    for place, label in enumerate(contract.labels):
        if counts[place] < MINIMUM_LABEL_ROWS:
            yield Problem(
                f"rows with the label {str(label)!r}: {counts[place]}; training needs {MINIMUM_LABEL_ROWS} or more",
                column=contract.target,
            )
    if not contract.labels and len(counts) == 1:
        yield Problem("every row has the same value: there is nothing to learn", column=contract.target)
