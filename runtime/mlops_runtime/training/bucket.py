"""The files of a training run to S3, and its data from there."""

import mimetypes
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mlops_runtime.tables.recorded import RecordError, key_of, newest_key_of, sha256_in, sha256_of

FORBIDDEN = 403
ABSENT = (FORBIDDEN, 404)
"""How S3 says that an object does not exist: whoever may not list the bucket has no access to it."""


class BucketError(RuntimeError):
    """The bucket cannot be used, or a file cannot go there or come from there."""


class Bucket:
    """An S3 bucket, with the credentials and the region of the environment."""

    def __init__(self, name: str) -> None:
        """Connect to the bucket.

        Raises:
            BucketError: if boto3 is not installed, the bucket does not exist, or there are no credentials.
        """
        try:
            # boto3 is optional: only uploads need it.
            import boto3
            from botocore.exceptions import BotoCoreError, ClientError
        except ImportError as error:
            raise BucketError("S3 needs boto3: add it to the Pipfile") from error
        self.name = name
        self._errors = (BotoCoreError, ClientError, OSError)
        try:
            # boto3 reads AWS_DEFAULT_REGION, but not AWS_REGION.
            self._client: Any = boto3.client("s3", region_name=os.environ.get("AWS_REGION"))
            self._client.head_bucket(Bucket=name)
        except BotoCoreError as error:
            raise BucketError(f"the bucket {name} cannot be used: {error}") from error
        except ClientError as error:
            # A role that may only write objects, such as that of the trainer's pod, has no access to HeadBucket.
            if error.response["ResponseMetadata"]["HTTPStatusCode"] != FORBIDDEN:
                raise BucketError(f"the bucket {name} cannot be used: {error}") from error

    def upload(self, prefix: str, *paths: Path) -> str:
        """Upload files, and the files of folders; return the URL of the prefix.

        Raises:
            BucketError: if a file cannot be read or uploaded; earlier files stay uploaded.
        """
        try:
            for path, name in _names(paths):
                content_type = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
                with path.open("rb") as body:
                    self._client.put_object(
                        Bucket=self.name, Key=f"{prefix}/{name}", Body=body, ContentType=content_type
                    )
        except self._errors as error:
            raise BucketError(f"the upload to s3://{self.name}/{prefix}/ failed: {error}") from error
        return f"s3://{self.name}/{prefix}/"

    def newest_data(self, name: str) -> str:
        """Return the hash of the data that `make data.push` has put there last.

        Args:
            name: of their file.

        Raises:
            BucketError: if the bucket does not say.
        """
        key = newest_key_of(name)
        url = f"s3://{self.name}/{key}"
        try:
            text = self._client.get_object(Bucket=self.name, Key=key)["Body"].read().decode(errors="replace")
            return sha256_in(text, name, url)
        except self._errors as error:
            raise BucketError(
                f"{url} cannot be read: {error}: make data.push says which data are the newest"
            ) from error
        except RecordError as error:
            raise BucketError(str(error)) from error

    def download(self, key: str, path: Path) -> bool:
        """Get an object, and return whether it is there.

        Raises:
            BucketError: if it cannot be read.
        """
        try:
            path.write_bytes(self._client.get_object(Bucket=self.name, Key=key)["Body"].read())
        except self._errors as error:
            response = getattr(error, "response", {})
            if response.get("ResponseMetadata", {}).get("HTTPStatusCode") in ABSENT:
                return False
            raise BucketError(f"s3://{self.name}/{key} cannot be read: {error}") from error
        return True

    def download_data(self, sha256: str, path: Path) -> None:
        """Get training data by their hash, unless they are there.

        Args:
            sha256: of the data.
            path: of the file to write.

        Raises:
            BucketError: if the bucket does not give them, or they are others than their name says.
            OSError: if the file cannot be written.
        """
        if path.is_file() and sha256_of(path) == sha256:
            return
        url = f"s3://{self.name}/{key_of(sha256)}"
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            body = self._client.get_object(Bucket=self.name, Key=key_of(sha256))["Body"]
            with path.open("wb") as file:
                shutil.copyfileobj(body, file)
        except self._errors as error:
            advice = "make data.push puts the data there, make infrastructure lets the training job read them"
            raise BucketError(f"{url} cannot be read: {error}: {advice}") from error
        if sha256_of(path) != sha256:
            raise BucketError(f"{url} has another content than its name says: run make data.push again")


def _names(paths: tuple[Path, ...]) -> Iterator[tuple[Path, str]]:
    """Yield each file with its name relative to the prefix."""
    for path in paths:
        if path.is_dir():
            yield from ((file, f"{path.name}/{file.name}") for file in sorted(path.iterdir()))
        else:
            yield path, path.name
