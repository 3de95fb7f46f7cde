"""Export of a fitted model as an ONNX graph in double precision.

The graph repeats the steps of the encoding and the estimator. It rounds to single precision only where the
estimator does, because rounding could move a record to the other side of a threshold.

Each type of estimator has a converter. The decorator `converter` registers converters for other types.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from mlops_runtime.model.artefact import MODEL_FILE
from mlops_runtime.model.encoding import Encoding
from mlops_runtime.training.export import (
    boosters,
    calibration,
    composition,
    external,
    linear,
    neighbors,
    neural,
    preprocessing,
    svm,
    trees,
)
from mlops_runtime.training.export.encoding import encode
from mlops_runtime.training.export.graph import Graph
from mlops_runtime.training.export.registry import Converter, ExportError, convert, converter
from mlops_runtime.training.fitted_model import FittedModel

__all__ = ["CONVERTERS", "Converter", "ExportError", "Graph", "convert", "converter", "onnx_files", "onnx_model"]

CONVERTERS = (boosters, calibration, composition, external, linear, neighbors, neural, preprocessing, svm, trees)
"""Modules that register converters when they are imported."""


def onnx_files(model: FittedModel) -> Mapping[str, bytes]:
    """Return the file of a model as an ONNX graph.

    Raises:
        ExportError: if a part of the estimator cannot be exported.
    """
    return {MODEL_FILE: onnx_model(model.encoding, model.estimator, len(model.contract.labels))}


def onnx_model(encoding: Encoding, estimator: Any, labels: int) -> bytes:
    """Return the encoding and the fitted estimator as an ONNX model.

    Its inputs are those of `Features.inputs`; its output has shape (rows, labels) or (rows, 1).

    Raises:
        ExportError: if a part of the estimator cannot be exported.
    """
    graph = Graph()
    matrix = encode(graph, encoding)
    if not labels:
        return graph.model(convert(graph, matrix, estimator, "predict"), 1, encoding.rows_at_once)
    probabilities = convert(graph, matrix, estimator, "predict_proba")
    if len(estimator.classes_) < labels:
        # A label without a training row has the probability 0.
        probabilities = graph.add("MatMul", probabilities, graph.constant(np.eye(labels)[estimator.classes_]))
    # Because of rounding, an average of ones may exceed 1.
    limits = graph.constant(0.0), graph.constant(1.0)
    return graph.model(graph.add("Clip", probabilities, *limits), labels, encoding.rows_at_once)
