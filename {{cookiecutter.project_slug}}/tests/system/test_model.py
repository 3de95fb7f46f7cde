"""The model that training made, as the service will load it."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from {{cookiecutter.__package}}_model.classifier import Classifier
from {{cookiecutter.__package}}_model.datamodel import FEATURES, Label, feature_matrix
from {{cookiecutter.__package}}_model.metadata import BASELINE_FILE, Baseline


def test_the_model_gives_its_golden_answers(classifier: Classifier) -> None:
    assert classifier.golden_records
    assert classifier.gives_golden_answers()


def test_the_golden_records_cover_every_label(classifier: Classifier) -> None:
    assert {golden.prediction.label for golden in classifier.golden_records} == set(Label)


def test_every_metric_with_a_floor_is_above_it(classifier: Classifier) -> None:
    metadata = classifier.metadata

    # Given the floors that the gate was set to, of which there is one at least
    assert metadata.floors

    # Then the model is no worse than any of them
    for metric, floor in metadata.floors.items():
        estimate = metadata.metrics[metric]
        assert estimate.value >= floor
        assert estimate.low <= estimate.value <= estimate.high


def test_the_model_says_where_it_comes_from(classifier: Classifier) -> None:
    metadata = classifier.metadata

    assert metadata.version
    assert metadata.git_commit
    assert len(metadata.data_sha256) == len(metadata.lock_sha256) == 64
    assert metadata.features == FEATURES
    assert all(rows > 0 for rows in metadata.rows.values())


def test_the_baseline_knows_every_field(artefact: Path) -> None:
    baseline = Baseline.model_validate_json((artefact / BASELINE_FILE).read_bytes())

    assert tuple(baseline.fields) == FEATURES
    for field in baseline.fields.values():
        assert field.minimum <= field.mean <= field.maximum
        assert sum(field.bin_shares) == pytest.approx(1)
    assert sum(baseline.label_shares.values()) == pytest.approx(1)


def test_the_probabilities_of_a_record_add_up_to_one(classifier: Classifier) -> None:
    features = feature_matrix([golden.record for golden in classifier.golden_records])

    probabilities = classifier.probabilities(features)

    assert probabilities.shape == (len(features), len(Label))
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-6)


def test_threads_may_share_the_model(classifier: Classifier) -> None:
    # Given what the model says when it is asked one thing at a time
    records = [golden.record for golden in classifier.golden_records] * 50
    expected = [classifier.predict_one(record) for record in records]

    # When eight threads ask it at once
    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(classifier.predict_one, records))

    # Then it says the same
    assert found == expected
