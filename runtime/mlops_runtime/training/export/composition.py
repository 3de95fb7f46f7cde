"""Estimators composed of other estimators."""

from functools import partial
from typing import Any

import numpy as np
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import VotingClassifier, VotingRegressor
from sklearn.pipeline import FeatureUnion, Pipeline

from mlops_runtime.training.export.graph import Graph
from mlops_runtime.training.export.registry import METHODS, ExportError, Method, convert, converter


def _pipeline(graph: Graph, matrix: str, pipeline: Any, method: Method) -> str:
    *steps, (_, last) = pipeline.steps
    for _, step in steps:
        matrix = _transformed(graph, matrix, step)
    return _transformed(graph, matrix, last) if method == "transform" else convert(graph, matrix, last, method)


for _method in METHODS:
    converter(Pipeline, method=_method)(partial(_pipeline, method=_method))


def _transformed(graph: Graph, matrix: str, step: Any) -> str:
    return matrix if step is None or _is(step, "passthrough") else convert(graph, matrix, step, "transform")


def _is(step: Any, name: str) -> bool:
    return isinstance(step, str) and step == name


@converter(ColumnTransformer, method="transform")
def _column_transformer(graph: Graph, matrix: str, transformer: Any) -> str:
    parts = []
    for _, step, chosen in transformer.transformers_:
        indices = np.arange(transformer.n_features_in_)[chosen]
        # A step without columns is not fitted.
        if len(indices) and not _is(step, "drop"):
            parts.append(_transformed(graph, graph.columns(matrix, indices), step))
    return graph.joined(parts)


@converter(FeatureUnion, method="transform")
def _feature_union(graph: Graph, matrix: str, union: Any) -> str:
    if union.transformer_weights:
        raise ExportError(union, "it has transformer_weights; remove them")
    return graph.joined(
        [_transformed(graph, matrix, step) for _, step in union.transformer_list if not _is(step, "drop")]
    )


def _voting(graph: Graph, matrix: str, voting: Any, method: Method) -> str:
    weights = voting.weights or [1] * len(voting.estimators)
    kept = [weight for weight, (_, part) in zip(weights, voting.estimators, strict=True) if not _is(part, "drop")]
    return graph.averaged([convert(graph, matrix, part, method) for part in voting.estimators_], kept)


converter(VotingClassifier, method="predict_proba")(partial(_voting, method="predict_proba"))
converter(VotingRegressor, method="predict")(partial(_voting, method="predict"))
