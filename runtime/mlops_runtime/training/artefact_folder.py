"""The artefact's folder, which is replaced as a whole or not at all.

The files are written to a temporary folder, loaded from there as the service loads them, and moved into
place by renaming. An interrupted run leaves the old artefact, in its place or under a temporary name, from
which the next run restores it.
"""

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

from mlops_runtime.model.artefact import METADATA_FILE, MODEL_FILE, RESERVED_FILES, ArtefactError
from mlops_runtime.model.predictor import BasePredictor


def prepare_folder(folder: Path) -> None:
    """Clean up after an interrupted run, and check that the folder holds nothing but an artefact.

    Raises:
        ArtefactError: if the path is a file, or the folder holds other files.
    """
    old = _beside(folder, "old")
    if old.exists() and not folder.exists():
        old.rename(folder)
    for leftover in (old, _beside(folder, "new")):
        if leftover.exists():
            shutil.rmtree(leftover)
    if not folder.exists():
        return
    if not folder.is_dir():
        raise ArtefactError(f"{folder} is not a folder: choose another folder for the artefact")
    foreign = sorted(path.name for path in folder.iterdir() if path.name not in _artefact_files(folder))
    if foreign:
        raise ArtefactError(f"{folder} holds {foreign[0]!r}, which is not part of an artefact: choose another folder")


def replace_folder(folder: Path, contents: Mapping[str, bytes], load: Callable[[Path], BasePredictor]) -> None:
    """Replace the artefact in a folder, if the new artefact loads and reproduces its golden predictions.

    Args:
        folder: folder of the artefact.
        contents: content of each file, by name.
        load: function from a folder to the predictor of its artefact.

    Raises:
        ArtefactError: if the new artefact cannot be loaded or does not reproduce its golden predictions;
            the old artefact stays.
    """
    prepare_folder(folder)
    new, old = _beside(folder, "new"), _beside(folder, "old")
    new.mkdir(parents=True)
    try:
        for name, content in contents.items():
            (new / name).write_bytes(content)
        if not load(new).gives_golden_predictions():
            raise ArtefactError("the new artefact does not reproduce its golden predictions; the old artefact stays")
        if folder.exists():
            folder.rename(old)
        new.rename(folder)
    finally:
        prepare_folder(folder)


def _artefact_files(folder: Path) -> frozenset[str]:
    """Return the names of the files that may belong to the artefact in a folder."""
    try:
        listed = json.loads((folder / METADATA_FILE).read_bytes())["files"]
    except (OSError, ValueError, KeyError, TypeError):
        listed = ()
    return RESERVED_FILES | {MODEL_FILE} | frozenset(map(str, listed))


def _beside(folder: Path, state: str) -> Path:
    return folder.with_name(f".{folder.name}.{state}")
