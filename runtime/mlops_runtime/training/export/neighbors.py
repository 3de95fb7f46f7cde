"""Nearest neighbours."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor

from mlops_runtime.training.export.graph import Graph
from mlops_runtime.training.export.registry import ExportError, converter

MAX_TRAINING_ROWS = 5_000
"""Maximum number of training rows: the model compares each record with all of them."""


@converter(KNeighborsClassifier, method="predict_proba")
def _classifier(graph: Graph, columns: str, estimator: Any) -> str:
    return _average(graph, columns, estimator, np.eye(len(estimator.classes_))[estimator._y])


@converter(KNeighborsRegressor, method="predict")
def _regressor(graph: Graph, columns: str, estimator: Any) -> str:
    return _average(graph, columns, estimator, np.reshape(estimator._y, (-1, 1)))


def _average(graph: Graph, columns: str, estimator: Any, targets: NDArray[np.float64]) -> str:
    """Return the average of the targets of the nearest training rows, shape (rows, targets)."""
    rows = estimator._fit_X
    rows = np.asarray(rows.toarray() if hasattr(rows, "toarray") else rows, dtype=np.float64)
    if estimator.effective_metric_ != "euclidean" or estimator.weights not in ("uniform", "distance"):
        raise ExportError(estimator, "use the Euclidean metric, and 'uniform' or 'distance' as weights")
    if len(rows) > MAX_TRAINING_ROWS:
        raise ExportError(
            estimator, f"it has {len(rows):,} training rows, more than {MAX_TRAINING_ROWS:,}; use another estimator"
        )
    # The squared norm of a record is omitted: it does not change which rows are nearest.
    products = graph.add("MatMul", columns, graph.constant(-2 * rows.T))
    distances = graph.add("Add", products, graph.row((rows**2).sum(axis=1)))
    count = graph.constant([estimator.n_neighbors], np.int64)
    _, nearest = graph.add_outputs("TopK", distances, count, outputs=2, axis=1, largest=0)
    neighbor_targets = graph.add(
        "Gather", graph.constant(targets), nearest, axis=0
    )  # shape (rows, neighbours, targets)
    if estimator.weights == "uniform":
        return graph.add("ReduceMean", neighbor_targets, graph.constant([1], np.int64), keepdims=0)
    weights = _inverse_distances(graph, columns, graph.add("Gather", graph.constant(rows), nearest, axis=0))
    total = graph.sum(weights, keepdims=False)
    return graph.add("Div", graph.sum(graph.add("Mul", neighbor_targets, weights), keepdims=False), total)


def _inverse_distances(graph: Graph, columns: str, neighbours: str) -> str:
    """Return the weights of neighbours, shape (rows, neighbours, 1); if a distance is 0, other weights are 0."""
    expanded = graph.add("Unsqueeze", columns, graph.constant([1], np.int64))
    distances = graph.add("ReduceL2", graph.add("Sub", expanded, neighbours), graph.constant([2], np.int64), keepdims=1)
    equal = graph.add("Equal", distances, graph.row(0))
    any_equal = graph.add("ReduceMax", graph.double(equal), graph.constant([1], np.int64), keepdims=1)
    inverse = graph.add("Reciprocal", graph.add("Where", equal, graph.row(1), distances))
    return graph.add("Where", graph.add("Greater", any_equal, graph.row(0)), graph.double(equal), inverse)
