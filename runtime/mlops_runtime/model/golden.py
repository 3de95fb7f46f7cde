"""Golden records: records of the held-out rows with the predictions that the model must reproduce everywhere."""

from collections.abc import Sequence
from functools import cache
from typing import Any, Generic, TypeVar

import numpy as np
from pydantic import BaseModel, ConfigDict, SerializeAsAny, TypeAdapter

from mlops_runtime.contract import Contract, LabelPrediction, RecordModel, ValuePrediction

GOLDEN_TOLERANCE = 1e-6
"""Greatest difference allowed: absolute for probabilities, relative to the interval's width for values. Parity with
the estimator is proved to the same bound."""

RecordT = TypeVar("RecordT", bound=RecordModel)
PredictionT = TypeVar("PredictionT", bound=LabelPrediction | ValuePrediction)


class GoldenRecord(BaseModel, Generic[RecordT, PredictionT]):
    """A record and the prediction that the artefact must give for it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    record: SerializeAsAny[RecordT]
    prediction: SerializeAsAny[PredictionT]


AnyGoldenRecord = GoldenRecord[RecordModel, LabelPrediction | ValuePrediction]
GoldenRecords = tuple[AnyGoldenRecord, ...]


@cache
def golden_record_type(contract: Contract) -> type[AnyGoldenRecord]:
    """Return the type of the golden records of a contract."""
    return GoldenRecord[contract.record, contract.prediction]  # type: ignore[name-defined]


@cache
def golden_records_adapter(contract: Contract) -> TypeAdapter[GoldenRecords]:
    """Return what reads and writes the golden records of a contract."""
    records: Any = tuple[golden_record_type(contract), ...]  # type: ignore[misc]
    return TypeAdapter(records)


def agrees(prediction: LabelPrediction | ValuePrediction, golden: LabelPrediction | ValuePrediction) -> bool:
    """Return whether a prediction equals the golden one within `GOLDEN_TOLERANCE`."""
    match prediction, golden:
        case LabelPrediction(), LabelPrediction():
            return prediction.label == golden.label and all(
                abs(probability - golden.probabilities.get(label, np.nan)) <= GOLDEN_TOLERANCE
                for label, probability in prediction.probabilities.items()
            )
        case ValuePrediction(), ValuePrediction():
            tolerance = GOLDEN_TOLERANCE * max(abs(golden.value), golden.high - golden.low)
            return all(
                abs(actual - expected) <= tolerance
                for actual, expected in (
                    (prediction.value, golden.value),
                    (prediction.low, golden.low),
                    (prediction.high, golden.high),
                )
            )
    return False


def all_agree(predictions: Sequence[LabelPrediction | ValuePrediction], golden_records: GoldenRecords) -> bool:
    """Return whether each prediction equals that of the golden record at its index."""
    return all(
        agrees(prediction, golden.prediction) for prediction, golden in zip(predictions, golden_records, strict=True)
    )
