"""Golden records: held-out records with the predictions that the model must reproduce wherever it runs."""

from collections.abc import Sequence
from functools import cache
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, SerializeAsAny, TypeAdapter

from mlops_runtime.contract import Contract, PredictionModel, RecordModel

GOLDEN_TOLERANCE = 1e-6
"""Maximum difference from a golden prediction: absolute for probabilities, relative to the value or the width of its
interval, whichever is larger, for values. The parity check of training uses the same tolerance."""

RecordT = TypeVar("RecordT", bound=RecordModel)
PredictionT = TypeVar("PredictionT", bound=PredictionModel)


class GoldenRecord(BaseModel, Generic[RecordT, PredictionT]):
    """A record and the prediction that the model must give for it.

    Attributes:
        record: a held-out record, by the contract.
        prediction: what the model predicted for it in training.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    record: SerializeAsAny[RecordT]
    prediction: SerializeAsAny[PredictionT]


AnyGoldenRecord = GoldenRecord[RecordModel, PredictionModel]
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


def agrees(prediction: PredictionModel, golden: PredictionModel) -> bool:
    """Return whether a prediction equals the golden one within `GOLDEN_TOLERANCE`."""
    return isinstance(golden, type(prediction)) and prediction.agrees_with(golden, GOLDEN_TOLERANCE)


def all_agree(predictions: Sequence[PredictionModel], golden_records: GoldenRecords) -> bool:
    """Return whether each prediction agrees with that of the golden record at the same index."""
    return all(
        agrees(prediction, golden.prediction) for prediction, golden in zip(predictions, golden_records, strict=True)
    )
