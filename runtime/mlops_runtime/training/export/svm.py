"""Support vector machines with a kernel."""

from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.svm import SVC, SVR, NuSVC, NuSVR

from mlops_runtime.training.export.graph import Graph
from mlops_runtime.training.export.registry import ExportError, converter, estimator_name


@converter(NuSVR, SVR, method="predict")
def _regressor(graph: Graph, columns: str, machine: Any) -> str:
    return graph.affine(_kernel(graph, columns, machine), _dense(machine.dual_coef_).T, machine.intercept_)


@converter(NuSVC, SVC, method="decision_function")
def _decision(graph: Graph, columns: str, machine: Any) -> str:
    """Return the decision function, shape (rows, 1) for two classes, otherwise (rows, classes)."""
    kernel = _kernel(graph, columns, machine)
    if len(machine.classes_) == 2:
        return graph.affine(kernel, _dense(machine.dual_coef_).T, machine.intercept_)
    if machine.decision_function_shape != "ovr" or machine.break_ties:
        raise ExportError(machine, "remove decision_function_shape and break_ties")
    pairs = graph.affine(kernel, _pair_weights(machine), machine.intercept_)
    return _one_versus_rest(graph, pairs, len(machine.classes_))


@converter(NuSVC, SVC, method="predict_proba")
def _probabilities(_graph: Graph, _columns: str, machine: Any) -> str:
    raise ExportError(machine, f"wrap it in CalibratedClassifierCV({estimator_name(machine)}(), ensemble=False)")


def _pair_weights(machine: Any) -> NDArray[np.float64]:
    """Return the weight of each support vector for each pair of classes, shape (vectors, pairs)."""
    coefficients, counts = _dense(machine.dual_coef_), machine.n_support_
    classes = np.repeat(np.arange(len(counts)), counts)
    pairs = list(combinations(range(len(counts)), 2))
    weights = np.zeros((len(classes), len(pairs)))
    for column, (first, second) in enumerate(pairs):
        # Row c has the coefficients for the c-th of the other classes.
        weights[classes == first, column] = coefficients[second - 1, classes == first]
        weights[classes == second, column] = coefficients[first, classes == second]
    return weights


def _one_versus_rest(graph: Graph, pairs: str, classes: int) -> str:
    """Convert the decisions of pairs of classes to one-versus-rest decisions, as scikit-learn does."""
    signs = np.zeros((classes * (classes - 1) // 2, classes))
    for row, (first, second) in enumerate(combinations(range(classes), 2)):
        signs[row, first], signs[row, second] = 1, -1
    for_second = graph.double(graph.add("Less", pairs, graph.row(0)))
    for_first = graph.add("Sub", graph.row(1), for_second)
    votes = graph.add(
        "Add",
        graph.add("MatMul", for_first, graph.constant(np.maximum(signs, 0))),
        graph.add("MatMul", for_second, graph.constant(np.maximum(-signs, 0))),
    )
    confidence = graph.add("MatMul", pairs, graph.constant(signs))
    size = graph.add("Mul", graph.row(3), graph.add("Add", graph.add("Abs", confidence), graph.row(1)))
    return graph.add("Add", votes, graph.add("Div", confidence, size))


def _kernel(graph: Graph, columns: str, machine: Any) -> str:
    """Return the kernel matrix of rows and support vectors, shape (rows, vectors)."""
    vectors = _dense(machine.support_vectors_)
    products = graph.add("MatMul", columns, graph.constant(vectors.T))
    if machine.kernel == "linear":
        return products
    gamma = graph.row(machine._gamma)
    if machine.kernel == "rbf":
        squares = graph.sum(graph.add("Mul", columns, columns))
        distances = graph.add("Add", squares, graph.row((vectors**2).sum(axis=1)))
        distances = graph.add("Sub", distances, graph.add("Mul", products, graph.row(2)))
        distances = graph.add("Max", distances, graph.row(0))
        return graph.add("Exp", graph.add("Neg", graph.add("Mul", distances, gamma)))
    scaled = graph.add("Add", graph.add("Mul", products, gamma), graph.row(machine.coef0))
    match machine.kernel:
        case "poly":
            return graph.add("Pow", scaled, graph.row(machine.degree))
        case "sigmoid":
            return graph.add("Tanh", scaled)
    raise ExportError(machine, "its kernel is a function; use 'linear', 'poly', 'rbf' or 'sigmoid'")


def _dense(matrix: Any) -> NDArray[np.float64]:
    return np.asarray(matrix.toarray() if hasattr(matrix, "toarray") else matrix, dtype=np.float64)
