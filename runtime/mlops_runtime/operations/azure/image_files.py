"""What verification needs of an image: its golden records and the hash of its artefact, read by the image engine."""

import io
import json
import shlex
import subprocess
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import PurePath
from typing import Any, Self

from mlops_runtime.operations.azure.az import AzureError
from mlops_runtime.operations.verify import ARTEFACT_METADATA, artefact_hash

MODEL = "/app/model"


@dataclass(frozen=True)
class ModelFiles:
    """What a revision of an image is compared with.

    Attributes:
        golden_records: of the model in the image.
        artefact: SHA-256 of the metadata, which hold the hash of every other file of the artefact.
    """

    golden_records: Sequence[Mapping[str, Any]]
    artefact: str

    def to_json(self) -> str:
        """Return the files as JSON."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Return the files that a text holds."""
        return cls(**json.loads(text))


def read_image(docker: str, image: str) -> ModelFiles:
    """Return the files of an image; the engine pulls it if it is not on this machine.

    Args:
        docker: the command of the engine.
        image: by digest.

    Raises:
        AzureError: if the engine does not give them, or the image has no golden records.
    """
    engine = shlex.split(docker)
    container = _run([*engine, "create", image], image).decode().split()[-1]
    try:
        archive = _run([*engine, "cp", f"{container}:{MODEL}", "-"], image)
    finally:
        _run([*engine, "rm", container], image)
    with tarfile.open(fileobj=io.BytesIO(archive)) as files:
        texts = {PurePath(each.name): files.extractfile(each) for each in files if each.isfile()}
        metadata = next((path for path in texts if path.match(ARTEFACT_METADATA)), PurePath("metadata.json"))
        golden, text = texts.get(metadata.with_name("golden.json")), texts.get(metadata)
        if golden is None or text is None:
            raise AzureError(f"{image} has no golden records: run make train, and publish another version")
        return ModelFiles(json.load(golden), artefact_hash(text.read().decode()))


def _run(command: Sequence[str], image: str) -> bytes:
    try:
        result = subprocess.run(command, capture_output=True, check=False)
    except OSError as error:
        raise AzureError(f"{command[0]} does not start: {error.strerror}; see make doctor") from error
    if result.returncode != 0:
        reason = (result.stderr.decode(errors="replace").strip().splitlines() or ["no reason given"])[-1]
        raise AzureError(f"the golden records of {image} cannot be read: {reason}")
    return result.stdout
