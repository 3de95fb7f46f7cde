from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from {{cookiecutter.__package}}_model.classifier import GOLDEN_TOLERANCE, Classifier, agrees
from {{cookiecutter.__package}}_model.datamodel import (
    FEATURES,
    Label,
    Prediction,
    Record,
    feature_matrix,
)
from {{cookiecutter.__package}}_model.metadata import MODEL_FILE, ArtefactError, GoldenRecord

FIRST, SECOND = list(Label)[:2]


@given(record=st.from_type(Record))
def test_every_valid_record_gets_its_more_probable_label(record: Record, classifier: Classifier) -> None:
    prediction = classifier.predict_one(record)
    probabilities = classifier.probabilities(feature_matrix([record]))[0]
    assert 1 / len(Label) <= prediction.probability <= 1
    assert prediction.probability == max(probabilities)
    assert classifier.metadata.labels[probabilities.argmax()] == prediction.label
    assert sum(probabilities) == pytest.approx(1)


@given(records=st.lists(st.from_type(Record), min_size=1, max_size=20))
def test_many_records_get_the_predictions_that_each_gets_alone(records: list[Record], classifier: Classifier) -> None:
    together = classifier.predict(records)
    alone = [classifier.predict_one(record) for record in records]
    assert [prediction.label for prediction in together] == [prediction.label for prediction in alone]
    assert [prediction.probability for prediction in together] == pytest.approx(
        [prediction.probability for prediction in alone], abs=1e-12
    )


def test_no_record_gets_no_prediction(classifier: Classifier) -> None:
    assert classifier.predict([]) == []


def test_missing_values_are_no_reason_to_fail(classifier: Classifier) -> None:
    missing = classifier.probabilities(np.full((2, len(FEATURES)), np.nan))
    assert missing.shape == (2, len(Label))
    assert np.isfinite(missing).all()


def test_the_model_tells_the_labels_apart(classifier: Classifier) -> None:
    predictions = classifier.predict([golden.record for golden in classifier.golden_records])
    assert {prediction.label for prediction in predictions} == set(Label)


def test_threads_get_the_same_predictions(classifier: Classifier) -> None:
    # given
    records = [golden.record for golden in classifier.golden_records] * 20
    expected = classifier.predict(records)
    # when: eight threads ask at once, for all records and for one
    with ThreadPoolExecutor(8) as threads:
        many = list(threads.map(classifier.predict, [records] * 64))
        single = list(threads.map(classifier.predict_one, records))
    # then
    assert all(predictions == expected for predictions in many)
    assert all(agrees(prediction, wanted) for prediction, wanted in zip(single, expected, strict=True))


def test_golden_answers_are_given(classifier: Classifier) -> None:
    assert classifier.gives_golden_answers()


@pytest.mark.parametrize("change", ["label", "probability", "none"])
def test_other_answers_are_noticed(change: str, classifier: Classifier, artefact: Path) -> None:
    # given: a golden record whose prediction is another
    golden = classifier.golden_records[0]
    other = {
        "label": golden.prediction.model_copy(update={"label": next(x for x in Label if x != golden.prediction.label)}),
        "probability": golden.prediction.model_copy(update={"probability": golden.prediction.probability + 1e-4}),
        "none": None,
    }[change]
    wrong = (GoldenRecord(record=golden.record, prediction=other),) if other else ()
    changed = Classifier((artefact / MODEL_FILE).read_bytes(), classifier.metadata, wrong)
    # then
    assert not changed.gives_golden_answers()


@pytest.mark.parametrize("content", [b"", b"no model", b"\x00" * 100], ids=["empty", "text", "zeros"])
def test_bytes_that_are_no_model_are_refused(content: bytes, classifier: Classifier) -> None:
    with pytest.raises(ArtefactError, match="cannot load the model"):
        Classifier(content, classifier.metadata, ())


def test_a_truncated_model_is_refused(classifier: Classifier, artefact: Path) -> None:
    content = (artefact / MODEL_FILE).read_bytes()
    with pytest.raises(ArtefactError):
        Classifier(content[: len(content) // 2], classifier.metadata, ())


def test_a_model_with_another_number_of_inputs_is_refused(classifier: Classifier, artefact: Path) -> None:
    metadata = classifier.metadata.model_copy(update={"features": FEATURES[1:]})
    with pytest.raises(ArtefactError, match="not made by this trainer"):
        Classifier((artefact / MODEL_FILE).read_bytes(), metadata, ())


def test_a_model_with_other_outputs_is_refused(classifier: Classifier, artefact: Path) -> None:
    model = onnx.load(artefact / MODEL_FILE)
    del model.graph.output[0]
    with pytest.raises(ArtefactError, match="not made by this trainer"):
        Classifier(model.SerializeToString(), classifier.metadata, ())


@pytest.mark.parametrize(
    ("label", "difference", "same"),
    [
        pytest.param(FIRST, 0.0, True, id="equal"),
        pytest.param(FIRST, GOLDEN_TOLERANCE / 2, True, id="rounded"),
        pytest.param(FIRST, GOLDEN_TOLERANCE * 2, False, id="other-probability"),
        pytest.param(SECOND, 0.0, False, id="other-label"),
    ],
)
def test_predictions_agree_up_to_rounding(label: Label, difference: float, same: bool) -> None:
    golden = Prediction(label=FIRST, probability=0.75)
    assert agrees(Prediction(label=label, probability=0.75 + difference), golden) is same
