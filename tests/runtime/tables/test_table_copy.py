import sys
from pathlib import Path

import pytest

from mlops_runtime.tables.source import SourceError
from mlops_runtime.tables.table_copy import copy_name, write_copy


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        pytest.param("churn.csv", "churn.csv", id="plain"),
        pytest.param("Churn 2024 (final).csv", "Churn_2024_final.csv", id="spaces and brackets"),
        pytest.param("a$(b).tsv", "a_b.tsv", id="shell metacharacters"),
        pytest.param("übersicht.CSV", "bersicht.csv", id="non-ASCII letter"),
        pytest.param("--force.csv", "force.csv", id="looks like an option"),
        pytest.param("sales.csv.gz", "sales.csv.gz", id="gzip"),
        pytest.param("sales.gz", "sales.csv.gz", id="gzip alone"),
        pytest.param("sales.parquet", "sales.csv", id="parquet"),
        pytest.param("sales", "sales.csv", id="no suffix"),
        pytest.param(".csv", "table.csv", id="suffix alone"),
        pytest.param("表.csv", "table.csv", id="non-ASCII letters alone"),
    ],
)
def test_the_name_of_a_copy_needs_no_quoting(name: str, expected: str) -> None:
    assert copy_name(Path(name)) == expected


@pytest.mark.parametrize(
    "content", [b"a;b\n1,5;x\n", b"\xff\xfe\x00", b""], ids=["another dialect", "no text", "empty"]
)
def test_a_copy_has_the_same_bytes(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "table.csv").write_bytes(content)

    write_copy(tmp_path / "table.csv", tmp_path / "copy.csv")

    assert (tmp_path / "copy.csv").read_bytes() == content


def test_parquet_without_pyarrow_is_refused_with_advice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Given a Parquet file, and an environment without pyarrow
    (tmp_path / "table.parquet").write_bytes(b"PAR1 and so on")
    monkeypatch.setitem(sys.modules, "pyarrow", None)

    # When it is copied, then an error says how to install pyarrow, and there is no copy
    with pytest.raises(SourceError, match="install pyarrow"):
        write_copy(tmp_path / "table.parquet", tmp_path / "copy.csv")
    assert not (tmp_path / "copy.csv").exists()
