"""LightGBM and XGBoost: trees from the dumps of the boosters, in double precision."""

import json
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import numpy as np
from onnx import TensorProto

from mlops_runtime.training.export.graph import Graph
from mlops_runtime.training.export.links import logistic
from mlops_runtime.training.export.registry import ExportError, converter
from mlops_runtime.training.export.trees import LESS, Tree, tree_ensemble

EXPONENTIAL = {"count:poisson", "gamma", "poisson", "reg:gamma", "reg:tweedie", "tweedie"}
"""Objectives with a log link: the output is the exponential of the sum of leaves."""

REGRESSION = EXPONENTIAL | {"fair", "huber", "mape", "quantile", "regression", "regression_l1"}
REGRESSION |= {f"reg:{name}error" for name in ("absolute", "pseudohuber", "quantile", "squared", "squaredlog")}
CLASSIFICATION = {"binary", "binary:logistic", "multiclass", "multi:softprob"}

Sums = Callable[[Graph, str, Any, set[str]], tuple[str, str]]
"""Takes a graph, a matrix, an estimator and the supported objectives; returns the objective and the sums of leaves."""


def _lightgbm_sums(graph: Graph, columns: str, estimator: Any, objectives: set[str]) -> tuple[str, str]:
    dump = estimator.booster_.dump_model(num_iteration=estimator.best_iteration_ or None)
    # The parameters of the objective follow its name, such as "sigmoid:1" or "sqrt".
    objective, *parameters = dump["objective"].split()
    if objective not in objectives or "sqrt" in parameters or dump["average_output"]:
        raise ExportError(estimator, "use a standard objective without reg_sqrt and without random forest mode")
    targets = dump["num_tree_per_iteration"]
    trees = [
        _lightgbm_tree(estimator, tree["tree_structure"], number % targets)
        for number, tree in enumerate(dump["tree_info"])
    ]
    total = tree_ensemble(graph, columns, trees, targets)
    steepness = [float(parameter[8:]) for parameter in parameters if parameter.startswith("sigmoid:")]
    return objective, graph.add("Mul", total, graph.row(steepness)) if steepness else total


def _lightgbm_tree(estimator: Any, root: Mapping[str, Any], target: int) -> Tree:
    nodes = list(_preorder(root))
    indices = {id(node): index for index, node in enumerate(nodes)}
    for node in nodes:
        if node.get("decision_type", "<=") != "<=" or node.get("missing_type") == "Zero" or "leaf_coeff" in node:
            raise ExportError(estimator, "train it without categorical features, zero_as_missing and linear_tree")
    return Tree(
        left=np.array([indices.get(id(node.get("left_child")), -1) for node in nodes]),
        right=np.array([indices.get(id(node.get("right_child")), -1) for node in nodes]),
        feature=np.array([node.get("split_feature", 0) for node in nodes]),
        threshold=np.array([node.get("threshold", 0.0) for node in nodes]),
        missing_left=np.array([_missing_left(node) for node in nodes]),
        value=np.array([node.get("leaf_value", 0.0) for node in nodes]),
        target=target,
    )


def _missing_left(node: Mapping[str, Any]) -> bool:
    # If the feature had no missing value in training, LightGBM compares NaN as 0.
    return bool(node["threshold"] >= 0 if node.get("missing_type") == "None" else node.get("default_left", False))


def _preorder(node: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield node
    for side in ("left_child", "right_child"):
        if side in node:
            yield from _preorder(node[side])


def _xgboost_sums(graph: Graph, columns: str, estimator: Any, objectives: set[str]) -> tuple[str, str]:
    booster = estimator.get_booster()
    best = booster.attr("best_iteration")
    learner = json.loads((booster if best is None else booster[: int(best) + 1]).save_raw("json"))["learner"]
    objective, ensemble = learner["objective"]["name"], learner["gradient_booster"]
    if objective not in objectives or ensemble["name"] != "gbtree":
        raise ExportError(estimator, "use a standard objective, and booster='gbtree'")
    model, shape = ensemble["model"], learner["learner_model_param"]
    start = np.atleast_1d(json.loads(shape["base_score"])).astype(np.float64)
    if objective == "binary:logistic":
        start = np.log(start / (1 - start))
    elif objective in EXPONENTIAL:
        start = np.log(start)
    trees = [_xgboost_tree(estimator, tree, number) for number, tree in enumerate(model["trees"])]
    # XGBoost compares and adds leaves one by one in single precision.
    leaves = graph.cast(tree_ensemble(graph, graph.rounded(columns), trees, len(trees), LESS), TensorProto.FLOAT)
    targets = max(int(shape["num_class"]), 1)
    sums = []
    for target, first in enumerate(np.broadcast_to(start, targets)):
        indices = np.flatnonzero(np.equal(model["tree_info"], target))
        starts = graph.constant(np.where(np.arange(len(indices)) == 0, first, 0).reshape(1, -1), np.float32)
        addends = graph.add("Add", graph.columns(leaves, indices), starts)
        running = graph.add("CumSum", addends, graph.constant(1, np.int64))
        sums.append(graph.columns(running, [len(indices) - 1]))
    return objective, graph.double(graph.joined(sums))


def _xgboost_tree(estimator: Any, tree: Mapping[str, Any], target: int) -> Tree:
    if any(tree["split_type"]):
        raise ExportError(estimator, "it has categorical features; train it without enable_categorical")
    # Numbers of the dump are in single precision.
    values = np.array(tree["split_conditions"], dtype=np.float32)
    return Tree(
        left=np.array(tree["left_children"]),
        right=np.array(tree["right_children"]),
        feature=np.array(tree["split_indices"]),
        threshold=values,
        missing_left=np.array(tree["default_left"]),
        value=values,
        target=target,
    )


def _regressor(graph: Graph, columns: str, estimator: Any, sums: Sums) -> str:
    objective, outputs = sums(graph, columns, estimator, REGRESSION)
    return graph.add("Exp", outputs) if objective in EXPONENTIAL else outputs


def _classifier(graph: Graph, columns: str, estimator: Any, sums: Sums) -> str:
    _, outputs = sums(graph, columns, estimator, CLASSIFICATION)
    return logistic(graph, outputs, estimator.n_classes_)


for _prefix, _sums in {"lightgbm.LGBM": _lightgbm_sums, "xgboost.XGB": _xgboost_sums}.items():
    converter(f"{_prefix}Regressor", method="predict")(partial(_regressor, sums=_sums))
    converter(f"{_prefix}Classifier", method="predict_proba")(partial(_classifier, sums=_sums))
