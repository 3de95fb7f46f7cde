from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.calibration import CalibratedClassifierCV
from sklearn.cluster import KMeans
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC

from mlops_runtime.contract import Task
from mlops_runtime.model.encoding import Encoding
from mlops_runtime.testing import synthetic
from mlops_runtime.training.candidates import (
    Candidate,
    CandidateError,
    LearningProblem,
    Preparation,
    check_candidate,
    default_candidates,
)
from mlops_runtime.training.search import select_estimator

ORDERS = synthetic.some_orders(60)
ENCODING = Encoding.fitted(synthetic.LAYOUT.encode(ORDERS))
MATRIX = ENCODING.matrix(synthetic.LAYOUT.encode(ORDERS))
TARGET = synthetic.targets(ORDERS, Task.BINARY)
PROBLEM = LearningProblem(ENCODING.columns, 2)


class Failing(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """An estimator that cannot be fitted."""

    def fit(self, _matrix: Any, _target: Any) -> "Failing":
        raise KeyError("x")

    def predict_proba(self, _matrix: Any) -> Any:
        raise NotImplementedError


class ModifiesItsParameters(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """An estimator whose constructor modifies its parameters, which scikit-learn does not allow."""

    def __init__(self, depth: int) -> None:
        self.depth = depth + 1


@pytest.mark.parametrize(
    ("estimator", "labels", "message"),
    [
        pytest.param(
            Ridge(), 2, "mine (Ridge) is not a classifier, and the target is a label", id="regressor-for-labels"
        ),
        pytest.param(
            LogisticRegression(), 0, "is not a regressor, and the target is a number", id="classifier-for-values"
        ),
        pytest.param(LinearSVC(), 2, "mine (LinearSVC) has no predict_proba: wrap it in", id="no-predict-proba"),
        pytest.param(KMeans(), 2, "mine (KMeans) is not a classifier", id="clusterer"),
        pytest.param(Ridge, 0, "mine is the class Ridge: pass an instance, Ridge()", id="class"),
        pytest.param("ridge", 0, "mine (str) is not a scikit-learn estimator: derive it from", id="string"),
    ],
)
def test_an_estimator_that_does_not_fit_the_task_is_refused(estimator: Any, labels: int, message: str) -> None:
    with pytest.raises(CandidateError) as caught:
        check_candidate(Candidate("mine", estimator), labels)

    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("estimator", "labels"),
    [
        pytest.param(RandomForestClassifier(), 3, id="classifier"),
        pytest.param(RandomForestRegressor(), 0, id="regressor"),
        pytest.param(make_pipeline(StandardScaler(), LogisticRegression()), 2, id="pipeline"),
        pytest.param(CalibratedClassifierCV(LinearSVC()), 2, id="calibrated"),
    ],
)
def test_an_estimator_that_fits_the_task_is_accepted(estimator: Any, labels: int) -> None:
    check_candidate(Candidate("mine", estimator), labels)


def test_an_empty_list_of_candidates_is_refused() -> None:
    with pytest.raises(CandidateError, match="add a candidate to it"):
        select_estimator(MATRIX, TARGET, PROBLEM, 0, 1, [])


def test_an_estimator_instead_of_a_candidate_is_refused() -> None:
    with pytest.raises(CandidateError, match=r'LogisticRegression is not a Candidate: write Candidate\("name", '):
        select_estimator(MATRIX, TARGET, PROBLEM, 0, 1, [LogisticRegression()])


def test_an_estimator_that_cannot_be_fitted_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(Path(__file__).parent)
    with pytest.raises(CandidateError) as caught:
        select_estimator(MATRIX, TARGET, PROBLEM, 0, 1, [Candidate("failing", Failing())])
    line = Failing.fit.__code__.co_firstlineno + 1
    assert str(caught.value) == f"failing cannot be fitted: KeyError: 'x' (test_candidates.py, line {line})"


class CannotPredict(DummyClassifier):  # type: ignore[misc]
    """An estimator that is fitted but cannot predict."""

    def predict_proba(self, _matrix: Any) -> Any:
        raise RuntimeError("division by zero")


class PredictsNan(DummyRegressor):  # type: ignore[misc]
    """An estimator that predicts NaN."""

    def predict(self, matrix: Any) -> Any:
        return np.full(matrix.shape[0], np.nan)


class Constant(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """A classifier with the same outputs for every row."""

    def __init__(self, outputs: tuple[float, float]) -> None:
        self.outputs = outputs

    def fit(self, _matrix: Any, target: Any) -> "Constant":
        self.classes_ = np.unique(target)
        return self

    def predict_proba(self, matrix: Any) -> Any:
        return np.tile(self.outputs, (matrix.shape[0], 1))


@pytest.mark.parametrize(
    ("estimator", "labels", "message"),
    [
        pytest.param(
            CannotPredict(), 2, r"mine cannot predict: RuntimeError: division by zero \(.*test_candidates", id="error"
        ),
        pytest.param(PredictsNan(), 0, "mine predicts values that are not finite", id="NaN"),
        pytest.param(
            Constant((5, 5)),
            2,
            r"mine predicts the probability 5, .*between 0 and 1: correct its predict",
            id="above-1",
        ),
        pytest.param(Constant((-0.2, 1.2)), 2, r"mine predicts the probability -0\.2, which is not", id="negative"),
        pytest.param(
            Constant((0.3, 0.3)), 2, r"mine predicts probabilities with a sum of 0\.6, .*: divide each row", id="sum"
        ),
    ],
)
def test_an_estimator_that_cannot_predict_is_named(estimator: Any, labels: int, message: str) -> None:
    problem = LearningProblem(ENCODING.columns, labels)
    with pytest.raises(CandidateError, match=message):
        select_estimator(MATRIX, TARGET, problem, 0, 1, [Candidate("mine", estimator)])


def test_probabilities_of_single_precision_are_accepted() -> None:
    candidate = Candidate("mine", Constant((-1e-6, 1 - 1e-5)))
    assert select_estimator(MATRIX, TARGET, PROBLEM, 0, 1, [candidate]).name == "mine"


def test_two_candidates_with_the_same_name_are_refused() -> None:
    same = [Candidate("forest", RandomForestClassifier(n_estimators=count)) for count in (10, 20)]
    with pytest.raises(CandidateError, match="2 candidates have the name forest: change the kind"):
        select_estimator(MATRIX, TARGET, PROBLEM, 0, 1, same)


def test_an_estimator_that_cannot_be_cloned_is_named() -> None:
    with pytest.raises(CandidateError, match="mine: Cannot clone"):
        Candidate("mine", ModifiesItsParameters(2)).build(PROBLEM, 0)


def test_an_unknown_parameter_is_named() -> None:
    with pytest.raises(CandidateError, match=r"forest: Invalid parameter 'trees'"):
        Candidate("forest", RandomForestClassifier(), {"trees": 3}).build(PROBLEM, 0)


def test_the_seed_reaches_every_part_of_an_estimator() -> None:
    estimator = CalibratedClassifierCV(RandomForestClassifier())

    built = Candidate("forest", estimator).build(PROBLEM, 7)["estimator"]

    assert built.estimator.random_state == 7
    assert estimator.estimator.random_state is None


def test_the_seed_of_a_candidate_is_kept() -> None:
    built = Candidate("forest", RandomForestClassifier(random_state=3)).build(PROBLEM, 7)["estimator"]

    assert built.random_state == 3


@pytest.mark.parametrize(
    ("preparation", "missing"), [(None, False), (Preparation.TREES, True)], ids=["scaled", "trees"]
)
def test_the_candidate_sets_the_preparation_of_columns(preparation: Preparation | None, missing: bool) -> None:
    candidate = Candidate("forest", RandomForestClassifier(), preparation=preparation)

    columns = candidate.build(PROBLEM, 0)["columns"].fit_transform(MATRIX, TARGET)

    dense = columns.toarray() if hasattr(columns, "toarray") else columns
    assert np.isnan(dense).any() == missing


@pytest.mark.parametrize(
    ("parameters", "name"), [({}, "forest"), ({"b": 2, "a": 1}, "forest (a=1, b=2)")], ids=["none", "two"]
)
def test_a_candidate_is_named_after_its_parameters(parameters: dict[str, Any], name: str) -> None:
    assert Candidate("forest", RandomForestClassifier(), parameters).name == name


@pytest.mark.parametrize("task", synthetic.TASKS)
def test_the_default_candidates_fit_the_task(task: Task) -> None:
    contract = synthetic.CONTRACTS[task]

    for candidate in default_candidates(contract):
        check_candidate(candidate, len(contract.labels))
