"""The trained model: its artefact, and the predictor that loads it."""

from mlops_runtime.model.artefact import Artefact, ArtefactError, read_artefact
from mlops_runtime.model.baseline import Baseline, NumberBaseline, ValueBaseline, Vocabulary
from mlops_runtime.model.encoding import Encoding
from mlops_runtime.model.golden import GoldenRecord, agrees
from mlops_runtime.model.metadata import Interval, Metadata
from mlops_runtime.model.onnx_predictor import OnnxModel, OnnxPredictor
from mlops_runtime.model.predictor import BasePredictor, Predictor

__all__ = [
    "Artefact",
    "ArtefactError",
    "BasePredictor",
    "Baseline",
    "Encoding",
    "GoldenRecord",
    "Interval",
    "Metadata",
    "NumberBaseline",
    "OnnxModel",
    "OnnxPredictor",
    "Predictor",
    "ValueBaseline",
    "Vocabulary",
    "agrees",
    "read_artefact",
]
