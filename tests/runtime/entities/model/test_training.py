"""A run from annotated texts to the artefact."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("spacy", reason="needs spaCy: pip install 'spacy>=3.8'")

from mlops_runtime.entities import fitting, training
from mlops_runtime.entities.dataset import DatasetError, read_dataset
from mlops_runtime.entities.predictor import SpacyPredictor
from mlops_runtime.entities.training import Listener, golden_records, train
from mlops_runtime.model.artefact import read_artefact
from mlops_runtime.training.comparison import Comparison, compare
from mlops_runtime.training.held_out import HeldOut
from tests.runtime.entities.model.conftest import (
    CONTRACT,
    Found,
    Message,
    Run,
    distinct_texts,
    settings_in,
    write_dataset,
)


def test_the_artefact_reproduces_its_golden_predictions(run: Run, predictor: SpacyPredictor) -> None:
    assert predictor.gives_golden_predictions()
    labels = {str(entity.label) for each in predictor.golden_records for entity in each.prediction.entities}  # type: ignore[attr-defined]
    assert labels == set(map(str, CONTRACT.labels))
    assert predictor.metadata.rows == {"training": 60, "held_out": 20}
    assert predictor.metadata.libraries.keys() == {"python", "numpy", "pydantic", "spacy", "thinc"}
    assert predictor.artefact.report() == run.settings.report.read_bytes()


def test_some_golden_records_have_no_entity() -> None:
    records = [Message(text=text["text"]) for text in distinct_texts(30)]
    nothing = [Found(entities=()) for _ in records]

    assert [each.record for each in golden_records(CONTRACT, records, nothing)] == records[:2]


def test_the_metrics_are_those_of_the_loaded_model(run: Run, predictor: SpacyPredictor) -> None:
    metrics = json.loads(run.settings.metrics.read_bytes())

    assert metrics["metrics"]["f1"]["value"] == predictor.metadata.metrics["f1"].value > 0.5
    assert 0 < metrics["baseline"]["f1"] <= 1
    assert metrics["labels"].keys() == {"ORG", "PERSON"}
    assert metrics["labels"]["ORG"]["training"] + metrics["labels"]["ORG"]["held_out"] == sum(
        entity.label == "ORG" for text in read_dataset(run.settings.data).texts for entity in text.entities
    )
    assert metrics["passed"] is True


def test_the_baseline_describes_lengths_labels_and_unknown_words(predictor: SpacyPredictor) -> None:
    baseline = predictor.baseline

    assert baseline.rows == 60
    assert baseline.fields["text"].mean > 3  # type: ignore[union-attr]
    assert {"ORG", "PERSON"} <= baseline.target.shares.keys()  # type: ignore[union-attr]
    assert sum(baseline.predictions.shares.values()) == pytest.approx(1)  # type: ignore[union-attr]
    assert "please" in baseline.vocabularies["text"].words
    assert 0 <= baseline.vocabularies["text"].unknown.mean < 0.5


def test_two_models_are_compared_on_the_texts_that_both_have_held_out(run: Run) -> None:
    # given: the held-out texts several times, because a comparison needs 30
    held_out = HeldOut.model_validate_json(run.settings.held_out.read_bytes())
    rows = [f"{number}-{row}" for number in range(3) for row in held_out.rows]
    several = held_out.model_copy(
        update={"rows": tuple(rows), "truth": held_out.truth * 3, "predicted": held_out.predicted * 3}
    )
    # when
    comparison = compare(several, several)
    # then
    assert isinstance(comparison, Comparison)
    loss, f1 = comparison.differences
    assert loss.champion == pytest.approx(1 - f1.champion)
    assert f1.champion == pytest.approx(run.findings.evaluation.metrics["f1"].value)
    assert not comparison.is_worse(0)


def test_the_same_texts_and_seed_give_the_same_artefact(
    small_pipeline: Callable[[], Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given
    monkeypatch.setattr(fitting, "MAX_PASSES", 1)
    runs = [settings_in(tmp_path / name) for name in ("first", "second")]
    # when
    for settings in runs:
        train(CONTRACT, settings, small_pipeline)
    # then
    first, second = (read_artefact(CONTRACT, settings.artefact) for settings in runs)
    assert first.model_files == second.model_files
    assert first.golden_records == second.golden_records
    assert first.metadata.metrics == second.metadata.metrics
    assert runs[0].held_out.read_bytes() == runs[1].held_out.read_bytes()


def test_an_entity_within_a_word_is_reported(run: Run) -> None:
    # "Jan." is one word of the tokenizer: an abbreviation
    misaligned = [text for text in read_dataset(run.settings.data).texts if text.text.endswith("Jan.")]
    assert misaligned
    count, *listed = run.findings.notes
    assert "within a word: not learned, and counted as missed." in count
    assert len(listed) == len(misaligned)
    assert f'line {misaligned[0].line}, "{misaligned[0].text[:10]}' in listed[0]


def test_texts_of_which_most_entities_are_parts_of_words_are_refused(
    small_pipeline: Callable[[], Any], tmp_path: Path
) -> None:
    entity = {"start": 4, "end": 9, "label": "ORG"}
    texts = [{"text": f"Ask Arkons {number}", "entities": [entity]} for number in range(15)]
    data = write_dataset(tmp_path / "data.jsonl", texts)

    with pytest.raises(DatasetError, match=r'has 15 problems:\n  line 1, "Ask Arkons 0": the entity 4 to 9, ORG, is'):
        train(CONTRACT, settings_in(tmp_path / "run", data=data), small_pipeline)


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        pytest.param(distinct_texts(11), "it has 11 texts; training needs at least 12", id="few-texts"),
        pytest.param(
            [{"text": f"Nobody {number}", "entities": []} for number in range(20)],
            "no text for training has an entity",
            id="no-entities",
        ),
        pytest.param(
            [*distinct_texts(12), {"text": "long " * 5000, "entities": []}],
            r"line 13, \"long .*: the contract refuses it: String should have at most 20000 characters",
            id="long-text",
        ),
    ],
)
def test_texts_that_cannot_be_used_are_refused(
    texts: list[dict[str, Any]], message: str, small_pipeline: Callable[[], Any], tmp_path: Path
) -> None:
    data = write_dataset(tmp_path / "data.jsonl", texts)

    with pytest.raises(DatasetError, match=message):
        train(CONTRACT, settings_in(tmp_path / "run", data=data), small_pipeline)


def test_max_rows_limits_the_texts_and_little_memory_is_told(
    small_pipeline: Callable[[], Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fitting, "MAX_PASSES", 1)
    monkeypatch.setattr(training, "memory_limit", lambda: 300 << 20)
    settings = settings_in(tmp_path / "run", max_rows=40)
    warnings: list[str] = []

    metadata = train(CONTRACT, settings, small_pipeline, listener=Listener(on_warning=warnings.append))

    assert sum(metadata.rows.values()) == 40
    assert warnings[0].startswith("Training on 40 rows may need 401 MB of memory, and 300 MB are there")
    assert "40 of 80 texts were used: MAX_ROWS sets the maximum." in settings.report.read_text()
