import json
from pathlib import Path

import pytest

NAMES = ("Ada", "Bob", "Zoë", "O'Neil")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Thirty texts with a person and an organisation each, and one without an entity."""
    path = tmp_path / "texts.jsonl"
    records = [{"text": "Nobody.", "entities": []}]
    for number in range(30):
        name = NAMES[number % len(NAMES)]
        start = len(name) + 8
        text = f"{name} joined Acme in week {number}"
        records.append({"text": text, "entities": [[0, len(name), "PERSON"], [start, start + 4, "ORG"]]})
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path
