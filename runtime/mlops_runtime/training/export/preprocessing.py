"""Transformers of columns."""

from typing import Any

import numpy as np
from onnx import TensorProto
from sklearn.decomposition import PCA, TruncatedSVD
from sklearn.feature_extraction.text import TfidfTransformer
from sklearn.feature_selection import SelectorMixin
from sklearn.impute import SimpleImputer
from sklearn.preprocessing import (
    FunctionTransformer,
    MaxAbsScaler,
    MinMaxScaler,
    OneHotEncoder,
    PolynomialFeatures,
    RobustScaler,
    StandardScaler,
    TargetEncoder,
)

from mlops_runtime.training.export.graph import Graph
from mlops_runtime.training.export.registry import ExportError, converter

FUNCTIONS = {
    "abs": "Abs",
    "absolute": "Abs",
    "ceil": "Ceil",
    "exp": "Exp",
    "floor": "Floor",
    "log": "Log",
    "negative": "Neg",
    "reciprocal": "Reciprocal",
    "rint": "Round",
    "sign": "Sign",
    "sqrt": "Sqrt",
    "tanh": "Tanh",
}
"""Functions of numpy and the equivalent ONNX operators."""

EXPORTED_FUNCTIONS = sorted([*FUNCTIONS, "expm1", "log1p", "square"])


@converter(SimpleImputer, method="transform")
def _simple_imputer(graph: Graph, columns: str, imputer: Any) -> str:
    if not (isinstance(imputer.missing_values, float) and np.isnan(imputer.missing_values)):
        raise ExportError(imputer, "its missing_values are not NaN; use NaN, the value of a missing number")
    statistics = np.asarray(imputer.statistics_, dtype=np.float64)
    kept = np.flatnonzero(~np.isnan(statistics))
    present = columns if len(kept) == len(statistics) else graph.columns(columns, kept)
    filled = graph.add("Where", graph.add("IsNaN", present), graph.row(statistics[kept]), present)
    if imputer.indicator_ is None or not len(imputer.indicator_.features_):
        return filled
    missing = graph.add("IsNaN", graph.columns(columns, imputer.indicator_.features_))
    return graph.joined([filled, graph.double(missing)])


@converter(StandardScaler, method="transform")
def _standard_scaler(graph: Graph, columns: str, scaler: Any) -> str:
    return _scaled(graph, columns, scaler.mean_ if scaler.with_mean else None, scaler.scale_)


@converter(RobustScaler, method="transform")
def _robust_scaler(graph: Graph, columns: str, scaler: Any) -> str:
    return _scaled(graph, columns, scaler.center_, scaler.scale_)


@converter(MaxAbsScaler, method="transform")
def _max_abs_scaler(graph: Graph, columns: str, scaler: Any) -> str:
    return _clipped(graph, _scaled(graph, columns, None, scaler.scale_), scaler, (-1, 1))


@converter(MinMaxScaler, method="transform")
def _min_max_scaler(graph: Graph, columns: str, scaler: Any) -> str:
    scaled = graph.add("Add", graph.add("Mul", columns, graph.row(scaler.scale_)), graph.row(scaler.min_))
    return _clipped(graph, scaled, scaler, scaler.feature_range)


def _scaled(graph: Graph, columns: str, center: Any, scale: Any) -> str:
    if center is not None:
        columns = graph.add("Sub", columns, graph.row(center))
    return columns if scale is None else graph.add("Div", columns, graph.row(scale))


def _clipped(graph: Graph, columns: str, scaler: Any, limits: tuple[float, float]) -> str:
    if not getattr(scaler, "clip", False):
        return columns
    # The operator Clip would replace NaN by a limit.
    low, high = (graph.constant(limit) for limit in limits)
    return graph.add("Where", graph.add("IsNaN", columns), columns, graph.add("Clip", columns, low, high))


@converter(SelectorMixin, method="transform")
def _selector(graph: Graph, columns: str, selector: Any) -> str:
    return graph.columns(columns, selector.get_support(indices=True))


@converter(PCA, method="transform")
def _pca(graph: Graph, columns: str, pca: Any) -> str:
    projected = graph.affine(columns, pca.components_.T, -pca.mean_ @ pca.components_.T)
    return graph.add("Div", projected, graph.row(np.sqrt(pca.explained_variance_))) if pca.whiten else projected


@converter(TruncatedSVD, method="transform")
def _truncated_svd(graph: Graph, columns: str, svd: Any) -> str:
    return graph.add("MatMul", columns, graph.constant(svd.components_.T))


