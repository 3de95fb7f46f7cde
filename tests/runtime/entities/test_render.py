import json
import re
from pathlib import Path

import pytest

from mlops_runtime.contract import Contract
from mlops_runtime.entities.profile import profile
from mlops_runtime.entities.render import datamodel, readme


def contract_of(source: str) -> Contract:
    names: dict[str, object] = {"__name__": "datamodel"}
    exec(compile(source, "datamodel.py", "exec", dont_inherit=True), names)
    contract = names["CONTRACT"]
    assert isinstance(contract, Contract)
    return contract


def test_the_contract_has_the_labels_of_the_dataset(data: Path) -> None:
    contract = contract_of(datamodel(profile(data)))

    assert contract.labels == ("ORG", "PERSON")
    assert contract.description == "A text like those of texts.jsonl."


def test_what_a_person_wrote_is_kept(data: Path) -> None:
    source = datamodel(profile(data))
    edited = source.replace("What an entity may be.", "Ours.").replace("ORG =", "COMPANY =")
    edited = edited.replace("The text to find entities in", "A mail") + "\n# The end.\n"
    with data.open("a") as file:
        file.write(json.dumps({"text": "In Rome", "entities": [[3, 7, 'a "place"']]}) + "\n")

    again = datamodel(profile(data), edited)

    assert contract_of(again).labels == ("ORG", "PERSON", 'a "place"')
    added = "    A_PLACE = 'a \"place\"'\n"
    assert again.replace(added, "") == edited


def test_the_contract_of_the_same_dataset_stays_as_it_is(data: Path) -> None:
    source = datamodel(profile(data))

    assert datamodel(profile(data), source) == source


def test_the_page_describes_the_dataset(data: Path) -> None:
    page = readme(profile(data), "texts.jsonl")

    assert "| Texts | 31 |\n| Texts without an entity | 1 |" in page
    assert "| `PERSON` | 30 | 30 | `Ada`, `Bob`, `Zoë` |" in page
    assert re.search(r"SHA-256 \| `[0-9a-f]{64}`", page)
    assert "## Changes" not in page
    assert "## Warnings" not in page


@pytest.mark.parametrize(
    ("record", "title"),
    [
        pytest.param({"text": "x", "entities": [], "answer": "reject"}, "## Changes to the original", id="note"),
        pytest.param({"text": "x", "entities": [[0, 1, "R|RE"]]}, "## Warnings\n\n- R\\|RE has 1", id="warning"),
    ],
)
def test_notes_and_warnings_are_on_the_page(data: Path, record: object, title: str) -> None:
    with data.open("a") as file:
        file.write(json.dumps(record) + "\n")

    assert title in readme(profile(data), "texts.jsonl")
