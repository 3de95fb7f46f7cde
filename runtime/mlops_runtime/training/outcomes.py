"""Outcomes: truth and prediction of held-out rows, and what a kind of prediction is measured by."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from mlops_runtime.contract import Task

Floats = NDArray[np.float64]
WeightedMetrics = Callable[[Floats], dict[str, Floats]]
"""Takes sample weights, shape (sets, rows), and returns each metric, shape (sets,)."""
WeightedLoss = Callable[[Floats], Floats]
"""Takes sample weights, shape (sets, rows), and returns the loss, shape (sets,)."""


class Outcomes(ABC):
    """Truth and prediction of each held-out row.

    A further kind of prediction derives from this class, and is listed in `mlops_runtime.training.evaluation.KINDS`.

    Attributes:
        METRICS: names of the metrics of each task, in the order of the report; each kind has `skill`.
        MAIN_METRIC: metric of each task that a comparison of models shows beside the loss.
        LOSS: name of the loss.
        CROSS_VALIDATED: whether training compares models in cross-validation, whose skill may have a floor.
    """

    __slots__ = ()

    METRICS: ClassVar[Mapping[Task, tuple[str, ...]]]
    MAIN_METRIC: ClassVar[Mapping[Task, str]]
    LOSS: ClassVar[Mapping[Task, str]]
    CROSS_VALIDATED: ClassVar[bool] = True

    @property
    @abstractmethod
    def rows(self) -> int:
        """Number of rows."""

    @classmethod
    @abstractmethod
    def from_rows(cls, labels: Sequence[str], truth: Floats, predicted: Floats) -> Self:
        """Return the outcomes from numbers.

        Args:
            labels: labels of the contract; empty for values.
            truth: shape (rows,).
            predicted: shape (rows, width).
        """

    @classmethod
    @abstractmethod
    def width(cls, labels: Sequence[str]) -> int:
        """Return the number of numbers that the prediction of a row has."""

    @classmethod  # noqa: B027 - any numbers are valid, unless a kind knows better
    def check(cls, labels: Sequence[str], truth: Sequence[float], predicted: Sequence[Sequence[float]]) -> None:
        """Check the numbers of rows; by default all are valid.

        Raises:
            ValueError: if they are no truth and prediction.
        """

    @abstractmethod
    def task_metrics(self, task: Task, positive: str | None) -> WeightedMetrics:
        """Return the function that computes all metrics of a task except skill, which needs a baseline.

        Raises:
            TypeError: if the outcomes do not match the task.
            ValueError: if the task is binary and `positive` is not a label.
        """

    @abstractmethod
    def weighted_loss(self) -> WeightedLoss:
        """Return the function that computes the loss."""

    @abstractmethod
    def uninformed_loss(self) -> float:
        """Return the loss of a prediction without features."""

    def strata(self) -> list[NDArray[np.intp]]:
        """Return the indices of the rows of each stratum of the bootstrap; by default all rows are in one."""
        return [np.arange(self.rows)]

    def rankings(self) -> int:
        """Return the number of rankings that the metrics need, which take most of the time of a resample."""
        return 1

    def reference_label(self, task: Task) -> str | None:  # noqa: ARG002 - most kinds have none
        """Return a label that can be the positive one, for metrics that do not depend on it; otherwise None."""
        return None


def mean_loss(row_losses: Floats) -> WeightedLoss:
    """Return the function that computes the mean of the losses of rows, shape (rows,)."""

    def weighted(weights: Floats) -> Floats:
        loss: Floats = weights @ row_losses / weights.sum(axis=1)
        return loss

    return weighted


def ratio(numerator: Floats, denominator: Floats) -> Floats:
    """Return numerator / denominator, and 0 where both are 0."""
    return numerator / np.where(denominator > 0, denominator, 1)
