"""The artefact's folder: put in place as a whole, or not at all.

The files are written to a folder beside it, loaded from there as the service loads them, and
swapped in by renaming. A run that is interrupted leaves the old artefact, or the old one set
aside, which the next run puts back.
"""

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

from mlops_runtime.model.artefact import METADATA_FILE, MODEL_FILE, RESERVED_FILES, ArtefactError
from mlops_runtime.model.predictor import Predictor


def prepare_folder(folder: Path) -> None:
    """Undo what an interrupted run left, and make sure that the folder may be replaced.

    Raises:
        ArtefactError: if something else than an artefact is in its place.
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
        raise ArtefactError(f"{folder} is no folder: name another one for the artefact")
    foreign = sorted(path.name for path in folder.iterdir() if path.name not in _artefact_files(folder))
    if foreign:
        raise ArtefactError(f"{folder} holds {foreign[0]!r}, which is no part of an artefact: name another folder")


def replace_folder(folder: Path, contents: Mapping[str, bytes], load: Callable[[Path], Predictor]) -> None:
    """Put an artefact in place of the one in the folder, once it loads and gives its golden predictions.

    Args:
        folder: of the artefact.
        contents: of each file, by name.
        load: returns the predictor of the artefact in a folder.

    Raises:
        ArtefactError: if the new artefact cannot be loaded or does not give its golden predictions;
            the old one stays.
    """
    prepare_folder(folder)
    new, old = _beside(folder, "new"), _beside(folder, "old")
    new.mkdir(parents=True)
    try:
        for name, content in contents.items():
            (new / name).write_bytes(content)
        if not load(new).gives_golden_predictions():
            raise ArtefactError("the artefact does not give its own golden predictions; the old one stays")
        if folder.exists():
            folder.rename(old)
        new.rename(folder)
    finally:
        prepare_folder(folder)


def _artefact_files(folder: Path) -> frozenset[str]:
    """Return the names that files of the artefact in the folder may have: its metadata list those of the model."""
    try:
        listed = json.loads((folder / METADATA_FILE).read_bytes())["files"]
    except (OSError, ValueError, KeyError, TypeError):
        listed = ()
    return RESERVED_FILES | {MODEL_FILE} | frozenset(map(str, listed))


def _beside(folder: Path, state: str) -> Path:
    return folder.with_name(f".{folder.name}.{state}")
