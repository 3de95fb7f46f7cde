"""Models of entities that are trained in seconds."""

from pathlib import Path

from mlops_runtime.contract import Contract
from mlops_runtime.entities.pipelines import Pipeline
from mlops_runtime.entities.predictor import SpacyPredictor
from mlops_runtime.entities.training import train
from mlops_runtime.testing.quick_settings import quick_settings

MAX_TEXTS = 120
"""Maximum number of texts to train a model for tests on, evenly spaced."""


def quick_recognizer(
    contract: Contract,
    texts: Path,
    folder: Path,
    pipeline: Pipeline | None = None,
    predictor: type[SpacyPredictor] = SpacyPredictor,
) -> SpacyPredictor:
    """Return a predictor trained on some texts for one pass, and without a gate.

    Args:
        contract: contract of the project.
        texts: path of the annotated texts.
        folder: folder to write the artefact, the report and the metrics to.
        pipeline: makes the pipeline to train.
        predictor: class that loads the trained pipeline.
    """
    settings = quick_settings(texts, folder, MAX_TEXTS)
    train(contract, settings, pipeline, predictor)
    return predictor.load(contract, settings.artefact)
