import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from {{cookiecutter.__package}}_model.classifier import Classifier
from {{cookiecutter.__package}}_model.datamodel import FEATURES, Label
from {{cookiecutter.__package}}_model.metadata import (
    BASELINE_FILE,
    GOLDEN_FILE,
    METADATA_FILE,
    MODEL_FILE,
    ArtefactError,
    Baseline,
    read_metadata,
    read_verified,
    sha256,
)

FILES = [MODEL_FILE, BASELINE_FILE, GOLDEN_FILE]


@pytest.fixture
def copy(artefact: Path, tmp_path: Path) -> Path:
    """A copy of the artefact, to break."""
    return Path(shutil.copytree(artefact, tmp_path / "artefact"))


def change_metadata(folder: Path, **changes: Any) -> None:
    path = folder / METADATA_FILE
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_a_whole_artefact_is_read(artefact: Path) -> None:
    contents = read_verified(artefact, read_metadata(artefact))
    assert set(contents) == set(FILES)
    baseline = Baseline.model_validate_json(contents[BASELINE_FILE])
    assert tuple(baseline.fields) == FEATURES
    assert baseline.label_shares.keys() == set(Label)


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_was_changed_is_refused(name: str, copy: Path) -> None:
    content = (copy / name).read_bytes()
    (copy / name).write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(ArtefactError, match=f"{name} is not the file that {METADATA_FILE} describes"):
        Classifier.load(copy)


@pytest.mark.parametrize("name", [*FILES, METADATA_FILE])
def test_a_file_that_is_missing_is_refused_with_what_to_do(name: str, copy: Path) -> None:
    (copy / name).unlink()
    with pytest.raises(ArtefactError, match=rf"{name}: No such file.*run `make train`"):
        Classifier.load(copy)


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_the_metadata_do_not_name_is_refused(name: str, copy: Path) -> None:
    files = json.loads((copy / METADATA_FILE).read_text())["files"]
    change_metadata(copy, files={other: digest for other, digest in files.items() if other != name})
    with pytest.raises(ArtefactError, match=f"{name} is not the file"):
        Classifier.load(copy)


def test_a_folder_that_is_missing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ArtefactError, match="run `make train`"):
        Classifier.load(tmp_path / "none")


@pytest.mark.parametrize("share", [0, 0.5, 0.99], ids=["empty", "half", "all-but-the-end"])
def test_half_written_metadata_are_refused(share: float, copy: Path) -> None:
    content = (copy / METADATA_FILE).read_bytes()
    (copy / METADATA_FILE).write_bytes(content[: int(share * len(content))])
    with pytest.raises(ArtefactError, match=f"{METADATA_FILE} is not valid"):
        read_metadata(copy)


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        pytest.param({"features": [*FEATURES[1:], FEATURES[0]]}, "features", id="features-in-another-order"),
        pytest.param({"features": FEATURES[1:]}, "features", id="a-feature-fewer"),
        pytest.param({"labels": [*Label, "other"]}, "labels", id="a-label-more"),
    ],
)
def test_an_artefact_for_another_contract_is_refused(changes: dict[str, Any], what: str, copy: Path) -> None:
    change_metadata(copy, **changes)
    with pytest.raises(ArtefactError, match=f"has the {what} .*, the contract has"):
        Classifier.load(copy)


def test_golden_records_for_another_contract_are_refused(copy: Path) -> None:
    # given: golden records without their fields, and metadata that vouch for them
    golden = json.loads((copy / GOLDEN_FILE).read_text())
    content = json.dumps([one | {"record": {}} for one in golden]).encode()
    (copy / GOLDEN_FILE).write_bytes(content)
    files = json.loads((copy / METADATA_FILE).read_text())["files"]
    change_metadata(copy, files=files | {GOLDEN_FILE: sha256(content)})
    # then
    with pytest.raises(ArtefactError, match=f"{GOLDEN_FILE} is not valid"):
        Classifier.load(copy)
