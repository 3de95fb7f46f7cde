"""Held-out predictions of each model that was deployed: kept on S3, on Azure in Blob storage, or in build/.

The champion is the model that the cluster verified last: after a rollback it is an older one again. Its artefact names
the file. The AWS CLI, or the Azure CLI, is called as a process, by the command in the environment variable AWS or AZ.
This module needs the standard library alone.
"""

import os
import shlex
import shutil
import subprocess
from pathlib import Path

FOLDER = Path("build/champion")
MISSING = ("(NoSuchKey)", "ErrorCode:BlobNotFound")
"""How the AWS CLI and the Azure CLI say that an object does not exist."""
HELP = "see make infrastructure, or set BUCKET= to keep it in build/"


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
    copy.parent.mkdir(parents=True, exist_ok=True)
    failure = _run(_get(bucket, _key(environment, artefact), copy))
    if not failure:
        return copy
    copy.unlink(missing_ok=True)
    if any(missing in failure for missing in MISSING):
        return None
    raise ChampionError(f"{bucket}/{_key(environment, artefact)} cannot be read: {failure}; {HELP}")


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
        key = _key(environment, artefact)
        failure = _run(_put(bucket, key, held_out))
        if failure:
            raise ChampionError(f"{bucket}/{key} cannot be written: {failure}; {HELP}")
        return
    kept = FOLDER / environment / f"{artefact}.json"
    try:
        kept.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(held_out, kept)
    except OSError as error:
        raise ChampionError(f"{held_out} cannot be copied to {kept}: {error.strerror}") from error


def _key(environment: str, artefact: str) -> str:
    return f"champion/{environment}/{artefact}.json"


def _get(bucket: str, key: str, path: Path) -> list[str]:
    """Return the command that reads an object into a file."""
    if blob := _blob_command("download", bucket, key, path):
        return blob
    return [*_command("AWS", "aws"), "s3api", "get-object", "--bucket", bucket, "--key", key, str(path)]


def _put(bucket: str, key: str, path: Path) -> list[str]:
    """Return the command that writes a file into an object."""
    if blob := _blob_command("upload", bucket, key, path):
        return [*blob, "--overwrite"]
    options = ["--bucket", bucket, "--key", key, "--body", str(path), "--content-type", "application/json"]
    return [*_command("AWS", "aws"), "s3api", "put-object", *options]


def _blob_command(operation: str, container: str, name: str, path: Path) -> list[str]:
    """Return the command of the Azure CLI; empty on other platforms."""
    if not os.environ.get("PLATFORM", "").startswith("azure"):
        return []
    options = ["--container-name", container, "--name", name, "--file", str(path)]
    return [*_command("AZ", "az"), "storage", "blob", operation, *options, "--no-progress", "--only-show-errors"]


def _command(variable: str, default: str) -> list[str]:
    return shlex.split(os.environ.get(variable) or default)


def _run(command: list[str]) -> str:
    """Run a command; return why it failed, empty if it did not."""
    try:
        result = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError as error:
        return f"{command[0]} does not start: {error.strerror}"
    if result.returncode == 0:
        return ""
    lines = result.stderr.strip().splitlines() or [f"{command[0]} ended with status {result.returncode}"]
    return lines[-1]
