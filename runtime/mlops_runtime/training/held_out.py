"""Held-out predictions: truth and prediction of each held-out row, to compare the model with another one.

Two models are comparable on the rows that neither has seen in training. A row therefore has the same identity in
every run, whatever the seed and the other rows of the table.
"""

import hashlib
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, FiniteFloat, model_validator

from mlops_runtime.contract import Contract, Features, Kind, Task
from mlops_runtime.training.evaluation import METRICS, OUTCOMES
from mlops_runtime.training.outcomes import Outcomes

if TYPE_CHECKING:
    from mlops_runtime.training.table import Table

MAX_ROWS = 100_000
MAX_PROBABILITIES = 2_000_000
"""Maximum number of probabilities in a file: of many labels, fewer rows are kept."""

MAIN_METRIC = {task: kind.MAIN_METRIC[task] for task, kind in OUTCOMES.items()}
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
        truth: index of the label of each row, its value, or its number of spans.
        predicted: numbers of the prediction of each row, as the outcomes of the task take them: the probability of
            each label, the value alone, or numbers of spans by label.
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
        width = OUTCOMES[self.task].width(self.labels)
        if any(len(row) != width for row in self.predicted):
            raise ValueError(f"a prediction has another number of values than {width}")
        OUTCOMES[self.task].check(self.labels, self.truth, self.predicted)
        if self.metric not in METRICS[self.task]:
            raise ValueError(f"{self.metric} is no metric of the task {self.task}")
        return self

    def outcomes(self, places: NDArray[np.intp]) -> Outcomes:
        """Return truth and prediction of some of the rows."""
        truth, predicted = np.array(self.truth)[places], np.array(self.predicted)[places]
        return OUTCOMES[self.task].from_rows(self.labels, truth, predicted)


def held_out_predictions(contract: Contract, version: str, table: "Table", outputs: NDArray[np.float64]) -> HeldOut:
    """Return the predictions for the held-out rows of a table.

    Args:
        contract: contract of the project.
        version: version of the model.
        table: held-out rows.
        outputs: of shape (rows, labels) or (rows, 1), outputs of the model for these rows.
    """
    predicted = outputs
    if contract.labels:
        predicted = np.array([[float(f"{probability:.9g}") for probability in row] for row in outputs.tolist()])
    return held_out_of(
        contract, version, row_identities(contract, table.features, table.target), table.target, predicted
    )


def held_out_of(
    contract: Contract, version: str, identities: Sequence[str], truth: NDArray[Any], predicted: NDArray[np.float64]
) -> HeldOut:
    """Return the held-out predictions from the numbers of the outcomes, in the order of the identities.

    Of too many rows, those with the smallest identities are kept: every run keeps the same ones.

    Args:
        contract: contract of the project.
        version: version of the model.
        identities: identity of each row.
        truth: shape (rows,), as the outcomes of the task take it.
        predicted: shape (rows, width), as the outcomes of the task take it.
    """
    limit = min(MAX_ROWS, MAX_PROBABILITIES // predicted.shape[1])
    rows = np.array(identities)
    kept = np.argsort(rows, kind="stable")[:limit]
    return HeldOut(
        version=version,
        task=contract.task,
        target=contract.target,
        labels=contract.labels,
        metric=MAIN_METRIC[contract.task],
        rows=tuple(rows[kept].tolist()),
        truth=tuple(truth[kept].tolist()),
        predicted=tuple(map(tuple, predicted[kept].tolist())),
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
