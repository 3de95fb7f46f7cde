"""The artefact: a folder with everything that a prediction needs.

It holds the files of the model, baseline statistics, golden records, the training report, and the metadata
with the hash of every other file. Reading fails if a file does not match its hash.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from mlops_runtime.contract import Contract
from mlops_runtime.model.baseline import Baseline
from mlops_runtime.model.golden import GoldenRecords, golden_records_adapter
from mlops_runtime.model.metadata import Metadata

MODEL_FILE = "model.onnx"
BASELINE_FILE = "baseline.json"
GOLDEN_FILE = "golden.json"
REPORT_FILE = "report.html"
METADATA_FILE = "metadata.json"
RESERVED_FILES = frozenset({BASELINE_FILE, GOLDEN_FILE, REPORT_FILE, METADATA_FILE})
"""File names that a model must not use for its own files."""

baseline_adapter = TypeAdapter(Baseline)


class ArtefactError(RuntimeError):
    """The artefact is missing, damaged, or made for another contract."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Artefact:
    """A verified artefact.

    Attributes:
        contract: contract of the model.
        metadata: origin and metrics of the model.
        baseline: distributions of the training rows.
        golden_records: records with the predictions that the model must reproduce.
        model_files: content of each file of the model, by name.
        folder: folder from which the artefact was read, or None.
    """

    contract: Contract
    metadata: Metadata
    baseline: Baseline
    golden_records: GoldenRecords = ()
    model_files: Mapping[str, bytes] = field(default_factory=dict)
    folder: Path | None = None

    def report(self) -> bytes:
        """Read the training report of this model, as HTML.

        Raises:
            ArtefactError: if it is missing, or does not match its hash.
        """
        if self.folder is None or REPORT_FILE not in self.metadata.files:
            raise ArtefactError("the artefact has no report; run `make train`")
        return read_file(self.folder, REPORT_FILE, self.metadata)


def sha256(content: bytes) -> str:
    """Return the SHA-256 of the content as a hexadecimal string."""
    return hashlib.sha256(content).hexdigest()


def read_artefact(contract: Contract, folder: Path) -> Artefact:
    """Read and verify the artefact in the folder.

    Raises:
        ArtefactError: if it is missing, incomplete, modified, or made for another contract.
    """
    metadata = read_metadata(contract, folder)
    contents = {name: read_file(folder, name, metadata) for name in metadata.files}
    try:
        baseline = baseline_adapter.validate_json(contents[BASELINE_FILE])
        golden_records = golden_records_adapter(contract).validate_json(contents[GOLDEN_FILE])
    except KeyError as error:
        raise ArtefactError(f"{folder / METADATA_FILE} does not list {error}; run `make train`") from error
    except ValidationError as error:
        raise ArtefactError(f"a file in {folder} is not valid: {error}; run `make train`") from error
    return Artefact(
        contract=contract,
        metadata=metadata,
        baseline=baseline,
        golden_records=golden_records,
        model_files={name: content for name, content in contents.items() if name not in RESERVED_FILES},
        folder=folder,
    )


def read_metadata(contract: Contract, folder: Path) -> Metadata:
    """Read the metadata of the artefact in the folder.

    Raises:
        ArtefactError: if the metadata are missing, not valid, or of another contract.
    """
    content = _read(folder / METADATA_FILE)
    try:
        metadata = Metadata.model_validate_json(content)
    except ValidationError as error:
        raise ArtefactError(f"{folder / METADATA_FILE} is not valid: {error}; run `make train`") from error
    if metadata.contract != contract.sha256:
        raise ArtefactError(f"the artefact in {folder} was made for another contract; run `make train`")
    return metadata


def read_file(folder: Path, name: str, metadata: Metadata) -> bytes:
    """Read a file of the artefact and compare its hash with the metadata.

    Raises:
        ArtefactError: if the file is missing, or its hash differs.
    """
    if Path(name).name != name:
        raise ArtefactError(f"{folder / METADATA_FILE} lists {name!r}, which is not a file name; run `make train`")
    content = _read(folder / name)
    if sha256(content) != metadata.files.get(name):
        raise ArtefactError(f"{folder / name} is not the file that {METADATA_FILE} describes; run `make train`")
    return content


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ArtefactError(f"cannot read {path}: {error.strerror}; run `make train`") from error
