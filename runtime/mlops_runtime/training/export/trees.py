"""Decision trees and ensembles of trees."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto, numpy_helper
from sklearn.ensemble import (
    ExtraTreesClassifier,
    ExtraTreesRegressor,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from mlops_runtime.training.export.graph import ML, Graph
from mlops_runtime.training.export.links import both_classes, logistic
from mlops_runtime.training.export.registry import ExportError, converter

LESS_OR_EQUAL, LESS, SUM, NO_TRANSFORM = 0, 1, 1, 0
"""Constants of the operator TreeEnsemble."""


@dataclass(frozen=True, slots=True)
class Tree:
    """A binary tree; the root is the first node.

    Attributes:
        left, right: shape (nodes,), index of the child; -1 for leaves.
        feature: shape (nodes,), index of the column to compare.
        threshold: shape (nodes,), threshold of the comparison.
        missing_left: shape (nodes,), whether NaN goes to the left child.
        value: shape (nodes,), value of a leaf.
        target: index of the output that the value is added to.
    """

    left: NDArray[Any]
    right: NDArray[Any]
    feature: NDArray[Any]
    threshold: NDArray[Any]
    missing_left: NDArray[Any]
    value: NDArray[Any]
    target: int = 0


def tree_ensemble(graph: Graph, columns: str, trees: Iterable[Tree], targets: int, mode: int = LESS_OR_EQUAL) -> str:
    """Return the sums of the leaves, shape (rows, targets)."""
    parts: dict[str, list[NDArray[Any]]] = {}
    nodes = leaves = 0
    roots = []
    for tree in trees:
        roots.append(nodes)
        is_leaf = tree.left < 0
        if is_leaf[0]:
            # The operator needs an inner node in each tree: both children of this node are the same leaf.
            inner, left, right = np.zeros(1, dtype=int), np.zeros(1, dtype=int), np.zeros(1, dtype=int)
        else:
            inner = np.flatnonzero(~is_leaf)
            left, right = tree.left[inner], tree.right[inner]
        # Inner nodes and leaves are numbered separately over all trees.
        index = np.where(is_leaf, leaves + np.cumsum(is_leaf) - 1, nodes + np.cumsum(~is_leaf) - 1)
        for name, values in {
            "nodes_featureids": np.maximum(tree.feature[inner], 0),
            "nodes_splits": np.asarray(tree.threshold[inner], dtype=np.float64),
            "nodes_missing_value_tracks_true": tree.missing_left[inner],
            "nodes_trueleafs": is_leaf[left],
            "nodes_truenodeids": index[left],
            "nodes_falseleafs": is_leaf[right],
            "nodes_falsenodeids": index[right],
            "leaf_weights": np.asarray(tree.value[is_leaf], dtype=np.float64),
            "leaf_targetids": np.full(int(is_leaf.sum()), tree.target),
        }.items():
            parts.setdefault(name, []).append(values)
        nodes += len(inner)
        leaves += int(is_leaf.sum())
    joined = {name: np.concatenate(arrays) for name, arrays in parts.items()}
    attributes: dict[str, Any] = {
        name: numpy_helper.from_array(array) if array.dtype == np.float64 else array.astype(int).tolist()
        for name, array in joined.items()
    }
    return graph.add(
        "TreeEnsemble",
        columns,
        domain=ML,
        n_targets=targets,
        aggregate_function=SUM,
        post_transform=NO_TRANSFORM,
        tree_roots=roots,
        nodes_modes=numpy_helper.from_array(np.full(nodes, mode, dtype=np.uint8)),
        **attributes,
    )


def _tree(fitted: Any, value: Callable[[NDArray[np.float64]], NDArray[Any]], target: int = 0) -> Tree:
    """Return a tree of scikit-learn; `value` converts the values of nodes, shape (nodes, outputs or classes)."""
    nodes = fitted.tree_
    return Tree(
        left=nodes.children_left,
        right=nodes.children_right,
        feature=nodes.feature,
        threshold=nodes.threshold,
        missing_left=nodes.missing_go_to_left,
        value=value(nodes.value[:, 0, :]),
        target=target,
    )


def _trees_of(estimator: Any) -> Sequence[Any]:
    return getattr(estimator, "estimators_", None) or [estimator]


@converter(DecisionTreeRegressor, ExtraTreesRegressor, RandomForestRegressor, method="predict")
def _forest_regressor(graph: Graph, columns: str, estimator: Any) -> str:
    trees = _trees_of(estimator)
    # scikit-learn compares in single precision with thresholds in double precision.
    return tree_ensemble(
        graph, graph.rounded(columns), (_tree(tree, lambda value: value[:, 0] / len(trees)) for tree in trees), 1
    )


@converter(DecisionTreeClassifier, ExtraTreesClassifier, RandomForestClassifier, method="predict_proba")
def _forest_classifier(graph: Graph, columns: str, estimator: Any) -> str:
    trees = _trees_of(estimator)
    columns = graph.rounded(columns)
    if len(estimator.classes_) == 2:
        second = (_tree(tree, lambda value: value[:, 1] / len(trees)) for tree in trees)
        return both_classes(graph, tree_ensemble(graph, columns, second, 1))
    # A leaf of the operator has a single value: its row in a table of class shares.
    shares: list[NDArray[np.float64]] = []
    numbered = []
    for target, tree in enumerate(trees):
        start = sum(map(len, shares))
        shares.append(tree.tree_.value[:, 0, :])
        numbered.append(_tree(tree, lambda value, start=start: start + np.arange(len(value)), target))  # type: ignore[misc]
    rows = graph.cast(tree_ensemble(graph, columns, numbered, len(trees)), TensorProto.INT64)
    looked_up = graph.add("Gather", graph.constant(np.concatenate(shares)), rows, axis=0)
    return graph.add("ReduceMean", looked_up, graph.constant([1], np.int64), keepdims=0)


@converter(GradientBoostingClassifier, method="decision_function")
@converter(GradientBoostingRegressor, method="predict")
def _boosted(graph: Graph, columns: str, estimator: Any) -> str:
    if estimator.init is not None and estimator.init != "zero":
        raise ExportError(estimator, "it has an init estimator; remove init")
    trees = [
        _tree(tree, lambda value: value[:, 0] * estimator.learning_rate, target)
        for iteration in estimator.estimators_
        for target, tree in enumerate(iteration)
    ]
    # The initial prediction is the same for each row; scikit-learn has no public attribute for it.
    start = estimator._raw_predict_init(np.zeros((1, estimator.n_features_in_)))
    total = tree_ensemble(graph, graph.rounded(columns), trees, estimator.n_trees_per_iteration_)
    return graph.add("Add", total, graph.row(start))


@converter(GradientBoostingClassifier, method="predict_proba")
def _boosted_classifier(graph: Graph, columns: str, estimator: Any) -> str:
    raw = _boosted(graph, columns, estimator)
    if estimator.loss == "exponential":
        raw = graph.add("Mul", raw, graph.row(2))
    return logistic(graph, raw, len(estimator.classes_))


@converter(HistGradientBoostingClassifier, method="decision_function")
def _histogram_boosted(graph: Graph, columns: str, estimator: Any) -> str:
    # These attributes are private, but the version of scikit-learn is locked and each run checks parity.
    trees = [
        _histogram_tree(estimator, predictor.nodes, target)
        for iteration in estimator._predictors
        for target, predictor in enumerate(iteration)
    ]
    total = tree_ensemble(graph, columns, trees, estimator.n_trees_per_iteration_)
    return graph.add("Add", total, graph.row(estimator._baseline_prediction))


def _histogram_tree(estimator: Any, nodes: NDArray[Any], target: int) -> Tree:
    if nodes["is_categorical"].any():
        raise ExportError(estimator, "it has categorical features; remove categorical_features")
    is_leaf = nodes["is_leaf"].astype(bool)
    return Tree(
        left=np.where(is_leaf, -1, nodes["left"].astype(int)),
        right=np.where(is_leaf, -1, nodes["right"].astype(int)),
        feature=nodes["feature_idx"],
        threshold=nodes["num_threshold"],
        missing_left=nodes["missing_go_to_left"],
        value=nodes["value"],
        target=target,
    )


@converter(HistGradientBoostingClassifier, method="predict_proba")
def _histogram_classifier(graph: Graph, columns: str, estimator: Any) -> str:
    return logistic(graph, _histogram_boosted(graph, columns, estimator), len(estimator.classes_))


@converter(HistGradientBoostingRegressor, method="predict")
def _histogram_regressor(graph: Graph, columns: str, estimator: Any) -> str:
    raw = _histogram_boosted(graph, columns, estimator)
    return graph.add("Exp", raw) if estimator.loss in ("gamma", "poisson") else raw
