"""Estimators without a converter, which skl2onnx converts if it is installed."""

from functools import partial
from typing import Any

from mlops_runtime.training.export.graph import ML, OPSET, Graph
from mlops_runtime.training.export.registry import METHODS, ExportError, Method, converter

ADVICE = "register a converter (mlops_runtime.training.export), or serve the model with a Predictor of your own"


def _convert(graph: Graph, matrix: str, estimator: Any, method: Method) -> str:
    """Add the graph of skl2onnx for an estimator, in double precision.

    Raises:
        ExportError: if skl2onnx is not installed, or cannot convert the estimator.
    """
    if not hasattr(estimator, method):
        advice = "wrap it in CalibratedClassifierCV" if method == "predict_proba" else ADVICE
        raise ExportError(estimator, f"it has no {method}; {advice}")
    try:
        from skl2onnx import convert_sklearn
        from skl2onnx.common.data_types import DoubleTensorType
    except ImportError as error:
        advice = f"add skl2onnx to the Pipfile, {ADVICE}"
        raise ExportError(estimator, f"there is no converter for it; {advice}") from error
    try:
        converted = convert_sklearn(
            estimator,
            initial_types=[("matrix", DoubleTensorType([None, getattr(estimator, "n_features_in_", None)]))],
            options={id(estimator): {"zipmap": False}} if method == "predict_proba" else None,
            target_opset={"": OPSET, ML: 3},
        ).graph
    # skl2onnx may raise any exception, including those of other libraries.
    except Exception as error:
        raise ExportError(estimator, f"skl2onnx cannot convert it ({str(error).splitlines()[0]}); {ADVICE}") from error
    unusable = {
        node.op_type for node in converted.node if node.domain not in ("", ML) or "TreeEnsemble" in node.op_type
    }
    if unusable:
        names = ", ".join(sorted(unusable))
        raise ExportError(estimator, f"skl2onnx does not support it in double precision ({names}); {ADVICE}")
    return graph.double(graph.include(converted, matrix, converted.output[-1].name))


# `object` is the last base class of every estimator, so other converters take precedence.
for _method in METHODS:
    converter(object, method=_method)(partial(_convert, method=_method))
