"""Models of entities that are trained in seconds."""

from pathlib import Path

from mlops_runtime.contract import Contract
from mlops_runtime.entities.pipelines import Pipeline
from mlops_runtime.entities.predictor import SpacyPredictor
from mlops_runtime.entities.training import train
from mlops_runtime.training.settings import Settings

MAX_TEXTS = 120
"""Maximum number of texts to train a model for tests on, evenly spaced."""

NO_FLOORS = {"skill": -1e9}
"""A floor that every model reaches, because unit tests do not depend on the quality of the model."""


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
    lock = folder / "Pipfile.lock"
    lock.touch()
    settings = Settings(
        data=texts,
        artefact=folder / "artefact",
        report=folder / "report.html",
        metrics=folder / "metrics.json",
        lock=lock,
        floors=NO_FLOORS,
        seed=0,
        test_share=0.25,
        max_rows=MAX_TEXTS,
        budget=0,
        version="1.2.3",
        commit="0" * 40,
    )
    train(contract, settings, pipeline, predictor)
    return predictor.load(contract, settings.artefact)
