"""Outcomes of predictions of spans: how many spans of each label a text has, and how many of them were found."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np

from mlops_runtime.contract import Task
from mlops_runtime.training.outcomes import Floats, Outcomes, WeightedLoss, WeightedMetrics, ratio

COUNTS = 3
"""Numbers of each label in a text: true spans, predicted spans, and predicted spans that are true."""


@dataclass(frozen=True, slots=True)
class SpanOutcomes(Outcomes):
    """Numbers of spans in each text. A predicted span is correct if a true one has its bounds and its label.

    Attributes:
        labels: all labels of the contract.
        true: shape (rows, labels), number of true spans.
        predicted: shape (rows, labels), number of predicted spans.
        correct: shape (rows, labels), number of predicted spans that are true.
    """

    METRICS: ClassVar[Mapping[Task, tuple[str, ...]]] = {
        Task.ENTITIES: ("f1", "precision", "recall", "macro_f1", "exact_texts", "skill"),
    }
    MAIN_METRIC: ClassVar[Mapping[Task, str]] = {Task.ENTITIES: "f1"}
    LOSS: ClassVar[Mapping[Task, str]] = {Task.ENTITIES: "1 - F1"}
    CROSS_VALIDATED: ClassVar[bool] = False

    labels: tuple[str, ...]
    true: Floats
    predicted: Floats
    correct: Floats

    @property
    def rows(self) -> int:
        """Number of texts."""
        return len(self.true)

    @classmethod
    def from_rows(cls, labels: Sequence[str], truth: Floats, predicted: Floats) -> Self:  # noqa: ARG003 - in predicted
        """Return the outcomes from the numbers of spans.

        Args:
            labels: labels of the contract.
            truth: shape (rows,), number of true spans of all labels.
            predicted: shape (rows, 3 · labels): true spans by label, predicted spans, and correct ones.
        """
        return cls(tuple(labels), *np.split(predicted, COUNTS, axis=1))

    @classmethod
    def width(cls, labels: Sequence[str]) -> int:
        """Return the number of numbers of a text."""
        return COUNTS * len(labels)

    @classmethod
    def check(cls, labels: Sequence[str], truth: Sequence[float], predicted: Sequence[Sequence[float]]) -> None:
        """Check that the numbers of spans are possible.

        Raises:
            ValueError: if they are not.
        """
        if not truth:
            return
        outcomes = cls.from_rows(labels, np.array(truth), np.array(predicted))
        if (outcomes.correct > np.minimum(outcomes.true, outcomes.predicted)).any() or (outcomes.correct < 0).any():
            raise ValueError("a text has more correct spans than true or predicted ones")
        if (outcomes.true.sum(axis=1) != truth).any():
            raise ValueError("a truth is not the number of true spans")

    def numbers(self) -> tuple[Floats, Floats]:
        """Return what `from_rows` takes: truth, shape (rows,), and prediction, shape (rows, width)."""
        return self.true.sum(axis=1), np.hstack([self.true, self.predicted, self.correct])

    def task_metrics(self, task: Task, positive: str | None) -> WeightedMetrics:  # noqa: ARG002 - no label is positive
        """Return the function that computes the metrics.

        Precision, recall and F1 are over the spans of all labels. Macro F1 is the mean over the labels with spans.

        Raises:
            TypeError: if the outcomes do not match the task.
        """
        if task not in self.METRICS:
            raise TypeError(f"a {task} task cannot have {type(self).__name__}")
        of_labels = self.label_metrics()
        exact = ((self.correct == self.true) & (self.correct == self.predicted)).all(axis=1).astype(np.float64)

        def weighted(weights: Floats) -> dict[str, Floats]:
            true, predicted, correct = (
                (weights @ counts).sum(axis=1) for counts in (self.true, self.predicted, self.correct)
            )
            present = np.maximum(np.count_nonzero(weights @ self.true > 0, axis=1), 1)
            return {
                "f1": ratio(2 * correct, true + predicted),
                "precision": ratio(correct, predicted),
                "recall": ratio(correct, true),
                "macro_f1": of_labels(weights)["f1"].sum(axis=1) / present,
                "exact_texts": weights @ exact / weights.sum(axis=1),
            }

        return weighted

    def label_metrics(self) -> WeightedMetrics:
        """Return the function that computes precision, recall and F1 of each label, shape (sets, labels) each."""

        def weighted(weights: Floats) -> dict[str, Floats]:
            true, predicted, correct = (weights @ counts for counts in (self.true, self.predicted, self.correct))
            return {
                "precision": ratio(correct, predicted),
                "recall": ratio(correct, true),
                "f1": ratio(2 * correct, true + predicted),
            }

        return weighted

    def weighted_loss(self) -> WeightedLoss:
        """Return the function that computes 1 - F1 over the spans of all labels."""

        def weighted(weights: Floats) -> Floats:
            correct = (weights @ self.correct).sum(axis=1)
            loss: Floats = 1 - ratio(2 * correct, (weights @ (self.true + self.predicted)).sum(axis=1))
            return loss

        return weighted

    def uninformed_loss(self) -> float:
        """Return 1, the loss if no span is predicted."""
        return 1.0
