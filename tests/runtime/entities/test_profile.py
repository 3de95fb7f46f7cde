import json
from pathlib import Path

import pytest

from mlops_runtime.entities.documents import DatasetError
from mlops_runtime.entities.profile import LabelProfile, profile, summary


def test_labels_are_counted_with_examples(data: Path) -> None:
    found = profile(data)

    assert found.labels == (
        LabelProfile("ORG", 30, 30, ("Acme",)),
        LabelProfile("PERSON", 30, 30, ("Ada", "Bob", "Zoë")),
    )
    assert (found.entities, found.without_entities, found.words) == (60, 1, (6, 6))
    assert found.warnings == ()
    assert summary(found) == "31 texts with 60 entities: ORG 30, PERSON 30"


def test_rare_labels_and_those_that_differ_by_case_have_a_warning(data: Path) -> None:
    with data.open("a") as file:
        file.write(json.dumps({"text": "Acme again", "entities": [[0, 4, "org"]]}) + "\n")

    found = profile(data)

    assert found.warnings == (
        "org has 1 entity: too few to learn or to measure it",
        "ORG and org differ by case alone: are they one label?",
    )


@pytest.mark.parametrize(
    ("records", "message"),
    [
        pytest.param([{"text": "Ada", "entities": [[0, 3, "P"]]}], "too few texts, 1:", id="too few texts"),
        pytest.param([{"text": f"{n}", "entities": []} for n in range(30)], "no text has an entity", id="no entity"),
        pytest.param(
            [{"text": f"Ada {n}", "entities": [[0, 3, f"Ada {n}"]]} for n in range(120)], "120 labels", id="many labels"
        ),
        pytest.param([{"text": "Ada", "entities": [[0, 3, "P" * 61]]}], "is no label", id="long label"),
        pytest.param([{"text": "a" * 20_001, "entities": []}], "20,001 characters", id="long text"),
    ],
)
def test_an_unsuitable_dataset_is_refused(tmp_path: Path, records: list[object], message: str) -> None:
    path = tmp_path / "texts.jsonl"
    path.write_text("".join(json.dumps(record) + "\n" for record in records))

    with pytest.raises(DatasetError, match=message):
        profile(path)
