"""Rendering of the contract as the module datamodel.py."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from mlops_runtime.profiling.columns import Column
from mlops_runtime.profiling.descriptions import description
from mlops_runtime.profiling.names import attribute_name, class_name, member_name
from mlops_runtime.profiling.profile import Profile
from mlops_runtime.profiling.source_code import LINE_LENGTH, assignment, number, prose, string, strings
from mlops_runtime.profiling.user_edits import GENERATED, LABEL_DESCRIPTIONS, EnumEdits, UserEdits, read_edits
from mlops_runtime.tables.cells import BOOLEANS

MODULE_DOCSTRING = '''"""The contract: the fields of a record and of a prediction.

Training, validation, OpenAPI, the form, drift detection and test data derive from this module.
`make datamodel` compares it with the table.
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
"""Types of the contract by kind; a choice is an enum."""

LEFT_OUT_DOCSTRING = '"""Columns that are no fields: a request may have them, and they are ignored."""'
KEY_DOCSTRING = '"""Column that identifies a record: it comes back beside the prediction."""'

PREDICTIONS = {
    "label": '"""The predicted label and its probability."""',
    "value": '"""The predicted value and its prediction interval."""',
}


@dataclass(frozen=True, slots=True)
class _Field:
    column: Column
    attribute: str
    description: str
    enum: str | None


def render(profile: Profile, existing: str | None = None) -> str:
    """Return the source code of datamodel.py.

    Args:
        profile: profile of the table.
        existing: source code of the existing datamodel.py. Names, docstrings and descriptions that the user
            edited are kept for columns that still exist.

    Raises:
        InvalidContractError: if the existing source code is not valid Python.
    """
    edits = read_edits(existing)
    fields = list(_fields(profile.columns, edits))
    blocks = [
        edits.docstrings.get("", MODULE_DOCSTRING),
        _imports(profile, fields),
        f"TASK = Task.{profile.task.upper()}",
        f"{assignment('TARGET', profile.target)}\n{_target_docstring(profile, edits)}",
        *([] if profile.missing is None else [_missing(profile.missing)]),
        *_columns_without_field(profile, edits),
    ]
    classes = [_choice(field, edits) for field in fields if field.enum is not None]
    classes.append(_record(profile, fields, edits))
    if profile.labels:
        docstring = edits.docstrings.get("Label", f'"""Values of {prose(profile.target)}."""')
        classes.append(enum_class("Label", docstring, profile.labels, edits.label))
    classes.append(_prediction(profile, edits))
    classes.append(_contract(profile, edits))
    return "\n\n\n".join(["\n\n".join(blocks), *classes]) + "\n"


def _missing(words: Sequence[str]) -> str:
    elements = ", ".join(map(string, words))
    docstring = '"""Words that mean a missing value in columns of words; "auto" stands for the usual ones."""'
    return f"MISSING = ({elements}{',' if len(words) == 1 else ''})\n{docstring}"


def _target_docstring(profile: Profile, edits: UserEdits) -> str:
    noun = "label" if profile.labels else "value"
    return edits.target_docstring or f'"""Column of the training table with the {noun}."""'


def _left_out(profile: Profile) -> tuple[str, ...]:
    return tuple(name for name, _ in profile.excluded)


def _columns_without_field(profile: Profile, edits: UserEdits) -> Iterator[str]:
    if left_out := _left_out(profile):
        yield f"{strings('LEFT_OUT', left_out)}\n{LEFT_OUT_DOCSTRING}"
    if edits.key is not None:
        yield f"{assignment('KEY', edits.key)}\n{KEY_DOCSTRING}"


def _contract(profile: Profile, edits: UserEdits) -> str:
    further = [
        *(["left_out=LEFT_OUT"] if _left_out(profile) else []),
        *(["key=KEY"] if edits.key is not None else []),
        *([f"decimal={string(profile.source.decimal)}"] if profile.source.decimal != "." else []),
        *(["missing=MISSING"] if profile.missing is not None else []),
    ]
    return f"CONTRACT = Contract({', '.join(['Record', 'Prediction', 'TASK', 'TARGET', *further])})"


def _fields(columns: Sequence[Column], edits: UserEdits) -> Iterator[_Field]:
    """Yield the fields, with existing names or new ones."""
    existing = [edits.fields[column.name] for column in columns if column.name in edits.fields]
    attributes = {field.attribute for field in existing}
    classes = {field.enum.name for field in existing if field.enum is not None}
    for position, column in enumerate(columns, start=1):
        edit = edits.fields.get(column.name)
        attribute = edit.attribute if edit else attribute_name(column.name, position, attributes)
        attributes.add(attribute)
        enum = None
        if column.kind == "choice":
            enum = edit.enum.name if edit and edit.enum else class_name(column.name, position, classes)
            classes.add(enum)
        generated = f"description={string(GENERATED + description(column))}"
        yield _Field(column, attribute, (edit.description if edit else None) or generated, enum)


