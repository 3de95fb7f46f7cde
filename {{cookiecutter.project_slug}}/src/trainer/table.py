"""The training table: read from CSV, and checked cell by cell against the contract."""

import csv
import io
import reprlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from trainer.ranges import field_ranges

from {{cookiecutter.__package}}_model.datamodel import (
    FEATURES,
    TARGET,
    Label,
    Record,
    feature_matrix,
)
from {{cookiecutter.__package}}_model.metadata import sha256

MINIMUM_ROWS = 20
"""Fewest rows of a label, and fewest values of a column: below, a fold or the held-out part may be without any."""

LISTED_PROBLEMS = 10
"""How many problems an error lists; the rest are counted."""


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong in one place of a file. The row is the line number in the file, the header being row 1."""

    message: str
    row: int | None = None
    column: str | None = None

    def __str__(self) -> str:
        places = []
        if self.row is not None:
            places.append(f"row {self.row}")
        if self.column is not None:
            places.append(f"column {self.column}")
        return f"{', '.join(places)}: {self.message}" if places else self.message


class TableError(ValueError):
    """The table cannot be read, or breaks the contract; carries every problem found."""

    def __init__(self, path: Path, problems: Sequence[Problem]) -> None:
        self.path = path
        self.problems = tuple(problems)
        listed = [str(problem) for problem in problems[:LISTED_PROBLEMS]]
        if len(problems) > LISTED_PROBLEMS:
            listed.append(f"and {len(problems) - LISTED_PROBLEMS} more")
        count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
        super().__init__("\n  ".join([f"{path} breaks the contract, {count}:", *listed]))


@dataclass(frozen=True, slots=True)
class Table:
    """Records and their labels, row by row.

    Attributes:
        records: the valid records, in the order of the file.
        labels: shape (rows,), the label of each record.
        ignored: columns of the file that the contract does not know.
        sha256: hash of the file's bytes.
    """

    records: tuple[Record, ...]
    labels: NDArray[np.str_]
    ignored: tuple[str, ...]
    sha256: str
    features: NDArray[np.float64] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "features", feature_matrix(self.records))

    def take(self, rows: Iterable[int]) -> Self:
        """Return a table of these rows alone, in the order given."""
        chosen = list(rows)
        return replace(self, records=tuple(self.records[row] for row in chosen), labels=self.labels[chosen])


def read_table(path: Path) -> Table:
    """Return the table in a CSV file, every cell of it checked.

    A missing value is an empty cell, allowed where the contract's field is optional. Empty
    lines and columns that the contract does not know are passed over.

    Raises:
        TableError: if the file cannot be read, or any part of it breaks the contract.
    """
    content = _read_bytes(path)
    rows = _rows(path, _decode(path, content))
    _, header = next(rows, (0, []))
    if not header:
        raise TableError(path, [Problem("the file is empty")])
    if problems := list(_header_problems(header)):
        raise TableError(path, problems)
    records: list[Record] = []
    labels: list[str] = []
    for number, cells in rows:
        checked = _check_row(number, header, cells)
        if isinstance(checked, list):
            problems += checked
        else:
            records.append(checked[0])
            labels.append(checked[1])
    problems = problems or list(_count_problems(records, labels))
    if problems:
        raise TableError(path, problems)
    ignored = tuple(name for name in header if name not in (*FEATURES, TARGET))
    return Table(tuple(records), np.array(labels), ignored, sha256(content))


def _read_bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise TableError(path, [Problem(f"the file cannot be read: {error.strerror}")]) from error


def _decode(path: Path, content: bytes) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        row = content.count(b"\n", 0, error.start) + 1
        message = f"byte 0x{content[error.start]:02x} is not UTF-8: save the file as UTF-8"
        raise TableError(path, [Problem(message, row)]) from error


def _rows(path: Path, text: str) -> Iterator[tuple[int, list[str]]]:
    """Yield each row that is not empty, with its line number."""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        for cells in reader:
            if cells:
                yield reader.line_num, cells
    except csv.Error as error:
        raise TableError(path, [Problem(f"the row is not valid CSV: {error}", reader.line_num)]) from error


def _header_problems(header: Sequence[str]) -> Iterator[Problem]:
    expected = (*FEATURES, TARGET)
    if not set(expected) & set(header):
        names = reprlib.repr(",".join(header))
        yield Problem(
            f"{names} names no column of the contract: the first row must be a header, its cells separated by commas", 1
        )
        return
    for name, count in Counter(header).items():
        if count > 1:
            yield Problem(f"the header names this column {count} times", 1, name)
    unknown = [name for name in header if name not in expected]
    for name in expected:
        if name not in header:
            nearest = get_close_matches(name, unknown, n=1)
            hint = f"; did you mean this by {nearest[0]!r}?" if nearest else ""
            yield Problem(f"the header lacks this column{hint}", 1, name)


def _check_row(number: int, header: Sequence[str], cells: Sequence[str]) -> tuple[Record, str] | list[Problem]:
    """Return the record and the label of a row, or what is wrong with it."""
    if len(cells) != len(header):
        return [Problem(f"{len(cells)} cells, but the header has {len(header)}", number)]
    values = dict(zip(header, cells, strict=True))
    problems = []
    label = values[TARGET]
    if label not in set(Label):
        known = ", ".join(Label)
        problems.append(Problem(f"{reprlib.repr(label)} is no label of the contract ({known})", number, TARGET))
    present = {name: values[name] for name in FEATURES if values[name]}
    try:
        record = Record.model_validate_strings(present)
    except ValidationError as error:
        for detail in error.errors(include_url=False):
            name = str(detail["loc"][0])
            problems.append(Problem(_cell_message(name, values[name], detail["msg"]), number, name))
    return problems or (record, label)


def _cell_message(name: str, cell: str, message: str) -> str:
    if not cell:
        return "the cell is empty, and this column may have no missing value"
    text = f"{reprlib.repr(cell)} is refused: {message[0].lower()}{message[1:]}"
    return f"{text}; leave the cell empty where the value is missing" if _is_word(cell, name) else text


def _is_word(cell: str, name: str) -> bool:
    """Return whether a cell of an optional column holds a word, such as a code for a missing value."""
    optional = name in {field.name for field in field_ranges() if field.optional}
    return optional and not any(character.isdigit() for character in cell)


def _count_problems(records: Sequence[Record], labels: Iterable[str]) -> Iterator[Problem]:
    counts = Counter(labels)
    for label in Label:
        if counts[label] < MINIMUM_ROWS:
            yield Problem(
                f"{counts[label]} rows have the label {label.value!r}, training needs {MINIMUM_ROWS} or more",
                column=TARGET,
            )
    present = np.count_nonzero(~np.isnan(feature_matrix(records)), axis=0)
    for name, count in zip(FEATURES, present.tolist(), strict=True):
        if count < MINIMUM_ROWS <= len(records):
            yield Problem(f"{count} rows have a value, training needs {MINIMUM_ROWS} or more", column=name)
