"""Linear models."""

from typing import Any

import numpy as np
from sklearn import linear_model
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.svm import LinearSVC, LinearSVR

from mlops_runtime.training.export.graph import Graph
from mlops_runtime.training.export.links import both_classes, logistic, normalized
from mlops_runtime.training.export.registry import ExportError, converter


@converter(
    linear_model.ARDRegression,
    linear_model.BayesianRidge,
    linear_model.ElasticNet,
    linear_model.ElasticNetCV,
    linear_model.HuberRegressor,
    linear_model.Lars,
    linear_model.LassoCV,
    linear_model.LinearRegression,
    linear_model.OrthogonalMatchingPursuit,
    linear_model.QuantileRegressor,
    linear_model.Ridge,
    linear_model.RidgeCV,
    linear_model.SGDRegressor,
    linear_model.TheilSenRegressor,
    LinearSVR,
    method="predict",
)
@converter(
    LinearDiscriminantAnalysis,
    LinearSVC,
    linear_model.LogisticRegression,
    linear_model.RidgeClassifier,
    linear_model.SGDClassifier,
    method="decision_function",
)
def scores(graph: Graph, columns: str, estimator: Any) -> str:
    """Return the linear predictor, shape (rows, outputs); a binary classifier has one output."""
    weights = np.atleast_2d(estimator.coef_)
    return graph.affine(columns, weights.T, np.broadcast_to(estimator.intercept_, len(weights)))


@converter(linear_model.GammaRegressor, linear_model.PoissonRegressor, linear_model.TweedieRegressor, method="predict")
def _generalized(graph: Graph, columns: str, estimator: Any) -> str:
    linear = scores(graph, columns, estimator)
    power = getattr(estimator, "power", 1)
    link = getattr(estimator, "link", "auto")
    return linear if link == "identity" or (link == "auto" and power <= 0) else graph.add("Exp", linear)


@converter(LinearDiscriminantAnalysis, linear_model.LogisticRegression, method="predict_proba")
def _logistic(graph: Graph, columns: str, estimator: Any) -> str:
    return logistic(graph, scores(graph, columns, estimator), len(estimator.classes_))


@converter(linear_model.SGDClassifier, method="predict_proba")
def _one_versus_rest(graph: Graph, columns: str, estimator: Any) -> str:
    if estimator.loss != "log_loss":
        raise ExportError(estimator, f"its loss is {estimator.loss}; use loss='log_loss'")
    shares = graph.add("Sigmoid", scores(graph, columns, estimator))
    classes = len(estimator.classes_)
    return both_classes(graph, shares) if classes == 2 else normalized(graph, shares, classes)
