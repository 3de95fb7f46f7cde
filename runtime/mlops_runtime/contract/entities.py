"""Predictions of entities: the spans of a text that name something, with their labels."""

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from enum import Enum
from typing import Any, Self, get_args

from pydantic import BaseModel, ConfigDict, Field, model_validator

from mlops_runtime.contract.fields import FieldSpec, Kind, RecordModel, Task
from mlops_runtime.contract.predictions import PredictionModel

NO_ENTITY = "(none)"
"""Stands for the label of a text without an entity, in counts of labels."""


class Entity(BaseModel):
    """A span of a text, and its label.

    Positions count code points, as Python does: those of UTF-16, as in JavaScript, differ after an emoji.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    text: str = Field(min_length=1, description="The characters of the span")
    label: str = Field(description="What the span is")
    start: int = Field(ge=0, description="Position of the first character, in code points")
    end: int = Field(description="Position after the last character, in code points")
    score: float | None = Field(default=None, ge=0, le=1, description="The model's confidence, if it has one")

    @model_validator(mode="after")
    def _span_has_the_length_of_its_text(self) -> Self:
        if self.end - self.start != len(self.text):
            raise ValueError(f"{self.start} to {self.end} is not the length of {self.text!r}, {len(self.text)}")
        return self


class EntityPrediction(PredictionModel):
    """Base class of predictions of entities: a project derives it, and types `entities` with its own labels."""

    TASKS = frozenset((Task.ENTITIES,))
    TEXT_COLUMNS = frozenset(("entities",))
    CELLS = "`entities` has the list of entities as JSON, and `count_LABEL` the number of those with a label."
    OUTCOME = "entities"
    TEMPLATE = "entities.html"
    # Measured with spaCy on texts of ten words: 15 KB for a text and its annotated copy.
    TRAINING_BYTES = 16_000
    # A position in a text that was stripped or normalised would be wrong in the text of the caller.
    VERBATIM = True

    entities: tuple[Entity, ...] = Field(description="The entities in the order of the text, without overlaps")
    warnings: tuple[str, ...] = Field(default=(), description="What is unlike the training data")

    @classmethod
    def labels(cls) -> tuple[str, ...]:
        """Return the labels in order.

        Raises:
            TypeError: if the labels of the entities are not an enumeration.
        """
        (entity, *_) = get_args(cls.model_fields["entities"].annotation)
        label: Any = entity.model_fields["label"].annotation
        if not (isinstance(label, type) and issubclass(label, Enum)):
            raise TypeError(f"{cls.__name__}: type `entities` with an Entity whose label is an enumeration")
        return tuple(label)

    @classmethod
    def check_fields(cls, fields: Sequence[FieldSpec]) -> None:
        """Check that a record has one field, a text.

        Raises:
            TypeError: if it has others.
        """
        if [field.kind for field in fields] != [Kind.TEXT] or fields[0].optional:
            raise TypeError("entities are found in one text: give the record one required field, of the type Text")

    @classmethod
    def label_counts(cls, outcomes: Iterable[Any]) -> Counter[str]:
        """Return how many entities of each label are in several texts, and how many of the texts have no entity."""
        counts: Counter[str] = Counter()
        for entities in outcomes:
            counts.update([entity.label for entity in entities] or [NO_ENTITY])
        return counts

    @classmethod
    def counted(cls) -> tuple[str, ...]:
        """Return the labels, and the name of texts without an entity: a model that finds less has more of these."""
        return (*cls.labels(), NO_ENTITY)

    @classmethod
    def columns(cls, labels: Sequence[str]) -> list[str]:
        """Return the columns: the entities as JSON, and the number of entities of each label."""
        return ["entities", *(f"count_{label}" for label in labels)]

    def cells(self, labels: Sequence[str]) -> list[Any]:
        """Return the cells in the order of `columns`."""
        entities = [entity.model_dump(mode="json", exclude_none=True) for entity in self.entities]
        counts = self.label_counts([self.entities])
        return [json.dumps(entities, ensure_ascii=False), *(counts[label] for label in labels)]

    def headline(self) -> str:
        """Return the number of entities, and of those of each label."""
        if not self.entities:
            return "No entities"
        counts = ", ".join(f"{count} {label}" for label, count in self.label_counts([self.entities]).most_common())
        return f"{len(self.entities)} {'entity' if len(self.entities) == 1 else 'entities'}: {counts}"

    def clarity(self) -> float:
        """Return the number of different labels: a text with many shows best what the model finds."""
        return float(len({entity.label for entity in self.entities}))

    def parts(self, record: RecordModel) -> list[tuple[str, Entity | None]]:
        """Return the text of the record in parts, in order: each with its entity, or None between entities."""
        (text,) = vars(record).values()
        parts: list[tuple[str, Entity | None]] = []
        end = 0
        for entity in self.entities:
            parts += [(text[end : entity.start], None), (text[entity.start : entity.end], entity)]
            end = entity.end
        return [(part, entity) for part, entity in [*parts, (text[end:], None)] if part]

    def agrees_with(self, golden: Self, tolerance: float) -> bool:
        """Return whether spans and labels are equal, and the scores within the absolute tolerance."""
        return len(self.entities) == len(golden.entities) and all(
            _agree(entity, expected, tolerance) for entity, expected in zip(self.entities, golden.entities, strict=True)
        )


def _agree(entity: Entity, golden: Entity, tolerance: float) -> bool:
    if (entity.text, entity.label, entity.start) != (golden.text, golden.label, golden.start):
        return False
    if entity.score is None or golden.score is None:
        return entity.score is golden.score
    return abs(entity.score - golden.score) <= tolerance
