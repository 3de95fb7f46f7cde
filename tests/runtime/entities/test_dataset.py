import hashlib
from pathlib import Path

import pytest

from mlops_runtime.contract import Entity
from mlops_runtime.entities.dataset import AnnotatedText, DatasetError, read_dataset

LINE = '{"text": "Ada joined Acme", "entities": [{"start": 11, "end": 15, "label": "ORG"}]}\n'


def test_a_dataset_has_texts_with_entities(tmp_path: Path) -> None:
    path = tmp_path / "data.jsonl"
    path.write_text(LINE)

    dataset = read_dataset(path)

    acme = Entity(text="Acme", label="ORG", start=11, end=15)
    assert dataset.texts == (AnnotatedText("Ada joined Acme", (acme,), 1),)
    assert dataset.sha256 == hashlib.sha256(LINE.encode()).hexdigest()


def test_a_label_that_is_not_in_the_contract_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "data.jsonl"
    path.write_text(LINE)

    with pytest.raises(DatasetError, match="unknown label"):
        read_dataset(path, labels=("PERSON",))
