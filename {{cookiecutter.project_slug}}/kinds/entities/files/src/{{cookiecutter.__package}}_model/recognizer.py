"""The predictor: the contract bound to the artefact that training makes."""

from pathlib import Path

from mlops_runtime.entities.predictor import SpacyPredictor

from {{cookiecutter.__package}}_model.datamodel import CONTRACT

ARTEFACT = Path(__file__).parent / "artefact"
"""Folder that `make train` writes, and that the wheel contains."""


class Recognizer(SpacyPredictor):
    """Finds entities with the pipeline of the artefact."""


def load(folder: Path = ARTEFACT) -> Recognizer:
    """Return the predictor of the artefact in the folder."""
    return Recognizer.load(CONTRACT, folder)
