from datetime import UTC, datetime
from itertools import count
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, Gauge, Info, generate_latest

from mlops_runtime.dashboard import ClientError, DriftHistory, drift_of, samples_in
from mlops_runtime.dashboard.drift import MAX_SAMPLES, Drift, write_sample


def metrics(records: int, index: dict[str, float], version: str = "") -> str:
    """Return metrics as the service writes them."""
    registry = CollectorRegistry()
    if version:
        build = Info("webservice_build", "Build", registry=registry)
        build.info({"version": version, "model_version": "another", "estimator": "a", "task": "binary"})
    Gauge("webservice_drift_records", "Records", registry=registry).set(records)
    fields = Gauge("webservice_field_drift_psi", "Drift", ["field"], registry=registry)
    for name, value in index.items():
        fields.labels(name).set(value)
    Gauge("webservice_prediction_drift_psi", "Drift", registry=registry).set(0.5)
    return generate_latest(registry).decode()


@pytest.mark.parametrize("name", ["age", 'a "quoted" {name}', "back\\slash\\n", "two\nlines"])
def test_drift_is_read_from_the_metrics(name: str) -> None:
    drift = drift_of(metrics(1234, {name: 0.125}))

    assert (drift.records, drift.index) == (1234, {name: 0.125, "predictions": 0.5})


@pytest.mark.parametrize("version", ["", "v1.2-3-gabc", 'a "quoted", version="b"'])
def test_a_sample_names_the_version_that_measured_it(version: str, tmp_path: Path) -> None:
    drift = drift_of(metrics(1234, {}, version))

    assert drift.version == version
    write_sample(drift, tmp_path)
    assert [sample.version for sample in samples_in(tmp_path)] == [version]


def test_samples_of_an_earlier_runtime_have_no_version(tmp_path: Path) -> None:
    (tmp_path / "drift-1.json").write_text('{"time": "2026-11-03T12:00:00+00:00", "records": 5, "index": {}}')

    assert [sample.version for sample in samples_in(tmp_path)] == [""]


def test_metrics_without_drift_have_none() -> None:
    drift = drift_of("webservice_requests_total 3.0\n")

    assert (drift.records, drift.index) == (0, {})


def test_the_history_keeps_the_samples_of_a_day() -> None:
    records = count()
    history = DriftHistory(lambda: metrics(next(records), {}))

    for _ in range(MAX_SAMPLES + 2):
        history.sample()

    kept = [sample.records for sample in history.samples()]
    assert kept == list(range(2, MAX_SAMPLES + 2))


def drift(day: int) -> Drift:
    return Drift(datetime(2026, 11, day, 12, tzinfo=UTC), 1234, {'a "quoted" name': 0.125, "größe": 0.5})


def test_written_samples_come_before_those_of_the_service(tmp_path: Path) -> None:
    # given: samples that were written in another order
    for day in (20, 3):
        write_sample(drift(day), tmp_path / "drift")
    # when
    history = DriftHistory(lambda: metrics(5, {}), samples_in(tmp_path / "drift"))
    history.sample()
    # then
    assert history.samples()[:2] == [drift(3), drift(20)]
    assert history.samples()[2].records == 5


def test_no_folder_has_no_samples(tmp_path: Path) -> None:
    assert samples_in(tmp_path / "none") == []


@pytest.mark.parametrize("content", ["", "[]", '{"time": "now", "records": 1, "index": {}}', '{"index": {"a": "x"}}'])
def test_a_file_that_is_no_sample_is_named(tmp_path: Path, content: str) -> None:
    (tmp_path / "drift-1.json").write_text(content)

    with pytest.raises(ClientError, match=r"drift-1\.json is no sample of the drift: remove it"):
        samples_in(tmp_path)