@converter(PolynomialFeatures, method="transform")
def _polynomial_features(graph: Graph, columns: str, polynomial: Any) -> str:
    """Return the products of columns; powers are repeated multiplications."""
    powers = polynomial.powers_
    constant_one = powers.shape[1]
    # Column number `constant_one` holds ones.
    padded = graph.add("Pad", columns, graph.constant([0, 0, 0, 1], np.int64), graph.constant(1.0))
    factors = np.full((len(powers), max(int(powers.sum(axis=1).max()), 1)), constant_one)
    for output, exponents in enumerate(powers):
        repeated = np.repeat(np.arange(len(exponents)), exponents)
        factors[output, : len(repeated)] = repeated
    product = graph.columns(padded, factors[:, 0])
    for indices in factors.T[1:]:
        product = graph.add("Mul", product, graph.columns(padded, indices))
    return product


@converter(FunctionTransformer, method="transform")
def _function_transformer(graph: Graph, columns: str, transformer: Any) -> str:
    function = transformer.func
    if function is None:
        return columns
    name = getattr(function, "__name__", repr(function))
    if not transformer.kw_args and getattr(np, name, None) is function:
        match name:
            case "log1p":
                return graph.add("Log", graph.add("Add", columns, graph.row(1)))
            case "expm1":
                return graph.add("Sub", graph.add("Exp", columns), graph.row(1))
            case "square":
                return graph.add("Mul", columns, columns)
            case _ if name in FUNCTIONS:
                return graph.add(FUNCTIONS[name], columns)
    raise ExportError(
        transformer,
        f"its function {name} is not supported; use one of numpy's {', '.join(EXPORTED_FUNCTIONS)} without "
        "arguments, register a converter, or serve the model with a Predictor of your own",
    )


@converter(OneHotEncoder, method="transform")
def _one_hot_encoder(graph: Graph, columns: str, encoder: Any) -> str:
    if any(option is not None for option in (encoder.drop, encoder.min_frequency, encoder.max_categories)):
        raise ExportError(encoder, "it drops or groups categories; remove drop, min_frequency and max_categories")
    repeated = [index for index, categories in enumerate(encoder.categories_) for _ in categories]
    categories = graph.row(np.concatenate(encoder.categories_))
    return graph.double(graph.add("Equal", graph.columns(columns, repeated), categories))


@converter(TargetEncoder, method="transform")
def _target_encoder(graph: Graph, columns: str, encoder: Any) -> str:
    """Look up each category in a table of mean targets, whose first row is for -1, a missing value."""
    means = np.atleast_1d(encoder.target_mean_)
    parts = []
    for number, categories in enumerate(encoder.categories_):
        table = np.tile(means, (int(max(categories.max(), 0)) + 2, 1))
        for target in range(len(means)):
            table[categories.astype(int) + 1, target] = encoder.encodings_[number * len(means) + target]
        index = graph.cast(graph.columns(columns, [number]), TensorProto.INT64)
        # Categories without training rows have the overall mean, which is the last row of the table.
        row = graph.add("Add", index, graph.constant([[1]], np.int64))
        row = graph.add("Min", row, graph.constant([[len(table)]], np.int64))
        looked_up = graph.add("Gather", graph.constant(np.vstack([table, means.reshape(1, -1)])), row, axis=0)
        # Shape (rows, 1, targets).
        parts.append(graph.add("Reshape", looked_up, graph.constant([-1, len(means)], np.int64)))
    return graph.joined(parts)


@converter(TfidfTransformer, method="transform")
def _tfidf_transformer(graph: Graph, counts: str, transformer: Any) -> str:
    if not (transformer.use_idf and transformer.norm == "l2"):
        raise ExportError(transformer, "use use_idf=True and norm='l2'")
    frequencies = counts
    if transformer.sublinear_tf:
        # 1 + log(count) is log(e * count); the maximum gives 0 for a word that does not occur.
        scaled = graph.add("Mul", counts, graph.row(np.e))
        frequencies = graph.add("Log", graph.add("Max", scaled, graph.row(1)))
    weighted = graph.add("Mul", frequencies, graph.row(transformer.idf_))
    length = graph.add("ReduceL2", weighted, graph.constant([1], np.int64), keepdims=1)
    empty = graph.add("Equal", length, graph.row(0))
    return graph.add("Div", weighted, graph.add("Where", empty, graph.row(1), length))
