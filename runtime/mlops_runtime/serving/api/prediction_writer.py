"""Writes predictions as JSON, NDJSON, CSV or Arrow."""

import csv
import json
from collections import Counter
from collections.abc import Iterable, Sequence
from io import StringIO
from operator import attrgetter
from typing import Any

from pydantic import BaseModel, Field
from pydantic_core import to_json

from mlops_runtime.contract import Contract, PredictionModel
from mlops_runtime.serving.api import arrow
from mlops_runtime.serving.api.faults import MAX_FAULTS_PER_RECORD, RecordFaults
from mlops_runtime.serving.api.negotiation import Format
from mlops_runtime.serving.api.problems import FieldError
from mlops_runtime.serving.api.record_keys import KEY

TEXT_COLUMNS = frozenset(("warnings", "error"))
"""Columns of texts in a table of predictions, beside those of the kind; the others have numbers."""


class RecordFault(BaseModel):
    """Why a record has no prediction."""

    detail: str = Field(description="What is wrong with the record")
    errors: tuple[FieldError, ...] = Field(description=f"The faults, at most {MAX_FAULTS_PER_RECORD} of them")


class RefusedRecord(BaseModel):
    """Stands in the place of a prediction when the caller wants the other records predicted nevertheless."""

    error: RecordFault


Outcome = PredictionModel | RefusedRecord


class PredictionWriter:
    """Writes the predictions of a contract."""

    def __init__(self, contract: Contract) -> None:
        self._kind, self._labels = contract.prediction, contract.labels

    def write(
        self,
        outcomes: Sequence[Outcome],
        wanted: Format,
        keys: Sequence[Any] | None = None,
        *,
        many: bool,
        errors: bool,
    ) -> bytes:
        """Return the predictions in a format.

        Args:
            outcomes: prediction or error of each record.
            wanted: format of the result.
            keys: key of each record, which comes first; None if there are no keys.
            many: whether JSON has a list, even for one prediction; the other formats are always lists.
            errors: whether a table has a column for errors.
        """
        if wanted in (Format.JSON, Format.NDJSON):
            objects = [outcome.model_dump_json().encode() for outcome in outcomes]
            if keys is not None:
                objects = [_with_key(key, content) for key, content in zip(keys, objects, strict=True)]
            if wanted is Format.NDJSON:
                return b"".join(content + b"\n" for content in objects)
            return b"[" + b",".join(objects) + b"]" if many else objects[0]
        columns = self.columns(errors=errors)
        rows = [self.cells(outcome, errors=errors) for outcome in outcomes]
        if keys is not None:
            columns, rows = [KEY, *columns], [[key, *row] for key, row in zip(keys, rows, strict=True)]
        if wanted is Format.CSV:
            return csv_text(columns, rows).encode()
        return arrow.write(columns, TEXT_COLUMNS | self._kind.TEXT_COLUMNS, rows)

    def columns(self, *, errors: bool) -> list[str]:
        """Return the columns of a table of predictions."""
        return [*self._columns(), *(["error"] if errors else [])]

    def cells(self, outcome: Outcome, *, errors: bool) -> list[Any]:
        """Return the cells of a prediction in the order of `columns`, None for an empty cell.

        Labels and warnings come from the training table, so they are not escaped.
        """
        if isinstance(outcome, RefusedRecord):
            return [*[None] * len(self._columns()), outcome.error.detail]
        return [*self._cells(outcome), *([None] if errors else [])]

    def label_counts(self, predictions: Iterable[PredictionModel]) -> Counter[str]:
        """Return how often each label is predicted; nothing for values."""
        if not self._labels:
            return Counter()
        return self._kind.label_counts(map(attrgetter(self._kind.OUTCOME), predictions))

    def _columns(self) -> list[str]:
        return [*self._kind.columns(self._labels), "warnings"]

    def _cells(self, prediction: Any) -> list[Any]:
        return [*prediction.cells(self._labels), "; ".join(prediction.warnings) or None]


def _with_key(key: Any, content: bytes) -> bytes:
    """Return a JSON object with the key as its first member."""
    return b'{"' + KEY.encode() + b'":' + to_json(key) + b"," + content[1:]


def refused(faults: RecordFaults) -> RefusedRecord:
    """Return the error that replaces the prediction of a faulty record."""
    errors = faults.errors[:MAX_FAULTS_PER_RECORD]
    return RefusedRecord(error=RecordFault(detail=fault_text(errors, faults.count), errors=errors))


def fault_text(errors: Sequence[FieldError], count: int) -> str:
    """Return the faults of a record as one text.

    It starts with a letter or a quotation mark, so that a spreadsheet never interprets a name as a formula.
    """
    faults = [
        f"{'this' if error.field is None else json.dumps(error.field, ensure_ascii=False)} {error.detail}"
        for error in errors
    ]
    more = [f"and {count - len(errors)} more faults"] if count > len(errors) else []
    return "; ".join(faults + more)


def csv_text(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """Return JSON values as CSV (RFC 4180), with all digits of numbers, and empty cells for None."""
    file = StringIO(newline="")
    writer = csv.writer(file)
    writer.writerow(header)
    writer.writerows([str(value).lower() if isinstance(value, bool) else value for value in row] for row in rows)
    return file.getvalue()
