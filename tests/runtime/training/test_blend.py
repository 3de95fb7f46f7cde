import numpy as np
import pytest
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    VotingClassifier,
    VotingRegressor,
)
from sklearn.linear_model import LogisticRegression, Ridge

from mlops_runtime.contract.fields import Task
from mlops_runtime.model.encoding import Column, ColumnKind, Encoding
from mlops_runtime.testing import synthetic as orders
from mlops_runtime.testing.synthetic import LABELS, LAYOUT, targets
from mlops_runtime.training.candidates import Candidate, LearningProblem
from mlops_runtime.training.export import onnx_model
from mlops_runtime.training.fitted_model import outputs_of
from mlops_runtime.training.search import loss_of, select_estimator
from tests.runtime.training.conftest import Exported

ROWS = 400
NUMBERS = LearningProblem((Column(ColumnKind.NUMBER),) * 3, 0)
RIDGE = Candidate("ridge regression", Ridge(), {"alpha": 1.0})
LEAVES = {"max_iter": 60, "max_leaf_nodes": 8}
BOOSTER = Candidate("gradient boosting", HistGradientBoostingRegressor(early_stopping=False), LEAVES)
CLASSIFIERS = (
    Candidate("logistic regression", LogisticRegression(max_iter=1000), {"C": 1.0}),
    Candidate("gradient boosting", HistGradientBoostingClassifier(early_stopping=False), LEAVES),
)


def test_candidates_with_different_errors_are_blended() -> None:
    # given: a target with a linear part, which ridge fits, and a step, which trees fit
    generator = np.random.default_rng(0)
    matrix = generator.normal(size=(ROWS, 3))
    target = 2 * matrix[:, 0] + 2 * np.sign(matrix[:, 1]) + generator.normal(size=ROWS)
    # when
    selection = select_estimator(matrix, target, NUMBERS, 0, 1000, [RIDGE, BOOSTER])
    # then: the blend has the best score, which is the loss of its predictions
    assert isinstance(selection.estimator, VotingRegressor)
    assert sum(selection.estimator.weights) == 1
    assert selection.name.startswith(("75% ", "50% "))
    assert {RIDGE.name, BOOSTER.name} == {score.name for score in selection.scores[1:]}
    assert selection.scores[0].mean < 0.985 * selection.scores[1].mean
    assert loss_of(selection.predicted, target) == pytest.approx(selection.scores[0].mean, rel=0.02)


def test_a_blend_that_improves_little_is_not_chosen() -> None:
    # given: a linear target
    generator = np.random.default_rng(0)
    matrix = generator.normal(size=(ROWS, 3))
    target = 2 * matrix[:, 0] + generator.normal(size=ROWS) / 100
    # when
    selection = select_estimator(matrix, target, NUMBERS, 0, 1000, [BOOSTER, RIDGE])
    # then
    assert selection.name == RIDGE.name
    assert len(selection.scores) == 2


@pytest.mark.parametrize("task", orders.TASKS)
def test_a_blend_averages_its_parts_before_and_after_export(task: Task) -> None:
    # given: a blend of two fitted estimators
    features = LAYOUT.encode(orders.some_orders(ROWS))
    encoding = Encoding.fitted(features)
    matrix, target = encoding.matrix(features), targets(orders.some_orders(ROWS), task)
    labels = len(LABELS[task])
    problem = LearningProblem(encoding.columns, labels)
    candidates = CLASSIFIERS if labels else (RIDGE, BOOSTER)
    parts = [(candidate.kind, candidate.build(problem, 0)) for candidate in candidates]
    kind = VotingClassifier if labels else VotingRegressor
    blend = kind(parts, weights=[0.75, 0.25], **({"voting": "soft"} if labels else {})).fit(matrix, target)
    # when
    averaged = outputs_of(blend, matrix, labels)
    # then
    first, second = (outputs_of(part.fit(matrix, target), matrix, labels) for _, part in parts)
    np.testing.assert_allclose(averaged, 0.75 * first + 0.25 * second, atol=1e-12)
    exported = Exported(onnx_model(encoding, blend, labels)).outputs(features)
    np.testing.assert_allclose(exported, averaged, rtol=1e-9, atol=1e-9)
