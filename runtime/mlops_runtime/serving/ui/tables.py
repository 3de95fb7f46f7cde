"""Predictions for a table that a person uploads: the same table comes back with further columns.

The table is read as training reads it: any usual delimiter, encoding and decimal mark, and dates in the
format of the training table. Rows are predicted in batches, so that memory does not grow with the table.
"""

import csv
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from io import StringIO
from itertools import islice
from pathlib import Path, PurePath
from tempfile import TemporaryDirectory
from typing import Any, Self

from pydantic import TypeAdapter
from werkzeug.datastructures import FileStorage

from mlops_runtime.contract import Contract, LabelPrediction
from mlops_runtime.model import GoldenRecord
from mlops_runtime.serving.api.faults import LISTED_IN_PLACE, RecordFaults
from mlops_runtime.serving.api.prediction_writer import PredictionWriter, in_words
from mlops_runtime.serving.api.predictions import Predict
from mlops_runtime.serving.api.problems import MAX_ERRORS, FieldError, InvalidRequestError
from mlops_runtime.serving.api.records import RecordReader, Result
from mlops_runtime.serving.ui.field_text import listed
from mlops_runtime.serving.ui.form import text_of
from mlops_runtime.tables.cells import canonicalizer
from mlops_runtime.tables.source import GZIP, PARQUET, SourceError, cleaned, open_source

UNSAFE = re.compile(r"[^\w. -]+")
MAX_NAME_LENGTH = 100
"""Characters of a file name."""
MAX_LISTED_FAULTS = 10
"""Faulty rows that the page lists."""
MAX_FAULTY_ROWS = 10_000
"""Faulty rows after which reading stops: a column of another kind has a fault in each row."""


def example_table(contract: Contract, golden_records: Sequence[GoldenRecord[Any, Any]]) -> str:
    """Return a valid table as CSV: the golden records."""
    records = [golden.record.model_dump() for golden in golden_records]
    rows = [[text_of(record[name]) for name in contract.features] for record in records]
    return csv_text([list(contract.features), *rows], ",")


def name_of_answer(name: str) -> str:
    """Return the file name of the table with predictions for that of the uploaded table."""
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
    """The predictions of one batch of rows, and what was counted up to it.

    Attributes:
        csv: lines of the table with predictions.
        rows: predicted so far, faulty ones included.
        faulty: number of these rows that are faulty.
        progress: estimated share of the table that is done.
        faults: of this batch, each with its row in the file; not all if there are many.
        labels: number of predictions of each label in this batch.
        problem: why the rest of the table was not read; empty if it was.
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


class Upload:
    """An uploaded table in a temporary folder."""

    def __init__(self, contract: Contract, file: FileStorage) -> None:
        """Store the table and read its header.

        Raises:
            InvalidRequestError: if it is no table, or its columns do not fit the contract.
        """
        self._contract = contract
        self._folder = TemporaryDirectory(prefix="table-")
        try:
            path = Path(self._folder.name) / _safe(PurePath(file.filename or "table").name)
            file.save(path)
            self._source = _text_source(path)
            self._check_header()
        except SourceError as error:
            self.close()
            raise InvalidRequestError(HTTPStatus.UNPROCESSABLE_ENTITY, f"{error}.") from error
        except InvalidRequestError:
            self.close()
            raise

    def __enter__(self) -> Self:
        """Return the table."""
        return self

    def __exit__(self, *_: object) -> None:
        """Remove the table."""
        self.close()

    def close(self) -> None:
        """Remove the table."""
        self._folder.cleanup()

    def _check_header(self) -> None:
        header = self._source.header
        required = [spec.name for spec in self._contract.fields if not spec.optional]
        missing = [name for name in required if name not in header]
        if missing or not set(header) & set(self._contract.features):
            detail = f"The first row must name the columns. It lacks {listed(missing or self._contract.features)}."
            raise InvalidRequestError(HTTPStatus.UNPROCESSABLE_ENTITY, detail)

    def predict(self, reader: RecordReader, predict: Predict, batch_size: int) -> Iterator[Progress]:
        """Yield the table with its predictions, batch by batch.

        Args:
            reader: of the contract's records.
            predict: a function of valid records.
            batch_size: rows of a batch.
        """
        source, writer = self._source, PredictionWriter(self._contract)
        width = len(source.header)
        names = new_names(writer.columns(errors=True), source.header)
        fields = [spec for spec in self._contract.fields if spec.name in source.header]
        cell_readers = [
            (source.header.index(spec.name), canonicalizer(spec.kind.value, source.decimal, spec.date_format))
            for spec in fields
        ]
        header = [spec.name for spec in fields]
        remaining, rows, faulty = MAX_ERRORS, 0, 0

        def read(cells: Sequence[str]) -> Result:
            if len(cells) != width:
                detail = f"has {len(cells)} cells, but the header has {width}"
                return RecordFaults((FieldError(pointer="", detail=detail),))
            clean = cleaned(cells)
            values = [canonical(clean[index]) if clean[index] else "" for index, canonical in cell_readers]
            return reader.read_row(header, values, 0, remaining)

        yield Progress(csv=csv_text([[*source.header, *names]], source.delimiter))
        batches = self._batches(batch_size)
        problem = ""
        while batch := next(batches):
            if isinstance(batch, str):
                problem = batch
                break
            results = []
            for _, cells in batch:
                results.append(read(cells))
                if isinstance(results[-1], RecordFaults):
                    remaining = max(0, remaining - results[-1].count)
            records = [result for result in results if not isinstance(result, RecordFaults)]
            predictions = predict(records) if records else []
            unread = iter(predictions)
            lines, faults = [], []
            for (number, cells), result in zip(batch, results, strict=True):
                if isinstance(result, RecordFaults):
                    error = in_words(result.errors[:LISTED_IN_PLACE], result.count)
                    faults.append((number, error))
                    outcome = [*[None] * (len(names) - 1), error]
                else:
                    outcome = writer.cells(next(unread), errors=True)
                # A row with too few or too many cells gets as many as the header has.
                lines.append([*cells[:width], *[""] * (width - len(cells)), *outcome])
            rows, faulty = rows + len(batch), faulty + len(faults)
            yield Progress(
                csv=csv_text(lines, source.delimiter),
                rows=rows,
                faulty=faulty,
                progress=min(rows / source.lines, 1),
                faults=tuple(faults[:MAX_LISTED_FAULTS]),
                labels=Counter(str(one.label) for one in predictions if isinstance(one, LabelPrediction)),
            )
            if faulty > MAX_FAULTY_ROWS:
                problem = f"More than {MAX_FAULTY_ROWS:,} rows are faulty: correct them and send the table again."
                break
        if not rows and not problem:
            problem = "The table has no row below its header."
        note = csv_text([[*[""] * (width + len(names) - 1), problem]], source.delimiter) if problem else ""
        yield Progress(csv=note, rows=rows, faulty=faulty, progress=1, problem=problem, done=True)

    def _batches(self, batch_size: int) -> Iterator[list[tuple[int, list[str]]] | str]:
        """Yield the rows of each batch with their numbers, then a problem, or an empty text if there is none."""
        rows = self._source.raw_rows(fit=False)
        try:
            while batch := list(islice(rows, batch_size)):
                yield batch
        except SourceError as error:
            yield f"{error}."
        yield ""


def new_names(names: Sequence[str], header: Sequence[str]) -> list[str]:
    """Return the names of further columns, with a prefix where the table has a column of that name."""
    names_in_use = set(header)
    further: list[str] = []
    for name in names:
        while name in names_in_use:
            name = f"predicted_{name}"
        names_in_use.add(name)
        further.append(name)
    return further
