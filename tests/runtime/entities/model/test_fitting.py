"""Training of a pipeline: determinism, early stopping, and pipelines that cannot be trained."""

import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("spacy", reason="needs spaCy: pip install 'spacy>=3.8'")

from mlops_runtime.contract import Entity
from mlops_runtime.entities import fitting
from mlops_runtime.entities.dataset import AnnotatedText, Dataset, read_dataset
from mlops_runtime.entities.fitting import Fitted, Pass, fit, misaligned
from mlops_runtime.entities.pipelines import PipelineError, blank_pipeline, pretrained_pipeline
from mlops_runtime.entities.predictor import SpacyPredictor, loaded_pipeline
from tests.runtime.entities.model.conftest import CONTRACT, distinct_texts, write_dataset

LABELS = CONTRACT.labels


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return read_dataset(write_dataset(tmp_path_factory.mktemp("data") / "data.jsonl", distinct_texts(40)))


def fitted(pipeline: Callable[[], Any], dataset: Dataset, seed: int = 0, budget: float = 600) -> Fitted:
    return fit(pipeline, LABELS, dataset.texts[:30], dataset.texts[30:], seed, budget)


def test_the_same_texts_and_seed_give_the_same_files(
    small_pipeline: Callable[[], Any], dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given
    monkeypatch.setattr(fitting, "MAX_PASSES", 2)
    # when
    first, second, other = (fitted(small_pipeline, dataset, seed) for seed in (0, 0, 1))
    # then
    assert first.files == second.files
    assert [each.loss for each in first.passes] == [each.loss for each in second.passes]
    assert other.files != first.files


def test_training_ends_when_passes_bring_nothing_and_keeps_the_best(
    small_pipeline: Callable[[], Any], dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given
    scores = iter([0.2, 0.5, 0.4, 0.5, 0.3])
    monkeypatch.setattr(fitting, "f1", lambda *_: next(scores))
    monkeypatch.setattr(fitting, "PATIENCE", 3)
    done: list[Pass] = []
    # when
    result = fit(small_pipeline, LABELS, dataset.texts[:10], dataset.texts[30:], 0, 600, done.append)
    # then
    assert (len(result.passes), result.best, result.stopped) == (5, 1, "3 passes brought no better F1")
    assert tuple(done) == result.passes
    monkeypatch.setattr(fitting, "MAX_PASSES", 2)
    scores = iter([0.2, 0.5])
    assert (
        fitted(small_pipeline, replace(dataset, texts=dataset.texts[:10])).stopped
        == "the maximum number of passes was made"
    )


def test_training_ends_when_nothing_can_be_better(
    small_pipeline: Callable[[], Any], dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fitting, "f1", lambda *_: 1.0)

    result = fitted(small_pipeline, dataset)

    assert (len(result.passes), result.stopped) == (1, "no pass can bring a better F1")


def test_no_pass_starts_after_the_budget(small_pipeline: Callable[[], Any], dataset: Dataset) -> None:
    result = fitted(small_pipeline, dataset, budget=0)

    assert len(result.passes) == 1
    assert result.stopped == "the budget of 0 seconds was used"
    assert result.name == "tok2vec, ner (en)"


def test_an_entity_that_ends_within_a_word_is_a_problem_with_line_and_text(
    small_pipeline: Callable[[], Any],
) -> None:
    text = "Ask Arkons people"
    texts = [AnnotatedText(text, (Entity(text="Arkon", label="ORG", start=4, end=9),), 7)]

    (problem,) = misaligned(small_pipeline(), texts)

    assert str(problem) == (
        'line 7, "Ask Arkons people": the entity 4 to 9, ORG, is "Arkon", a part of the words "Arkons": '
        "move its bounds, or give PIPELINE a tokenizer that splits them"
    )


def in_a_folder(pipeline: Path, folder: Path) -> str:
    del folder
    return str(pipeline)


def as_a_package(pipeline: Path, folder: Path) -> str:
    """Make a package of a pipeline, with what its setup and pip add to it, and return its name."""
    folder.mkdir()
    options = ["--name", "arkon", "--version", "1.0.0", "--build", "none"]
    subprocess.run([sys.executable, "-m", "spacy", "package", pipeline, folder, *options], check=True)
    made = folder / "en_arkon-1.0.0"
    shutil.copy(made / "meta.json", made / "en_arkon")
    (made / "en_arkon-1.0.0.dist-info").mkdir()
    metadata = "Metadata-Version: 2.1\nName: en_arkon\nVersion: 1.0.0\n"
    (made / "en_arkon-1.0.0.dist-info/METADATA").write_text(metadata)
    return "en_arkon"


@pytest.mark.parametrize("made", [in_a_folder, as_a_package])
def test_a_pretrained_pipeline_is_trained_further(
    small_pipeline: Callable[[], Any],
    predictor: SpacyPredictor,
    dataset: Dataset,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    made: Callable[[Path, Path], str],
) -> None:
    # given: a trained pipeline with a component that entities do not need
    monkeypatch.setattr(fitting, "MAX_PASSES", 1)
    blank = fitted(small_pipeline, dataset)
    nlp = loaded_pipeline(predictor.artefact.model_files)
    nlp.add_pipe("sentencizer")
    nlp.to_disk(tmp_path / "pretrained")
    monkeypatch.syspath_prepend(tmp_path / "packaged/en_arkon-1.0.0")
    # when
    further = fitted(pretrained_pipeline(made(tmp_path / "pretrained", tmp_path / "packaged")), dataset)
    # then: the first pass starts from what the pipeline knew
    assert further.name == "tok2vec, ner (en)"
    assert further.passes[0].loss < blank.passes[0].loss / 2
    assert further.passes[0].f1 > 0.8


@pytest.mark.parametrize(
    ("pipeline", "message"),
    [
        pytest.param(blank_pipeline("qq"), "spaCy has no language 'qq'", id="unknown-language"),
        pytest.param(pretrained_pipeline("no_such_pipeline"), "add its package to the Pipfile", id="not-installed"),
    ],
)
def test_a_pipeline_that_cannot_be_made_is_refused(pipeline: Callable[[], Any], message: str, dataset: Dataset) -> None:
    with pytest.raises(PipelineError, match=message):
        fitted(pipeline, dataset)


def test_a_pipeline_without_a_recogniser_is_refused(dataset: Dataset) -> None:
    import spacy

    with pytest.raises(PipelineError, match="PIPELINE has no component 'ner'"):
        fitted(lambda: spacy.blank("en"), dataset)
