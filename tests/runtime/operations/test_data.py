"""Data to and from a bucket: a store that keeps its objects in a folder."""

import hashlib
import shutil
from pathlib import Path

import pytest

from mlops_runtime.operations.data import DataError, first, pull, push, put
from mlops_runtime.operations.store import Store, StoreError


class Folder(Store):
    """Objects in a folder of the test; counts what was written."""

    __slots__ = ("written",)

    def __init__(self) -> None:
        super().__init__("bucket")
        object.__setattr__(self, "written", [])

    def has(self, key: str) -> bool:
        return Path("bucket", key).exists()

    def get(self, key: str, path: Path) -> bool:
        path.parent.mkdir(parents=True, exist_ok=True)
        if self.has(key):
            shutil.copyfile(Path("bucket", key), path)
        return self.has(key)

    def put(self, key: str, path: Path) -> None:
        Path("bucket", key).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, Path("bucket", key))
        self.written.append(key)  # type: ignore[attr-defined]


ROWS = b"a,b\n1,2\n"
KEY = f"data/{hashlib.sha256(ROWS).hexdigest()}"


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = Path("data/orders.csv")
    path.parent.mkdir()
    path.write_bytes(ROWS)
    return path


def test_what_was_pushed_is_pulled_where_it_is_missing(data: Path) -> None:
    # given
    store = Folder()
    said = push(data, store)
    assert said == f"s3://bucket/{KEY} has data/orders.csv: commit data/orders.csv.sha256, which names it"
    # when
    data.unlink()
    pull(data, store, replace=False)
    # then
    assert data.read_bytes() == ROWS
    assert list(Path("build").iterdir()) == []
    # and the bucket names them as the newest
    assert Path("bucket/data/orders.csv.sha256").read_bytes() == Path("data/orders.csv.sha256").read_bytes()


def test_what_is_put_for_a_job_is_not_recorded(data: Path) -> None:
    # given
    store = Folder()
    # when
    said = put(data, store)
    # then
    assert said == f"s3://bucket/{KEY} has data/orders.csv"
    assert store.has(KEY)
    assert not Path("data/orders.csv.sha256").exists()
    # and others than the recorded ones are named
    push(data, store)
    data.write_bytes(b"a,b\n3,4\n")
    assert "data/orders.csv is not what orders.csv.sha256 records" in put(data, store)


def test_the_first_data_of_a_schedule_are_the_newest_until_others_are_pushed(data: Path) -> None:
    # given
    store = Folder()
    # when
    assert first(data, store) == "s3://bucket/data/orders.csv.sha256 names the newest data"
    # then
    assert Path("bucket", KEY).read_bytes() == ROWS
    assert Path("bucket/data/orders.csv.sha256").read_text() == f"{KEY.removeprefix('data/')}  orders.csv\n"
    assert not Path("data/orders.csv.sha256").exists()
    # and they stay so, whatever is here
    data.write_bytes(b"a,b\n3,4\n")
    first(data, store)
    assert Path("bucket/data/orders.csv.sha256").read_text().startswith(KEY.removeprefix("data/"))


def test_the_same_data_are_written_once(data: Path) -> None:
    store = Folder()
    push(data, store)
    push(data, store)

    assert store.written.count(KEY) == 1  # type: ignore[attr-defined]


def test_data_that_are_there_need_no_bucket(data: Path) -> None:
    push(data, Folder())
    shutil.rmtree("bucket")

    assert pull(data, Folder(), replace=False) == "data/orders.csv is what data/orders.csv.sha256 records"


def test_others_are_replaced_only_when_asked_for(data: Path) -> None:
    store = Folder()
    push(data, store)
    data.write_bytes(b"edited")

    with pytest.raises(DataError, match=r"records: keep it by make data\.push, or replace it by FORCE=1"):
        pull(data, store, replace=False)
    assert data.read_bytes() == b"edited"

    pull(data, store, replace=True)
    assert data.read_bytes() == ROWS


def test_a_damaged_object_does_not_come_into_the_project(data: Path) -> None:
    push(data, Folder())
    data.unlink()
    Path("bucket", KEY).write_bytes(b"half")

    with pytest.raises(DataError, match="has another content than its name says"):
        pull(data, Folder(), replace=False)
    assert not data.exists()


def test_data_that_nobody_pushed_are_named(data: Path) -> None:
    with pytest.raises(DataError, match=r"there is no data/orders\.csv\.sha256: run make data\.push"):
        pull(data, Folder(), replace=False)
    push(data, Folder())
    shutil.rmtree("bucket")
    data.unlink()

    with pytest.raises(DataError, match=rf"there is no s3://bucket/{KEY}: run make data\.push"):
        pull(data, Folder(), replace=False)


def test_a_folder_is_not_pushed(data: Path) -> None:
    with pytest.raises(DataError, match="in one file"):
        push(data.parent, Folder())


def test_the_store_is_that_of_the_platform(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BUCKET", "on-s3")
    monkeypatch.setenv("STORAGE_CONTAINER", "on-azure")
    assert Store.of_project().name == "on-s3"

    monkeypatch.setenv("PLATFORM", "azure-web-app")
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT", "account")
    assert Store.of_project().url("data/1") == "https://account.blob.core.windows.net/on-azure/data/1"

    monkeypatch.delenv("STORAGE_CONTAINER")
    with pytest.raises(StoreError, match="STORAGE_CONTAINER is not set"):
        Store.of_project()
