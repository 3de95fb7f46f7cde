"""Conversion of the scores of a classifier to probabilities."""

import numpy as np

from mlops_runtime.training.export.graph import Graph


def both_classes(graph: Graph, probability: str) -> str:
    """Return the probabilities of two classes from that of the second, shape (rows, 1)."""
    return graph.joined([graph.add("Sub", graph.row(1), probability), probability])


def logistic(graph: Graph, scores: str, classes: int) -> str:
    """Return the sigmoid of a single score, or the softmax of several scores."""
    return both_classes(graph, graph.add("Sigmoid", scores)) if classes == 2 else graph.add("Softmax", scores, axis=1)


def normalized(graph: Graph, shares: str, classes: int) -> str:
    """Divide the shares of each row by their sum; if all shares of a row are 0, they become equal."""
    total = graph.sum(shares)
    all_zero = graph.add("Equal", total, graph.row(0))
    divided = graph.add("Div", shares, graph.add("Where", all_zero, graph.row(1), total))
    return graph.add("Where", all_zero, graph.row(np.full(classes, 1 / classes)), divided)
