"""Held-out predictions of the champion, the model that was deployed last: kept on S3, or without a bucket in build/.

The AWS CLI is called as a process, by the command in the environment variable AWS. `python -m
mlops_runtime.operations.champion` fetches the file and prints its path, if there is one. This module needs the standard
library alone.
"""

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

FOLDER = Path("build/champion")
FILE = "held-out.json"
MISSING = "(NoSuchKey)"
"""How the AWS CLI says that an object does not exist."""
HELP = "see make infrastructure, or set BUCKET= to keep it in build/"


class ChampionError(RuntimeError):
    """The file of the champion cannot be read or written."""


def fetch(bucket: str, environment: str) -> Path | None:
    """Return the path of the champion's held-out predictions, or None if no model was deployed before.

    Args:
        bucket: name of the bucket; empty without one.
        environment: name of the environment.

    Raises:
        ChampionError: if the bucket cannot be read.
    """
    kept = FOLDER / environment / FILE
    if not bucket:
        return kept if kept.exists() else None
    copy = kept.with_name("from-bucket.json")
    copy.parent.mkdir(parents=True, exist_ok=True)
    failure = _s3("get-object", bucket, environment, str(copy))
    if not failure:
        return copy
    copy.unlink(missing_ok=True)
    if MISSING in failure:
        return None
    raise ChampionError(f"{_url(bucket, environment)} cannot be read: {failure}; {HELP}")


def keep(bucket: str, environment: str, held_out: Path) -> None:
    """Keep the held-out predictions of a model that was deployed: it is the champion now.

    Args:
        bucket: name of the bucket; empty without one.
        environment: name of the environment.
        held_out: path of the held-out predictions.

    Raises:
        ChampionError: if the file or the bucket cannot be used.
    """
    if bucket:
        failure = _s3(
            "put-object", bucket, environment, "--body", str(held_out), "--content-type", "application/json"
        )  # fmt: skip
        if failure:
            raise ChampionError(f"{_url(bucket, environment)} cannot be written: {failure}; {HELP}")
        return
    kept = FOLDER / environment / FILE
    try:
        kept.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(held_out, kept)
    except OSError as error:
        raise ChampionError(f"{held_out} cannot be copied to {kept}: {error.strerror}") from error


def _url(bucket: str, environment: str) -> str:
    return f"s3://{bucket}/champion/{environment}/{FILE}"


def _s3(operation: str, bucket: str, environment: str, *arguments: str) -> str:
    """Run an operation on the champion's object; return why it failed, empty if it did not."""
    aws = shlex.split(os.environ.get("AWS") or "aws")
    key = f"champion/{environment}/{FILE}"
    command = [*aws, "s3api", operation, "--bucket", bucket, "--key", key, *arguments]
    try:
        result = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError as error:
        return f"{aws[0]} does not start: {error.strerror}"
    if result.returncode == 0:
        return ""
    lines = result.stderr.strip().splitlines() or [f"{aws[0]} ended with status {result.returncode}"]
    return lines[-1]


def main() -> int:
    """Print the path of the champion's file, or nothing; return the exit status."""
    try:
        path = fetch(os.environ.get("CHAMPION_BUCKET", ""), os.environ["ENVIRONMENT"])
    except KeyError:
        print("compare: ENVIRONMENT is not set: run this with make, and see project.mk", file=sys.stderr)
        return 1
    except ChampionError as error:
        print(f"compare: {error}", file=sys.stderr)
        return 1
    print(path or "")
    return 0


if __name__ == "__main__":
    sys.exit(main())
