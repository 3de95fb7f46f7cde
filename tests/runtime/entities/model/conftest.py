"""Annotated texts of two labels, and a run that trained a small model on them."""

import json
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import pytest

from mlops_runtime.contract import Contract, Entity, EntityPrediction, RecordModel, Task, Text
from mlops_runtime.training.settings import Settings


class Label(StrEnum):
    ORG = "ORG"
    PERSON = "PERSON"


class LabelledEntity(Entity):
    """An entity of the messages."""

    label: Label


class Message(RecordModel):
    """A message with names."""

    text: Text


class Found(EntityPrediction):
    """The names in a message."""

    entities: tuple[LabelledEntity, ...]


CONTRACT = Contract(Message, Found, Task.ENTITIES, "entities")
PEOPLE = ("Ada Okoye", "Bo Lind", "Cleo", "Dov Adler", "Eva", "Finn Ray", "Grace Kim", "Hugo", "Ines Roy", "Jan")
FIRMS = ("Arkon", "Belvo Labs", "Cordell", "Dynex", "Elmar & Sons", "Fenwick", "Gilt Works", "Harrow")
SENTENCES = (
    "{person} left {firm} last week.",
    "Please call {person} before noon.",
    "The invoice of {firm} is wrong.",
    "I met {person} at {firm}, and later {person}.",
    "Nobody answered the phone today.",
)


def annotated(sentence: str, draw: random.Random) -> dict[str, Any]:
    """Return a sentence with names in its places, as a line of a dataset."""
    text, entities = "", []
    for part in sentence.replace("{person}", "\0PERSON\0").replace("{firm}", "\0ORG\0").split("\0"):
        name = draw.choice(PEOPLE if part == "PERSON" else FIRMS) if part in ("PERSON", "ORG") else part
        if name is not part:
            entities.append({"start": len(text), "end": len(text) + len(name), "label": part})
        text += name
    return {"text": text, "entities": entities}


def write_dataset(path: Path, texts: Sequence[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(text) + "\n" for text in texts), encoding="utf-8")
    return path


def distinct_texts(count: int) -> list[dict[str, Any]]:
    """Return texts that differ from each other."""
    draw = random.Random(1)
    texts: dict[str, dict[str, Any]] = {}
    while len(texts) < count:
        each = annotated(draw.choice(SENTENCES), draw)
        texts.setdefault(each["text"], each)
    return list(texts.values())


def settings_in(folder: Path, **changes: Any) -> Settings:
    """Return settings of a run in a folder, with 80 texts and no floor."""
    folder.mkdir(exist_ok=True)
    (folder / "lock.json").write_text("{}")
    values: dict[str, Any] = {
        "data": folder / "messages.jsonl",
        "artefact": folder / "artefact",
        "report": folder / "report.html",
        "metrics": folder / "metrics.json",
        "lock": folder / "lock.json",
        "floors": {"f1": 0.0},
        "seed": 0,
        "test_share": 0.25,
        "budget": 600,
        "version": "1.2.3",
        "commit": "abc",
    }
    if "data" not in changes:
        write_dataset(values["data"], distinct_texts(80))
    return Settings(**(values | changes))


@dataclass(frozen=True)
class Run:
    """A finished run."""

    settings: Settings
    findings: Any


@pytest.fixture(scope="session")
def small_pipeline() -> Callable[[], Any]:
    """A pipeline that learns in seconds."""
    pytest.importorskip("spacy", reason="needs spaCy: pip install 'spacy>=3.8'")
    from mlops_runtime.entities.pipelines import blank_pipeline

    return blank_pipeline("en", width=32, depth=1)


@pytest.fixture(scope="session")
def run(small_pipeline: Callable[[], Any], tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run that trained the small pipeline."""
    from mlops_runtime.entities.training import Listener, train

    settings = settings_in(tmp_path_factory.mktemp("run"))
    findings: list[Any] = []
    train(CONTRACT, settings, small_pipeline, listener=Listener(on_evaluated=findings.append))
    return Run(settings, findings[0])


@pytest.fixture(scope="session")
def predictor(run: Run) -> Any:
    """The predictor of the run's artefact."""
    from mlops_runtime.entities.predictor import SpacyPredictor

    return SpacyPredictor.load(CONTRACT, run.settings.artefact)
