"""Held-out predictions of each model that was deployed: kept on S3, on Azure in Blob storage, or in build/.

The champion is the model that the cluster verified last: after a rollback it is an older one again. Its artefact names
the file. This module needs the standard library alone.
"""

import shutil
from pathlib import Path

from mlops_runtime.operations.store import Store, StoreError

FOLDER = Path("build/champion")
HELP = "set BUCKET= to keep it in build/"


class ChampionError(RuntimeError):
    """The file of the champion cannot be read or written."""


def fetch(bucket: str, environment: str, artefact: str) -> Path | None:
    """Return the path of the held-out predictions of a model that was deployed, or None if they were not kept.

    Args:
        bucket: name of the bucket; empty without one.
        environment: name of the environment.
        artefact: hash of the model's artefact.

    Raises:
        ChampionError: if the bucket cannot be read.
    """
    kept = FOLDER / environment / f"{artefact}.json"
    if not bucket:
        return kept if kept.exists() else None
    copy = FOLDER / environment / "from-bucket.json"
    try:
        return copy if Store(bucket).get(key_of(environment, artefact), copy) else None
    except StoreError as error:
        raise ChampionError(f"{error}; {HELP}") from error


def keep(bucket: str, environment: str, artefact: str, held_out: Path) -> None:
    """Keep the held-out predictions of a model that was deployed.

    Args:
        bucket: name of the bucket; empty without one.
        environment: name of the environment.
        artefact: hash of the model's artefact.
        held_out: path of the held-out predictions.

    Raises:
        ChampionError: if the file or the bucket cannot be used.
    """
    if bucket:
        try:
            Store(bucket).put(key_of(environment, artefact), held_out)
        except StoreError as error:
            raise ChampionError(f"{error}; {HELP}") from error
        return
    kept = FOLDER / environment / f"{artefact}.json"
    try:
        kept.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(held_out, kept)
    except OSError as error:
        raise ChampionError(f"{held_out} cannot be copied to {kept}: {error.strerror}") from error


def key_of(environment: str, artefact: str) -> str:
    """Return the key of the held-out predictions of a model that was deployed."""
    return f"champion/{environment}/{artefact}.json"
