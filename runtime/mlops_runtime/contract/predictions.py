"""Base classes of predictions: what a service, golden records and drift need to know of a kind of prediction."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, Field

from mlops_runtime.contract.fields import FieldSpec, Task


class PredictionModel(BaseModel):
    """Base class of predictions: a project derives from one of the kinds below.

    A kind has an attribute `warnings`, which it declares last, because JSON has the attributes in their order.

    Attributes:
        TASKS: tasks with this kind of prediction.
        TEXT_COLUMNS: those of `columns` with texts; the others have numbers.
        CELLS: what the columns of a table of predictions have, for callers, unless their names say it.
        OUTCOME: name of the attribute whose distribution drift and metrics describe.
        TEMPLATE: page template that shows a prediction.
        TRAINING_BYTES: bytes of a row that training keeps, in addition to its numbers and words.
        VERBATIM: whether a prediction depends on each character of the texts of its record. The service then uses
            them as they are sent: nothing is stripped, cut or taken for a missing value.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    TASKS: ClassVar[frozenset[Task]]
    TEXT_COLUMNS: ClassVar[frozenset[str]] = frozenset()
    CELLS: ClassVar[str] = ""
    OUTCOME: ClassVar[str]
    TEMPLATE: ClassVar[str] = "result.html"
    TRAINING_BYTES: ClassVar[int] = 0
    VERBATIM: ClassVar[bool] = False

    if TYPE_CHECKING:
        warnings: tuple[str, ...]

    @classmethod
    def labels(cls) -> tuple[str, ...]:
        """Return the labels that a prediction may have, in order; none for values."""
        raise NotImplementedError

    @classmethod
    def check_fields(cls, fields: Sequence[FieldSpec]) -> None:
        """Check that records with these fields can have such a prediction; by default all can.

        Raises:
            TypeError: if they cannot.
        """

    @classmethod
    def label_counts(cls, outcomes: Iterable[Any]) -> Counter[str]:
        """Return how often each label is among values of the attribute `OUTCOME`."""
        return Counter(outcomes)

    @classmethod
    def counted(cls) -> tuple[str, ...]:
        """Return the names that `label_counts` may count, in order: the labels, unless a kind counts others as well."""
        return cls.labels()

    @classmethod
    def columns(cls, labels: Sequence[str]) -> list[str]:
        """Return the columns of a table of predictions, without that of the warnings.

        Args:
            labels: of the contract.
        """
        raise NotImplementedError

    def cells(self, labels: Sequence[str]) -> list[Any]:
        """Return the cells of this prediction in the order of `columns`, None for an empty cell."""
        raise NotImplementedError

    def headline(self) -> str:
        """Return this prediction in a few words, for the page."""
        raise NotImplementedError

    def clarity(self) -> float:
        """Return how good an example this prediction is: of several, the one with the greatest value is shown."""
        return 0.0

    def agrees_with(self, golden: Self, tolerance: float) -> bool:
        """Return whether this prediction equals the golden one of the same kind within a tolerance."""
        raise NotImplementedError


class LabelPrediction(PredictionModel):
    """Base class of predictions of a label."""

    TASKS = frozenset((Task.BINARY, Task.MULTICLASS))
    TEXT_COLUMNS = frozenset(("label",))
    OUTCOME = "label"

    label: str = Field(description="The most probable label")
    probability: float = Field(ge=0, le=1, description="The model's probability of this label")
    probabilities: dict[str, float] = Field(description="The model's probability of each label")
    warnings: tuple[str, ...] = Field(default=(), description="Values unlike those in the training data")

    @classmethod
    def labels(cls) -> tuple[str, ...]:
        """Return the labels in order."""
        annotation: Any = cls.model_fields["label"].annotation
        return tuple(annotation)

    @classmethod
    def columns(cls, labels: Sequence[str]) -> list[str]:
        """Return the columns: the label, its probability, and the probability of each label."""
        return ["label", "probability", *(f"probability_{label}" for label in labels)]

    def cells(self, labels: Sequence[str]) -> list[Any]:
        """Return the cells in the order of `columns`."""
        return [str(self.label), self.probability, *(self.probabilities[label] for label in labels)]

    def clarity(self) -> float:
        """Return the probability of the label."""
        return self.probability

    def agrees_with(self, golden: Self, tolerance: float) -> bool:
        """Return whether the labels are equal, and the probabilities within the absolute tolerance."""
        return self.label == golden.label and all(
            label in golden.probabilities and abs(probability - golden.probabilities[label]) <= tolerance
            for label, probability in self.probabilities.items()
        )


class ValuePrediction(PredictionModel):
    """Base class of predictions of a number, with its prediction interval."""

    TASKS = frozenset((Task.REGRESSION,))
    OUTCOME = "value"

    value: float = Field(description="The value that the model expects")
    low: float = Field(description="Lower end of the prediction interval")
    high: float = Field(description="Upper end of the prediction interval")
    warnings: tuple[str, ...] = Field(default=(), description="Values unlike those in the training data")

    @classmethod
    def labels(cls) -> tuple[str, ...]:
        """Return no labels."""
        return ()

    @classmethod
    def columns(cls, labels: Sequence[str]) -> list[str]:  # noqa: ARG003 - values have no labels
        """Return the columns: the value and its interval."""
        return ["value", "low", "high"]

    def cells(self, labels: Sequence[str]) -> list[Any]:  # noqa: ARG002 - values have no labels
        """Return the cells in the order of `columns`."""
        return [self.value, self.low, self.high]

    def agrees_with(self, golden: Self, tolerance: float) -> bool:
        """Return whether value and interval are within the tolerance, relative to the larger of value and width."""
        limit = tolerance * max(abs(golden.value), golden.high - golden.low)
        pairs = ((self.value, golden.value), (self.low, golden.low), (self.high, golden.high))
        return all(abs(actual - expected) <= limit for actual, expected in pairs)
