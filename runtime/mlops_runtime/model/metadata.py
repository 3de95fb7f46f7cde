"""Metadata of an artefact: its origin, its metrics, and the hashes of its files."""

from pydantic import BaseModel, ConfigDict

from mlops_runtime.contract import Task


class Estimate(BaseModel):
    """A metric on held-out rows, with the bounds of its 95 % bootstrap interval.

    Attributes:
        value: the metric on all held-out rows.
        low: lower bound.
        high: upper bound.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    value: float
    low: float
    high: float


class Interval(BaseModel):
    """Widths of the prediction intervals of a regression model.

    The width depends on the predicted value, because errors often grow with it: predictions are divided into
    bins by their value, and each bin has its own width.

    Attributes:
        level: nominal coverage: the share of true values that the intervals should contain.
        edges: ascending edges between the bins; a prediction equal to an edge is in the bin above.
        half_widths: half of the width in each bin, in the unit of the target; there is one bin more than edges.
        minimum: 0 if no target of the training rows is negative: no interval then starts below 0. Otherwise None.
        coverage: share of the held-out true values that the intervals contain.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    level: float
    edges: tuple[float, ...]
    half_widths: tuple[float, ...]
    minimum: float | None
    coverage: Estimate


class Metadata(BaseModel):
    """Origin, metrics and file hashes of an artefact.

    Attributes:
        version: version of the model, which names the commit.
        git_commit: commit from which it was trained.
        trained_at: time of the training, in UTC by ISO 8601.
        data_sha256: SHA-256 of the training data.
        lock_sha256: SHA-256 of the lock of the packages.
        seed: seed of split, folds and estimators.
        estimator: name and hyperparameters of the estimator that was chosen.
        task: kind of prediction.
        target: column that is predicted.
        contract: hash of the contract.
        features: fields that the model reads.
        labels: labels in the order of the probabilities; empty for a regression.
        interval: widths of the prediction intervals; None except for a regression.
        rows: number of rows in training and held out.
        cross_validation: losses from the comparison of the candidates, by name.
        metrics: metrics on the held-out rows, by name.
        floors: minima of the metrics that the gate asked for, by name.
        libraries: versions of the libraries in training, by name.
        files: SHA-256 of each file except the metadata, by name.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    version: str
    git_commit: str
    trained_at: str
    data_sha256: str
    lock_sha256: str
    seed: int
    estimator: str
    task: Task
    target: str
    contract: str
    features: tuple[str, ...]
    labels: tuple[str, ...]
    interval: Interval | None = None
    rows: dict[str, int]
    cross_validation: dict[str, float]
    metrics: dict[str, Estimate]
    floors: dict[str, float]
    libraries: dict[str, str]
    files: dict[str, str]
