"""The contract: the text of a record, and the entities of a prediction.

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
    """A message of a purchasing department."""

    text: Text = Field(description="The text to find entities in")


class Label(StrEnum):
    """What an entity may be."""

    ORG = "ORG"
    PERSON = "PERSON"
    PLACE = "PLACE"
    PRODUCT = "PRODUCT"


class LabelledEntity(Entity):
    """An entity, with one of the labels."""

    label: Label = Field(description="What the entity is")


class Prediction(EntityPrediction):
    """The entities of a text."""

    entities: tuple[LabelledEntity, ...] = Field(description="In the order of the text, without overlaps")


CONTRACT = Contract(Record, Prediction, TASK, TARGET)
