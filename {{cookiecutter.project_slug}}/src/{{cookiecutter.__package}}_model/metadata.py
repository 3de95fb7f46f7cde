"""What an artefact says about itself, and how its folder is read and checked.

An artefact is one folder: the ONNX model, baseline statistics, golden records, the report on the
training, and the metadata that name the hash of each of the other files. A folder whose files do not match
its metadata is refused as a whole.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from {{cookiecutter.__package}}_model.datamodel import TARGET, TASK, Prediction, Record
from {{cookiecutter.__package}}_model.features import FIELDS, LABELS
from {{cookiecutter.__package}}_model.fields import FieldSpec, Task

MODEL_FILE = "model.onnx"
BASELINE_FILE = "baseline.json"
GOLDEN_FILE = "golden.json"
REPORT_FILE = "report.html"
METADATA_FILE = "metadata.json"


class ArtefactError(RuntimeError):
    """The artefact is missing, damaged, or made for another contract."""


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
    """Where an artefact comes from, how good it is, and which files belong to it."""

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


class NumberBaseline(BaseModel):
    """How numbers are distributed in the training rows: the reference that drift is measured against.

    Of a text it is the number of its words, of a date the days since 1970, of a time the hour.

    Attributes:
        missing_share: share of the rows that have no number; all else is about those that have one.
        mean: of the numbers.
        standard_deviation: of the numbers.
        minimum: least of them.
        maximum: greatest of them.
        bin_edges: of bins of the same width; none if no row has a number.
        bin_shares: of the numbers in each bin.
        cuts: between groups of about the same size, so that drift shows wherever the numbers are: a bin of
            a skewed field may hold nearly all. Ascending; a number equal to a cut is in the group above.
        cut_shares: of the numbers in each group, one more than there are cuts.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    missing_share: float
    mean: float
    standard_deviation: float
    minimum: float
    maximum: float
    bin_edges: tuple[float, ...]
    bin_shares: tuple[float, ...]
    cuts: tuple[float, ...] = ()
    cut_shares: tuple[float, ...] = (1.0,)


class ValueBaseline(BaseModel):
    """The share of each value of a field among those training rows that have one."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    missing_share: float
    shares: dict[str, float]


FieldBaseline = NumberBaseline | ValueBaseline


class Baseline(BaseModel):
    """The distributions of the training rows, by field, and of their target.

    Attributes:
        rows: number of training rows.
        fields: by name.
        target: the true labels or values.
        predictions: what the model says of the held-out rows: the reference for predictions, since a
            model that leans to the common labels, or to the mean, does so in service as well.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    rows: int
    fields: dict[str, FieldBaseline]
    target: FieldBaseline
    predictions: FieldBaseline


class GoldenRecord(BaseModel):
    """A record and the prediction that this artefact must give for it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    record: Record
    prediction: Prediction


golden_records_adapter = TypeAdapter(tuple[GoldenRecord, ...])


def sha256(content: bytes) -> str:
    """Return the SHA-256 of the content in hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def contract_sha256(fields: Sequence[FieldSpec]) -> str:
    """Return a hash of all that a model depends on in a contract: not of what it says to people or merely allows."""
    columns = [(field.name, field.kind, field.optional, field.choices) for field in fields]
    return sha256(json.dumps([TASK, TARGET, LABELS, columns]).encode())


CONTRACT = contract_sha256(FIELDS)
"""Hash of this project's contract."""


def read_metadata(folder: Path) -> Metadata:
    """Return the metadata of the artefact in the folder.

    Raises:
        ArtefactError: if the folder has no valid metadata, or they describe another contract.
    """
    content = _read(folder / METADATA_FILE)
    try:
        metadata = Metadata.model_validate_json(content)
    except ValidationError as error:
        raise ArtefactError(f"{folder / METADATA_FILE} is not valid: {error}; run `make train`") from error
    if metadata.contract != CONTRACT:
        raise ArtefactError(f"the artefact in {folder} was made for another contract; run `make train`")
    return metadata


def read_verified(folder: Path, metadata: Metadata) -> Mapping[str, bytes]:
    """Return the content of each file that a prediction needs, after comparing its hash.

    Raises:
        ArtefactError: if a file is missing or is not the one that the metadata describe.
    """
    contents = {name: read_file(folder, name, metadata) for name in (MODEL_FILE, BASELINE_FILE, GOLDEN_FILE)}
    if REPORT_FILE in metadata.files:
        # Looked at, and not kept: it is read again by who wants to see it.
        read_file(folder, REPORT_FILE, metadata)
    return contents


def read_file(folder: Path, name: str, metadata: Metadata) -> bytes:
    """Return the content of a file of the artefact, after comparing its hash.

    Raises:
        ArtefactError: if the file is missing or is not the one that the metadata describe.
    """
    content = _read(folder / name)
    if sha256(content) != metadata.files.get(name):
        raise ArtefactError(f"{folder / name} is not the file that {METADATA_FILE} describes; run `make train`")
    return content


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ArtefactError(f"cannot read {path}: {error.strerror}; run `make train`") from error
