"""The predictor, on a model that a run has trained."""

import random
import string
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest

pytest.importorskip("spacy", reason="needs spaCy: pip install 'spacy>=3.8'")

from mlops_runtime.entities import predictor as module
from mlops_runtime.entities.predictor import CONFIG_FILE, PIPELINE_FILE, SpacyPredictor
from mlops_runtime.model import ArtefactError
from tests.runtime.entities.model.conftest import CONTRACT, Message, distinct_texts

TEXTS = [text["text"] for text in distinct_texts(80)] + [
    "x",
    " ",
    "Zoë 😀 met Cleo at Harrow.\n",
    "Ada  Okoye\tleft\nArkon",
]
RECORDS = [Message(text=text) for text in TEXTS]


def test_an_entity_is_the_text_between_its_positions(predictor: SpacyPredictor) -> None:
    predictions = predictor.predict(RECORDS)

    assert sum(len(prediction.entities) for prediction in predictions) > 50
    for text, prediction in zip(TEXTS, predictions, strict=True):
        for entity in prediction.entities:
            assert entity.text == text[entity.start : entity.end]
            assert entity.label in CONTRACT.labels


def test_predictions_do_not_depend_on_the_batch(predictor: SpacyPredictor) -> None:
    assert predictor.predict(RECORDS) == [predictor.predict_one(record) for record in RECORDS]
    assert predictor.predict([]) == []


def test_threads_get_the_predictions_of_their_texts(predictor: SpacyPredictor) -> None:
    expected = predictor.predict(RECORDS)
    orders = [random.Random(seed).sample(range(len(RECORDS)), len(RECORDS)) for seed in range(8)]

    def predicted(order: list[int]) -> list[Any]:
        return predictor.predict([RECORDS[place] for place in order])

    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(predicted, orders))

    assert results == [[expected[place] for place in order] for order in orders]


def test_new_words_do_not_stay_in_memory(predictor: SpacyPredictor) -> None:
    # given
    draw = random.Random(0)
    words = ["".join(draw.choices(string.ascii_lowercase, k=12)) for _ in range(4000)]
    records = [Message(text=" ".join(words[place : place + 4])) for place in range(0, len(words), 4)]
    strings = predictor._pipeline.vocab.strings
    before = len(strings)
    # when
    predictor.predict(records)
    for record in records[:100]:
        predictor.predict_one(record)
    # then
    assert len(strings) == before
    assert words[0] not in strings


def test_after_many_new_words_the_pipeline_is_loaded_anew(
    predictor: SpacyPredictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given
    expected = predictor.predict(RECORDS)
    monkeypatch.setattr(module, "MAX_NEW_WORDS", 50)
    own = SpacyPredictor(predictor.artefact)
    before = own._pipeline
    # when
    own.predict([Message(text=f"word{number} other{number}") for number in range(40)])
    # then
    assert own._pipeline is not before
    assert own.predict(RECORDS) == expected


def test_a_text_of_unknown_words_has_a_warning(predictor: SpacyPredictor) -> None:
    texts = ("Please qwert the zuiop fghjk now", "Please call Cleo before noon.", "zuiop fghjk")

    warnings = [predictor.predict_one(Message(text=text)).warnings for text in texts]

    assert warnings == [("text: 4 of 6 words are not in the training texts",), (), ()]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        pytest.param({CONFIG_FILE: None}, "the artefact has no config.cfg; run `make train`", id="no-configuration"),
        pytest.param({PIPELINE_FILE: None}, "the artefact has no pipeline.bin; run `make train`", id="no-weights"),
        pytest.param({PIPELINE_FILE: b"\xc1"}, "spaCy cannot load the model", id="damaged-weights"),
        pytest.param({CONFIG_FILE: b"[nlp]\nlang = 'qq'"}, "spaCy cannot load the model", id="unknown-language"),
    ],
)
def test_a_model_that_cannot_be_loaded_is_refused(
    predictor: SpacyPredictor, changes: dict[str, bytes | None], message: str
) -> None:
    files = {name: content for name, content in (predictor.artefact.model_files | changes).items() if content}

    with pytest.raises(ArtefactError, match=message):
        SpacyPredictor(replace(predictor.artefact, model_files=files))
