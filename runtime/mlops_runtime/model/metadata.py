"""Metadata of an artefact: where it comes from, how good it is, and which files belong to it."""

from pydantic import BaseModel, ConfigDict

from mlops_runtime.contract import Task


class Estimate(BaseModel):
    """A metric on held-out rows, with the bounds of its 95 % bootstrap interval."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    value: float
    low: float
    high: float


class Interval(BaseModel):
    """How wide the prediction intervals of a regression model are.

    Predictions are sorted into bins by their value, because errors often grow with it. Each bin
    has half the width of its intervals.

    Attributes:
        level: share of the true values that the intervals are made to hold.
        edges: between the bins, ascending; a prediction equal to an edge is in the bin above.
        half_widths: one more than there are edges, in the unit of the target.
        minimum: least value of the training rows where none was negative: no interval starts
            below 0 then, and this is 0; otherwise None.
        coverage: share of the held-out true values that the intervals do hold.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    level: float
    edges: tuple[float, ...]
    half_widths: tuple[float, ...]
    minimum: float | None
    coverage: Estimate


class Metadata(BaseModel):
    """Where an artefact comes from, how good it is, and the hash of each of its files.

    Attributes:
        contract: hash of the contract that it was made for.
        files: SHA-256 of each file but the metadata, by name.
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
