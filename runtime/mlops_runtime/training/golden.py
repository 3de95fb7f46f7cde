"""Golden records: a few rows whose predictions the artefact must give wherever it runs."""

from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from mlops_runtime.contract import Contract, RecordModel
from mlops_runtime.model.golden import GoldenRecords, golden_record_type
from mlops_runtime.model.metadata import Interval
from mlops_runtime.model.predictor import predictions_from_outputs

PER_LABEL = 4
MAX_RECORDS = 24
"""About how many there are; with many labels each has one."""
WITH_MISSING = 2


def golden_records(
    contract: Contract, records: Mapping[int, RecordModel], outputs: NDArray[np.float64], interval: Interval | None
) -> GoldenRecords:
    """Return some distinct records with the estimator's predictions for them.

    Of labels, the record nearest to the border between two comes first, where a small error shows
    first; then some with missing values, if there are any; then some of each label, from the
    surest to the least sure. Of values, they go from the greatest to the least. The predictions
    are the estimator's own, not the exported model's: who reproduces them agrees with what was
    evaluated.

    Args:
        contract: of the records.
        records: by row of the outputs; not every row needs one.
        outputs: of the estimator, shape (rows, labels) or (rows, 1).
        interval: of the model, if it predicts values.
    """
    rows = list({record: row for row, record in sorted(records.items(), reverse=True)}.values())[::-1]
    order = _by_certainty if outputs.shape[1] > 1 else _by_value
    missing = {row for row in rows if any(value is None for value in vars(records[row]).values())}
    chosen = list(dict.fromkeys(order(np.array(rows), outputs, missing)))
    predictions = predictions_from_outputs(contract, outputs[chosen], interval)
    golden_record = golden_record_type(contract)
    return tuple(
        golden_record(record=records[row], prediction=prediction)
        for row, prediction in zip(chosen, predictions, strict=True)
    )


def _by_certainty(rows: NDArray[np.intp], outputs: NDArray[np.float64], missing: set[int]) -> Iterator[int]:
    by_confidence = rows[np.argsort(outputs[rows].max(axis=1), kind="stable")]
    winners = outputs[by_confidence].argmax(axis=1)
    yield int(by_confidence[0])
    yield from _spread([row for row in by_confidence.tolist() if row in missing], WITH_MISSING)
    each = max(1, min(PER_LABEL, MAX_RECORDS // outputs.shape[1]))
    for label in range(outputs.shape[1]):
        yield from _spread(by_confidence[winners == label].tolist(), each)


def _by_value(rows: NDArray[np.intp], outputs: NDArray[np.float64], missing: set[int]) -> Iterator[int]:
    ascending = rows[np.argsort(outputs[rows, 0], kind="stable")].tolist()
    yield from _spread(ascending, 2 * PER_LABEL)
    yield from _spread([row for row in ascending if row in missing], WITH_MISSING)


def _spread(rows: list[int], count: int) -> list[int]:
    """Return up to `count` of the rows, evenly spaced from the last to the first."""
    if not rows:
        return []
    return [rows[place] for place in np.linspace(len(rows) - 1, 0, min(count, len(rows))).astype(int).tolist()]
