"""Held-out predictions: truth and prediction of each held-out row, to compare the model with another one.

Two models are comparable on the rows that neither has seen in training. A row therefore has the same identity in
every run, whatever the seed and the other rows of the table.
"""

import hashlib
import json
from typing import Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, FiniteFloat, model_validator

from mlops_runtime.contract import Contract, Features, Kind, Task
from mlops_runtime.training.evaluation import METRICS, LabelOutcomes, Outcomes, ValueOutcomes
from mlops_runtime.training.table import Table

MAX_ROWS = 100_000
MAX_PROBABILITIES = 2_000_000
"""Maximum number of probabilities in a file: of many labels, fewer rows are kept."""

MAIN_METRIC = {Task.BINARY: "roc_auc", Task.MULTICLASS: "macro_f1", Task.REGRESSION: "rmse"}
"""Metric that a comparison shows beside the loss."""

IDENTITY_DIGITS = 16
"""Hexadecimal digits of a row identity. Among 200,000 rows, two are alike with a probability of 1e-9."""


class HeldOut(BaseModel):
    """Held-out predictions of one model.

    Attributes:
        version: version of the model.
        task: task of the model.
        target: column that it predicts.
        labels: labels that it knows, in order; empty for regression.
        metric: main metric of the task.
        rows: identity of each row, ascending.
        truth: index of the label of each row, or its value.
        predicted: probability of each label, or the value alone, for each row.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    version: str
    task: Task
    target: str
    labels: tuple[str, ...]
    metric: str
    rows: tuple[str, ...]
    truth: tuple[FiniteFloat, ...]
    predicted: tuple[tuple[FiniteFloat, ...], ...]

    @model_validator(mode="after")
    def _check(self) -> Self:
        if not len(self.rows) == len(self.truth) == len(self.predicted):
            raise ValueError("rows, truth and predicted differ in length")
        if any(len(row) != (len(self.labels) or 1) for row in self.predicted):
            raise ValueError("a prediction has another number of values than there are labels")
        if self.labels and not set(self.truth) <= set(range(len(self.labels))):
            raise ValueError("a truth is the index of no label")
        if self.metric not in METRICS[self.task]:
            raise ValueError(f"{self.metric} is no metric of the task {self.task}")
        return self

    def outcomes(self, places: NDArray[np.intp]) -> Outcomes:
        """Return truth and prediction of some of the rows."""
        truth, predicted = np.array(self.truth)[places], np.array(self.predicted)[places]
        if self.labels:
            return LabelOutcomes(self.labels, truth.astype(np.intp), predicted)
        return ValueOutcomes(truth, predicted[:, 0], predicted[:, 0], predicted[:, 0])


def held_out_predictions(contract: Contract, version: str, table: Table, outputs: NDArray[np.float64]) -> HeldOut:
    """Return the predictions for the held-out rows.

    Of too many rows, those with the smallest identities are kept: every run keeps the same ones.

    Args:
        contract: contract of the project.
        version: version of the model.
        table: held-out rows.
        outputs: of shape (rows, labels) or (rows, 1), outputs of the model for these rows.
    """
    identities = np.array(row_identities(contract, table.features, table.target))
    limit = min(MAX_ROWS, MAX_PROBABILITIES // outputs.shape[1])
    kept = np.argsort(identities, kind="stable")[:limit]
    predicted = outputs[kept].tolist()
    if contract.labels:
        predicted = [[float(f"{probability:.9g}") for probability in row] for row in predicted]
    return HeldOut(
        version=version,
        task=contract.task,
        target=contract.target,
        labels=contract.labels,
        metric=MAIN_METRIC[contract.task],
        rows=tuple(identities[kept].tolist()),
        truth=tuple(table.target[kept].tolist()),
        predicted=tuple(map(tuple, predicted)),
    )


def row_identities(contract: Contract, features: Features, target: NDArray[np.generic]) -> list[str]:
    """Return the identity of each row: the start of the SHA-256 of its features and target.

    Choices and labels are hashed as text, because their indices change when another one is added.
    """
    names = [number.field.choices if number.field.kind is Kind.CHOICE else () for number in features.layout.numbers]
    choices = [column for column, choice in enumerate(names) if choice]
    # Adding 0 makes -0 equal to 0. Missing values have the same bytes, whatever made them.
    numbers = np.where(np.isnan(features.numbers), np.nan, features.numbers + 0.0).astype("<f8")
    plain = np.delete(numbers, choices, axis=1)
    identities = []
    for row in range(len(features)):
        # The index of a missing choice is -1.
        chosen = [[*names[column], ""][int(numbers[row, column])] for column in choices]
        truth = contract.labels[target[row]] if contract.labels else float(target[row])
        words = json.dumps([chosen, features.categories[row].tolist(), features.texts[row].tolist(), truth])
        identities.append(hashlib.sha256(plain[row].tobytes() + words.encode()).hexdigest()[:IDENTITY_DIGITS])
    return identities
