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
    RecordModel,
    Task,
    Text,
    ValuePrediction,
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
    "RecordModel",
    "Task",
    "Text",
    "ValuePrediction",
    "contract_json",
    "field_specs",
]
