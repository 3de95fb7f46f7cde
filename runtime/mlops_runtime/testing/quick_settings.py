"""Settings of a training that takes seconds."""

from pathlib import Path

from mlops_runtime.training.settings import Settings

NO_FLOORS = {"skill": -1e9}
"""A floor that every model reaches, because unit tests do not depend on the quality of the model."""


def quick_settings(data: Path, folder: Path, max_rows: int) -> Settings:
    """Return the settings of a training on some of the data, without a search and without a gate.

    Args:
        data: path of the training data.
        folder: folder to write the artefact, the report and the metrics to.
        max_rows: maximum number of rows or texts to train on.
    """
    lock = folder / "Pipfile.lock"
    lock.touch()
    return Settings(
        data=data,
        artefact=folder / "artefact",
        report=folder / "report.html",
        metrics=folder / "metrics.json",
        lock=lock,
        floors=NO_FLOORS,
        seed=0,
        test_share=0.25,
        max_rows=max_rows,
        budget=0,
        version="1.2.3",
        commit="0" * 40,
    )
