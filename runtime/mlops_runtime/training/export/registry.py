"""The registry of converters by type of estimator and method."""

from collections.abc import Callable
from typing import Any, Literal, TypeVar, get_args

from mlops_runtime.training.export.graph import Graph

Method = Literal["transform", "predict", "predict_proba", "decision_function"]
METHODS: tuple[Method, ...] = get_args(Method)
Converter = Callable[[Graph, str, Any], str]
"""Takes a graph, the name of a matrix and a fitted estimator; adds the operators of a method of the estimator
to the graph and returns the name of their result.

The result has shape (rows, columns) for `transform`, (rows, 1) for `predict`, (rows, classes) for
`predict_proba`, and (rows, columns) with at least one column, as in scikit-learn, for `decision_function`."""

ConverterT = TypeVar("ConverterT", bound=Converter)

_converters: dict[tuple[type | str, Method], Converter] = {}


class ExportError(RuntimeError):
    """A part of the estimator cannot be exported; the message names it and a remedy."""

    def __init__(self, estimator: Any, reason: str) -> None:
        super().__init__(f"{estimator_name(estimator)} cannot be exported: {reason}")


def estimator_name(estimator: Any) -> str:
    """Return the name of an estimator's class."""
    return type(estimator).__name__


def converter(*kinds: type | str, method: Method) -> Callable[[ConverterT], ConverterT]:
    """Return a decorator that registers a converter for a method of some types of estimators.

    Args:
        kinds: types of estimators, including subclasses, or their names as "package.Class" for a package that
            may not be installed.
        method: method of the estimators.
    """

    def register(function: ConverterT) -> ConverterT:
        _converters.update({(kind, method): function for kind in kinds})
        return function

    return register


def convert(graph: Graph, matrix: str, estimator: Any, method: Method) -> str:
    """Add a method of a fitted estimator to the graph, and return the name of the result.

    Raises:
        ExportError: if the estimator has no converter, or the converter does not support its parameters.
    """
    for kind in type(estimator).__mro__:
        name = f"{kind.__module__.partition('.')[0]}.{kind.__qualname__}"
        registered = _converters.get((kind, method)) or _converters.get((name, method))
        if registered:
            return registered(graph, matrix, estimator)
    raise ExportError(estimator, f"there is no converter for its {method}")
