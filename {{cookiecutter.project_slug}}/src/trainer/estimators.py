"""The candidate estimators, and the choice among them by cross-validation."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import ParameterGrid, StratifiedKFold, cross_val_score
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

FOLDS = 5


@dataclass(frozen=True, slots=True)
class Candidate:
    """A kind of estimator and the settings of it to try.

    Attributes:
        name: as people call it.
        build: returns the unfitted pipeline for a seed and one setting of the grid.
        grid: for each parameter, the values to try.
    """

    name: str
    build: Callable[..., Pipeline]
    grid: Mapping[str, Sequence[Any]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Score:
    """Log loss of one setting in cross-validation: its mean over the folds and their standard deviation."""

    name: str
    mean: float
    standard_deviation: float


@dataclass(frozen=True, slots=True)
class Selection:
    """The estimator chosen, fitted on all training rows, and the scores of all settings, best first."""

    estimator: Pipeline
    scores: tuple[Score, ...]

    @property
    def name(self) -> str:
        """Name of the chosen estimator, with its setting."""
        return self.scores[0].name


def logistic_regression(seed: int, **parameters: Any) -> Pipeline:
    """Return median imputation, scaling and a linear estimator."""
    return Pipeline(
        [
            ("imputer", SimpleImputer(strategy="median")),
            ("scaler", StandardScaler()),
            ("estimator", LogisticRegression(max_iter=1000, random_state=seed, **parameters)),
        ]
    )


def gradient_boosting(seed: int, **parameters: Any) -> Pipeline:
    """Return median imputation and a histogram gradient booster."""
    return Pipeline(
        [
            ("imputer", SimpleImputer(strategy="median")),
            ("estimator", HistGradientBoostingClassifier(early_stopping=False, random_state=seed, **parameters)),
        ]
    )


# The simpler kind comes first: it wins where two score the same.
CANDIDATES = (
    Candidate("logistic regression", logistic_regression, {"C": (0.03, 0.1, 0.3, 1.0, 3.0)}),
    Candidate(
        "gradient boosting",
        gradient_boosting,
        {"learning_rate": (0.05, 0.1), "max_iter": (50, 100), "max_leaf_nodes": (4, 12)},
    ),
)


def settings_count(candidates: Sequence[Candidate]) -> int:
    """Return how many settings the candidates have together."""
    return sum(len(ParameterGrid(dict(candidate.grid))) for candidate in candidates)


def select_estimator(
    features: NDArray[np.float64],
    labels: NDArray[np.str_],
    seed: int,
    candidates: Sequence[Candidate] = CANDIDATES,
    folds: int = FOLDS,
    on_scored: Callable[[Score], None] = lambda _: None,
) -> Selection:
    """Return the setting with the lowest log loss in stratified cross-validation, fitted on all rows given.

    Log loss and not ROC AUC, because the service answers with a probability: AUC looks at the
    order of the records alone, and a model whose probabilities are all too high or too low would
    pass unseen. A proper scoring rule rewards the true probability (Gneiting and Raftery 2007,
    Strictly proper scoring rules, prediction, and estimation, JASA 102).

    Args:
        features: shape (rows, features), NaN where a value is missing.
        labels: shape (rows,).
        seed: of the folds and of the estimators.
        candidates: the kinds of estimator to choose from.
        folds: how many.
        on_scored: called with the score of each setting, as soon as it is known.
    """
    splitter = StratifiedKFold(folds, shuffle=True, random_state=seed)
    tried: list[tuple[Score, Pipeline]] = []
    for candidate in candidates:
        for parameters in ParameterGrid(dict(candidate.grid)):
            estimator = candidate.build(seed, **parameters)
            losses = -cross_val_score(estimator, features, labels, cv=splitter, scoring="neg_log_loss")
            score = Score(_name(candidate, parameters), float(losses.mean()), float(losses.std()))
            tried.append((score, estimator))
            on_scored(score)
    tried.sort(key=lambda pair: pair[0].mean)  # stable: of equal scores the first tried stays first
    return Selection(tried[0][1].fit(features, labels), tuple(score for score, _ in tried))


def _name(candidate: Candidate, parameters: Mapping[str, Any]) -> str:
    setting = ", ".join(f"{name}={value}" for name, value in sorted(parameters.items()))
    return f"{candidate.name} ({setting})" if setting else candidate.name
