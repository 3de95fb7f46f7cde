import os
from pathlib import Path

import pytest

from mlops_runtime.tables.recorded import RecordError, differences, record_of, recorded, sha256_of, write_record


@pytest.fixture
def data(tmp_path: Path) -> Path:
    path = tmp_path / "orders.csv"
    path.write_text("a,b\n1,2\n")
    return path


def test_data_are_those_that_were_recorded_until_they_change(data: Path) -> None:
    write_record(data, sha256_of(data))
    assert differences(data, sha256_of(data)) == ()

    data.write_text("a,b\n1,3\n")
    (sentence,) = differences(data, sha256_of(data))

    assert sentence.startswith(f"{data} is not what orders.csv.sha256 records: make data.pull ")


def test_a_record_that_is_right_stays_as_it_is(data: Path) -> None:
    # given: a record from long ago, on which the trained model depends
    record = write_record(data, sha256_of(data))
    os.utime(record, (1, 1))

    # when
    write_record(data, sha256_of(data))

    # then
    assert record.stat().st_mtime == 1


def test_data_without_a_record_may_be_any(data: Path) -> None:
    assert recorded(data) is None
    assert differences(data, sha256_of(data)) == ()


@pytest.mark.parametrize(
    "content", [b"", b"<<<<<<< HEAD\n", b"0" * 64 + b"  others.csv\n", b"0" * 63 + b"  orders.csv\n", b"\xff\xfe0"],
    ids=["empty", "a conflict", "another file", "a digit less", "no text"],
)  # fmt: skip
def test_a_damaged_record_is_named(data: Path, content: bytes) -> None:
    record_of(data).write_bytes(content)

    with pytest.raises(RecordError, match=r"orders\.csv\.sha256 has not the SHA-256 of orders\.csv: write it again"):
        recorded(data)
    assert "write it again" in differences(data, sha256_of(data))[0]
