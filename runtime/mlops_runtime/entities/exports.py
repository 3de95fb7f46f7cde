"""The records of annotated texts: the native one, and those that annotation tools export, told by their keys.

    native        {"text": …, "entities": [{"start": 0, "end": 5, "label": "ORG"}]}
    doccano       {"text": …, "label": [[0, 5, "ORG"]]}, or entities with start_offset and end_offset
    Prodigy       {"text": …, "spans": [{"start": 0, "end": 5, "label": "ORG"}], "answer": "accept"}
    Label Studio  {"data": {"text": …}, "annotations": [{"result": [{"type": "labels", "value": {…}}]}]},
                  or its short form {"text": …, "label": [{"start": 0, "end": 5, "labels": ["ORG"]}]}

Works with the standard library alone, because a template reads the dataset before a project exists.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

TEXT_KEYS = ("text", "data")
SPAN_KEYS = ("entities", "spans", "labels", "label")
"""Keys of the text and of its spans, by precedence."""
START_KEYS = ("start", "start_offset")
END_KEYS = ("end", "end_offset")

SEVERAL = "with several annotations: the one marked as ground truth, or else the first, is taken"
"""Note on a text that several people annotated."""


class RecordError(ValueError):
    """A record is no annotated text; the message says why."""


class NotAnnotatedError(ValueError):
    """A record has no annotation that a person accepted; the message is the reason, as a note."""


@dataclass(frozen=True, slots=True)
class RawSpan:
    """A span as a record has it, not yet checked.

    Attributes:
        start: position of its first character.
        end: position after its last character.
        label: its label.
        quoted: the text that the record repeats for it, or None.
    """

    start: Any
    end: Any
    label: Any
    quoted: Any = None


@dataclass(frozen=True, slots=True)
class RawText:
    """An annotated text as a record has it.

    Attributes:
        text: the text.
        spans: its spans.
        note: what a person should know of the choice of its annotation, or None.
    """

    text: str
    spans: tuple[RawSpan, ...]
    note: str | None = None


def raw_text(record: Any) -> RawText:
    """Return the annotated text in a record.

    Raises:
        RecordError: if there is none.
        NotAnnotatedError: if nobody annotated it, or the annotation was rejected.
    """
    if not isinstance(record, Mapping):
        raise RecordError('it is no object: write {"text": …, "entities": […]}')
    if record.get("answer") in ("reject", "ignore"):
        raise NotAnnotatedError("rejected or ignored by the annotator: left out")
    data = record.get("data")
    if isinstance(data, Mapping):
        annotated, note = _label_studio(record)
        return RawText(_text_of_task(data), annotated, note)
    text = next((record[key] for key in TEXT_KEYS if key in record), None)
    if not isinstance(text, str):
        raise RecordError('it has no text: write {"text": …, "entities": […]}')
    spans = next((record[key] for key in SPAN_KEYS if isinstance(record.get(key), list)), None)
    if spans is None:
        raise RecordError("it has no list of entities: write an empty one if the text has none")
    return RawText(text, tuple(map(_span, spans)))


def _text_of_task(data: Mapping[str, Any]) -> str:
    """Return the text of a task of Label Studio, whose key is the annotator's choice."""
    if isinstance(data.get("text"), str):
        return str(data["text"])
    texts = [value for value in data.values() if isinstance(value, str)]
    if len(texts) != 1:
        raise RecordError(f'its data have {len(texts)} texts: name the one with the entities "text"')
    return texts[0]


def _label_studio(task: Mapping[str, Any]) -> tuple[tuple[RawSpan, ...], str | None]:
    """Return the spans of a task of Label Studio, and a note if several people annotated it."""
    annotations = _objects(task.get("annotations", task.get("completions")))
    kept = [each for each in annotations if not (each.get("was_cancelled") or each.get("skipped"))]
    if not kept:
        raise NotAnnotatedError("without an annotation, or skipped: left out")
    annotation = next((each for each in kept if each.get("ground_truth")), kept[0])
    results = [result for result in _objects(annotation.get("result")) if result.get("type") == "labels"]
    return tuple(_span(result.get("value")) for result in results), SEVERAL if len(kept) > 1 else None


def _objects(value: Any) -> list[Mapping[str, Any]]:
    return [each for each in value if isinstance(each, Mapping)] if isinstance(value, list) else []


def _span(value: Any) -> RawSpan:
    if isinstance(value, list) and len(value) == 3:
        return RawSpan(*value)
    if not isinstance(value, Mapping):
        raise RecordError(f"{_shown(value)} is no entity: it needs start, end and label")
    start, end = (next((value[key] for key in keys if key in value), None) for keys in (START_KEYS, END_KEYS))
    return RawSpan(start, end, _label(value), value.get("text"))


def _label(value: Mapping[str, Any]) -> Any:
    labels = value.get("labels")
    if "label" in value or not isinstance(labels, Sequence) or isinstance(labels, str):
        return value.get("label")
    if len(labels) > 1:
        raise RecordError(f"an entity has {len(labels)} labels, {_shown(labels)}: keep one")
    return labels[0] if labels else None


def _shown(value: Any, max_length: int = 40) -> str:
    text = repr(value)
    return text if len(text) <= max_length else f"{text[: max_length - 1]}…"
