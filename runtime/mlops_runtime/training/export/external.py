"""Estimators without a converter of their own: skl2onnx converts them, where it is installed."""

from functools import partial
from typing import Any

from mlops_runtime.training.export.graph import ML, OPSET, Graph
from mlops_runtime.training.export.registry import METHODS, ExportError, Method, converter

ADVICE = "register a converter (mlops_runtime.training.export), or serve the model with a Predictor of your own"


def _convert(graph: Graph, matrix: str, estimator: Any, method: Method) -> str:
    """Add the graph that skl2onnx makes of an estimator, in double precision.

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
        made = convert_sklearn(
            estimator,
            initial_types=[("matrix", DoubleTensorType([None, getattr(estimator, "n_features_in_", None)]))],
            options={id(estimator): {"zipmap": False}} if method == "predict_proba" else None,
            target_opset={"": OPSET, ML: 3},
        ).graph
    # skl2onnx raises its own errors, and those of the libraries that it calls.
    except Exception as error:
        raise ExportError(estimator, f"skl2onnx cannot convert it ({str(error).splitlines()[0]}); {ADVICE}") from error
    unusable = {node.op_type for node in made.node if node.domain not in ("", ML) or "TreeEnsemble" in node.op_type}
    if unusable:
        names = ", ".join(sorted(unusable))
        raise ExportError(estimator, f"skl2onnx has no operators in double precision for it ({names}); {ADVICE}")
    return graph.double(graph.include(made, matrix, made.output[-1].name))


# Every estimator is an object: this converter comes last.
for _method in METHODS:
    converter(object, method=_method)(partial(_convert, method=_method))
