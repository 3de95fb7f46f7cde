"""Predicts an uploaded table: returns it with additional columns.

The table is read as in training: any common delimiter, encoding and decimal mark, and dates in the format of the
training table. Rows are predicted in batches, so that memory does not grow with the table.
"""

import csv
import math
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from io import StringIO
from itertools import islice
from pathlib import Path, PurePath
from tempfile import TemporaryDirectory
from typing import Any

from pydantic import TypeAdapter
from werkzeug.datastructures import FileStorage

from mlops_runtime.contract import Contract
from mlops_runtime.model import GoldenRecord
from mlops_runtime.serving.api.faults import MAX_FAULTS_PER_RECORD, RecordFaults
from mlops_runtime.serving.api.prediction_writer import PredictionWriter, fault_text
from mlops_runtime.serving.api.predictions import Predict
from mlops_runtime.serving.api.problems import MAX_ERRORS, InvalidRequestError
from mlops_runtime.serving.api.records import RecordReader, Result, decimal_mark
from mlops_runtime.serving.ui.field_text import listed
from mlops_runtime.serving.ui.form import text_of
from mlops_runtime.tables.formats import COMPRESSED
from mlops_runtime.tables.source import Source, SourceError, open_source

UNSAFE = re.compile(r"[^\w. -]+")
MAX_NAME_LENGTH = 100
"""Maximum number of characters of a file name."""
MAX_LISTED_FAULTS = 10
"""Maximum number of faulty rows that the page lists."""
DECIMAL_ROWS = 1000
"""Number of rows in which the decimal mark is detected."""
MAX_FAULTY_ROWS = 10_000
"""Number of faulty rows after which reading stops, as a wrong column has a fault in each row."""


def example_table(contract: Contract, golden_records: Sequence[GoldenRecord[Any, Any]]) -> str:
    """Return a valid table as CSV: the golden records."""
    records = [golden.record.model_dump() for golden in golden_records]
    rows = [[text_of(record[name]) for name in contract.features] for record in records]
    return csv_text([list(contract.features), *rows], ",")


def result_file_name(name: str) -> str:
    """Return the name of the file with predictions for the name of the uploaded file."""
    return f"{_safe(PurePath(name).stem)}-predictions.csv"


def _safe(name: str) -> str:
    return UNSAFE.sub("_", name)[-MAX_NAME_LENGTH:] or "table"


def csv_text(rows: Sequence[Sequence[Any]], delimiter: str) -> str:
    """Return rows as CSV."""
    file = StringIO()
    csv.writer(file, delimiter=delimiter).writerows(rows)
    return file.getvalue()


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """The predictions of one batch of rows, and the counts so far.

    Attributes:
        csv: lines of the table with predictions.
        rows: predicted so far, faulty ones included.
        faulty: number of these rows that are faulty.
        progress: estimated share of the table that is done.
        faults: of this batch, each with its row in the file; not all if there are many.
        labels: number of predictions of each label in this batch.
        problem: reason why the rest of the table was not read; empty without one.
        done: whether this is the last batch.
    """

    csv: str
    rows: int = 0
    faulty: int = 0
    progress: float = 0.0
    faults: tuple[tuple[int, str], ...] = ()
    labels: dict[str, int] = field(default_factory=dict)
    problem: str = ""
    done: bool = False

    def json_line(self) -> str:
        """Return this as one line of NDJSON."""
        return progress_adapter.dump_json(self).decode() + "\n"


progress_adapter = TypeAdapter(Progress)


@contextmanager
def uploaded(contract: Contract, file: FileStorage) -> Iterator[Source]:
    """Yield the source of an uploaded table, kept in a temporary folder until the block ends.

    Raises:
        InvalidRequestError: if it is not a table, or its columns do not match the contract.
    """
    with TemporaryDirectory(prefix="table-") as folder:
        path = Path(folder) / _safe(PurePath(file.filename or "table").name)
        file.save(path)
        file.close()
        try:
            source = _source(path, contract.features)
        except SourceError as error:
            raise InvalidRequestError(HTTPStatus.UNPROCESSABLE_ENTITY, f"{error}.") from error
        required = [spec.name for spec in contract.fields if not spec.optional]
        missing = [name for name in required if name not in source.header]
        if missing or not set(source.header) & set(contract.features):
            detail = f"The first row must name the columns. It lacks {listed(missing or contract.features)}."
            raise InvalidRequestError(HTTPStatus.UNPROCESSABLE_ENTITY, detail)
        yield source


