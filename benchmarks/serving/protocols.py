"""The protocols of servers: bodies of requests and of answers."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Record = Mapping[str, float | None]
Answer = tuple[str, tuple[float, ...]]
"""A predicted label, and the probability of each label in the order of the contract."""

TOLERANCE = 1e-6
"""Maximum difference of a probability from its expected value."""


def as_it_is(content: Any) -> Any:
    """Return the content unchanged."""
    return content


def tensor_of_strings(records: Sequence[Record]) -> Any:
    """Return records for the inference protocol: a JSON string for each record."""
    data = [json.dumps(record, separators=(",", ":")) for record in records]
    return {"inputs": [{"name": "records", "shape": [len(data)], "datatype": "BYTES", "data": data}]}


def data_frame(records: Sequence[Record]) -> Any:
    """Return records as a table for mlflow."""
    return {"dataframe_split": {"columns": list(records[0]), "data": [list(record.values()) for record in records]}}


def predictions(content: Any, labels: Sequence[str]) -> list[Answer]:
    """Return the answers in a prediction of the contract, or in a list of predictions."""
    actual = content if isinstance(content, list) else [content]
    return [(one["label"], tuple(one["probabilities"][label] for label in labels)) for one in actual]


def output_strings(content: Any, labels: Sequence[str]) -> list[Answer]:
    """Return the answers in a response of the inference protocol."""
    return predictions([json.loads(text) for text in content["outputs"][0]["data"]], labels)


def probability_rows(content: Any, labels: Sequence[str]) -> list[Answer]:
    """Return the answers of mlflow, which returns probabilities only; the label has the greatest probability."""
    rows = content["predictions"]
    if isinstance(rows[0], dict):
        # For an ONNX model, the rows are concatenated and each number is an object.
        numbers = [one["outputs"] for one in rows]
        rows = [numbers[start : start + len(labels)] for start in range(0, len(numbers), len(labels))]
    return [(max(zip(row, labels, strict=True))[1], tuple(row)) for row in rows]


@dataclass(frozen=True, slots=True, kw_only=True)
class Protocol:
    """The requests of a server for a record and for several records.

    Attributes:
        record_path: path of a request with a record.
        records_path: path of a request with several records.
        wrap_record: function from a record to the content of a request.
        wrap_records: function from several records to the content of a request.
        unwrap: function from the content of a response and the labels to answers.
        constant: whether all responses are the same, so that answers are not checked.
    """

    record_path: str
    records_path: str
    wrap_record: Callable[[Any], Any] = as_it_is
    wrap_records: Callable[[Any], Any] = as_it_is
    unwrap: Callable[[Any, Sequence[str]], list[Answer]] = predictions
    constant: bool = False

    def record_body(self, record: Record) -> bytes:
        """Return the body of a request with a record."""
        return _compact(self.wrap_record(record))

    def records_body(self, records: Sequence[Record]) -> bytes:
        """Return the body of a request with several records."""
        return _compact(self.wrap_records(records))

    def is_right(self, body: bytes, expected: Sequence[Answer], labels: Sequence[str]) -> bool:
        """Return whether the body of a response has the expected answers."""
        if self.constant:
            return True
        try:
            actual = self.unwrap(json.loads(body), labels)
        except (ValueError, KeyError, TypeError, IndexError):
            return False
        return len(actual) == len(expected) and all(map(_same, actual, expected))


def _compact(content: Any) -> bytes:
    return json.dumps(content, separators=(",", ":")).encode()


def _same(actual: Answer, expected: Answer) -> bool:
    close = (abs(one - other) <= TOLERANCE for one, other in zip(actual[1], expected[1], strict=True))
    return actual[0] == expected[0] and all(close)
