from itertools import count

import pytest
from prometheus_client import CollectorRegistry, Gauge, generate_latest

from mlops_runtime.dashboard import DriftHistory, drift_of
from mlops_runtime.dashboard.drift import MAX_SAMPLES


def metrics(records: int, index: dict[str, float]) -> str:
    """Return metrics as the service writes them."""
    registry = CollectorRegistry()
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