def _source(path: Path, names: Sequence[str]) -> Source:
    """Return the source of a table; compressed files are refused, because they can expand without limit.

    Raises:
        SourceError: if the file is not a table, or compressed.
    """
    with path.open("rb") as file:
        start = file.read(max(map(len, COMPRESSED)))
    if start.startswith(COMPRESSED):
        raise SourceError(f"{path.name} is compressed, or an Excel workbook: save the table as CSV")
    return open_source(path, names=names)


class TablePrediction:
    """Predicts the rows of a table."""

    def __init__(self, contract: Contract, source: Source, reader: RecordReader, predict: Predict) -> None:
        """Prepare the prediction.

        Args:
            contract: of the records and predictions.
            source: of the rows.
            reader: of the contract's records.
            predict: returns the predictions of valid records.
        """
        self._source = source
        self._reader = reader
        self._predict = predict
        self._writer = PredictionWriter(contract)
        self._names = unique_names(self._writer.columns(errors=True), source.header)
        first_rows = (cells for _, cells in _batch(source.raw_rows(fit=False), DECIMAL_ROWS)[0])
        self._read_cells = reader.cell_reader(source.header, decimal_mark(contract, source, first_rows))
        self._rows = self._faulty = 0
        # Number of faults that are still described in detail.
        self._remaining = MAX_ERRORS

    def run(self, batch_size: int, batch_length: int) -> Iterator[Progress]:
        """Yield the header of the table with predictions, then the rows batch by batch.

        Args:
            batch_size: maximum number of rows of a batch.
            batch_length: number of characters after which a batch ends, so that no prediction takes longer than that
                of a request.
        """
        yield Progress(csv=csv_text([[*self._source.header, *self._names]], self._source.delimiter))
        rows = self._source.raw_rows(fit=False)
        problem, more = "", True
        while more and not problem:
            batch, problem = _batch(rows, batch_size, batch_length)
            more = bool(batch)
            if batch:
                yield self._predict_batch(batch)
            if self._faulty > MAX_FAULTY_ROWS:
                problem = f"More than {MAX_FAULTY_ROWS:,} rows are faulty: correct them and send the table again."
        if not self._rows and not problem:
            problem = "The table has no row below its header."
        width = len(self._source.header) + len(self._names)
        note = csv_text([[*[""] * (width - 1), problem]], self._source.delimiter) if problem else ""
        yield Progress(csv=note, rows=self._rows, faulty=self._faulty, progress=1, problem=problem, done=True)

    def _predict_batch(self, batch: Sequence[tuple[int, list[str]]]) -> Progress:
        results = [self._read(cells) for _, cells in batch]
        records = [result for result in results if not isinstance(result, RecordFaults)]
        predictions = self._predict(records) if records else []
        unwritten = iter(predictions)
        width = len(self._source.header)
        lines: list[list[Any]] = []
        faults = []
        for (number, cells), result in zip(batch, results, strict=True):
            if isinstance(result, RecordFaults):
                error = fault_text(result.errors[:MAX_FAULTS_PER_RECORD], result.count)
                faults.append((number, error))
                outcome = [*[None] * (len(self._names) - 1), error]
            else:
                outcome = self._writer.cells(next(unwritten), errors=True)
            # The number of cells is adjusted to that of the header.
            lines.append([*cells[:width], *[""] * (width - len(cells)), *outcome])
        self._rows += len(batch)
        self._faulty += len(faults)
        return Progress(
            csv=csv_text(lines, self._source.delimiter),
            rows=self._rows,
            faulty=self._faulty,
            progress=min(self._rows / self._source.lines, 1),
            faults=tuple(faults[:MAX_LISTED_FAULTS]),
            labels=self._writer.label_counts(predictions),
        )

    def _read(self, cells: Sequence[str]) -> Result:
        result = self._reader.read_row(self._read_cells, self._source.header, cells, 0, self._remaining)
        if isinstance(result, RecordFaults):
            self._remaining = max(0, self._remaining - result.count)
        return result


def _batch(
    rows: Iterator[tuple[int, list[str]]], size: int, length: float = math.inf
) -> tuple[list[tuple[int, list[str]]], str]:
    """Return the next rows, and the error of the row after them, or an empty text.

    Args:
        rows: line number and cells of each.
        size: maximum number of rows.
        length: number of characters after which no further row is taken.
    """
    batch = []
    characters = 0
    try:
        for row in islice(rows, size):
            batch.append(row)
            characters += sum(map(len, row[1]))
            if characters >= length:
                break
    except SourceError as error:
        return batch, f"{error}."
    return batch, ""


def unique_names(names: Sequence[str], header: Sequence[str]) -> list[str]:
    """Return the names of additional columns, with a prefix if the table has a column with the name."""
    names_in_use = set(header)
    further: list[str] = []
    for name in names:
        while name in names_in_use:
            name = f"predicted_{name}"
        names_in_use.add(name)
        further.append(name)
    return further
