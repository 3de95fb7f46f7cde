"""Batches: the records of requests that arrive together are predicted together.

A run of the model takes little longer for many records than for one. A lone request waits for no other.
"""

from typing import Any

from mlops_runtime.contract import RecordModel
from mlops_runtime.serving.api.predictions import Predict

BATCH_KEY = "mlops_runtime.batch"
"""Key of the WSGI environment with the `Batch` that a request may join."""
MAX_RECORDS = 256
"""Maximum number of records in a batch, so that other requests do not wait long."""


class Batch:
    """Records of requests with one record each. Its methods must be called by one thread."""

    def __init__(self) -> None:
        self._records: list[RecordModel] = []
        self._predictions: list[Any] | None = None
        self._closed = False

    def is_open(self) -> bool:
        """Return whether another record may join."""
        return not self._closed and len(self._records) < MAX_RECORDS

    def add(self, record: RecordModel) -> int:
        """Add the record of a request and return its position."""
        self._records.append(record)
        return len(self._records) - 1

    def prediction(self, position: int, predict: Predict) -> Any:
        """Return the prediction for a record; the first call predicts all records.

        Raises:
            RuntimeError: if the prediction of all records has failed before.
        """
        if not self._closed:
            self._closed = True
            self._predictions = predict(self._records)
        if self._predictions is None:
            raise RuntimeError("the records of this batch could not be predicted together")
        return self._predictions[position]
