"""The candidates: estimators to try, and the columns that each of them gets."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import chain, zip_longest
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, clone, is_classifier, is_regressor
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.feature_extraction.text import TfidfTransformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import KFold
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler, TargetEncoder
from sklearn.utils import get_tags

from mlops_runtime.contract import Contract
from mlops_runtime.model.encoding import Column, ColumnKind

MAX_ONE_HOT = 20
"""Values of a category that get a column each for trees; with more, they are encoded by the mean of the target."""

MAX_ONE_HOT_LINEAR = 1000
MAX_ONE_HOT_CELLS = 30_000_000
"""Other estimators learn a weight for each value, as long as the rows are few enough to hold the columns."""

MAX_TREE_TERMS = 300
"""Words of a text that trees look at, the commonest: they try every column at every node."""

SPARSE_DENSITY = 0.3
"""Share of cells that are not zero up to which the matrix is sparse."""

TARGET_ENCODER_FOLDS = 5


class CandidateError(ValueError):
    """A candidate cannot learn the task, or cannot be fitted."""


class Preparation(StrEnum):
    """How the columns are prepared for an estimator.

    SCALED: missing numbers are imputed and marked, numbers scaled, categories one-hot encoded, words
    weighted. It suits every estimator.
    TREES: numbers as they are, NaN where one is missing. It suits trees that take missing values.
    """

    SCALED = "scaled"
    TREES = "trees"


@dataclass(frozen=True, slots=True)
class LearningProblem:
    """What is to be learned: the columns of the matrix, how many labels there are (0: a value), from how many rows."""

    columns: tuple[Column, ...]
    labels: int
    rows: int = 0


@dataclass(frozen=True, slots=True)
class Candidate:
    """An estimator to try, with parameters.

    Attributes:
        kind: what people call the estimator; candidates of one kind differ in their parameters.
        estimator: scikit-learn-compatible, unfitted: for labels it has `predict_proba`.
        parameters: to set on it.
        preparation: of its columns; by default trees for histogram gradient boosting, scaled for others.
    """

    kind: str
    estimator: Any
    parameters: Mapping[str, Any] = field(default_factory=dict)
    preparation: Preparation | None = None

    @property
    def name(self) -> str:
        """The kind with its parameters."""
        parameters = ", ".join(f"{name}={value}" for name, value in sorted(self.parameters.items()))
        return f"{self.kind} ({parameters})" if parameters else self.kind

    @property
    def boosting(self) -> bool:
        """Whether it is a histogram gradient booster, whose time can be told in advance."""
        return isinstance(self.estimator, HistGradientBoostingClassifier | HistGradientBoostingRegressor)

    def build(self, problem: LearningProblem, seed: int) -> Pipeline:
        """Return the unfitted pipeline of columns and estimator.

        Raises:
            CandidateError: if the estimator has no parameter of that name, or cannot be cloned.
        """
        try:
            estimator = clone(self.estimator)
            seeds = {
                name: seed
                for name, value in estimator.get_params().items()
                if name.split("__")[-1] == "random_state" and value is None
            }
            estimator.set_params(**(seeds | dict(self.parameters)))
        except (RuntimeError, ValueError) as error:  # RuntimeError: the constructor changes its arguments
            raise CandidateError(f"{self.kind}: {error}") from error
        preparation = self.preparation or (Preparation.TREES if self.boosting else Preparation.SCALED)
        columns = _columns(problem, seed, scaled=preparation is Preparation.SCALED)
        if not _takes_sparse(estimator):
            columns.set_params(sparse_threshold=0)
        return Pipeline([("columns", columns), ("estimator", estimator)])


def _takes_sparse(estimator: Any) -> bool:
    """Return whether an estimator takes sparse matrices. XGBoost does, but as if their zeros were missing values."""
    return bool(get_tags(estimator).input_tags.sparse) and not type(estimator).__module__.startswith("xgboost")


def check_candidate(candidate: Candidate, labels: int) -> None:
    """Refuse an estimator that cannot learn the task.

    Args:
        candidate: to check.
        labels: number of labels; 0 for regression.

    Raises:
        CandidateError: with a sentence that names the estimator and what to do.
    """
    estimator = candidate.estimator
    if isinstance(estimator, type):
        raise CandidateError(f"{candidate.kind} is the class {estimator.__name__}: write {estimator.__name__}()")
    name = f"{candidate.kind} ({type(estimator).__name__})"
    if not isinstance(estimator, BaseEstimator):
        mixin = "ClassifierMixin" if labels else "RegressorMixin"
        raise CandidateError(
            f"{name} is no scikit-learn estimator: derive it from sklearn.base.{mixin} and sklearn.base.BaseEstimator"
        )
    if not labels and not is_regressor(estimator):
        raise CandidateError(f"{name} is no regressor, and the target is a number: take its regressor instead")
    if labels and not is_classifier(estimator):
        raise CandidateError(f"{name} is no classifier, and the target is a label: take its classifier instead")
    if labels and not hasattr(estimator, "predict_proba"):
        raise CandidateError(f"{name} gives no probabilities: wrap it in sklearn.calibration.CalibratedClassifierCV")


# Of equal scores the first wins: simpler kinds come first.
LINEAR = ({"C": 1.0}, {"C": 0.1}, {"C": 10.0}, {"C": 3.0}, {"C": 0.3}, {"C": 0.01})
RIDGE = ({"alpha": 1.0}, {"alpha": 10.0}, {"alpha": 0.1}, {"alpha": 3.0}, {"alpha": 30.0}, {"alpha": 100.0})
BOOSTING = (
    {"learning_rate": 0.1, "max_iter": 100, "max_leaf_nodes": 31},
    {"learning_rate": 0.05, "max_iter": 100, "max_leaf_nodes": 6},
    {"learning_rate": 0.05, "max_iter": 300, "max_leaf_nodes": 15},
    {"learning_rate": 0.1, "max_iter": 300, "max_leaf_nodes": 31},
)


def default_candidates(contract: Contract) -> tuple[Candidate, ...]:
    """Return the candidates for the task of a contract, the most promising of each kind first."""
    linear: list[Candidate]
    if contract.labels:
        linear = [Candidate("logistic regression", LogisticRegression(max_iter=1000), each) for each in LINEAR]
        booster: Any = HistGradientBoostingClassifier(early_stopping=False)
    else:
        linear = [Candidate("ridge regression", Ridge(), each) for each in RIDGE]
        booster = HistGradientBoostingRegressor(early_stopping=False)
    boosters = [Candidate("gradient boosting", booster, each) for each in BOOSTING]
    in_turn = chain.from_iterable(zip_longest(linear, boosters))
    return tuple(candidate for candidate in in_turn if candidate is not None)


def _columns(problem: LearningProblem, seed: int, *, scaled: bool) -> ColumnTransformer:
    """Return what makes the estimator's columns from those of the matrix.

    A booster takes numbers as they are, missing ones included, and counts of words. A linear
    estimator gets the median for a missing number, a column that says so, and all of them scaled;
    words count by the logarithm of how often they stand in a text, and by how few texts have them
    (Spärck Jones 1972, A statistical interpretation of term specificity and its application in
    retrieval, Journal of Documentation 28).
    """
    numbers = [place for place, column in enumerate(problem.columns) if column.kind is ColumnKind.NUMBER]
    most_terms = len(problem.columns) if scaled else MAX_TREE_TERMS
    terms = [
        place
        for place, column in enumerate(problem.columns)
        if column.kind is ColumnKind.TERM and column.rank < most_terms
    ]
    cardinalities = {
        index: column.cardinality
        for index, column in enumerate(problem.columns)
        if column.kind is ColumnKind.CATEGORICAL
    }
    max_one_hot = MAX_ONE_HOT
    if scaled:
        max_one_hot = max(MAX_ONE_HOT, min(MAX_ONE_HOT_LINEAR, MAX_ONE_HOT_CELLS // max(problem.rows, 1)))
    few = [index for index, cardinality in cardinalities.items() if cardinality <= max_one_hot]
    many = [index for index, cardinality in cardinalities.items() if cardinality > max_one_hot]
    prepared: Any = "passthrough"
    weighted: Any = "passthrough"
    if scaled:
        weighted = TfidfTransformer(sublinear_tf=True)
        imputer = SimpleImputer(strategy="median", add_indicator=True, keep_empty_features=True)
        prepared = Pipeline([("imputer", imputer), ("scaler", StandardScaler())])
    one_hot = OneHotEncoder(
        categories=[np.arange(max(cardinalities[index], 1), dtype=np.float64) for index in few],
        handle_unknown="ignore",
        sparse_output=scaled,
    )
    # The rows of a fold may lack a rare label: how many there are is told by the rows.
    kind = "auto" if problem.labels else "continuous"
    targets = TargetEncoder(target_type=kind, cv=KFold(TARGET_ENCODER_FOLDS, shuffle=True, random_state=seed))
    return ColumnTransformer(
        [
            (name, transformer, chosen)
            for name, transformer, chosen in (
                ("numbers", prepared, numbers),
                ("few", one_hot, few),
                ("many", targets, many),
                ("terms", weighted, terms),
            )
            if chosen
        ],
        # Words and one-hot columns are nearly all zeros, which linear estimators pass over; a booster can't.
        sparse_threshold=SPARSE_DENSITY if scaled else 0,
    )
