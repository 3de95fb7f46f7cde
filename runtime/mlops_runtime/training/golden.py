"""Golden records: a few rows whose predictions the artefact must reproduce wherever it runs."""

from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from mlops_runtime.contract import Contract, RecordModel
from mlops_runtime.model.golden import GOLDEN_TOLERANCE, GoldenRecords, golden_record_type
from mlops_runtime.model.metadata import Interval
from mlops_runtime.model.predictor import predictions_from_outputs

PER_LABEL = 4
MAX_RECORDS = 24
"""Approximate maximum; with many labels, each label has a record."""
WITH_MISSING = 2


def golden_records(
    contract: Contract, records: Mapping[int, RecordModel], outputs: NDArray[np.float64], interval: Interval | None
) -> GoldenRecords:
    """Return distinct records with the predictions of the estimator for them.

    For a classifier, the least certain record comes first, because a small error is most likely to change its label; a
    record with two labels as likely as one another is left out, because either is right. Then follow records with
    missing values, and records of each label in descending order of probability. For a regression, records are in
    descending order of their predictions.

    The predictions are those of the estimator, not of the exported model, because the estimator was evaluated.

    Args:
        contract: contract of the records.
        records: records by the index of their row; some rows may have none.
        outputs: outputs of the estimator, shape (rows, labels) or (rows, 1).
        interval: prediction intervals of a regression.
    """
    rows = list({record: row for row, record in sorted(records.items(), reverse=True)}.values())[::-1]
    order = _by_certainty if outputs.shape[1] > 1 else _by_value
    missing = {row for row in rows if any(value is None for value in vars(records[row]).values())}
    selected = list(dict.fromkeys(order(np.array(rows), outputs, missing)))
    predictions = predictions_from_outputs(contract, outputs[selected], interval)
    golden_record = golden_record_type(contract)
    return tuple(
        golden_record(record=records[row], prediction=prediction)
        for row, prediction in zip(selected, predictions, strict=True)
    )


def _by_certainty(rows: NDArray[np.intp], outputs: NDArray[np.float64], missing: set[int]) -> Iterator[int]:
    highest = np.sort(outputs[rows], axis=1)
    decided = rows[highest[:, -1] - highest[:, -2] > 2 * GOLDEN_TOLERANCE]
    rows = decided if decided.size else rows
    by_confidence = rows[np.argsort(outputs[rows].max(axis=1), kind="stable")]
    labels = outputs[by_confidence].argmax(axis=1)
    yield int(by_confidence[0])
    yield from _spread([row for row in by_confidence.tolist() if row in missing], WITH_MISSING)
    per_label = max(1, min(PER_LABEL, MAX_RECORDS // outputs.shape[1]))
    for label in range(outputs.shape[1]):
        yield from _spread(by_confidence[labels == label].tolist(), per_label)


def _by_value(rows: NDArray[np.intp], outputs: NDArray[np.float64], missing: set[int]) -> Iterator[int]:
    ascending = rows[np.argsort(outputs[rows, 0], kind="stable")].tolist()
    yield from _spread(ascending, 2 * PER_LABEL)
    yield from _spread([row for row in ascending if row in missing], WITH_MISSING)


def _spread(rows: list[int], count: int) -> list[int]:
    """Return at most `count` rows, evenly spaced from the last to the first."""
    if not rows:
        return []
    return [rows[index] for index in np.linspace(len(rows) - 1, 0, min(count, len(rows))).astype(int).tolist()]
