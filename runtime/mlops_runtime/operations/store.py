"""Where a project keeps what is not in git: a bucket on S3, or on Azure a container of Blob storage.

The AWS CLI, or the Azure CLI, is called as a process, by the command in the environment variable AWS or AZ. PLATFORM
says which of the two. This module needs the standard library alone.
"""

import json
import os
import shlex
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import NamedTuple, Self

MISSING = ("(NoSuchKey)", "(404)", "ErrorCode:BlobNotFound")
"""How the AWS CLI and the Azure CLI say that an object does not exist."""


class StoreError(RuntimeError):
    """The bucket cannot be read or written."""


@dataclass(frozen=True, slots=True)
class Store:
    """A bucket, or a container of Blob storage, with the login of its CLI.

    Attributes:
        name: of the bucket or container.
    """

    name: str

    @classmethod
    def of_project(cls) -> Self:
        """Return the store that the environment names, as make sets it: BUCKET, on Azure STORAGE_CONTAINER.

        Raises:
            StoreError: if it names none.
        """
        variable = "STORAGE_CONTAINER" if _on_azure() else "BUCKET"
        name = os.environ.get(variable, "")
        if not name:
            raise StoreError(f"{variable} is not set: run this with make, and see project.mk")
        return cls(name)

    def url(self, key: str) -> str:
        """Return the address of an object."""
        if _on_azure():
            account = os.environ.get("AZURE_STORAGE_ACCOUNT", "")
            return f"https://{account}.blob.core.windows.net/{self.name}/{key}"
        return f"s3://{self.name}/{key}"

    def has(self, key: str) -> bool:
        """Return whether an object exists.

        Raises:
            StoreError: if the store does not say.
        """
        if _on_azure():
            named = ["--container-name", self.name, "--name", key, "--query", "exists", "--output", "tsv"]
            result = _run([*_command("AZ", "az"), "storage", "blob", "exists", *named, "--only-show-errors"])
            exists = result.output.strip() == "true"
        else:
            options = ["--bucket", self.name, "--key", key]
            result = _run([*_command("AWS", "aws"), "s3api", "head-object", *options])
            exists = not result.failure
        if result.failure and not _is_missing(result.failure):
            raise StoreError(f"{self.url(key)} cannot be read: {result.failure}")
        return exists

    def get(self, key: str, path: Path) -> bool:
        """Read an object into a file; return whether it exists. Without it, there is no file afterwards.

        Raises:
            StoreError: if it cannot be read.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        if _on_azure():
            failure = self._blob("download", key, path)
        else:
            options = ["--bucket", self.name, "--key", key, str(path)]
            failure = _run([*_command("AWS", "aws"), "s3api", "get-object", *options]).failure
        if not failure:
            return True
        path.unlink(missing_ok=True)
        if _is_missing(failure):
            return False
        raise StoreError(f"{self.url(key)} cannot be read: {failure}")

    def put(self, key: str, path: Path) -> None:
        """Write a file into an object, in place of what it has.

        Raises:
            StoreError: if it cannot be written.
        """
        if _on_azure():
            failure = self._blob("upload", key, path, "--overwrite")
        else:
            # In parts, and of any size. The type of the content follows from the name of the file.
            command = [*_command("AWS", "aws"), "s3", "cp", "--only-show-errors", str(path), self.url(key)]
            failure = _run(command).failure
        if failure:
            raise StoreError(f"{self.url(key)} cannot be written: {failure}")

    def keys(self, prefix: str) -> list[str]:
        """Return the keys of the objects that begin with a prefix.

        Raises:
            StoreError: if they cannot be listed.
        """
        if _on_azure():
            options = ["--container-name", self.name, "--prefix", prefix, "--num-results", "*", "--query", "[].name"]
            command = [*_command("AZ", "az"), "storage", "blob", "list", *options, "--only-show-errors"]
        else:
            options = ["--bucket", self.name, "--prefix", prefix, "--query", "Contents[].Key"]
            command = [*_command("AWS", "aws"), "s3api", "list-objects-v2", *options]
        result = _run([*command, "--output", "json"])
        if result.failure:
            raise StoreError(f"{self.url(prefix)} cannot be listed: {result.failure}")
        return list(map(str, json.loads(result.output or "null") or ()))

    def copy(self, patterns: Sequence[str], folder: Path) -> None:
        """Make a folder a copy of the objects whose keys match patterns; on S3, only what has changed is read.

        Args:
            patterns: in which * stands for any text, also with slashes.
            folder: gets a file for each object, at its key.

        Raises:
            StoreError: if the store cannot be read.
        """
        if _on_azure():
            shutil.rmtree(folder, ignore_errors=True)
            for key in self.keys(""):
                if any(fnmatchcase(key, pattern) for pattern in patterns):
                    self.get(key, folder / key)
            return
        options = ["--exclude", "*", *(option for pattern in patterns for option in ("--include", pattern))]
        command = [*_command("AWS", "aws"), "s3", "sync", "--only-show-errors", "--delete", *options]
        failure = _run([*command, f"s3://{self.name}", str(folder)]).failure
        if failure:
            raise StoreError(f"{self.url('')} cannot be read: {failure}")

    def _blob(self, operation: str, key: str, path: Path, *options: str) -> str:
        """Run a command of the Azure CLI; return why it failed, empty if it did not."""
        named = ["--container-name", self.name, "--name", key, "--file", str(path), *options]
        command = [*_command("AZ", "az"), "storage", "blob", operation, *named]
        return _run([*command, "--no-progress", "--only-show-errors"]).failure


def _on_azure() -> bool:
    return os.environ.get("PLATFORM", "").startswith("azure")


def _command(variable: str, default: str) -> list[str]:
    return shlex.split(os.environ.get(variable) or default)


def _is_missing(failure: str) -> bool:
    return any(missing in failure for missing in MISSING)


class _Result(NamedTuple):
    """What a command printed, and why it failed, which is empty if it did not."""

    output: str
    failure: str


def _run(command: list[str]) -> _Result:
    try:
        result = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError as error:
        return _Result("", f"{command[0]} does not start: {error.strerror}")
    if result.returncode == 0:
        return _Result(result.stdout, "")
    lines = result.stderr.strip().splitlines() or [f"{command[0]} ended with status {result.returncode}"]
    return _Result("", lines[-1] + (_advice() if "NoSuchBucket" in lines[-1] else ""))


def _advice() -> str:
    """Return how to get the bucket, which a stack of the project makes where it has one."""
    makes = ", which make infrastructure makes" if Path("make/infrastructure.mk").exists() else ""
    return f"; set BUCKET in project.mk to a bucket{makes or ' that is there'}"
