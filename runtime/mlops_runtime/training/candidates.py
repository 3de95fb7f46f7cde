"""The candidates: estimators to compare, each with the preprocessing of its columns."""

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
from mlops_runtime.memory import MAX_ONE_HOT, MAX_TREE_TERM_CELLS, MAX_TREE_TERMS
from mlops_runtime.model.encoding import Column, ColumnKind

MAX_ONE_HOT_LINEAR = 1000
MAX_ONE_HOT_CELLS = 30_000_000
"""Maximum number of values of a category, and of cells, to one-hot encode for other estimators."""

SPARSE_DENSITY = 0.3
"""Maximum share of nonzero cells in a sparse matrix."""

TARGET_ENCODER_FOLDS = 5


class CandidateError(ValueError):
    """A candidate cannot learn the task, or cannot be fitted."""


class Preparation(StrEnum):
    """The preprocessing of the columns.

    SCALED: missing numbers are imputed and indicated, numbers are scaled, categories are one-hot encoded,
    words have TF-IDF weights. It suits every estimator.
    TREES: numbers are passed through, and NaN is a missing number. It suits trees that accept NaN.
    """

    SCALED = "scaled"
    TREES = "trees"


@dataclass(frozen=True, slots=True)
class LearningProblem:
    """The shape of the training data.

    Attributes:
        columns: columns of the matrix.
        labels: number of labels; 0 for regression.
        rows: number of training rows.
    """

    columns: tuple[Column, ...]
    labels: int
    rows: int = 0


@dataclass(frozen=True, slots=True)
class Candidate:
    """An estimator to compare with others, with parameters.

    Attributes:
        kind: name of the estimator in reports; candidates of the same kind differ in their parameters.
        estimator: scikit-learn-compatible and unfitted; a classifier has `predict_proba`.
        parameters: parameters to set on the estimator.
        preparation: preprocessing of the columns; by default TREES for histogram gradient boosting, otherwise SCALED.
    """

    kind: str
    estimator: Any
    parameters: Mapping[str, Any] = field(default_factory=dict)
    preparation: Preparation | None = None

    @property
    def name(self) -> str:
        """The kind and the parameters."""
        parameters = ", ".join(f"{name}={value}" for name, value in sorted(self.parameters.items()))
        return f"{self.kind} ({parameters})" if parameters else self.kind

    @property
    def boosting(self) -> bool:
        """Whether the estimator is a histogram gradient booster, whose fit time is predictable."""
        return isinstance(self.estimator, HistGradientBoostingClassifier | HistGradientBoostingRegressor)

    def build(self, problem: LearningProblem, seed: int) -> Pipeline:
        """Return the unfitted pipeline of preprocessing and estimator.

        Raises:
            CandidateError: if the estimator has no such parameter, or cannot be cloned.
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
    """Return whether an estimator accepts sparse matrices. XGBoost does, but takes their zeros for missing values."""
    return bool(get_tags(estimator).input_tags.sparse) and not type(estimator).__module__.startswith("xgboost")


def check_candidate(candidate: Candidate, labels: int) -> None:
    """Refuse an estimator that does not fit the task.

    Args:
        candidate: candidate to check.
        labels: number of labels; 0 for regression.

    Raises:
        CandidateError: if the estimator does not fit the task.
    """
    if not isinstance(candidate, Candidate):
        raise CandidateError(f'{type(candidate).__name__} is not a Candidate: write Candidate("name", estimator)')
    estimator = candidate.estimator
    if isinstance(estimator, type):
        raise CandidateError(
            f"{candidate.kind} is the class {estimator.__name__}: pass an instance, {estimator.__name__}()"
        )
    name = f"{candidate.kind} ({type(estimator).__name__})"
    if not isinstance(estimator, BaseEstimator):
        mixin = "ClassifierMixin" if labels else "RegressorMixin"
        raise CandidateError(
            f"{name} is not a scikit-learn estimator: derive it from {mixin} and BaseEstimator of sklearn.base"
        )
    if not labels and not is_regressor(estimator):
        raise CandidateError(f"{name} is not a regressor, and the target is a number: use a regressor")
    if labels and not is_classifier(estimator):
        raise CandidateError(f"{name} is not a classifier, and the target is a label: use a classifier")
    if labels and not hasattr(estimator, "predict_proba"):
        raise CandidateError(f"{name} has no predict_proba: wrap it in sklearn.calibration.CalibratedClassifierCV")


# Among equal scores the first candidate wins, so simpler kinds come first.
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
        linear = [
            Candidate("logistic regression", LogisticRegression(max_iter=1000), parameters) for parameters in LINEAR
        ]
        booster: Any = HistGradientBoostingClassifier(early_stopping=False)
    else:
        linear = [Candidate("ridge regression", Ridge(), parameters) for parameters in RIDGE]
        booster = HistGradientBoostingRegressor(early_stopping=False)
    boosters = [Candidate("gradient boosting", booster, parameters) for parameters in BOOSTING]
    alternating = chain.from_iterable(zip_longest(linear, boosters))
    return tuple(candidate for candidate in alternating if candidate is not None)


def _columns(problem: LearningProblem, seed: int, *, scaled: bool) -> ColumnTransformer:
    """Return the unfitted preprocessing from the columns of the matrix to those of the estimator.

    Unscaled: numbers with NaN, and word counts. Scaled: numbers with medians for NaN, an indicator column
    for each number with missing values, and TF-IDF weights of words (Spärck Jones 1972, A statistical
    interpretation of term specificity and its application in retrieval, Journal of Documentation 28).
    """
    numbers = [index for index, column in enumerate(problem.columns) if column.kind is ColumnKind.NUMBER]
    max_terms = len(problem.columns) if scaled else min(MAX_TREE_TERMS, MAX_TREE_TERM_CELLS // max(problem.rows, 1))
    terms = [
        index
        for index, column in enumerate(problem.columns)
        if column.kind is ColumnKind.TERM and column.rank < max_terms
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

    def of_dense(transformer: Any, chosen: list[int]) -> Any:
        """Return a transformer of columns that may be sparse, as those of a table with texts are."""
        if not terms:
            return transformer
        dense = ColumnTransformer([("columns", "passthrough", list(range(len(chosen))))], sparse_threshold=0)
        return Pipeline([("dense", dense), ("transformer", transformer)])

    prepared: Any = "passthrough"
    weighted: Any = "passthrough"
    if scaled:
        weighted = TfidfTransformer(sublinear_tf=True)
        imputer = SimpleImputer(strategy="median", add_indicator=True, keep_empty_features=True)
        prepared = of_dense(Pipeline([("imputer", imputer), ("scaler", StandardScaler())]), numbers)
    one_hot = OneHotEncoder(
        categories=[np.arange(max(cardinalities[index], 1), dtype=np.float64) for index in few],
        handle_unknown="ignore",
        sparse_output=scaled,
    )
    # A fold may lack a rare label, so the target encoder infers the type of target from the rows of the fold.
    kind = "auto" if problem.labels else "continuous"
    targets = TargetEncoder(target_type=kind, cv=KFold(TARGET_ENCODER_FOLDS, shuffle=True, random_state=seed))
    return ColumnTransformer(
        [
            (name, transformer, chosen)
            for name, transformer, chosen in (
                ("numbers", prepared, numbers),
                ("few", of_dense(one_hot, few), few),
                ("many", of_dense(targets, many), many),
                ("terms", weighted, terms),
            )
            if chosen
        ],
        # Word and one-hot columns are mostly zeros. Linear estimators accept sparse matrices, boosters do not.
        sparse_threshold=SPARSE_DENSITY if scaled else 0,
    )
