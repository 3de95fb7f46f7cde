import numpy as np
import pytest

from mlops_runtime.contract import Entity
from mlops_runtime.entities.dataset import AnnotatedText
from mlops_runtime.entities.evaluation import (
    MISSED,
    SPURIOUS,
    WRONG_BOUNDS,
    WRONG_LABEL,
    label_evaluations,
    mistakes,
    span_outcomes,
)

TEXT = "Ada Okoye left Arkon for Dynex Labs in Bern"


def entity(name: str, label: str) -> Entity:
    start = TEXT.index(name)
    return Entity(text=name, label=label, start=start, end=start + len(name))


TRUE = (entity("Ada Okoye", "PERSON"), entity("Arkon", "ORG"), entity("Dynex Labs", "ORG"))
PREDICTED = (entity("Ada Okoye", "PERSON"), entity("Arkon", "PERSON"), entity("Dynex", "ORG"), entity("Bern", "ORG"))


def test_an_entity_is_correct_if_bounds_and_label_are() -> None:
    outcomes = span_outcomes(("ORG", "PERSON"), [TRUE, ()], [PREDICTED, ()])

    np.testing.assert_array_equal(outcomes.true, [[2, 1], [0, 0]])
    np.testing.assert_array_equal(outcomes.predicted, [[2, 2], [0, 0]])
    np.testing.assert_array_equal(outcomes.correct, [[0, 1], [0, 0]])


def test_entities_of_labels_outside_the_contract_do_not_count() -> None:
    outcomes = span_outcomes(("ORG",), [()], [PREDICTED])

    np.testing.assert_array_equal(outcomes.predicted, [[2]])


def test_each_label_is_evaluated_with_intervals() -> None:
    # given
    true, predicted = [TRUE] * 20, [PREDICTED] * 10 + [TRUE] * 10
    outcomes = span_outcomes(("ORG", "PERSON"), true, predicted)
    nothing = span_outcomes(("ORG", "PERSON"), true, [()] * 20)
    # when
    org, person = label_evaluations(outcomes, nothing, [AnnotatedText(TEXT, TRUE, 1)] * 3, seed=0)
    # then
    assert (org.label, org.training, org.held_out, org.dictionary) == ("ORG", 6, 40, 0)
    assert org.metrics["recall"].value == org.metrics["precision"].value == 0.5
    assert org.metrics["recall"].low < 0.5 < org.metrics["recall"].high
    assert person.metrics["recall"].value == person.metrics["recall"].low == 1
    assert person.metrics["precision"].value == pytest.approx(2 / 3)


def test_mistakes_are_told_by_kind() -> None:
    found = mistakes([TEXT, TEXT], [TRUE, TRUE], [PREDICTED, TRUE[1:]])

    assert [(mistake.kind, mistake.true, mistake.predicted) for mistake in found] == [
        (WRONG_LABEL, TRUE[1], PREDICTED[1]),
        (WRONG_BOUNDS, TRUE[2], PREDICTED[2]),
        (SPURIOUS, None, PREDICTED[3]),
        (MISSED, TRUE[0], None),
    ]
    assert [TEXT[slice(*mistake.span)] for mistake in found] == ["Arkon", "Dynex Labs", "Bern", "Ada Okoye"]
