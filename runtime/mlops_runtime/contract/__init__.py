"""The contract: field types, record and prediction models, and the conversion of records to arrays."""

from mlops_runtime.contract.contract import Contract, contract_json
from mlops_runtime.contract.features import Features, Layout
from mlops_runtime.contract.fields import (
    Category,
    DateFormat,
    ExpectedRange,
    FieldSpec,
    Integer,
    Kind,
    LabelPrediction,
    Missing,
    RecordModel,
    Task,
    Text,
    ValuePrediction,
    Values,
    Words,
    field_specs,
)

__all__ = [
    "Category",
    "Contract",
    "DateFormat",
    "ExpectedRange",
    "Features",
    "FieldSpec",
    "Integer",
    "Kind",
    "LabelPrediction",
    "Layout",
    "Missing",
    "RecordModel",
    "Task",
    "Text",
    "ValuePrediction",
    "Values",
    "Words",
    "contract_json",
    "field_specs",
]
