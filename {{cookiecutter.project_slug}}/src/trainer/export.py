"""The estimator as an ONNX model, and the proof that both give the same answers."""

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from onnx import TensorProto
from skl2onnx import convert_sklearn
from skl2onnx.algebra.onnx_ops import OnnxIsNaN, OnnxWhere
from skl2onnx.common.data_types import DoubleTensorType
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline

from {{cookiecutter.__package}}_model.classifier import GOLDEN_TOLERANCE, Classifier
from {{cookiecutter.__package}}_model.datamodel import FEATURES, Record, feature_matrix

OPSET = {"": 18, "ai.onnx.ml": 3}
"""Fixed, so that an update of the converter does not change the operators unseen."""


class ParityError(RuntimeError):
    """The exported model and the estimator differ."""


def onnx_model(estimator: Pipeline) -> bytes:
    """Return the fitted pipeline as an ONNX model.

    Its input `records` is double, shape (rows, features), NaN where a value is missing; its
    outputs are `label` and `probabilities`. Double throughout where the operators allow it: in
    single precision a scaled value lands on the other side of a threshold now and then.
    """
    with warnings.catch_warnings():
        # The converter writes the booleans of a tree as integers, which protobuf 7 will refuse.
        warnings.filterwarnings("ignore", ".*Expected an int, got a boolean", DeprecationWarning)
        model = convert_sklearn(
            estimator,
            name="classifier",  # the converter would else make up a random one
            initial_types=[("records", DoubleTensorType([None, len(FEATURES)]))],
            options={"zipmap": False},
            target_opset=OPSET,
            custom_conversion_functions={SimpleImputer: _convert_imputer},
            custom_shape_calculators={SimpleImputer: _shape_imputer},
        )
    if any(node.op_type == "TreeEnsembleClassifier" for node in model.graph.node):
        # ONNX Runtime compares in double but sums the leaves in single precision; the converter
        # declares double, and the runtime refuses a model whose output is not what it declares.
        (probabilities,) = [output for output in model.graph.output if output.name == "probabilities"]
        probabilities.type.tensor_type.elem_type = TensorProto.FLOAT
    # The converter takes these from a set: their order follows Python's hash seed, which is another
    # in each process, and the bytes of the model would follow it now and then.
    imports = sorted(model.opset_import, key=lambda opset: str(opset.domain))
    del model.opset_import[:]
    model.opset_import.extend(imports)
    return bytes(model.SerializeToString(deterministic=True))


def _shape_imputer(operator: Any) -> None:
    features = operator.raw_operator.statistics_.shape[0]
    operator.outputs[0].type = DoubleTensorType([None, features])


def _convert_imputer(scope: Any, operator: Any, container: Any) -> None:
    """Write the imputer as "where NaN, the statistic": ONNX Runtime has no Imputer for double."""
    (records,) = operator.inputs
    opset = operator.target_opset
    statistics = operator.raw_operator.statistics_.astype(np.float64).reshape(1, -1)
    imputed = OnnxWhere(
        OnnxIsNaN(records, op_version=opset),
        statistics,
        records,
        op_version=opset,
        output_names=[operator.outputs[0].full_name],
    )
    imputed.add_to(scope, container)


def check_parity(classifier: Classifier, estimator: Pipeline, records: Sequence[Record]) -> float:
    """Return the largest difference between the probabilities of the exported model and of the estimator.

    Raises:
        ParityError: if a label differs, or a probability by more than the tolerance.
    """
    features = feature_matrix(records)
    expected = estimator.predict_proba(features)
    difference = float(np.abs(classifier.probabilities(features) - expected).max())
    labels = [prediction.label.value for prediction in classifier.predict(records)]
    unlike = int(np.count_nonzero(np.array(labels) != estimator.predict(features)))
    if unlike or not difference <= GOLDEN_TOLERANCE:
        raise ParityError(
            f"the exported model is not the estimator: {unlike} of {len(records)} labels differ, "
            f"probabilities by up to {difference:.1e} (allowed: {GOLDEN_TOLERANCE:.0e}); nothing was written"
        )
    return difference
