"""Held-out predictions of each model that was deployed: kept on S3, or without a bucket in build/.

The champion is the model that the cluster verified last: after a rollback it is an older one again. Its artefact names
the file. The AWS CLI is called as a process, by the command in the environment variable AWS. This module needs the
standard library alone.
"""

import os
import shlex
import shutil
import subprocess
from pathlib import Path

FOLDER = Path("build/champion")
MISSING = "(NoSuchKey)"
"""How the AWS CLI says that an object does not exist."""
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
    failure = _s3("get-object", bucket, _key(environment, artefact), str(copy))
    if not failure:
        return copy
    copy.unlink(missing_ok=True)
    if MISSING in failure:
        return None
    raise ChampionError(f"s3://{bucket}/{_key(environment, artefact)} cannot be read: {failure}; {HELP}")


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
        failure = _s3("put-object", bucket, key, "--body", str(held_out), "--content-type", "application/json")
        if failure:
            raise ChampionError(f"s3://{bucket}/{key} cannot be written: {failure}; {HELP}")
        return
    kept = FOLDER / environment / f"{artefact}.json"
    try:
        kept.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(held_out, kept)
    except OSError as error:
        raise ChampionError(f"{held_out} cannot be copied to {kept}: {error.strerror}") from error


def _key(environment: str, artefact: str) -> str:
    return f"champion/{environment}/{artefact}.json"


def _s3(operation: str, bucket: str, key: str, *arguments: str) -> str:
    """Run an operation on an object; return why it failed, empty if it did not."""
    aws = shlex.split(os.environ.get("AWS") or "aws")
    command = [*aws, "s3api", operation, "--bucket", bucket, "--key", key, *arguments]
    try:
        result = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError as error:
        return f"{aws[0]} does not start: {error.strerror}"
    if result.returncode == 0:
        return ""
    lines = result.stderr.strip().splitlines() or [f"{aws[0]} ended with status {result.returncode}"]
    return lines[-1]
