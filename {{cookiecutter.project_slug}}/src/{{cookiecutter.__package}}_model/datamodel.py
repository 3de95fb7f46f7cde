"""The contract: the fields of a record and of a prediction.

Training, validation, OpenAPI, the form, drift detection and test data derive from this module.
`make datamodel` compares it with the table.
"""

from enum import StrEnum

from mlops_runtime.contract import Contract, Integer, LabelPrediction, RecordModel, Task
from pydantic import Field

TASK = Task.BINARY

TARGET = "Class"
"""Column of the training table with the label."""

LEFT_OUT = ("Sample_code_number",)
"""Columns that are no fields: a request may have them, and they are ignored."""


class Record(RecordModel):
    """Nine measurements of one fine needle aspirate of a breast mass."""

    clump_thickness: Integer = Field(
        alias="Clump_thickness",
        ge=1,
        le=10,
        description="Benign cells tend to lie in one layer, malignant ones in several",
    )
    uniformity_of_cell_size: Integer = Field(
        alias="Uniformity_of_cell_size",
        ge=1,
        le=10,
        description="How much the cells differ in size",
    )
    uniformity_of_cell_shape: Integer = Field(
        alias="Uniformity_of_cell_shape",
        ge=1,
        le=10,
        description="How much the cells differ in shape",
    )
    marginal_adhesion: Integer = Field(
        alias="Marginal_adhesion",
        ge=1,
        le=10,
        description="How far the cells have lost their hold on one another",
    )
    single_epithelial_cell_size: Integer = Field(
        alias="Single_epithelial_cell_size",
        ge=1,
        le=10,
        description="How enlarged the single epithelial cells are",
    )
    bare_nuclei: Integer | None = Field(
        default=None,
        alias="Bare_nuclei",
        ge=1,
        le=10,
        description="How many nuclei lack their cytoplasm; may be missing",
    )
    bland_chromatin: Integer = Field(
        alias="Bland_chromatin",
        ge=1,
        le=10,
        description="How coarse the texture of the nucleus is",
    )
    normal_nucleoli: Integer = Field(
        alias="Normal_nucleoli",
        ge=1,
        le=10,
        description="How prominent the nucleoli are",
    )
    mitoses: Integer = Field(
        alias="Mitoses",
        ge=1,
        le=10,
        description="How many cells are dividing",
    )


class Label(StrEnum):
    """Values of the target: what the tissue is."""

    BENIGN = "benign"
    MALIGNANT = "malignant"


class Prediction(LabelPrediction):
    """The predicted label and its probability."""

    label: Label = Field(description="The more probable label")


CONTRACT = Contract(Record, Prediction, TASK, TARGET, left_out=LEFT_OUT)
