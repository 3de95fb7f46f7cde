"""Upload of what a training run made to S3."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
from boto3.exceptions import Boto3Error
from botocore.exceptions import BotoCoreError, ClientError


class UploadError(RuntimeError):
    """The files cannot be uploaded."""


class Bucket:
    """A bucket of S3, with the credentials and the region of the environment."""

    def __init__(self, name: str) -> None:
        """Connect to the bucket.

        Raises:
            UploadError: if it does not exist, or the credentials do not allow its use.
        """
        self.name = name
        try:
            self._client: Any = boto3.client("s3")
            self._client.head_bucket(Bucket=name)
        except (BotoCoreError, ClientError) as error:
            raise UploadError(f"the bucket {name} cannot be used: {error}") from error

    def upload(self, prefix: str, *paths: Path) -> str:
        """Upload files, and folders with the files directly in them; return the URL of the prefix.

        Raises:
            UploadError: if a file cannot be uploaded.
        """
        try:
            for path, key in _keys(paths):
                self._client.upload_file(str(path), self.name, f"{prefix}/{key}")
        except (BotoCoreError, ClientError, Boto3Error) as error:
            raise UploadError(f"the upload to s3://{self.name}/{prefix}/ failed: {error}") from error
        return f"s3://{self.name}/{prefix}/"


def _keys(paths: tuple[Path, ...]) -> Iterator[tuple[Path, str]]:
    """Yield each file with its key, relative to the prefix."""
    for path in paths:
        if path.is_dir():
            yield from ((file, f"{path.name}/{file.name}") for file in sorted(path.iterdir()))
        else:
            yield path, path.name
