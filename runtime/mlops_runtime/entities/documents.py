"""Annotated texts read from a file, and checked span by span.

Works with the standard library alone, because a template reads the dataset before a project exists.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from itertools import pairwise
from json import JSONDecodeError
from pathlib import Path
from typing import Any

from mlops_runtime.entities.exports import NotAnnotatedError, RawSpan, RecordError, raw_text
from mlops_runtime.tables.compression import READ_ERRORS, opened
from mlops_runtime.tables.encodings import SourceError, scan
from mlops_runtime.tables.formats import address_advice
from mlops_runtime.tables.problems import MAX_PROBLEMS, problem_list

MAX_EXCERPT = 40
"""Maximum number of characters of a text in a message."""

FORMATS = (
    'write JSON Lines, {"text": …, "entities": [{"start": 0, "end": 5, "label": "ORG"}]} on each line, '
    "or export from doccano, Label Studio or Prodigy"
)

TRIMMED = "with white space at an end: it is left out of the entity"
UTF_16 = "counted in units of UTF-16: converted to characters"
REPEATED_SPAN = "annotated twice in the same way: taken once"
REPEATED_TEXT = "equal to an earlier one, with the same entities: left out"


@dataclass(frozen=True, slots=True)
class Problem:
    """A problem of a dataset, with its place and the start of its text, if it has any."""

    message: str
    place: str | None = None
    text: str | None = None

    def __str__(self) -> str:
        position = [self.place] if self.place is not None else []
        position += [f'"{excerpt(self.text)}"'] if self.text else []
        return f"{', '.join(position)}: {self.message}" if position else self.message


class DatasetError(ValueError):
    """The dataset cannot be read, or has spans that are none; has a list of problems."""

    def __init__(self, path: Path, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__(problem_list(f"{path} has", problems))


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """A labelled span of a text: positions in code points, the end exclusive."""

    start: int
    end: int
    label: str


@dataclass(frozen=True, slots=True)
class Document:
    """An annotated text.

    Attributes:
        text: the text.
        spans: its spans, in order and without overlaps.
        line: its line in the file, or its number in a JSON array.
    """

    text: str
    spans: tuple[Span, ...]
    line: int


@dataclass(frozen=True, slots=True)
class Documents:
    """The annotated texts of a file.

    Attributes:
        path: path of the file.
        texts: the texts, in the order of the file, each once.
        sha256: of the file.
        notes: sentences on what was changed or left out.
    """

    path: Path
    texts: tuple[Document, ...]
    sha256: str
    notes: tuple[str, ...]


def excerpt(text: str) -> str:
    """Return the start of a text on one line."""
    flat = " ".join(text[: MAX_EXCERPT * 2].split())
    return flat if len(flat) <= MAX_EXCERPT else f"{flat[: MAX_EXCERPT - 1]}…"


def read_documents(path: Path, labels: Collection[str] | None = None) -> Documents:
    """Read annotated texts: JSON Lines, or an export of doccano, Label Studio or Prodigy, told by its content.

    The file may be compressed by gzip, bzip2, xz or zip, and have any encoding that tables have.

    Args:
        path: path of the file.
        labels: labels that a span may have; None for any.

    Raises:
        DatasetError: if the file cannot be read, or has texts or spans that are not valid: all of them are listed.
    """
    try:
        content = _content(path)
        records = list(_records(content))
        with path.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    except SourceError as error:
        raise DatasetError(path, [Problem(str(error))]) from error
    checker = _Checker(labels)
    for unit, number, record in records:
        checker.add(unit, number, record)
        if len(checker.problems) >= MAX_PROBLEMS:
            break
    if not checker.problems and not checker.documents:
        checker.problems.append(Problem(f"it has no annotated text: {FORMATS}"))
    if checker.problems:
        raise DatasetError(path, checker.problems[:MAX_PROBLEMS])
    return Documents(path, tuple(checker.documents.values()), sha256, checker.notes())


def _content(path: Path) -> str:
    """Return the text of a file.

    Raises:
        SourceError: if it cannot be read.
    """
    try:
        with opened(path, json=True) as file:
            if not file.read(1):
                raise SourceError(f"the file is empty: {FORMATS}")
            file.seek(0)
            encoding = scan(path.name, file).encoding
            file.seek(0)
            return file.read().decode(encoding)
    except FileNotFoundError as error:
        raise SourceError(address_advice(str(path)) or "there is no such file: check the path") from error
    except READ_ERRORS as error:
        raise SourceError(f"it can't be read: {getattr(error, 'strerror', None) or error}") from error


def _records(content: str) -> Iterator[tuple[str, int, Any]]:
    """Yield what is counted, the number and the value of each record.

    Raises:
        SourceError: if the content is not JSON.
    """
    start = content.lstrip()
    if start.startswith("["):
        values = _parsed(content, "the file")
        yield from (("record", number, value) for number, value in enumerate(values, start=1))
        return
    if not start.startswith("{"):
        raise SourceError(f"the file is not JSON: {FORMATS}")
    # Not `splitlines`: a string of JSON may contain other line separators.
    for number, line in enumerate(content.split("\n"), start=1):
        if line.strip():
            yield "line", number, _parsed(line, f"line {number}")


def _parsed(text: str, place: str) -> Any:
    try:
        return json.loads(text)
    except JSONDecodeError as error:
        at = f"line {error.lineno}" if place == "the file" else place
        raise SourceError(f"{at} is not valid JSON, {error.msg}: {FORMATS}") from error
    except (RecursionError, ValueError) as error:
        raise SourceError(f"{place} is not valid JSON, {error}: {FORMATS}") from error


class _Checker:
    """Documents and problems found so far."""

    def __init__(self, labels: Collection[str] | None) -> None:
        self.documents: dict[str, Document] = {}
        self.problems: list[Problem] = []
        self._labels = labels
        self._texts: Counter[str] = Counter()
        self._spans: Counter[str] = Counter()

    def add(self, unit: str, number: int, record: Any) -> None:
        """Check a record, and add its text or its problems."""
        place = f"{unit} {number}"
        try:
            raw = raw_text(record)
        except NotAnnotatedError as reason:
            self._texts[str(reason)] += 1
            return
        except RecordError as error:
            self.problems.append(Problem(str(error), place, _text_of(record)))
            return
        problems = [*_text_problems(raw.text)]
        spans = []
        for raw_span in raw.spans if not problems else ():
            try:
                spans.append(self._checked(raw.text, raw_span))
            except RecordError as error:
                problems.append(str(error))
        distinct = sorted(set(spans))
        self._spans[REPEATED_SPAN] += len(spans) - len(distinct)
        problems += [_overlap(*pair) for pair in pairwise(distinct) if pair[1].start < pair[0].end]
        earlier = self.documents.get(raw.text)
        if earlier is not None and earlier.spans != tuple(distinct):
            problems.append(f"{unit} {earlier.line} has the same text with other entities: keep one of them")
        if problems:
            self.problems += [Problem(problem, place, raw.text) for problem in problems]
        elif earlier is not None:
            self._texts[REPEATED_TEXT] += 1
        else:
            self.documents[raw.text] = Document(raw.text, tuple(distinct), number)
            self._texts[raw.note or ""] += 1

    def _checked(self, text: str, raw: RawSpan) -> Span:
        """Return a valid span.

        Raises:
            RecordError: if it is none.
        """
        start, end, label = raw.start, raw.end, raw.label
        if not (_is_integer(start) and _is_integer(end)):
            raise RecordError(f"an entity has the positions {start!r} and {end!r}: write integers")
        name = f"the entity {start} to {end}"
        if not isinstance(label, str) or not label.strip():
            raise RecordError(f"{name} has no label")
        label = label.strip()
        name += f", {label},"
        if self._labels is not None and label not in self._labels:
            close = get_close_matches(label, self._labels, 1)
            hint = f" (did you mean {close[0]}?)" if close else ""
            raise RecordError(f"{name} has an unknown label{hint}: correct it, or add it with `make datamodel FORCE=1`")
        start, end = self._in_characters(text, raw, name)
        if end <= start:
            raise RecordError(f"{name} is empty")
        if start < 0 or end > len(text):
            raise RecordError(f"{name} is outside the text, which has {len(text)} characters")
        piece = text[start:end]
        if not piece.strip():
            raise RecordError(f"{name} is white space alone")
        if piece != piece.strip():
            self._spans[TRIMMED] += 1
            start += len(piece) - len(piece.lstrip())
            end -= len(piece) - len(piece.rstrip())
        return Span(start, end, label)

    def _in_characters(self, text: str, raw: RawSpan, name: str) -> tuple[int, int]:
        """Return the positions in code points; browsers count units of UTF-16, which differ after an emoji.

        Raises:
            RecordError: if the record repeats another text than that at the positions.
        """
        start, end = raw.start, raw.end
        if not isinstance(raw.quoted, str) or _is_same(text[max(start, 0) : max(end, 0)], raw.quoted):
            return start, end
        units = text.encode("utf-16-le")
        piece = units[2 * max(start, 0) : 2 * max(end, 0)].decode("utf-16-le", "ignore")
        if not _is_same(piece, raw.quoted):
            raise RecordError(f'{name} is "{excerpt(text[start:end])}" in the text, not "{excerpt(raw.quoted)}"')
        self._spans[UTF_16] += 1
        start = len(units[: 2 * start].decode("utf-16-le", "ignore"))
        return start, start + len(piece)

    def notes(self) -> tuple[str, ...]:
        """Return what was changed or left out, in sentences."""
        counts = [(count, "text", note) for note, count in self._texts.items() if note]
        counts += [(count, "entity", note) for note, count in self._spans.items() if count]
        plurals = {"text": "texts", "entity": "entities"}
        return tuple(f"{count} {noun if count == 1 else plurals[noun]} {note}" for count, noun, note in counts)


def _is_integer(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_same(piece: str, quoted: str) -> bool:
    """Return whether two texts are equal but for white space, which tools write in different ways."""
    return piece == quoted or piece.split() == quoted.replace("\\n", "\n").split()


def _text_of(record: Any) -> str | None:
    text = record.get("text") if isinstance(record, dict) else None
    return text if isinstance(text, str) else None


def _text_problems(text: str) -> Iterator[str]:
    if not text.strip():
        yield "the text is empty: remove the record"
    elif any("\ud800" <= character <= "\udfff" for character in text):
        yield "the text has half of a character, such as \\ud83d without \\ude00: correct it"


def _overlap(first: Span, second: Span) -> str:
    return (
        f"the entity {second.start} to {second.end}, {second.label}, overlaps that of {first.start} to {first.end}, "
        f"{first.label}: keep one of them"
    )
