"""Evaluation of entities: a predicted one is correct if a true one has its bounds and its label."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mlops_runtime.contract import Entity
from mlops_runtime.entities.dataset import AnnotatedText
from mlops_runtime.model.metadata import Estimate
from mlops_runtime.training.evaluation import estimates
from mlops_runtime.training.outcomes import Floats
from mlops_runtime.training.spans import SpanOutcomes

Entities = Sequence[Entity]

MISSED, SPURIOUS, WRONG_LABEL, WRONG_BOUNDS = "missed", "not annotated", "wrong label", "wrong bounds"


@dataclass(frozen=True, slots=True)
class LabelEvaluation:
    """Evaluation of the entities of a label.

    Attributes:
        label: the label.
        training: number of true entities in the training texts.
        held_out: number of true entities in the held-out texts.
        metrics: precision, recall and F1 with their confidence intervals.
        dictionary: F1 of the dictionary.
    """

    label: str
    training: int
    held_out: int
    metrics: Mapping[str, Estimate]
    dictionary: float


@dataclass(frozen=True, slots=True)
class Mistake:
    """An entity that a model does not find, or finds where none is annotated.

    Attributes:
        kind: what is wrong.
        text: text of the mistake.
        true: the annotated entity, or None.
        predicted: the predicted entity, or None.
    """

    kind: str
    text: str
    true: Entity | None
    predicted: Entity | None

    @property
    def span(self) -> tuple[int, int]:
        """Bounds of the entities in the text."""
        spans = [(each.start, each.end) for each in (self.true, self.predicted) if each is not None]
        return min(start for start, _ in spans), max(end for _, end in spans)


def span_outcomes(labels: Sequence[str], true: Sequence[Entities], predicted: Sequence[Entities]) -> SpanOutcomes:
    """Return the numbers of entities in each text.

    Args:
        labels: labels of the contract.
        true: annotated entities of each text.
        predicted: predicted entities of each text; those of other labels are ignored.
    """
    places = {str(label): place for place, label in enumerate(labels)}
    counts = np.zeros((3, len(true), len(labels)))
    for row, (expected, found) in enumerate(zip(true, predicted, strict=True)):
        keys, found_keys = {_key(entity) for entity in expected}, {_key(entity) for entity in found}
        for number, chosen in enumerate((keys, found_keys, keys & found_keys)):
            for label, _, _ in chosen:
                if label in places:
                    counts[number, row, places[label]] += 1
    return SpanOutcomes(tuple(places), *counts)


def label_evaluations(
    outcomes: SpanOutcomes, dictionary: SpanOutcomes, training: Sequence[AnnotatedText], seed: int
) -> tuple[LabelEvaluation, ...]:
    """Return the evaluation of each label.

    Args:
        outcomes: of the model.
        dictionary: of the dictionary, on the same texts.
        training: training texts.
        seed: seed of the bootstrap over texts.
    """
    of_labels = outcomes.label_metrics()

    def weighted(weights: Floats) -> dict[str, Floats]:
        return {
            f"{name} {place}": column
            for name, values in of_labels(weights).items()
            for place, column in enumerate(values.T)
        }

    measured = estimates(weighted, outcomes, seed)
    of_dictionary = dictionary.label_metrics()(np.ones((1, dictionary.rows)))["f1"][0]
    labels = [str(entity.label) for text in training for entity in text.entities]
    return tuple(
        LabelEvaluation(
            label,
            labels.count(label),
            int(outcomes.true[:, place].sum()),
            {name: measured[f"{name} {place}"] for name in ("precision", "recall", "f1")},
            float(of_dictionary[place]),
        )
        for place, label in enumerate(outcomes.labels)
    )


def mistakes(texts: Sequence[str], true: Sequence[Entities], predicted: Sequence[Entities]) -> tuple[Mistake, ...]:
    """Return what is wrong in the predictions, in the order of the texts.

    A predicted entity that overlaps a true one is one mistake with it: the wrong label, or wrong bounds.
    """
    found: list[Mistake] = []
    for text, expected, given in zip(texts, true, predicted, strict=True):
        right = {_key(entity) for entity in expected} & {_key(entity) for entity in given}
        left = [entity for entity in given if _key(entity) not in right]
        for entity in expected:
            if _key(entity) in right:
                continue
            other = next((each for each in left if each.start < entity.end and entity.start < each.end), None)
            if other is not None:
                left.remove(other)
            found.append(Mistake(_kind(entity, other), text, entity, other))
        found += [Mistake(SPURIOUS, text, None, entity) for entity in left]
    return tuple(found)


def _kind(true: Entity, predicted: Entity | None) -> str:
    if predicted is None:
        return MISSED
    return WRONG_LABEL if (true.start, true.end) == (predicted.start, predicted.end) else WRONG_BOUNDS


def _key(entity: Entity) -> tuple[str, int, int]:
    return str(entity.label), entity.start, entity.end
