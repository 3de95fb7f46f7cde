"""Writes predictions as JSON, NDJSON, CSV or Arrow."""

import csv
import json
from collections.abc import Iterable, Sequence
from io import StringIO
from typing import Any

from pydantic import BaseModel, Field

from mlops_runtime.contract import Contract, LabelPrediction, ValuePrediction
from mlops_runtime.serving.api import arrow
from mlops_runtime.serving.api.faults import LISTED_IN_PLACE, RecordFaults
from mlops_runtime.serving.api.negotiation import Format
from mlops_runtime.serving.api.problems import FieldError

TEXT_COLUMNS = ("label", "warnings", "error")
"""Columns of a table of predictions that hold texts; the others hold numbers."""


class RecordFault(BaseModel):
    """Why a record has no prediction."""

    detail: str = Field(description="What is wrong with the record")
    errors: tuple[FieldError, ...] = Field(description=f"The faults, at most {LISTED_IN_PLACE} of them")


class RefusedRecord(BaseModel):
    """Stands in the place of a prediction when the caller wants the other records predicted nevertheless."""

    error: RecordFault


Outcome = LabelPrediction | ValuePrediction | RefusedRecord


class PredictionWriter:
    """Writes the predictions of a contract."""

    def __init__(self, contract: Contract) -> None:
        self._labels = contract.labels

    def write(self, outcomes: Sequence[Outcome], wanted: Format, *, many: bool, errors: bool) -> bytes:
        """Return predictions in a format.

        Args:
            outcomes: for each record its prediction, or why it has none.
            wanted: the format.
            many: whether JSON holds a list, even of one prediction; the other formats are lists by themselves.
            errors: whether a table has a column for faults.
        """
        match wanted:
            case Format.JSON if many:
                return b"[" + b",".join(outcome.model_dump_json().encode() for outcome in outcomes) + b"]"
            case Format.JSON:
                return outcomes[0].model_dump_json().encode()
            case Format.NDJSON:
                return b"".join(outcome.model_dump_json().encode() + b"\n" for outcome in outcomes)
        columns = self.columns(errors=errors)
        rows = [self.cells(outcome, errors=errors) for outcome in outcomes]
        if wanted is Format.CSV:
            return csv_text(columns, rows).encode()
        return arrow.write(columns, TEXT_COLUMNS, rows)

    def columns(self, *, errors: bool) -> list[str]:
        """Return the columns of a table of predictions."""
        labels = ["label", "probability", *(f"probability_{label}" for label in self._labels)]
        columns = labels if self._labels else ["value", "low", "high"]
        return [*columns, "warnings", *(["error"] if errors else [])]

    def cells(self, outcome: Outcome, *, errors: bool) -> list[Any]:
        """Return the cells of a prediction in the order of `columns`, None where a cell is empty.

        Labels and warnings are words of the project's own table, and stay as they are.
        """
        match outcome:
            case RefusedRecord(error=error):
                return [*[None] * (len(self.columns(errors=errors)) - 1), error.detail]
            case LabelPrediction():
                probabilities = [outcome.probabilities[label] for label in self._labels]
                cells: list[Any] = [str(outcome.label), outcome.probability, *probabilities]
            case ValuePrediction():
                cells = [outcome.value, outcome.low, outcome.high]
        return [*cells, "; ".join(outcome.warnings) or None, *([None] if errors else [])]


def refused(faults: RecordFaults) -> RefusedRecord:
    """Return what stands in the place of the prediction of a faulty record."""
    errors = faults.errors[:LISTED_IN_PLACE]
    return RefusedRecord(error=RecordFault(detail=in_words(errors, faults.count), errors=errors))


def in_words(errors: Sequence[FieldError], count: int) -> str:
    """Return the faults of a record as one text.

    It starts with a letter or a quotation mark, so that no spreadsheet reads a name that a caller chose as a formula.
    """
    faults = [
        f"{'this' if error.field is None else json.dumps(error.field, ensure_ascii=False)} {error.detail}"
        for error in errors
    ]
    more = [f"and {count - len(errors)} more faults"] if count > len(errors) else []
    return "; ".join(faults + more)


def csv_text(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """Return JSON values as a table (RFC 4180), numbers with all their digits; None is an empty cell."""
    file = StringIO(newline="")
    writer = csv.writer(file)
    writer.writerow(header)
    writer.writerows([str(value).lower() if isinstance(value, bool) else value for value in row] for row in rows)
    return file.getvalue()
