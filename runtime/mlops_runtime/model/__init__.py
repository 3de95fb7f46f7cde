"""The trained model: its artefact, and the predictor that loads it."""

from typing import TYPE_CHECKING, Any

from mlops_runtime.model.artefact import Artefact, ArtefactError, read_artefact
from mlops_runtime.model.baseline import Baseline, NumberBaseline, ValueBaseline, Vocabulary
from mlops_runtime.model.encoding import Encoding
from mlops_runtime.model.golden import GoldenRecord, agrees
from mlops_runtime.model.metadata import Interval, Metadata
from mlops_runtime.model.predictor import BasePredictor, Predictor

if TYPE_CHECKING:
    from mlops_runtime.model.onnx_predictor import OnnxModel, OnnxPredictor

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

ONNX = frozenset(("OnnxModel", "OnnxPredictor"))


def __getattr__(name: str) -> Any:
    """Import ONNX Runtime when it is first used: a model of another kind needs it neither loaded nor installed."""
    if name in ONNX:
        from mlops_runtime.model import onnx_predictor

        return getattr(onnx_predictor, name)
    raise AttributeError(f"module {__name__} has no attribute {name}")
