"""The contract: field types, record and prediction models, and the conversion of records to arrays."""

from mlops_runtime.contract.contract import Contract, contract_json
from mlops_runtime.contract.entities import Entity, EntityPrediction
from mlops_runtime.contract.features import Features, Layout
from mlops_runtime.contract.fields import (
    Category,
    DateFormat,
    ExpectedRange,
    FieldSpec,
    Integer,
    Kind,
    Missing,
    RecordModel,
    Task,
    Text,
    Values,
    Words,
    field_specs,
)
from mlops_runtime.contract.predictions import LabelPrediction, PredictionModel, ValuePrediction

__all__ = [
    "Category",
    "Contract",
    "DateFormat",
    "Entity",
    "EntityPrediction",
    "ExpectedRange",
    "Features",
    "FieldSpec",
    "Integer",
    "Kind",
    "LabelPrediction",
    "Layout",
    "Missing",
    "PredictionModel",
    "RecordModel",
    "Task",
    "Text",
    "ValuePrediction",
    "Values",
    "Words",
    "contract_json",
    "field_specs",
]
