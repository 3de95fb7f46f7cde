"""Training data to and from the bucket: `python -m mlops_runtime.operations.data push`, `pull`, `put` and `first`.

DATA is the path of the file. Its key is `data/SHA256`, and the file DATA.sha256, which belongs into git, names it. So
each commit has its data, however large they are. A push puts that file into the bucket as well, where a training on
schedule finds the newest data. `put` is a push without that file, for a training job; `first` is for a training on
schedule, and pushes only if the bucket knows no newest data. This module needs the standard library alone.
"""

import argparse
import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from mlops_runtime.operations.store import Store, StoreError
from mlops_runtime.tables.recorded import (
    RecordError,
    differences,
    key_of,
    newest_key_of,
    record_line,
    record_of,
    recorded,
    sha256_of,
    write_record,
)

BUILD = Path("build")


class DataError(RuntimeError):
    """The data cannot be pushed or pulled; the message says what to do."""


def put(data: Path, store: Store) -> str:
    """Put the data into the bucket unless it has them; return a sentence about it, and one if others are recorded.

    Raises:
        DataError: if there is no such file.
        StoreError: if the bucket cannot be used.
        OSError: if a file cannot be read.
    """
    sha256 = _stored(data, store)
    return "\n".join([f"{store.url(key_of(sha256))} has {data}", *differences(data, sha256)])


def push(data: Path, store: Store) -> str:
    """Put the data into the bucket unless it has them, and record their hash; return a sentence about it.

    Raises:
        DataError: if there is no such file.
        StoreError: if the bucket cannot be used; nothing was recorded.
        OSError: if a file cannot be read or written.
    """
    sha256 = _stored(data, store)
    record = write_record(data, sha256)
    store.put(newest_key_of(data.name), record)
    return f"{store.url(key_of(sha256))} has {data}: commit {record}, which names it"


def first(data: Path, store: Store) -> str:
    """Put the data into the bucket as the newest unless it knows some; return a sentence about which it knows.

    Raises:
        DataError: if there is no such file.
        StoreError: if the bucket cannot be used.
        OSError: if a file cannot be read or written.
    """
    key = newest_key_of(data.name)
    if not store.has(key):
        BUILD.mkdir(exist_ok=True)
        copy = BUILD / f"{data.name}.sha256"
        copy.write_text(record_line(data, _stored(data, store)), encoding="utf-8")
        store.put(key, copy)
    return f"{store.url(key)} names the newest data"


def _stored(data: Path, store: Store) -> str:
    """Put the data into the bucket unless it has them; return their hash."""
    if not data.is_file():
        raise DataError(f"there is no file {data}: set DATA in project.mk to the training data, in one file")
    sha256 = sha256_of(data)
    if not store.has(key_of(sha256)):
        store.put(key_of(sha256), data)
    return sha256


def pull(data: Path, store: Store, replace: bool) -> str:
    """Get the recorded data from the bucket unless they are there; return a sentence about it.

    Args:
        data: path of the data.
        store: where they are.
        replace: whether other data at this path are replaced.

    Raises:
        DataError: if no data are recorded, others are in their place, or what came is not what is recorded.
        RecordError: if the record is damaged.
        StoreError: if the bucket cannot be read.
        OSError: if a file cannot be read or written.
    """
    sha256 = recorded(data)
    if sha256 is None:
        raise DataError(f"there is no {record_of(data)}: run make data.push where the data are, and commit it")
    if data.exists():
        if data.is_file() and sha256_of(data) == sha256:
            return f"{data} is what {record_of(data)} records"
        if not replace:
            raise DataError(
                f"{data} is not what {record_of(data)} records: keep it by make data.push, or replace it by FORCE=1"
            )
    copy = BUILD / f"data-{sha256}"
    if not store.get(key_of(sha256), copy):
        raise DataError(f"there is no {store.url(key_of(sha256))}: run make data.push where the data are")
    if sha256_of(copy) != sha256:
        copy.unlink()
        raise DataError(f"{store.url(key_of(sha256))} has another content than its name says: run make data.push again")
    data.parent.mkdir(parents=True, exist_ok=True)
    shutil.move(copy, data)
    return f"{data} is that of {store.url(key_of(sha256))}"


def main(argv: Sequence[str] | None = None) -> int:
    """Move the data; return the exit status."""
    parser = argparse.ArgumentParser(prog="mlops_runtime.operations.data", description=__doc__)
    parser.add_argument("direction", choices=("push", "pull", "put", "first"))
    direction = parser.parse_args(argv).direction
    data = Path(os.environ.get("DATA", ""))
    try:
        store = Store.of_project()
        match direction:
            case "push":
                said = push(data, store)
            case "put":
                said = put(data, store)
            case "first":
                said = first(data, store)
            case _:
                said = pull(data, store, bool(os.environ.get("FORCE")))
    except (DataError, RecordError, StoreError, OSError) as error:
        print(f"data.{direction}: {error}", file=sys.stderr)
        return 1
    print(said)
    return 0


if __name__ == "__main__":
    sys.exit(main())
