"""The estimator as an ONNX model, in double precision throughout.

The graph does what the encoding and the pipeline do, step by step, and no step rounds to single
precision: a threshold that is moved by rounding sends records to the other side of a tree.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.feature_extraction.text import TfidfTransformer
from sklearn.pipeline import Pipeline

from mlops_runtime.model.artefact import MODEL_FILE
from mlops_runtime.model.encoding import Encoding
from mlops_runtime.model.onnx_predictor import OUTPUT
from mlops_runtime.training.candidates import Blend
from mlops_runtime.training.fitted_model import FittedModel

OPSET = 18
ML = "ai.onnx.ml"
ML_OPSET = 5
"""From this version on trees may be in double precision."""
IR_VERSION = 10

LESS_OR_EQUAL, SUM, NO_TRANSFORM = 0, 1, 0
"""Codes of the operator TreeEnsemble."""


class Graph:
    """An ONNX graph in the making: each method adds operators and returns the name of what they give."""

    def __init__(self) -> None:
        self._nodes: list[onnx.NodeProto] = []
        self._inputs: list[onnx.ValueInfoProto] = []
        self._constants: list[onnx.TensorProto] = []

    def input(self, name: str, kind: int, columns: int | None) -> str:
        """Add an input of shape (rows, columns)."""
        self._inputs.append(helper.make_tensor_value_info(name, kind, [None, columns]))
        return name

    def add(self, operator: str, *inputs: str, domain: str = "", **attributes: Any) -> str:
        """Add an operator."""
        name = f"{operator}_{len(self._nodes)}"
        self._nodes.append(helper.make_node(operator, inputs, [name], name=name, domain=domain, **attributes))
        return name

    def constant(self, values: NDArray[Any] | Sequence[Any], kind: Any = np.float64) -> str:
        """Add an array."""
        name = f"constant_{len(self._constants)}"
        self._constants.append(numpy_helper.from_array(np.ascontiguousarray(values, dtype=kind), name))
        return name

    def columns(self, matrix: str, places: Sequence[int] | NDArray[Any]) -> str:
        """Take some columns of a matrix."""
        return self.add("Gather", matrix, self.constant(places, np.int64), axis=1)

    def double(self, values: str) -> str:
        """Turn values into double precision."""
        return self.add("Cast", values, to=TensorProto.DOUBLE)

    def joined(self, parts: Sequence[str]) -> str:
        """Put matrices side by side."""
        return parts[0] if len(parts) == 1 else self.add("Concat", *parts, axis=1)

    def model(self, output: str, columns: int) -> bytes:
        """Return the graph as a model with one output; the same graph gives the same bytes."""
        self._nodes.append(helper.make_node("Identity", [output], [OUTPUT], name=OUTPUT))
        told = helper.make_tensor_value_info(OUTPUT, TensorProto.DOUBLE, [None, columns])
        graph = helper.make_graph(self._nodes, "model", self._inputs, [told], self._constants)
        versions = [helper.make_opsetid("", OPSET), helper.make_opsetid(ML, ML_OPSET)]
        model = helper.make_model(graph, opset_imports=versions, ir_version=IR_VERSION)
        return bytes(model.SerializeToString(deterministic=True))


def onnx_files(model: FittedModel) -> dict[str, bytes]:
    """Return the files of a fitted model as an ONNX graph."""
    return {MODEL_FILE: onnx_model(model.encoding, model.estimator, len(model.contract.labels))}


def onnx_model(encoding: Encoding, estimator: Pipeline | Blend, labels: int) -> bytes:
    """Return the encoding and the fitted estimator as an ONNX model.

    Its inputs are those of `Features.inputs`; its output has shape (rows, labels) or (rows, 1).
    """
    graph = Graph()
    matrix = _encoded(graph, encoding)
    if isinstance(estimator, Blend):
        weighted = [
            graph.add("Mul", _output(graph, matrix, part), graph.constant([[weight]]))
            for weight, part in estimator.parts
        ]
        output = graph.add("Add", *weighted)
    else:
        output = _output(graph, matrix, estimator)
    return graph.model(_each_label(graph, output, estimator, labels), labels or 1)


def _output(graph: Graph, matrix: str, pipeline: Pipeline) -> str:
    return _estimated(graph, _transformed(graph, matrix, pipeline["columns"]), pipeline["estimator"])


def _encoded(graph: Graph, encoding: Encoding) -> str:
    parts = []
    if encoding.layout.numbers:
        parts.append(graph.input("numbers", TensorProto.DOUBLE, len(encoding.layout.numbers)))
    if encoding.values:
        categories = graph.input("categories", TensorProto.STRING, len(encoding.values))
        parts += [_places(graph, categories, place, values) for place, values in enumerate(encoding.values)]
    for place, terms in enumerate(encoding.terms):
        words = graph.input(f"text_{place}", TensorProto.STRING, None)
        if terms:
            parts.append(_counts(graph, words, terms))
    return graph.joined(parts)


def _places(graph: Graph, categories: str, column: int, values: tuple[str, ...]) -> str:
    # An operator without a single key is none: a category of which nothing was learned knows this one.
    known = values or ("",)
    places = graph.add(
        "LabelEncoder",
        graph.columns(categories, [column]),
        domain=ML,
        keys_strings=list(known),
        values_floats=[float(place) if values else -1.0 for place in range(len(known))],
        default_float=-1.0,
    )
    return graph.double(places)


def _counts(graph: Graph, words: str, terms: tuple[str, ...]) -> str:
    counts = graph.add(
        "TfIdfVectorizer",
        words,
        mode="TF",
        min_gram_length=1,
        max_gram_length=1,
        max_skip_count=0,
        ngram_counts=[0],
        ngram_indexes=list(range(len(terms))),
        pool_strings=list(terms),
    )
    return graph.double(counts)


def _transformed(graph: Graph, matrix: str, transformer: ColumnTransformer) -> str:
    parts = []
    for name, fitted, places in transformer.transformers_:
        columns = graph.columns(matrix, places)
        match name, fitted:
            case "numbers", Pipeline():
                columns = _scaled(graph, _imputed(graph, columns, fitted["imputer"]), fitted["scaler"])
            case "few", _:
                columns = _one_hot(graph, matrix, places, fitted)
            case "many", _:
                columns = _target_encoded(graph, columns, fitted)
            case "terms", TfidfTransformer():
                columns = _weighted(graph, columns, fitted)
        parts.append(columns)
    return graph.joined(parts)


def _imputed(graph: Graph, columns: str, imputer: Any) -> str:
    medians = graph.constant(imputer.statistics_.reshape(1, -1))
    filled = graph.add("Where", graph.add("IsNaN", columns), medians, columns)
    lacking = imputer.indicator_.features_
    if not len(lacking):
        return filled
    return graph.joined([filled, graph.double(graph.add("IsNaN", graph.columns(columns, lacking)))])


def _scaled(graph: Graph, columns: str, scaler: Any) -> str:
    centred = graph.add("Sub", columns, graph.constant(scaler.mean_.reshape(1, -1)))
    return graph.add("Div", centred, graph.constant(scaler.scale_.reshape(1, -1)))


def _one_hot(graph: Graph, matrix: str, places: Sequence[int], encoder: Any) -> str:
    repeated = [place for place, known in zip(places, encoder.categories_, strict=True) for _ in known]
    known = np.concatenate(encoder.categories_).reshape(1, -1)
    return graph.double(graph.add("Equal", graph.columns(matrix, repeated), graph.constant(known)))


def _target_encoded(graph: Graph, columns: str, encoder: Any) -> str:
    """Look each place up in a table of what the target is like there; the first row is for -1."""
    means = np.atleast_1d(encoder.target_mean_)
    parts = []
    for number, known in enumerate(encoder.categories_):
        table = np.tile(means, (int(max(known.max(), 0)) + 2, 1))
        for target in range(len(means)):
            table[known.astype(int) + 1, target] = encoder.encodings_[number * len(means) + target]
        place = graph.add("Cast", graph.columns(columns, [number]), to=TensorProto.INT64)
        # A place that training had no row of comes after the last one of the table, or has the mean there.
        row = graph.add("Add", place, graph.constant([[1]], np.int64))
        inside = graph.add("Less", row, graph.constant([[len(table)]], np.int64))
        row = graph.add("Where", inside, row, graph.constant([[len(table)]], np.int64))
        whole = graph.constant(np.vstack([table, means.reshape(1, -1)]))
        looked_up = graph.add("Gather", whole, row, axis=0)  # shape (rows, 1, targets)
        parts.append(graph.add("Reshape", looked_up, graph.constant([-1, len(means)], np.int64)))
    return graph.joined(parts)


def _weighted(graph: Graph, counts: str, transformer: Any) -> str:
    there = graph.add("Greater", counts, graph.constant([[0.0]]))
    damped = graph.add("Add", graph.add("Log", counts), graph.constant([[1.0]]))  # of 0 it is not used
    frequencies = graph.add("Where", there, damped, graph.constant([[0.0]]))
    weighted = graph.add("Mul", frequencies, graph.constant(transformer.idf_.reshape(1, -1)))
    length = graph.add("ReduceL2", weighted, graph.constant([1], np.int64), keepdims=1)
    empty = graph.add("Equal", length, graph.constant([[0.0]]))
    return graph.add("Div", weighted, graph.add("Where", empty, graph.constant([[1.0]]), length))


def _estimated(graph: Graph, columns: str, estimator: Any) -> str:
    """Return the raw outputs as probabilities of the estimator's own classes, or as values."""
    if isinstance(estimator, HistGradientBoostingClassifier | HistGradientBoostingRegressor):
        raw = _trees(graph, columns, estimator)
    else:
        weights = np.atleast_2d(estimator.coef_).T
        products = graph.add("MatMul", columns, graph.constant(weights))
        raw = graph.add("Add", products, graph.constant(np.atleast_1d(estimator.intercept_).reshape(1, -1)))
    classes = len(getattr(estimator, "classes_", ()))
    if classes > 2:
        return graph.add("Softmax", raw, axis=1)
    if classes == 2:
        probability = graph.add("Sigmoid", raw)
        return graph.joined([graph.add("Sub", graph.constant([[1.0]]), probability), probability])
    return raw


