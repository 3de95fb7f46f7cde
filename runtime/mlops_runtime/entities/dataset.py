"""The dataset of a training: annotated texts with entities of the contract."""

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from mlops_runtime.contract import Entity
from mlops_runtime.entities.documents import DatasetError, Document, Problem, read_documents

__all__ = ["AnnotatedText", "Dataset", "DatasetError", "Problem", "read_dataset"]


@dataclass(frozen=True, slots=True)
class AnnotatedText:
    """A text with its entities.

    Attributes:
        text: the text.
        entities: its entities, in order and without overlaps.
        line: its line in the file, or its number in a JSON array.
    """

    text: str
    entities: tuple[Entity, ...]
    line: int


@dataclass(frozen=True, slots=True)
class Dataset:
    """The annotated texts of a file.

    Attributes:
        texts: the texts, in the order of the file, each once.
        sha256: of the file.
        notes: sentences on what was changed or left out.
    """

    texts: tuple[AnnotatedText, ...]
    sha256: str
    notes: tuple[str, ...]


def read_dataset(path: Path, labels: Collection[str] | None = None) -> Dataset:
    """Read annotated texts: JSON Lines, or an export of doccano, Label Studio or Prodigy, told by its content.

    Args:
        path: path of the file, which may be compressed.
        labels: labels that an entity may have, those of the contract; None for any.

    Raises:
        DatasetError: if the file cannot be read, or has texts or spans that are not valid: all of them are listed.
    """
    documents = read_documents(path, labels)
    return Dataset(tuple(map(_annotated, documents.texts)), documents.sha256, documents.notes)


def _annotated(document: Document) -> AnnotatedText:
    entities = tuple(
        Entity(text=document.text[span.start : span.end], label=span.label, start=span.start, end=span.end)
        for span in document.spans
    )
    return AnnotatedText(document.text, entities, document.line)
