"""The model of a training run, as the service loads it."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np

from mlops_runtime.contract import Contract
from mlops_runtime.model import Predictor, agrees
from mlops_runtime.model.baseline import FieldBaseline, NumberBaseline


def test_the_model_gives_its_golden_predictions(predictor: Predictor) -> None:
    assert predictor.golden_records
    assert predictor.gives_golden_predictions()


def test_metrics_with_a_floor_are_above_it(predictor: Predictor) -> None:
    metadata = predictor.metadata

    # Given the floors that the gate was set to, of which there is one at least
    assert metadata.floors

    # Then the model is no worse than any of them that was measured on held-out rows
    for metric in metadata.floors.keys() & metadata.metrics.keys():
        assert metadata.metrics[metric].value >= metadata.floors[metric]


def test_every_metric_has_an_interval(predictor: Predictor) -> None:
    assert predictor.metadata.metrics
    for estimate in predictor.metadata.metrics.values():
        assert np.isfinite([estimate.value, estimate.low, estimate.high]).all()
        assert estimate.low <= estimate.high


def test_the_metadata_name_the_origin_of_the_model(predictor: Predictor, contract: Contract) -> None:
    metadata = predictor.metadata

    assert metadata.version
    assert metadata.git_commit
    assert len(metadata.data_sha256) == len(metadata.lock_sha256) == 64
    assert (metadata.task, metadata.contract) == (contract.task, contract.sha256)
    assert (metadata.features, metadata.labels) == (contract.features, contract.labels)
    assert all(rows > 0 for rows in metadata.rows.values())


def assert_sound(statistics: FieldBaseline) -> None:
    """Fail unless the statistics of a field are consistent; a field without values has none."""
    assert 0 <= statistics.missing_share <= 1
    if isinstance(statistics, NumberBaseline):
        assert statistics.minimum <= statistics.mean <= statistics.maximum
    shares = statistics.bin_shares if isinstance(statistics, NumberBaseline) else statistics.shares.values()
    # A category may have more values than are kept.
    assert sum(shares) <= 1 + 1e-9
    assert bool(shares) is (statistics.missing_share < 1)


def test_the_baseline_has_every_field(predictor: Predictor, contract: Contract) -> None:
    baseline = predictor.baseline

    assert tuple(baseline.fields) == contract.features
    for field in (*baseline.fields.values(), baseline.target):
        assert_sound(field)
    assert baseline.target.missing_share == 0


def test_the_outputs_are_probabilities_or_values(predictor: Predictor) -> None:
    records = [golden.record for golden in predictor.golden_records]

    outputs = predictor.outputs(predictor.contract.encode(records))

    assert outputs.shape == (len(records), len(predictor.contract.labels) or 1)
    assert np.isfinite(outputs).all()
    if predictor.contract.labels:
        np.testing.assert_allclose(outputs.sum(axis=1), 1, atol=1e-6)


def test_threads_may_share_the_model(predictor: Predictor) -> None:
    # Given the predictions for one record at a time
    records = [golden.record for golden in predictor.golden_records] * 50
    expected = [predictor.predict_one(record) for record in records]

    # When eight threads predict at once
    with ThreadPoolExecutor(8) as threads:
        predictions = list(threads.map(predictor.predict_one, records))

    # Then the predictions are the same
    assert len(predictions) == len(expected)
    assert all(agrees(prediction, wanted) for prediction, wanted in zip(predictions, expected, strict=True))
