"""The predictor: the contract bound to the artefact that training makes."""

from pathlib import Path

from mlops_runtime.model import OnnxPredictor

from {{cookiecutter.__package}}_model.datamodel import CONTRACT

ARTEFACT = Path(__file__).parent / "artefact"
"""Folder that `make train` writes, and that the wheel contains."""


class Classifier(OnnxPredictor):
    """Predicts with the ONNX graph of the artefact.

    For a model of another kind, derive from `mlops_runtime.model.Predictor` and write `load_model`
    and `outputs`; `EXPORT` in `trainer/estimators.py` writes the files that `load_model` reads.
    """


def load(folder: Path = ARTEFACT) -> Classifier:
    """Return the predictor of the artefact in the folder."""
    return Classifier.load(CONTRACT, folder)
