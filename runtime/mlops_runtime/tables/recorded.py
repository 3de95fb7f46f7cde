"""The hash of the training data that belong to a version: a file beside them, which is in git where they are not.

`data/orders.csv.sha256` has one line in the form of `sha256sum`, so that `sha256sum --check` reads it too.
"""

import hashlib
import re
from pathlib import Path

LINE = re.compile(r"([0-9a-f]{64}) [ *](.+)\n?")


class RecordError(ValueError):
    """The file beside the data is not one of `sha256sum`."""


def key_of(sha256: str) -> str:
    """Return the key of data in the bucket."""
    return f"data/{sha256}"


def newest_key_of(name: str) -> str:
    """Return the key of the object that names the newest data of a file's name, in the form of the record."""
    return f"data/{name}.sha256"


def record_of(data: Path) -> Path:
    """Return the path of the file with the hash of the data."""
    return data.with_name(f"{data.name}.sha256")


def recorded(data: Path) -> str | None:
    """Return the SHA-256 that is recorded for the data, or None if none is.

    Raises:
        RecordError: if the file has not one line of `sha256sum` for the data.
        OSError: if the file cannot be read.
    """
    path = record_of(data)
    if not path.exists():
        return None
    return sha256_in(path.read_text(encoding="utf-8", errors="replace"), data.name, str(path))


def sha256_in(text: str, name: str, source: str) -> str:
    """Return the SHA-256 in the text of a record.

    Args:
        text: of the record.
        name: of the file that it must be about.
        source: where the text is, for the message.

    Raises:
        RecordError: if it has not one line of `sha256sum` for that file.
    """
    match = LINE.fullmatch(text)
    if match is None or match[2] != name:
        raise RecordError(f"{source} has not the SHA-256 of {name}: write it again by make data.push")
    return match[1]


def record_line(data: Path, sha256: str) -> str:
    """Return the text of the record."""
    return f"{sha256}  {data.name}\n"


def write_record(data: Path, sha256: str) -> Path:
    """Record the SHA-256 of the data; return the path of the file, which is not written if it is right."""
    path, line = record_of(data), record_line(data, sha256)
    if not path.exists() or path.read_bytes() != line.encode():
        path.write_text(line, encoding="utf-8")
    return path


def sha256_of(data: Path) -> str:
    """Return the SHA-256 of a file.

    Raises:
        OSError: if it cannot be read.
    """
    with data.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def differences(data: Path, sha256: str) -> tuple[str, ...]:
    """Return one sentence if the data are others than those that are recorded, and none otherwise.

    Args:
        data: path of the data.
        sha256: hash of what was read.
    """
    try:
        expected = recorded(data)
    except RecordError as error:
        return (f"{error}.",)
    if expected in (None, sha256):
        return ()
    return (
        f"{data} is not what {record_of(data).name} records: make data.pull fetches that, make data.push records this.",
    )
