"""The converters, by type of estimator and by the method that they stand for."""

from collections.abc import Callable
from typing import Any, Literal, TypeVar

from mlops_runtime.training.export.graph import Graph

Method = Literal["transform", "predict", "predict_proba", "decision_function"]
Converter = Callable[[Graph, str, Any], str]
"""Takes a graph, the name of a matrix in it and a fitted estimator; adds what the estimator's method does
with the matrix, and returns the name of the result.

The result has shape (rows, columns) for `transform`, (rows, 1) for `predict`, (rows, classes) for
`predict_proba`, and as many columns as scikit-learn gives for `decision_function`, at least one."""

ConverterT = TypeVar("ConverterT", bound=Converter)

_converters: dict[tuple[type | str, Method], Converter] = {}


class ExportError(RuntimeError):
    """The estimator has a part that cannot be exported; the message names it, and says what to do."""

    def __init__(self, estimator: Any, reason: str) -> None:
        super().__init__(f"{estimator_name(estimator)} cannot be exported: {reason}")


def estimator_name(estimator: Any) -> str:
    """Return the name of an estimator's class."""
    return type(estimator).__name__


def converter(*kinds: type | str, method: Method) -> Callable[[ConverterT], ConverterT]:
    """Register a function that adds a method of some types of estimators to a graph.

    Args:
        kinds: types of estimators, which stand for their subclasses too; or their names, written
            "package.Class", for a package that may not be installed.
        method: of the estimator.
    """

    def register(function: ConverterT) -> ConverterT:
        _converters.update({(kind, method): function for kind in kinds})
        return function

    return register


def convert(graph: Graph, matrix: str, estimator: Any, method: Method) -> str:
    """Add a method of a fitted estimator to the graph, and return the name of the result.

    Raises:
        ExportError: if there is no converter for it, or the converter does not know its parameters.
    """
    found = _converter(estimator, method)
    if found is None:
        # skl2onnx takes more than a second to import.
        from mlops_runtime.training.export.external import convert_external

        return convert_external(graph, matrix, estimator, method)
    return found(graph, matrix, estimator)


def _converter(estimator: Any, method: Method) -> Converter | None:
    for kind in type(estimator).__mro__:
        name = f"{kind.__module__.partition('.')[0]}.{kind.__qualname__}"
        found = _converters.get((kind, method)) or _converters.get((name, method))
        if found:
            return found
    return None
