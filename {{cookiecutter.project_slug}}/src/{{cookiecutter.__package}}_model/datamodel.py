"""The contract: which fields a record has, and what a prediction says.

This module is the only place that knows the columns. The trainer's checks, the service's
validation, its OpenAPI document and form, the baseline statistics and the test data all
follow from it.
"""

from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

TARGET = "Class"
"""Column of the training table that holds the label."""

Score = Annotated[float, Field(ge=1, le=10, multiple_of=1)]
"""A whole number from 1 (closest to normal) to 10 (most anaplastic)."""


class Record(BaseModel):
    """Nine measurements of one fine needle aspirate of a breast mass."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False, serialize_by_alias=True)

    clump_thickness: Score = Field(
        alias="Clump_thickness",
        description="Benign cells tend to lie in one layer, malignant ones in several",
    )
    uniformity_of_cell_size: Score = Field(
        alias="Uniformity_of_cell_size",
        description="How much the cells differ in size",
    )
    uniformity_of_cell_shape: Score = Field(
        alias="Uniformity_of_cell_shape",
        description="How much the cells differ in shape",
    )
    marginal_adhesion: Score = Field(
        alias="Marginal_adhesion",
        description="How far the cells have lost their hold on one another",
    )
    single_epithelial_cell_size: Score = Field(
        alias="Single_epithelial_cell_size",
        description="How enlarged the single epithelial cells are",
    )
    bare_nuclei: Score | None = Field(
        default=None,
        alias="Bare_nuclei",
        description="How many nuclei lack their cytoplasm; may be missing",
    )
    bland_chromatin: Score = Field(
        alias="Bland_chromatin",
        description="How coarse the texture of the nucleus is",
    )
    normal_nucleoli: Score = Field(
        alias="Normal_nucleoli",
        description="How prominent the nucleoli are",
    )
    mitoses: Score = Field(
        alias="Mitoses",
        description="How many cells are dividing",
    )


class Label(StrEnum):
    """What the tissue is: the values of the target column."""

    BENIGN = "benign"
    MALIGNANT = "malignant"


class Prediction(BaseModel):
    """The label the model gives a record, and how sure it is of that label."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    label: Label = Field(description="The more probable class")
    probability: float = Field(ge=0, le=1, description="The model's probability of this label")


FEATURES: tuple[str, ...] = tuple(field.alias or name for name, field in Record.model_fields.items())
"""Column names of the features, in the order in which the model takes them."""


def feature_matrix(records: Sequence[Record]) -> NDArray[np.float64]:
    """Return the records as a matrix of shape (len(records), len(FEATURES)), NaN where a value is missing."""
    rows = [list(vars(record).values()) for record in records]
    return np.array(rows, dtype=np.float64).reshape(len(rows), len(FEATURES))
