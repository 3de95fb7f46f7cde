"""From the raw scores of a classifier to probabilities."""

import numpy as np

from mlops_runtime.training.export.graph import Graph


def both_classes(graph: Graph, probability: str) -> str:
    """Return the probabilities of two classes, given that of the second, shape (rows, 1)."""
    return graph.joined([graph.add("Sub", graph.row(1), probability), probability])


def logistic(graph: Graph, scores: str, classes: int) -> str:
    """Return the sigmoid of one score, or the softmax of several."""
    return both_classes(graph, graph.add("Sigmoid", scores)) if classes == 2 else graph.add("Softmax", scores, axis=1)


def normalized(graph: Graph, shares: str, classes: int) -> str:
    """Divide the shares of each row by their sum; shares that are all 0 become equal."""
    total = graph.sum(shares)
    none = graph.add("Equal", total, graph.row(0))
    divided = graph.add("Div", shares, graph.add("Where", none, graph.row(1), total))
    return graph.add("Where", none, graph.row(np.full(classes, 1 / classes)), divided)
