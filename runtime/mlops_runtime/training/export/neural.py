"""Multilayer perceptrons."""

from typing import Any

from sklearn.neural_network import MLPClassifier, MLPRegressor

from mlops_runtime.training.export.graph import Graph
from mlops_runtime.training.export.links import both_classes
from mlops_runtime.training.export.registry import converter

ACTIVATIONS = {"logistic": "Sigmoid", "relu": "Relu", "tanh": "Tanh"}


@converter(MLPRegressor, method="predict")
def _regressor(graph: Graph, columns: str, network: Any) -> str:
    output = _forward(graph, columns, network)
    return graph.add("Exp", output) if network.out_activation_ == "exp" else output


@converter(MLPClassifier, method="predict_proba")
def _classifier(graph: Graph, columns: str, network: Any) -> str:
    output = _forward(graph, columns, network)
    if network.out_activation_ == "logistic":
        return both_classes(graph, graph.add("Sigmoid", output))
    return graph.add("Softmax", output, axis=1)


def _forward(graph: Graph, columns: str, network: Any) -> str:
    *hidden, last = zip(network.coefs_, network.intercepts_, strict=True)
    for weights, intercept in hidden:
        columns = graph.affine(columns, weights, intercept)
        if network.activation != "identity":
            columns = graph.add(ACTIVATIONS[network.activation], columns)
    return graph.affine(columns, *last)
