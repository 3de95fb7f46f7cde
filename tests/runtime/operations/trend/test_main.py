from collections.abc import Sequence
from pathlib import Path

import pytest

from mlops_runtime.operations.store import Store
from mlops_runtime.operations.trend import __main__ as trend


class Empty(Store):
    """A store without objects."""

    def copy(self, patterns: Sequence[str], folder: Path) -> None:
        assert "*/metrics/metrics-*.json" in patterns
        assert folder.exists()


def test_an_empty_bucket_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BUCKET", "files")
    monkeypatch.setattr(trend, "Store", Empty)

    assert trend.main(["trend.html"]) == 1

    assert capsys.readouterr().err == (
        "report.trend: s3://files/ has no measurements: run make upload.monitoring for a version first\n"
    )
    assert not Path("trend.html").exists()
