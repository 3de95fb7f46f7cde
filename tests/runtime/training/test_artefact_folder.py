import json
import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest

from mlops_runtime.contract import Task
from mlops_runtime.model.artefact import (
    GOLDEN_FILE,
    METADATA_FILE,
    MODEL_FILE,
    RESERVED_FILES,
    ArtefactError,
    read_metadata,
    sha256,
)
from mlops_runtime.model.onnx_predictor import OnnxPredictor
from mlops_runtime.testing import synthetic
from mlops_runtime.training.artefact_folder import prepare_folder, replace_folder

CONTRACT = synthetic.CONTRACTS[Task.BINARY]
FILES = RESERVED_FILES | {MODEL_FILE}


def replace(folder: Path, contents: Mapping[str, bytes]) -> None:
    replace_folder(folder, contents, load)


def load(folder: Path) -> OnnxPredictor:
    return OnnxPredictor.load(CONTRACT, folder)


@pytest.fixture
def contents(artefact: Path) -> dict[str, bytes]:
    return {name: (artefact / name).read_bytes() for name in FILES}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "package" / "artefact"


def files_in(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_an_artefact_is_put_where_none_was(folder: Path, contents: dict[str, bytes]) -> None:
    replace(folder, contents)
    assert files_in(folder) == contents
    assert list(folder.parent.iterdir()) == [folder]


def test_an_artefact_takes_the_place_of_the_old_one(folder: Path, contents: dict[str, bytes]) -> None:
    # given
    folder.mkdir(parents=True)
    (folder / MODEL_FILE).write_bytes(b"old")
    # when
    replace(folder, contents)
    # then
    assert files_in(folder) == contents
    assert list(folder.parent.iterdir()) == [folder]


def test_an_artefact_that_does_not_load_leaves_the_old_one(folder: Path, contents: dict[str, bytes]) -> None:
    # given
    replace(folder, contents)
    # when
    with pytest.raises(ArtefactError, match=f"{MODEL_FILE} is not the file"):
        replace(folder, contents | {MODEL_FILE: b"damaged"})
    # then
    assert files_in(folder) == contents
    assert list(folder.parent.iterdir()) == [folder]


def test_an_artefact_that_answers_otherwise_leaves_the_old_one(
    folder: Path, artefact: Path, contents: dict[str, bytes]
) -> None:
    # given: a golden record with another prediction, and metadata that vouch for it
    golden = json.loads(contents[GOLDEN_FILE])
    prediction = golden[0]["prediction"]
    prediction["label"] = next(str(label) for label in CONTRACT.labels if str(label) != prediction["label"])
    other = json.dumps(golden).encode()
    metadata = read_metadata(CONTRACT, artefact)
    vouching = metadata.model_copy(update={"files": metadata.files | {GOLDEN_FILE: sha256(other)}})
    wrong = contents | {GOLDEN_FILE: other, METADATA_FILE: vouching.model_dump_json().encode()}
    replace(folder, contents)
    # when
    with pytest.raises(ArtefactError, match="golden predictions"):
        replace(folder, wrong)
    # then
    assert files_in(folder) == contents


def test_a_swap_that_fails_half_way_puts_the_old_one_back(
    folder: Path, contents: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    # given: a file system that refuses to move the new folder into its place
    replace(folder, contents)
    rename = Path.rename

    def refuse_new(path: Path, target: Path) -> Path:
        if path.name.endswith(".new"):
            raise OSError("no space left")
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", refuse_new)
    # when
    with pytest.raises(OSError, match="no space left"):
        replace(folder, contents)
    # then
    assert load(folder).gives_golden_predictions()
    assert list(folder.parent.iterdir()) == [folder]


@pytest.mark.parametrize(
    "interrupted",
    [
        pytest.param({"new": "half"}, id="while-writing"),
        pytest.param({"old": "whole", "new": "whole"}, id="between-the-two-renames"),
        pytest.param({"old": "whole", "": "whole"}, id="before-removing-the-old-one"),
    ],
)
def test_leftovers_of_an_interrupted_run_are_cleaned_up(
    interrupted: dict[str, str], folder: Path, artefact: Path
) -> None:
    # given
    folder.parent.mkdir()
    for state, extent in interrupted.items():
        target = folder.with_name(f".artefact.{state}") if state else folder
        shutil.copytree(artefact, target)
        if extent == "half":
            (target / METADATA_FILE).unlink()
    # when
    prepare_folder(folder)
    # then: an artefact that was there is there again, whole
    assert list(folder.parent.iterdir()) == ([folder] if "old" in interrupted else [])
    assert not folder.exists() or load(folder).gives_golden_predictions()


def test_a_folder_that_holds_something_else_is_left_alone(tmp_path: Path, contents: dict[str, bytes]) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(ArtefactError, match=r"holds 'thesis.txt'"):
        replace(tmp_path, contents)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_a_file_in_the_folders_place_is_left_alone(tmp_path: Path) -> None:
    place = tmp_path / "artefact"
    place.write_text("a file")
    with pytest.raises(ArtefactError, match="is no folder"):
        prepare_folder(place)
    assert place.read_text() == "a file"


def test_files_that_the_artefact_lists_belong_to_it(folder: Path, contents: dict[str, bytes]) -> None:
    # given: an artefact whose model has two files
    listed = json.loads(contents[METADATA_FILE])
    listed["files"]["words.json"] = sha256(b"[]")
    replace(folder, contents | {"words.json": b"[]", METADATA_FILE: json.dumps(listed).encode()})
    # when: it is replaced by one that has a single file
    replace(folder, contents)
    # then
    assert files_in(folder) == contents
