"""The predictor for ONNX models."""

import os
import sys
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from mlops_runtime.contract import Features
from mlops_runtime.model.artefact import MODEL_FILE, ArtefactError
from mlops_runtime.model.predictor import Predictor

# ONNX Runtime 1.29 and later reports usage to its vendor unless this variable is set before the import.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
import onnxruntime

OUTPUT = "outputs"
"""Name of the graph's output: the probability of each label, or one value."""

ROWS_AT_ONCE = "rows_at_once"
"""Name of the property of the ONNX file with the maximum number of rows to run the graph on."""


class OnnxModel:
    """An ONNX graph that maps features to probabilities or values."""

    def __init__(self, content: bytes, columns: int) -> None:
        """Create the inference session.

        Args:
            content: bytes of an ONNX file.
            columns: number of columns of the output: the number of labels, or 1.

        Raises:
            ArtefactError: if the bytes are not an ONNX model, or its output has another shape.
        """
        options = onnxruntime.SessionOptions()
        # A tabular model runs for microseconds: a thread pool would cost more than it gains.
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        try:
            self._session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # ONNX Runtime's exceptions have no other common base class
            raise ArtefactError(f"ONNX Runtime cannot load the model: {error}") from error
        outputs = [(node.name, node.shape[-1]) for node in self._session.get_outputs()]
        if outputs != [(OUTPUT, columns)]:
            raise ArtefactError(f"the model has the outputs {outputs}: not made by this trainer")
        # A graph has only those inputs that it uses.
        self._inputs = tuple(node.name for node in self._session.get_inputs())
        # ONNX Runtime keeps the memory of its largest run. Without the property, a run has all rows.
        self._rows_at_once = int(self._session.get_modelmeta().custom_metadata_map.get(ROWS_AT_ONCE, sys.maxsize))

    def outputs(self, features: Features) -> NDArray[np.float64]:
        """Return the probability of each label, shape (rows, labels), or the values, shape (rows, 1)."""
        if len(features) > self._rows_at_once:
            return np.concatenate([self.outputs(part) for part in features.parts(self._rows_at_once)])
        inputs = features.inputs()
        (outputs,) = self._session.run([OUTPUT], {name: inputs[name] for name in self._inputs})
        return np.asarray(outputs, dtype=np.float64)


class OnnxPredictor(Predictor):
    """Predicts with the ONNX graph in `model.onnx`."""

    def load_model(self, files: Mapping[str, bytes]) -> None:
        """Create the inference session."""
        if MODEL_FILE not in files:
            raise ArtefactError(f"the artefact has no {MODEL_FILE}; run `make train`")
        self._model = OnnxModel(files[MODEL_FILE], len(self.contract.labels) or 1)

    def outputs(self, features: Features) -> NDArray[np.float64]:
        """Return the probability of each label, shape (rows, labels), or the values, shape (rows, 1)."""
        return self._model.outputs(features)

    def returns_quickly(self) -> bool:
        """Return whether the outputs are those of the graph alone: a project's own may wait for something."""
        return type(self).outputs is OnnxPredictor.outputs
