"""Rendering of datamodel.py and data/README.md from the profile of a dataset."""

import ast
from collections.abc import Iterator

from mlops_runtime.entities.profile import LabelProfile, Profile
from mlops_runtime.profiling.render.datamodel import enum_class
from mlops_runtime.profiling.render.markdown import code, escaped
from mlops_runtime.profiling.source_code import prose
from mlops_runtime.profiling.user_edits import read_edits

MAX_LISTED = 100
"""Maximum number of labels, and of warnings, on the page."""

LABEL_DOCSTRING = '"""What an entity may be."""'

HEAD = '''"""The contract: the text of a record, and the entities of a prediction.

Training, validation, OpenAPI, the form and drift detection derive from this module.
`make datamodel` compares its labels with the dataset.
"""

from enum import StrEnum

from mlops_runtime.contract import Contract, Entity, EntityPrediction, RecordModel, Task, Text
from pydantic import Field

TASK = Task.ENTITIES

TARGET = "entities"
"""Key of the entities in the dataset; a request may have it, and it is ignored."""


class Record(RecordModel):
    """RECORD"""

    text: Text = Field(description="The text to find entities in")


'''
TAIL = '''


class LabelledEntity(Entity):
    """An entity, with one of the labels."""

    label: Label = Field(description="What the entity is")


class Prediction(EntityPrediction):
    """The entities of a text."""

    entities: tuple[LabelledEntity, ...] = Field(description="In the order of the text, without overlaps")


CONTRACT = Contract(Record, Prediction, TASK, TARGET)
'''


def datamodel(profile: Profile, existing: str | None = None) -> str:
    """Return the source code of datamodel.py.

    Args:
        profile: profile of the dataset.
        existing: source code of the existing datamodel.py, of which all but the values of `Label` is kept.

    Raises:
        InvalidContractError: if the existing source code is not valid Python.
    """
    edits = read_edits(existing)
    docstring = edits.docstrings.get("Label", LABEL_DOCSTRING)
    label = enum_class("Label", docstring, [each.label for each in profile.labels], edits.label)
    if existing is not None and (lines := _lines_of_label(existing)):
        first, last = lines
        # Not `splitlines`, which splits at more characters than Python's source code has lines.
        parts = existing.split("\n")
        return "\n".join([*parts[:first], label, *parts[last:]])
    return f"{HEAD.replace('RECORD', f'A text like those of {prose(profile.documents.path.name)}.')}{label}{TAIL}"


def _lines_of_label(source: str) -> tuple[int, int] | None:
    """Return the index of the first line of the class Label and that of the line after it, or None."""
    for node in ast.parse(source).body:
        if isinstance(node, ast.ClassDef) and node.name == "Label":
            return node.lineno - 1, node.end_lineno or node.lineno
    return None


def readme(profile: Profile, file_name: str) -> str:
    """Return the text of data/README.md.

    Args:
        profile: profile of the dataset in the folder.
        file_name: name of its file.
    """
    documents = profile.documents
    median, longest = profile.words
    lines = [
        "# Where the data come from",
        "",
        f"{code(file_name)} is the dataset from which the labels of the contract were taken.",
        "Document here who collected and annotated the texts, when and how, and who may use them.",
        'Each line is a text with its entities: `{"text": …, "entities": [{"start": 0, "end": 5, "label": …}]}`,',
        "with positions in characters (code points), the end exclusive.",
        "",
        "| | |",
        "|---|---|",
        f"| Texts | {len(documents.texts)} |",
        f"| Texts without an entity | {profile.without_entities} |",
        f"| Entities | {profile.entities} |",
        f"| Words of a text | {median} (median), {longest} (maximum) |",
        f"| SHA-256 | `{documents.sha256}` |",
        "",
        "## Labels",
        "",
        "| Label | Entities | Texts | Most common |",
        "|---|---|---|---|",
        *map(_row, profile.labels[:MAX_LISTED]),
    ]
    lines += _list("Changes to the original", documents.notes)
    lines += _list("Warnings", profile.warnings)
    return "\n".join(lines) + "\n"


def _row(label: LabelProfile) -> str:
    return f"| {code(label.label)} | {label.entities} | {label.texts} | {', '.join(map(code, label.examples))} |"


def _list(title: str, sentences: tuple[str, ...]) -> Iterator[str]:
    if sentences:
        yield from ["", f"## {title}", "", *(f"- {escaped(sentence)}" for sentence in sentences[:MAX_LISTED])]
