"""The profile of a dataset: its labels, its sizes, and warnings.

Works with the standard library alone, because a template reads the dataset before a project exists.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from mlops_runtime.entities.documents import DatasetError, Document, Documents, Problem, read_documents

MIN_TEXTS = 20
"""Minimum number of texts: with fewer, the held-out texts are too few to measure anything."""

MIN_ENTITIES = 20
"""Number of entities of a label below which there is a warning."""

MAX_LABELS = 100
MAX_LABEL_LENGTH = 60
"""Maximum number of labels, and of characters of one: more are free text, not labels."""

MAX_TEXT_LENGTH = 20_000
"""Maximum number of characters of a text in the contract."""

MAX_EXAMPLES = 3


@dataclass(frozen=True, slots=True)
class LabelProfile:
    """A label in a dataset.

    Attributes:
        label: the label.
        entities: number of entities.
        texts: number of texts with such an entity.
        examples: most common entities.
    """

    label: str
    entities: int
    texts: int
    examples: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Profile:
    """Profile of a dataset.

    Attributes:
        documents: the annotated texts.
        labels: labels in alphabetical order.
        entities: number of entities.
        without_entities: number of texts without an entity.
        words: median and maximum of the number of words of a text.
        warnings: sentences about problems that a person should check.
    """

    documents: Documents
    labels: tuple[LabelProfile, ...]
    entities: int
    without_entities: int
    words: tuple[int, int]
    warnings: tuple[str, ...]


def profile(path: Path) -> Profile:
    """Profile a dataset.

    Args:
        path: path of the file.

    Raises:
        DatasetError: if the file cannot be read, or is not suitable for training.
    """
    documents = read_documents(path)
    labels = _labels(documents.texts)
    if problems := [*_problems(documents.texts, labels)]:
        raise DatasetError(path, problems)
    words = [len(document.text.split()) for document in documents.texts]
    return Profile(
        documents,
        labels,
        entities=sum(label.entities for label in labels),
        without_entities=sum(not document.spans for document in documents.texts),
        words=(round(median(words)), max(words)),
        warnings=tuple(_warnings(labels)),
    )


def summary(found: Profile) -> str:
    """Return a profile in a few lines."""
    labels = ", ".join(f"{label.label} {label.entities}" for label in found.labels)
    lines = [f"{len(found.documents.texts)} texts with {found.entities} entities: {labels}"]
    return "\n".join([*lines, *found.documents.notes, *found.warnings])


def _labels(texts: Sequence[Document]) -> tuple[LabelProfile, ...]:
    examples: defaultdict[str, Counter[str]] = defaultdict(Counter)
    in_texts: Counter[str] = Counter()
    for document in texts:
        in_texts.update({span.label for span in document.spans})
        for span in document.spans:
            examples[span.label][" ".join(document.text[span.start : span.end].split())] += 1
    return tuple(
        LabelProfile(
            label,
            entities=counts.total(),
            texts=in_texts[label],
            examples=tuple(example for example, _ in counts.most_common(MAX_EXAMPLES)),
        )
        for label, counts in sorted(examples.items())
    )


def _problems(texts: Sequence[Document], labels: Sequence[LabelProfile]) -> Iterator[Problem]:
    if len(texts) < MIN_TEXTS:
        yield Problem(
            f"there are too few texts, {len(texts)}: training needs at least {MIN_TEXTS}, and some hundreds to be good"
        )
    if not labels:
        yield Problem("no text has an entity: annotate some, or name the file that has the annotations")
    if len(labels) > MAX_LABELS:
        yield Problem(f"it has {len(labels)} labels, at most {MAX_LABELS} are possible: is the label the text itself?")
    for label in labels:
        if len(label.label) > MAX_LABEL_LENGTH or not label.label.isprintable():
            yield Problem(f"{label.label!r} is no label: use at most {MAX_LABEL_LENGTH} printable characters")
    for document in texts:
        if len(document.text) > MAX_TEXT_LENGTH:
            size = f"{len(document.text):,} characters, at most {MAX_TEXT_LENGTH:,} are possible"
            yield Problem(f"it has {size}: split it into paragraphs", f"text {document.line}", document.text)


def _warnings(labels: Sequence[LabelProfile]) -> Iterator[str]:
    for label in labels:
        if label.entities < MIN_ENTITIES:
            noun = "entity" if label.entities == 1 else "entities"
            yield f"{label.label} has {label.entities} {noun}: too few to learn or to measure it"
    spellings: defaultdict[str, list[str]] = defaultdict(list)
    for label in labels:
        spellings[label.label.casefold()].append(label.label)
    for same in spellings.values():
        if len(same) > 1:
            yield f"{' and '.join(same)} differ by case alone: are they one label?"
