"""A project of entities for tests: its contract, a model that looks words up, and its artefact."""

import json
import re
from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field

from mlops_runtime.contract import Contract, Entity, EntityPrediction, Features, RecordModel, Task, Text
from mlops_runtime.contract.features import tokens
from mlops_runtime.model import BasePredictor, Metadata
from mlops_runtime.model.artefact import (
    BASELINE_FILE,
    GOLDEN_FILE,
    METADATA_FILE,
    REPORT_FILE,
    Artefact,
    baseline_adapter,
    sha256,
)
from mlops_runtime.model.baseline import Baseline, unknown_share
from mlops_runtime.model.golden import golden_record_type, golden_records_adapter
from mlops_runtime.training.baseline import baseline, prediction_baseline, vocabulary

NAMES_FILE = "names.json"


class Label(StrEnum):
    ORG = "ORG"
    PERSON = "PERSON"
    PLACE = "PLACE"


class Message(RecordModel):
    """A message of a customer."""

    text: Text = Field(description="The words of the message")


class Named(Entity):
    """Something with a name."""

    label: Label = Field(description="What it is")


class Prediction(EntityPrediction):
    """What a message names."""

    entities: tuple[Named, ...] = Field(description="The entities in the order of the text")


CONTRACT = Contract(Message, Prediction, Task.ENTITIES, "entities")

NAMES = {
    "Ada Lovelace": Label.PERSON,
    "Zoë": Label.PERSON,
    "Acme": Label.ORG,
    "רחל": Label.PERSON,
    "Kraków": Label.PLACE,
}
"""What the model finds."""

TEXTS = tuple(
    template.format(*words)
    for template in (
        "{0} works for {1} in {2}.",
        "A letter from {1}",
        "Who lives in {2}?",
        "Nobody was there",
        "{0} left",
    )
    for words in (("Ada Lovelace", "Acme", "Kraków"), ("Zoë", "Acme", "Kraków"))
    for _ in range(20)
)
"""Messages to learn from."""


UNSEEN = ("Nobody was there before her",) * 20
"""Held-out messages beside those to learn from, with two unknown words in five."""

FILES = {NAMES_FILE: json.dumps(NAMES).encode()}
METADATA = Metadata(
    version="1.2.3",
    git_commit="0" * 40,
    trained_at="2026-11-29T12:00:00+00:00",
    data_sha256="0" * 64,
    lock_sha256="0" * 64,
    seed=0,
    estimator="names of a list",
    task=CONTRACT.task,
    target=CONTRACT.target,
    contract=CONTRACT.sha256,
    features=CONTRACT.features,
    labels=CONTRACT.labels,
    rows={"training": len(TEXTS), "held_out": len(TEXTS) + len(UNSEEN)},
    cross_validation={},
    metrics={},
    floors={},
    libraries={},
    files={},
)


class LookupPredictor(BasePredictor):
    """Finds the names of a list."""

    def load_model(self, files: Mapping[str, bytes]) -> None:
        self._names: dict[str, str] = json.loads(files[NAMES_FILE])
        self._pattern = re.compile("|".join(map(re.escape, sorted(self._names, key=len, reverse=True))))
        self._words = frozenset(self.baseline.vocabularies["text"].words)

    def predictions(self, features: Features) -> list[Any]:
        found = [
            {"entities": self.entities(text), "warnings": self.unusual(text)} for text in features.texts[:, 0].tolist()
        ]
        return self.contract.predictions_adapter.validate_python(found)

    def entities(self, text: str) -> list[dict[str, Any]]:
        return [
            {"text": match[0], "label": self._names[match[0]], "start": match.start(), "end": match.end()}
            for match in self._pattern.finditer(text)
        ]

    def unusual(self, text: str) -> tuple[str, ...]:
        return ("text: no word of it is known",) if unknown_share(tokens(text), self._words) == 1 else ()


def write_artefact(folder: Path) -> Path:
    """Write the artefact of the model, as training would, and return its folder."""
    records = [CONTRACT.record(text=text) for text in TEXTS]
    known = statistics(records)
    predictions = LookupPredictor(Artefact(contract=CONTRACT, metadata=METADATA, baseline=known, model_files=FILES))
    predicted = predictions.predict(records)
    shares = prediction_baseline(predicted)
    golden = golden_record_type(CONTRACT)
    golden_records = tuple(
        golden(record=record, prediction=prediction)
        for record, prediction in list(zip(records, predicted, strict=True))[::20]
    )
    files = FILES | {
        REPORT_FILE: b"<!doctype html><title>Report</title>",
        BASELINE_FILE: baseline_adapter.dump_json(known.model_copy(update={"target": shares, "predictions": shares})),
        GOLDEN_FILE: golden_records_adapter(CONTRACT).dump_json(golden_records),
    }
    metadata = METADATA.model_copy(update={"files": {name: sha256(files[name]) for name in files}})
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    (folder / METADATA_FILE).write_text(metadata.model_dump_json())
    return folder


def statistics(records: Sequence[RecordModel]) -> Baseline:
    """Return the distributions of records, without those of predictions."""
    nothing = np.zeros((len(records), 1))
    texts = [record.text for record in records]  # type: ignore[attr-defined]
    known = baseline(CONTRACT.encode(records), nothing[:, 0], (), nothing)
    return known.model_copy(update={"vocabularies": {"text": vocabulary(texts, [*texts, *UNSEEN])}})
