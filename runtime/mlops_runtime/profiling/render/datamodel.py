"""The contract that a table keeps, as the text of the module datamodel.py."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from mlops_runtime.profiling.columns import Column
from mlops_runtime.profiling.descriptions import seen
from mlops_runtime.profiling.names import attribute_name, class_name, member_name
from mlops_runtime.profiling.profile import Profile
from mlops_runtime.profiling.source_code import LINE_LENGTH, assignment, number, prose, string
from mlops_runtime.profiling.user_edits import GENERATED, LABEL_DESCRIPTIONS, Existing, ExistingEnum, read_existing

MODULE_DOCSTRING = '''"""The contract: the columns of a record, and what a prediction says.

This module is the only place that knows the columns. Training, validation, OpenAPI, the form,
drift and test data follow from it. `make datamodel` compares it with the table.
"""'''

TYPES = {
    "number": "float",
    "integer": "Integer",
    "boolean": "bool",
    "category": "Category",
    "text": "Text",
    "date": "date",
    "datetime": "datetime",
    "time": "time",
}
"""Types of the contract by kind; a choice has a class of its own."""

PREDICTIONS = {
    "label": '"""The predicted label, with its probability."""',
    "value": '"""The predicted value, with its prediction interval."""',
}


@dataclass(frozen=True, slots=True)
class _Field:
    column: Column
    attribute: str
    description: str
    enum: str | None


def render(profile: Profile, existing: str | None = None) -> str:
    """Return the text of datamodel.py.

    Args:
        profile: of the table.
        existing: text of the contract that is there: what people wrote into it, descriptions,
            docstrings and names, is kept where the column is still there.

    Raises:
        ExistingError: if that text is not valid Python.
    """
    kept = read_existing(existing)
    fields = list(_fields(profile.columns, kept))
    blocks = [
        kept.docstrings.get("", MODULE_DOCSTRING),
        _imports(profile, fields),
        f"TASK = Task.{profile.task.upper()}",
        f"{assignment('TARGET', profile.target)}\n{_target_docstring(profile, kept)}",
    ]
    classes = [_choice(field, kept) for field in fields if field.enum is not None]
    classes.append(_record(profile, fields, kept))
    if profile.labels:
        docstring = kept.docstrings.get("Label", f'"""Values of {prose(profile.target)}."""')
        classes.append(_enum("Label", docstring, profile.labels, kept.label))
    classes.append(_prediction(profile, kept))
    classes.append("CONTRACT = Contract(Record, Prediction, TASK, TARGET)")
    return "\n\n\n".join(["\n\n".join(blocks), *classes]) + "\n"


def _target_docstring(profile: Profile, kept: Existing) -> str:
    what = "label" if profile.labels else "value"
    return kept.target or f'"""Column of the training table that holds the {what}."""'


def _fields(columns: Sequence[Column], kept: Existing) -> Iterator[_Field]:
    """Yield the fields with their names: those that they had, or new ones."""
    known = [kept.fields[column.name] for column in columns if column.name in kept.fields]
    attributes = {field.attribute for field in known}
    classes = {field.enum.name for field in known if field.enum is not None}
    for place, column in enumerate(columns, start=1):
        before = kept.fields.get(column.name)
        attribute = before.attribute if before else attribute_name(column.name, place, attributes)
        attributes.add(attribute)
        enum = None
        if column.kind == "choice":
            enum = before.enum.name if before and before.enum else class_name(column.name, place, classes)
            classes.add(enum)
        description = before.description if before else None
        yield _Field(column, attribute, description or f"description={string(GENERATED + seen(column))}", enum)


def _imports(profile: Profile, fields: Sequence[_Field]) -> str:
    kinds = {field.column.kind for field in fields}
    annotated = any(field.column.expected or field.column.date_format for field in fields)
    moments = sorted(kinds & {"date", "datetime", "time"})
    words = {"Contract", "RecordModel", "Task", "LabelPrediction" if profile.labels else "ValuePrediction"}
    words.update(TYPES[kind] for kind in kinds & {"integer", "category", "text"})
    if any(field.column.expected for field in fields):
        words.add("ExpectedRange")
    if any(field.column.date_format for field in fields):
        words.add("DateFormat")
    standard = [
        *([f"from datetime import {', '.join(moments)}"] if moments else []),
        *(["from enum import StrEnum"] if profile.labels or "choice" in kinds else []),
        *(["from typing import Annotated"] if annotated else []),
    ]
    imports = f"{_import('mlops_runtime.contract', sorted(words))}\nfrom pydantic import Field"
    sections = ["\n".join(standard), imports]
    return "\n\n".join(section for section in sections if section)


def _import(module: str, names: Sequence[str]) -> str:
    line = f"from {module} import {', '.join(names)}"
    if len(line) <= LINE_LENGTH:
        return line
    return "\n".join([f"from {module} import (", *(f"    {name}," for name in names), ")"])


def _choice(field: _Field, kept: Existing) -> str:
    name = field.enum or ""
    before = kept.fields[field.column.name].enum if field.column.name in kept.fields else None
    docstring = (before.docstring if before else None) or f'"""Values of {prose(field.column.name)}."""'
    return _enum(name, docstring, sorted(value for value, _ in field.column.common), before)


def _enum(name: str, docstring: str, values: Sequence[str], before: ExistingEnum | None) -> str:
    known: Mapping[str, str] = before.members if before else {}
    taken = {known[value] for value in values if value in known}
    lines = [f"class {name}(StrEnum):", f"    {docstring}", ""]
    for place, value in enumerate(values, start=1):
        member = known.get(value) or member_name(value, place, taken)
        taken.add(member)
        lines.append(assignment(member, value, indent=4))
    return "\n".join(lines)


def _record(profile: Profile, fields: Sequence[_Field], kept: Existing) -> str:
    docstring = kept.docstrings.get("Record", f'"""A record of {prose(profile.path.name)}."""')
    return "\n".join(["class Record(RecordModel):", f"    {docstring}", "", *map(_field, fields)])


def _field(field: _Field) -> str:
    column = field.column
    arguments = [
        *(["default=None"] if column.optional else []),
        f"alias={string(column.name)}",
        *([f"ge={number(column.minimum)}"] if column.minimum is not None else []),
        *([f"le={number(column.maximum)}"] if column.maximum is not None else []),
        field.description,
    ]
    lines = [
        f"    {field.attribute}: {_annotation(field)} = Field(",
        *(f"        {part}," for part in arguments),
        "    )",
    ]
    return "\n".join(lines)


def _annotation(field: _Field) -> str:
    column = field.column
    held = field.enum or TYPES[column.kind]
    if column.expected is not None:
        low, high = column.expected
        held = f"Annotated[{held}, ExpectedRange({number(low)}, {number(high)})]"
    if column.date_format is not None:
        held = f"Annotated[{held}, DateFormat({string(column.date_format)})]"
    return f"{held} | None" if column.optional else held


def _prediction(profile: Profile, kept: Existing) -> str:
    if not profile.labels:
        return f"class Prediction(ValuePrediction):\n    {kept.docstrings.get('Prediction', PREDICTIONS['value'])}"
    docstring = kept.docstrings.get("Prediction", PREDICTIONS["label"])
    description = kept.label_description or f"description={string(LABEL_DESCRIPTIONS[profile.task])}"
    return f"class Prediction(LabelPrediction):\n    {docstring}\n\n    label: Label = Field({description})"
