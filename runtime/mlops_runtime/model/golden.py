"""Golden records: held-out records with the predictions that the model must reproduce wherever it runs."""

from collections.abc import Sequence
from functools import cache
from typing import Any, Generic, TypeVar

import numpy as np
from pydantic import BaseModel, ConfigDict, SerializeAsAny, TypeAdapter

from mlops_runtime.contract import Contract, LabelPrediction, RecordModel, ValuePrediction

GOLDEN_TOLERANCE = 1e-6
"""Maximum difference from a golden prediction: absolute for probabilities, relative to the value or the width of its
interval, whichever is larger, for values. The parity check of training uses the same tolerance."""

RecordT = TypeVar("RecordT", bound=RecordModel)
PredictionT = TypeVar("PredictionT", bound=LabelPrediction | ValuePrediction)


class GoldenRecord(BaseModel, Generic[RecordT, PredictionT]):
    """A record and the prediction that the model must give for it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    record: SerializeAsAny[RecordT]
    prediction: SerializeAsAny[PredictionT]


AnyGoldenRecord = GoldenRecord[RecordModel, LabelPrediction | ValuePrediction]
GoldenRecords = tuple[AnyGoldenRecord, ...]


@cache
def golden_record_type(contract: Contract) -> type[AnyGoldenRecord]:
    """Return the type of a golden record of the contract."""
    return GoldenRecord[contract.record, contract.prediction]  # type: ignore[name-defined]


@cache
def golden_records_adapter(contract: Contract) -> TypeAdapter[GoldenRecords]:
    """Return the adapter that validates and serialises golden records of the contract."""
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
    """Return whether each prediction agrees with that of the golden record at the same index."""
    return all(
        agrees(prediction, golden.prediction) for prediction, golden in zip(predictions, golden_records, strict=True)
    )
