import csv
import json
from pathlib import Path

import pytest

from mlops_runtime.operations.trend.rows import COLUMNS, main
from tests.runtime.operations.trend.test_versions import coverage, metrics, write


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """What is uploaded of a version."""
    for name in ("latest", "metrics-v1"):
        write(tmp_path, f"trainer/metrics/{name}.json", metrics(3))
    write(tmp_path, "model/test-coverage/test-coverage-v1.json", coverage(3))
    return tmp_path


def test_each_measurement_is_a_row(folder: Path) -> None:
    # when
    assert main([str(folder)]) == 0
    # then
    (path,) = (folder / "trainer/rows").iterdir()
    assert path.name == "rows-v1.csv"
    header, *rows = csv.reader(path.read_text().splitlines())
    assert tuple(header) == COLUMNS
    assert rows == [
        ["v1", "2026-11-03T12:00:00Z", "trainer", "metrics", "roc_auc", "0.9", "0.8", "0.95"],
        ["v1", "2026-11-03T12:00:00Z", "model", "test-coverage", "percent_covered", "93.5", "93.5", "93.5"],
    ]


def test_the_manifest_has_the_documented_fields(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BUCKET", "oncology-123456789012")

    assert main([str(folder)]) == 0

    manifest = json.loads((folder / "trainer/quicksight.json").read_text())
    assert manifest["fileLocations"] == [{"URIPrefixes": ["s3://oncology-123456789012/trainer/rows/"]}]
    assert manifest["globalUploadSettings"] == {
        "format": "CSV", "delimiter": ",", "textqualifier": '"', "containsHeader": "true",
    }  # fmt: skip


def test_there_is_no_manifest_on_azure(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BUCKET", "files")
    monkeypatch.setenv("PLATFORM", "azure-web-app")

    assert main([str(folder)]) == 0

    assert not (folder / "trainer/quicksight.json").exists()
    assert (folder / "trainer/rows/rows-v1.csv").exists()


def test_a_damaged_file_is_named(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(folder, "trainer/metrics/metrics-v1.json", "{")

    assert main([str(folder)]) == 1

    assert capsys.readouterr().err.startswith("upload.monitoring: trainer/metrics/metrics-v1.json is no JSON")
