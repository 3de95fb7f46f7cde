"""The contract as a value: the record, the prediction, the task and the target of one project."""

import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from pydantic import TypeAdapter

from mlops_runtime.contract.entities import EntityPrediction
from mlops_runtime.contract.features import Features, Layout
from mlops_runtime.contract.fields import (
    FieldSpec,
    Kind,
    RecordModel,
    Task,
    field_specs,
)
from mlops_runtime.contract.predictions import LabelPrediction, PredictionModel, ValuePrediction
from mlops_runtime.missing import missing_words

KINDS = (LabelPrediction, ValuePrediction, EntityPrediction)
"""Kinds of predictions."""


class Contract:
    """The input and output types of a model, its task and its target.

    A project creates it once, in `datamodel.py`, and passes it to every function that needs it.

    Attributes:
        record: type of a record.
        prediction: type of a prediction.
        task: what the model predicts.
        target: column of the training table, or key of the dataset, that holds what the model predicts.
        left_out: columns of the training table that are no fields, such as identifiers; a request may have them.
        ignored: columns that a request may have and that have no influence: the target, and those left out.
        key: column that identifies a record in requests, or None; it comes back beside the prediction.
        decimal: decimal mark of numbers in the training table; the same in a number that JSON has as text.
        fields: description of each field, in order.
        features: names of the fields: columns of the training table, keys in JSON.
        labels: labels that a prediction may have, in order; empty for regression.
        layout: where the values of a record are in the arrays.
        missing: cells that mean a missing value, by the name of the field, and of the target.
        verbatim: names of the fields whose texts are used as they are sent, because predictions depend on each of
            their characters.
        sha256: hash of the parts that a model depends on: descriptions and limits are excluded.
        record_adapter: validates a record.
        predictions_adapter: validates and serialises a list of predictions.
    """

    def __init__(
        self,
        record: type[RecordModel],
        prediction: type[PredictionModel],
        task: Task,
        target: str,
        missing: Collection[str] | None = None,
        *,
        left_out: Sequence[str] = (),
        key: str | None = None,
        decimal: str = ".",
    ) -> None:
        """Derive the fields, labels and layout.

        Args:
            record: type of a record.
            prediction: type of a prediction.
            task: what the model predicts.
            target: column of the training table, or key of the dataset, that holds what the model predicts.
            missing: words that mean a missing value in columns of words, instead of the usual ones; None for these.
            left_out: columns of the training table that are no fields.
            key: column that identifies a record in requests, or None.
            decimal: decimal mark of numbers in the training table.

        Raises:
            TypeError: if the type of a field is not supported, the prediction does not fit the task or the fields, or
                a column is both a field and left out.
        """
        if task not in prediction.TASKS:
            base = next(kind.__name__ for kind in KINDS if task in kind.TASKS)
            raise TypeError(f"{prediction.__name__} does not fit the task {task}: derive it from {base}")
        self.record = record
        self.prediction = prediction
        self.task = task
        self.target = target
        self.fields = field_specs(record)
        prediction.check_fields(self.fields)
        self.features = tuple(field.name for field in self.fields)
        self.left_out = tuple(left_out)
        self.key = key
        self.decimal = decimal
        without_field = (*self.left_out, *([] if key is None else [key]))
        if both := sorted(set(without_field).intersection(self.features)):
            raise TypeError(f"{both[0]!r} is a field: it cannot be the key or left out as well")
        self.ignored = frozenset((*without_field, target)).difference(self.features)
        self.labels = prediction.labels()
        self.layout = Layout(self.fields)
        self.missing = _missing(self.fields, target, self.labels, missing)
        texts = [field.name for field in self.fields if field.kind is Kind.TEXT]
        self.verbatim = frozenset(texts if prediction.VERBATIM else ())
        self.sha256 = _sha256(task, target, self.labels, self.fields)
        self.record_adapter: TypeAdapter[RecordModel] = TypeAdapter(record)
        self.predictions_adapter: TypeAdapter[list[PredictionModel]] = TypeAdapter(list[prediction])  # type: ignore[valid-type]

    @property
    def description(self) -> str:
        """Description of a record: the docstring of its type."""
        return (self.record.__doc__ or "").strip()

    def is_missing(self, name: str, cell: str) -> bool:
        """Return whether a cell of a field or of the target means a missing value.

        Args:
            name: name of the field or the target.
            cell: text of the cell, without blanks around it.
        """
        return cell in self.missing[name]

    def encode(self, records: Sequence[RecordModel]) -> Features:
        """Return records as arrays."""
        return self.layout.encode(records)


LIMITS = (
    "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "minLength", "maxLength", "pattern",
)  # fmt: skip
"""Keywords of JSON Schema that restrict the values of a kind."""


def contract_json(contract: Contract) -> dict[str, Any]:
    """Return what callers depend on as JSON: fields with their limits, task, target and labels.

    `mlops_runtime.operations.compatibility` compares two of them.
    """
    schema = contract.record.model_json_schema()
    required, properties = schema.get("required", ()), schema["properties"]
    return {
        "task": str(contract.task),
        "target": contract.target,
        "labels": [str(label) for label in contract.labels],
        "left_out": list(contract.left_out),
        "fields": [
            {"name": field.name, "required": field.name in required, **_field_json(field, properties[field.name])}
            for field in contract.fields
        ],
    }


def _field_json(field: FieldSpec, schema: dict[str, Any]) -> dict[str, Any]:
    alternatives = schema.get("anyOf", [schema])
    limits = {name: value for each in alternatives for name, value in each.items() if name in LIMITS}
    # The pattern of a date or time, and the step of an integer, belong to the kind.
    implied = {Kind.DATE: "pattern", Kind.DATETIME: "pattern", Kind.TIME: "pattern", Kind.INTEGER: "multipleOf"}
    limits.pop(implied.get(field.kind, ""), None)
    return {
        "nullable": any(each.get("type") == "null" for each in alternatives),
        "kind": str(field.kind),
        "choices": [str(choice) for choice in field.choices],
        "limits": limits,
    }


def _missing(
    fields: Sequence[FieldSpec], target: str, labels: Sequence[str], named: Collection[str] | None
) -> Mapping[str, frozenset[str]]:
    words = {
        field.name: missing_words(field.kind, named, field.missing, (*field.values, *field.choices)) for field in fields
    }
    kind = Kind.CHOICE if any(not _is_number(label) for label in labels) else Kind.NUMBER
    return words | {target: missing_words(kind, named, values=[str(label) for label in labels])}


def _is_number(label: str) -> bool:
    try:
        float(label.replace(",", "."))
    except ValueError:
        return False
    return True


def _sha256(task: Task, target: str, labels: Sequence[str], fields: Sequence[FieldSpec]) -> str:
    columns = [(field.name, field.kind, field.optional, field.choices) for field in fields]
    return hashlib.sha256(json.dumps([task, target, labels, columns]).encode()).hexdigest()
