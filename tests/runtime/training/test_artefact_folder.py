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


def test_an_artefact_is_written_to_a_new_folder(folder: Path, contents: dict[str, bytes]) -> None:
    replace(folder, contents)
    assert files_in(folder) == contents
    assert list(folder.parent.iterdir()) == [folder]


def test_an_artefact_replaces_the_old_artefact(folder: Path, contents: dict[str, bytes]) -> None:
    # given
    folder.mkdir(parents=True)
    (folder / MODEL_FILE).write_bytes(b"old")
    # when
    replace(folder, contents)
    # then
    assert files_in(folder) == contents
    assert list(folder.parent.iterdir()) == [folder]


def test_an_artefact_that_does_not_load_is_refused(folder: Path, contents: dict[str, bytes]) -> None:
    # given
    replace(folder, contents)
    # when
    with pytest.raises(ArtefactError, match=f"{MODEL_FILE} is not the file"):
        replace(folder, contents | {MODEL_FILE: b"damaged"})
    # then
    assert files_in(folder) == contents
    assert list(folder.parent.iterdir()) == [folder]


def test_an_artefact_with_other_golden_predictions_is_refused(
    folder: Path, artefact: Path, contents: dict[str, bytes]
) -> None:
    # given: a golden record with another prediction, and metadata with its hash
    golden = json.loads(contents[GOLDEN_FILE])
    prediction = golden[0]["prediction"]
    prediction["label"] = next(str(label) for label in CONTRACT.labels if str(label) != prediction["label"])
    other = json.dumps(golden).encode()
    metadata = read_metadata(CONTRACT, artefact)
    changed = metadata.model_copy(update={"files": metadata.files | {GOLDEN_FILE: sha256(other)}})
    wrong = contents | {GOLDEN_FILE: other, METADATA_FILE: changed.model_dump_json().encode()}
    replace(folder, contents)
    # when
    with pytest.raises(ArtefactError, match="golden predictions"):
        replace(folder, wrong)
    # then
    assert files_in(folder) == contents


def test_a_failed_swap_restores_the_old_artefact(
    folder: Path, contents: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    # given: a file system that cannot rename the new folder
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
        pytest.param({"new": "partial"}, id="while-writing"),
        pytest.param({"old": "complete", "new": "complete"}, id="between-renames"),
        pytest.param({"old": "complete", "": "complete"}, id="before-removal-of-the-old-artefact"),
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
        if extent == "partial":
            (target / METADATA_FILE).unlink()
    # when
    prepare_folder(folder)
    # then: an artefact that existed before is complete
    assert list(folder.parent.iterdir()) == ([folder] if "old" in interrupted else [])
    assert not folder.exists() or load(folder).gives_golden_predictions()


def test_a_folder_with_other_files_is_not_changed(tmp_path: Path, contents: dict[str, bytes]) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(ArtefactError, match=r"holds 'thesis.txt'"):
        replace(tmp_path, contents)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_a_file_at_the_path_of_the_folder_is_not_changed(tmp_path: Path) -> None:
    path = tmp_path / "artefact"
    path.write_text("a file")
    with pytest.raises(ArtefactError, match="is not a folder"):
        prepare_folder(path)
    assert path.read_text() == "a file"


def test_files_listed_in_the_metadata_belong_to_the_artefact(folder: Path, contents: dict[str, bytes]) -> None:
    # given: an artefact whose model has two files
    listed = json.loads(contents[METADATA_FILE])
    listed["files"]["words.json"] = sha256(b"[]")
    replace(folder, contents | {"words.json": b"[]", METADATA_FILE: json.dumps(listed).encode()})
    # when: an artefact with a single model file replaces it
    replace(folder, contents)
    # then
    assert files_in(folder) == contents
