"""How each server is asked, and what it says: bodies of requests, and the answers in them."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Record = Mapping[str, float | None]
Answer = tuple[str, tuple[float, ...]]
"""A label, and the probability of each label in the order of the contract."""

TOLERANCE = 1e-6
"""How far a probability may be from the right one."""


def as_it_is(content: Any) -> Any:
    """Return what is sent, unwrapped."""
    return content


def tensor_of_strings(records: Sequence[Record]) -> Any:
    """Return records as the inference protocol takes JSON: one string each."""
    data = [json.dumps(record, separators=(",", ":")) for record in records]
    return {"inputs": [{"name": "records", "shape": [len(data)], "datatype": "BYTES", "data": data}]}


def data_frame(records: Sequence[Record]) -> Any:
    """Return records as the table that mlflow takes."""
    return {"dataframe_split": {"columns": list(records[0]), "data": [list(record.values()) for record in records]}}


def predictions(content: Any, labels: Sequence[str]) -> list[Answer]:
    """Return the answers in a prediction of the contract, or in a list of them."""
    found = content if isinstance(content, list) else [content]
    return [(one["label"], tuple(one["probabilities"][label] for label in labels)) for one in found]


def output_strings(content: Any, labels: Sequence[str]) -> list[Answer]:
    """Return the answers in an answer of the inference protocol."""
    return predictions([json.loads(text) for text in content["outputs"][0]["data"]], labels)


def probability_rows(content: Any, labels: Sequence[str]) -> list[Answer]:
    """Return the answers of mlflow, which gives probabilities alone: the label is that of the greatest."""
    rows = content["predictions"]
    if isinstance(rows[0], dict):
        # Of an ONNX model it gives the rows one behind the other, each number in an object.
        numbers = [one["outputs"] for one in rows]
        rows = [numbers[start : start + len(labels)] for start in range(0, len(numbers), len(labels))]
    return [(max(zip(row, labels, strict=True))[1], tuple(row)) for row in rows]


@dataclass(frozen=True, slots=True, kw_only=True)
class Protocol:
    """How a server is asked for one record and for many.

    Attributes:
        record_path: of a request with one record.
        records_path: of a request with many.
        wrap_record: makes the content of a request of one record.
        wrap_records: makes it of many.
        unwrap: makes answers of the content of a response and the labels.
        constant: whether every answer is the same, so that none can be right.
    """

    record_path: str
    records_path: str
    wrap_record: Callable[[Any], Any] = as_it_is
    wrap_records: Callable[[Any], Any] = as_it_is
    unwrap: Callable[[Any, Sequence[str]], list[Answer]] = predictions
    constant: bool = False

    def record_body(self, record: Record) -> bytes:
        """Return the body of a request with one record."""
        return _compact(self.wrap_record(record))

    def records_body(self, records: Sequence[Record]) -> bytes:
        """Return the body of a request with many records."""
        return _compact(self.wrap_records(records))

    def is_right(self, body: bytes, expected: Sequence[Answer], labels: Sequence[str]) -> bool:
        """Return whether the body of a response holds the answers expected."""
        if self.constant:
            return True
        try:
            found = self.unwrap(json.loads(body), labels)
        except (ValueError, KeyError, TypeError, IndexError):
            return False
        return len(found) == len(expected) and all(map(_same, found, expected))


def _compact(content: Any) -> bytes:
    return json.dumps(content, separators=(",", ":")).encode()


def _same(found: Answer, expected: Answer) -> bool:
    close = (abs(one - other) <= TOLERANCE for one, other in zip(found[1], expected[1], strict=True))
    return found[0] == expected[0] and all(close)