def _imports(profile: Profile, fields: Sequence[_Field]) -> str:
    kinds = {field.column.kind for field in fields}
    columns = [field.column for field in fields]
    annotated = any(
        column.expected or column.date_format or column.missing_words or column.values or _words(column)
        for column in columns
    )
    dates = sorted(kinds & {"date", "datetime", "time"})
    names = {"Contract", "RecordModel", "Task", "LabelPrediction" if profile.labels else "ValuePrediction"}
    names.update(TYPES[kind] for kind in kinds & {"integer", "category", "text"})
    if any(field.column.expected for field in fields):
        names.add("ExpectedRange")
    if any(field.column.date_format for field in fields):
        names.add("DateFormat")
    if any(column.missing_words for column in columns):
        names.add("Missing")
    if any(column.values for column in columns):
        names.add("Values")
    if any(map(_words, columns)):
        names.add("Words")
    standard = [
        *([f"from datetime import {', '.join(dates)}"] if dates else []),
        *(["from enum import StrEnum"] if profile.labels or "choice" in kinds else []),
        *(["from typing import Annotated"] if annotated else []),
    ]
    third_party = f"{_import('mlops_runtime.contract', sorted(names))}\nfrom pydantic import Field"
    return "\n\n".join(filter(None, ["\n".join(standard), third_party]))


def _import(module: str, names: Sequence[str]) -> str:
    line = f"from {module} import {', '.join(names)}"
    if len(line) <= LINE_LENGTH:
        return line
    return "\n".join([f"from {module} import (", *(f"    {name}," for name in names), ")"])


def _choice(field: _Field, edits: UserEdits) -> str:
    edit = edits.fields[field.column.name].enum if field.column.name in edits.fields else None
    docstring = (edit.docstring if edit else None) or f'"""Values of {prose(field.column.name)}."""'
    return enum_class(field.enum or "", docstring, sorted(value for value, _ in field.column.most_common), edit)


def enum_class(name: str, docstring: str, values: Sequence[str], edit: EnumEdits | None) -> str:
    """Return the source code of an enum.

    Args:
        name: name of the class.
        docstring: source code of its docstring.
        values: values of its members, in order.
        edit: of an existing class, whose names are kept.
    """
    existing: Mapping[str, str] = edit.members if edit else {}
    taken = {existing[value] for value in values if value in existing}
    lines = [f"class {name}(StrEnum):", f"    {docstring}", ""]
    for position, value in enumerate(values, start=1):
        member = existing.get(value) or member_name(value, position, taken)
        taken.add(member)
        lines.append(assignment(member, value, indent=4))
    return "\n".join(lines)


def _record(profile: Profile, fields: Sequence[_Field], edits: UserEdits) -> str:
    docstring = edits.docstrings.get("Record", f'"""A record of {prose(profile.path.name)}."""')
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
        *(f"        {argument}," for argument in arguments),
        "    )",
    ]
    return "\n".join(lines)


def _annotation(field: _Field) -> str:
    column = field.column
    type_ = field.enum or TYPES[column.kind]
    if column.expected is not None:
        low, high = column.expected
        type_ = f"Annotated[{type_}, ExpectedRange({number(low)}, {number(high)})]"
    if column.date_format is not None:
        type_ = f"Annotated[{type_}, DateFormat({string(column.date_format)})]"
    for mark, words in (("Missing", column.missing_words), ("Values", column.values)):
        if words:
            type_ = f"Annotated[{type_}, {mark}({', '.join(map(string, words))})]"
    if truth := _words(column):
        type_ = f"Annotated[{type_}, Words({', '.join(map(string, truth))})]"
    return f"{type_} | None" if column.optional else type_


def _words(column: Column) -> tuple[str, str] | None:
    """Return the most common words for true and false of a boolean column; None if they are true and false."""
    if column.kind != "boolean":
        return None
    words = {BOOLEANS[value.lower()]: value for value, _ in reversed(column.most_common) if value.lower() in BOOLEANS}
    if len(words) < 2 or words[True].lower() == "true":
        return None
    return words[True], words[False]


def _prediction(profile: Profile, edits: UserEdits) -> str:
    if not profile.labels:
        return f"class Prediction(ValuePrediction):\n    {edits.docstrings.get('Prediction', PREDICTIONS['value'])}"
    docstring = edits.docstrings.get("Prediction", PREDICTIONS["label"])
    argument = edits.label_description or f"description={string(LABEL_DESCRIPTIONS[profile.task])}"
    return f"class Prediction(LabelPrediction):\n    {docstring}\n\n    label: Label = Field({argument})"
