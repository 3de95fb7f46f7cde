from pathlib import Path

import pytest

from mlops_runtime.entities.dataset_copy import copy_name, write_copy
from mlops_runtime.entities.documents import read_documents


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("mails.jsonl", "mails.jsonl"),
        ("a b.json.gz", "a_b.jsonl"),
        ("project-1-at-2024.json", "project-1-at-2024.jsonl"),
        ("…", "texts.jsonl"),
    ],
)
def test_the_name_of_a_copy_needs_no_quoting(path: str, name: str) -> None:
    assert copy_name(Path(path)) == name


def test_a_copy_has_texts_and_entities_alone(tmp_path: Path) -> None:
    path, copy = tmp_path / "export.json", tmp_path / "copy.jsonl"
    path.write_text('[{"id": 1, "by": "a@b.c", "text": "Zoë, ok", "label": [[0, 3, "P"]]}]')

    write_copy(read_documents(path), copy)

    assert copy.read_text() == '{"text": "Zoë, ok", "entities": [{"start": 0, "end": 3, "label": "P"}]}\n'
    assert read_documents(copy).texts == read_documents(path).texts
