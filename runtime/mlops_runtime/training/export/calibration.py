"""Calibrated classifiers."""

from typing import Any

import numpy as np
from onnx import TensorProto
from sklearn.calibration import CalibratedClassifierCV
from sklearn.isotonic import IsotonicRegression

from mlops_runtime.training.export.graph import Graph
from mlops_runtime.training.export.links import both_classes, normalized
from mlops_runtime.training.export.registry import ExportError, convert, converter


@converter(CalibratedClassifierCV, method="predict_proba")
def _calibrated(graph: Graph, columns: str, estimator: Any) -> str:
    parts = estimator.calibrated_classifiers_
    return graph.averaged([_calibrated_part(graph, columns, estimator, part) for part in parts], [1] * len(parts))


def _calibrated_part(graph: Graph, columns: str, estimator: Any, part: Any) -> str:
    """Return the probabilities of a classifier with a calibrator for each class."""
    if part.method not in ("isotonic", "sigmoid") or len(part.estimator.classes_) != len(part.classes):
        raise ExportError(estimator, "use method='sigmoid' or 'isotonic', and ensemble=False for rare labels")
    classes = len(part.classes)
    if hasattr(part.estimator, "decision_function"):
        scores = convert(graph, columns, part.estimator, "decision_function")
    else:
        scores = convert(graph, columns, part.estimator, "predict_proba")
        scores = graph.columns(scores, [1]) if classes == 2 else scores
    shares = [
        _probability(graph, graph.columns(scores, [column]), calibrator)
        for column, calibrator in enumerate(part.calibrators)
    ]
    return both_classes(graph, shares[0]) if classes == 2 else normalized(graph, graph.joined(shares), classes)


def _probability(graph: Graph, score: str, calibrator: Any) -> str:
    if isinstance(calibrator, IsotonicRegression):
        return _interpolated(graph, score, calibrator)
    linear = graph.add("Add", graph.add("Mul", score, graph.row(-calibrator.a_)), graph.row(-calibrator.b_))
    return graph.add("Sigmoid", linear)


def _interpolated(graph: Graph, score: str, calibrator: Any) -> str:
    """Return the linear interpolation between the thresholds, and the nearest threshold outside them."""
    x, y = (np.asarray(values, dtype=np.float64) for values in (calibrator.X_thresholds_, calibrator.y_thresholds_))
    clipped = graph.add("Min", graph.add("Max", score, graph.row(x[0])), graph.row(x[-1]))
    passed = graph.sum(graph.double(graph.add("GreaterOrEqual", clipped, graph.row(x))))
    index = graph.cast(graph.add("Sub", passed, graph.row(1)), TensorProto.INT64)
    slopes = np.append(np.diff(y) / np.diff(x), 0)
    left, low, slope = (graph.add("Gather", graph.constant(values), index, axis=0) for values in (x, y, slopes))
    return graph.add("Add", low, graph.add("Mul", slope, graph.add("Sub", clipped, left)))
