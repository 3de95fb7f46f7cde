"""Upload of the files of a training run to S3."""

import mimetypes
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

FORBIDDEN = 403


class UploadError(RuntimeError):
    """The files cannot be uploaded."""


class Bucket:
    """An S3 bucket, with the credentials and the region of the environment."""

    def __init__(self, name: str) -> None:
        """Connect to the bucket.

        Raises:
            UploadError: if boto3 is not installed, the bucket does not exist, or there are no credentials.
        """
        try:
            # boto3 is optional: only uploads need it.
            import boto3
            from botocore.exceptions import BotoCoreError, ClientError
        except ImportError as error:
            raise UploadError("an upload needs boto3: add it to the Pipfile") from error
        self.name = name
        self._errors = (BotoCoreError, ClientError, OSError)
        try:
            # boto3 reads AWS_DEFAULT_REGION, but not AWS_REGION.
            self._client: Any = boto3.client("s3", region_name=os.environ.get("AWS_REGION"))
            self._client.head_bucket(Bucket=name)
        except BotoCoreError as error:
            raise UploadError(f"the bucket {name} cannot be used: {error}") from error
        except ClientError as error:
            # A role that may only write objects, such as that of the trainer's pod, has no access to HeadBucket.
            if error.response["ResponseMetadata"]["HTTPStatusCode"] != FORBIDDEN:
                raise UploadError(f"the bucket {name} cannot be used: {error}") from error

    def upload(self, prefix: str, *paths: Path) -> str:
        """Upload files, and the files of folders; return the URL of the prefix.

        Raises:
            UploadError: if a file cannot be read or uploaded; earlier files stay uploaded.
        """
        try:
            for path, name in _names(paths):
                content_type = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
                with path.open("rb") as body:
                    self._client.put_object(
                        Bucket=self.name, Key=f"{prefix}/{name}", Body=body, ContentType=content_type
                    )
        except self._errors as error:
            raise UploadError(f"the upload to s3://{self.name}/{prefix}/ failed: {error}") from error
        return f"s3://{self.name}/{prefix}/"


def _names(paths: tuple[Path, ...]) -> Iterator[tuple[Path, str]]:
    """Yield each file with its name relative to the prefix."""
    for path in paths:
        if path.is_dir():
            yield from ((file, f"{path.name}/{file.name}") for file in sorted(path.iterdir()))
        else:
            yield path, path.name
