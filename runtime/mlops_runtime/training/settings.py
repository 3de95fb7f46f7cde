"""Settings of a training run, whatever the kind of model."""

from dataclasses import dataclass
from pathlib import Path

MAX_ROWS = 1_000_000
"""Default maximum number of rows to read. From longer data, every n-th row is read."""

MIN_ROWS = 12
"""Minimum number of rows: with fewer, folds and held-out rows are too small."""

TEST_SHARE_BOUNDS = (0.1, 0.5)
"""Outside these bounds, too few rows may remain for training or for the evaluation."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Settings of a training run. The rows of a dataset of texts are its texts.

    Attributes:
        data: path of the training data.
        artefact: folder to write the artefact to.
        report: path of the report, an HTML file.
        metrics: path of the metrics, a JSON file.
        lock: lock file of the environment.
        floors: minimum of each metric on the held-out rows.
        seed: seed of split, training and resampling.
        test_share: share of the rows to hold out.
        max_rows: maximum number of rows to read, evenly spaced.
        budget: seconds for the search of a model; the kind of model says what ends after them.
        version: version of the project.
        commit: git commit of the project.
    """

    data: Path
    artefact: Path
    report: Path
    metrics: Path
    lock: Path
    floors: dict[str, float]
    seed: int
    test_share: float
    max_rows: int = MAX_ROWS
    budget: float
    version: str
    commit: str

    @property
    def held_out(self) -> Path:
        """Path of the held-out predictions, a JSON file next to the metrics."""
        return self.metrics.with_name("held-out.json")