def _each_label(graph: Graph, output: str, estimator: Any, labels: int) -> str:
    """Give a label that the training rows lack a column of zeros."""
    if not labels or len(estimator.classes_) == labels:
        return output
    return graph.add("MatMul", output, graph.constant(np.eye(labels)[estimator.classes_]))


def _trees(graph: Graph, columns: str, estimator: Any) -> str:
    """Return the sums of the leaves, shape (rows, trees of one iteration)."""
    trees = _Trees()
    # scikit-learn shows trees and start nowhere else; its version is locked, and parity is proved in each run.
    for iteration in estimator._predictors:
        for target, predictor in enumerate(iteration):
            trees.add(predictor.nodes, target)
    raw = graph.add(
        "TreeEnsemble",
        columns,
        domain=ML,
        n_targets=estimator.n_trees_per_iteration_,
        aggregate_function=SUM,
        post_transform=NO_TRANSFORM,
        **trees.attributes(),
    )
    start = np.asarray(estimator._baseline_prediction, dtype=np.float64).reshape(1, -1)
    return graph.add("Add", raw, graph.constant(start))


class _Trees:
    """The attributes of a TreeEnsemble: all inner nodes of all trees, one after the other, then all leaves."""

    def __init__(self) -> None:
        self._roots: list[int] = []
        self._features: list[int] = []
        self._thresholds: list[float] = []
        self._missing_left: list[int] = []
        self._left: list[tuple[bool, int]] = []
        self._right: list[tuple[bool, int]] = []
        self._values: list[float] = []
        self._targets: list[int] = []

    def add(self, nodes: NDArray[Any], target: int) -> None:
        """Add a tree of scikit-learn, whose first node is the root."""
        self._roots.append(len(self._features))
        if nodes[0]["is_leaf"]:
            # The operator knows no tree without a decision: this one leads to the same leaf either way.
            leaf = self._leaf(nodes[0], target)
            self._decide(0, 0.0, missing_left=True, left=leaf, right=leaf)
            return
        inner = np.flatnonzero(nodes["is_leaf"] == 0)
        places = {int(node): len(self._features) + place for place, node in enumerate(inner)}

        def child(place: int) -> tuple[bool, int]:
            node = nodes[place]
            return self._leaf(node, target) if node["is_leaf"] else (False, places[place])

        for node in nodes[inner]:
            self._decide(
                int(node["feature_idx"]),
                float(node["num_threshold"]),
                missing_left=bool(node["missing_go_to_left"]),
                left=child(int(node["left"])),
                right=child(int(node["right"])),
            )

    def attributes(self) -> dict[str, Any]:
        """Return the attributes of the operator."""
        return {
            "tree_roots": self._roots,
            "nodes_featureids": self._features,
            "nodes_splits": numpy_helper.from_array(np.array(self._thresholds)),
            "nodes_modes": numpy_helper.from_array(np.full(len(self._features), LESS_OR_EQUAL, dtype=np.uint8)),
            "nodes_missing_value_tracks_true": self._missing_left,
            "nodes_trueleafs": [int(is_leaf) for is_leaf, _ in self._left],
            "nodes_truenodeids": [place for _, place in self._left],
            "nodes_falseleafs": [int(is_leaf) for is_leaf, _ in self._right],
            "nodes_falsenodeids": [place for _, place in self._right],
            "leaf_weights": numpy_helper.from_array(np.array(self._values)),
            "leaf_targetids": self._targets,
        }

    def _leaf(self, node: Any, target: int) -> tuple[bool, int]:
        self._values.append(float(node["value"]))
        self._targets.append(target)
        return True, len(self._values) - 1

    def _decide(
        self, feature: int, threshold: float, *, missing_left: bool, left: tuple[bool, int], right: tuple[bool, int]
    ) -> None:
        self._features.append(feature)
        self._thresholds.append(threshold)
        self._missing_left.append(int(missing_left))
        self._left.append(left)
        self._right.append(right)
