import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from mlops_runtime.operations.trend.versions import MeasurementError, versions_in


def metrics(day: int) -> dict[str, Any]:
    """Return what training writes into metrics.json on a day."""
    estimate = {"value": 0.9, "low": 0.8, "high": 0.95}
    time = f"2026-11-{day:02}T13:00:00+01:00"
    return {"trained_at": time, "task": "binary", "floors": {"skill": 0.1}, "metrics": {"roc_auc": estimate}}


def coverage(day: int) -> dict[str, Any]:
    """Return what coverage reports on a day."""
    return {"meta": {"timestamp": f"2026-11-{day:02}T12:30:00"}, "totals": {"percent_covered": 93.5}}


def write(folder: Path, key: str, content: Any) -> None:
    (folder / key).parent.mkdir(parents=True, exist_ok=True)
    (folder / key).write_text(content if isinstance(content, str) else json.dumps(content))


def test_versions_are_ascending_by_the_time_of_their_training(tmp_path: Path) -> None:
    # given: a version with metrics alone, one with coverage alone, and one with both, beside the latest files
    for key in ("metrics-v2.json", "latest.json"):
        write(tmp_path, f"trainer/metrics/{key}", metrics(20))
    write(tmp_path, "trainer/metrics/metrics-1.10.json", metrics(3))
    write(tmp_path, "model/test-coverage/test-coverage-1.10.json", coverage(25))
    write(tmp_path, "webservice/unittest-coverage/unittest-coverage-v0-2-gabc.json", coverage(1))
    # when
    first, second, third = versions_in(tmp_path)
    # then
    assert [version.name for version in (first, second, third)] == ["v0-2-gabc", "1.10", "v2"]
    assert first.time == datetime(2026, 11, 1, 12, 30, tzinfo=UTC)
    assert first.coverage == {("webservice", "unittest-coverage"): 93.5}
    assert (second.time, second.floors) == (datetime(2026, 11, 3, 12, tzinfo=UTC), {"skill": 0.1})
    assert second.coverage == {("model", "test-coverage"): 93.5}
    assert second.metrics["roc_auc"].low == 0.8


@pytest.mark.parametrize("content", ["{", "[]", "{}", {"metrics": {"f1": 1}, "task": "binary", "floors": {}}], ids=repr)
def test_a_file_of_something_else_is_named(tmp_path: Path, content: Any) -> None:
    write(tmp_path, "trainer/metrics/metrics-v1.json", content)

    with pytest.raises(MeasurementError, match=r"^trainer/metrics/metrics-v1\.json is no.*: remove it"):
        versions_in(tmp_path)
