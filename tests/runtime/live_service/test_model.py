"""The model that training made, as the service will load it."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from mlops_runtime.contract.features import FEATURES, LABELS, features_of
from mlops_runtime.model.artefact import BASELINE_FILE
from mlops_runtime.model.baseline import Baseline, FieldBaseline, NumberBaseline
from mlops_runtime.model.golden import agrees
from mlops_runtime.model.metadata import CONTRACT
from mlops_runtime.model.predictor import Predictor


def test_the_model_gives_its_golden_answers(predictor: Predictor) -> None:
    assert predictor.golden_records
    assert predictor.gives_golden_predictions()


def test_the_metrics_that_have_a_floor_are_above_it(predictor: Predictor) -> None:
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


def test_the_model_says_where_it_comes_from(predictor: Predictor) -> None:
    metadata = predictor.metadata

    assert metadata.version
    assert metadata.git_commit
    assert len(metadata.data_sha256) == len(metadata.lock_sha256) == 64
    assert (metadata.task, metadata.contract) == (TASK, CONTRACT)
    assert (metadata.features, metadata.labels) == (FEATURES, LABELS)
    assert all(rows > 0 for rows in metadata.rows.values())


def assert_sound(found: FieldBaseline) -> None:
    """Fail unless the statistics of a field are at one with each other; nothing is said of one that no row has."""
    assert 0 <= found.missing_share <= 1
    if isinstance(found, NumberBaseline):
        assert found.minimum <= found.mean <= found.maximum
    shares = found.bin_shares if isinstance(found, NumberBaseline) else found.shares.values()
    # A category may have more values than are kept.
    assert sum(shares) <= 1 + 1e-9
    assert bool(shares) is (found.missing_share < 1)


def test_the_baseline_knows_every_field(artefact: Path) -> None:
    baseline = Baseline.model_validate_json((artefact / BASELINE_FILE).read_bytes())

    assert tuple(baseline.fields) == FEATURES
    for field in (*baseline.fields.values(), baseline.target):
        assert_sound(field)
    assert baseline.target.missing_share == 0


def test_the_outputs_are_probabilities_or_values(predictor: Predictor) -> None:
    records = [golden.record for golden in predictor.golden_records]

    outputs = predictor.outputs(features_of(records))

    assert outputs.shape == (len(records), len(LABELS) or 1)
    assert np.isfinite(outputs).all()
    if LABELS:
        np.testing.assert_allclose(outputs.sum(axis=1), 1, atol=1e-6)


def test_threads_may_share_the_model(predictor: Predictor) -> None:
    # Given what the model says when it is asked one thing at a time
    records = [golden.record for golden in predictor.golden_records] * 50
    expected = [predictor.predict_one(record) for record in records]

    # When eight threads ask it at once
    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(predictor.predict_one, records))

    # Then it says the same
    assert len(found) == len(expected)
    assert all(agrees(prediction, wanted) for prediction, wanted in zip(found, expected, strict=True))
