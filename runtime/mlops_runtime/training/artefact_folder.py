"""The artefact's folder: put in place as a whole, or not at all.

The files are written to a folder beside it, loaded from there as the service loads them, and
swapped in by renaming. A run that is interrupted leaves the old artefact, or the old one set
aside, which the next run puts back.
"""

import shutil
from collections.abc import Mapping
from pathlib import Path

from mlops_runtime.model.artefact import (
    BASELINE_FILE,
    GOLDEN_FILE,
    METADATA_FILE,
    MODEL_FILE,
    REPORT_FILE,
    ArtefactError,
)
from mlops_runtime.model.predictor import Predictor

FILES = frozenset({MODEL_FILE, BASELINE_FILE, GOLDEN_FILE, REPORT_FILE, METADATA_FILE})


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
    foreign = sorted(path.name for path in folder.iterdir() if path.name not in FILES)
    if foreign:
        raise ArtefactError(f"{folder} holds {foreign[0]!r}, which is no part of an artefact: name another folder")


def replace_folder(folder: Path, contents: Mapping[str, bytes]) -> None:
    """Put an artefact in place of the one in the folder, after it has proved to load and to answer.

    Raises:
        ArtefactError: if the new artefact cannot be loaded or does not give its golden answers;
            the old one stays.
    """
    prepare_folder(folder)
    new, old = _beside(folder, "new"), _beside(folder, "old")
    new.mkdir(parents=True)
    try:
        for name, content in contents.items():
            (new / name).write_bytes(content)
        if not Predictor.load(new).gives_golden_predictions():
            raise ArtefactError("the artefact does not give its own golden answers; the old one stays")
        if folder.exists():
            folder.rename(old)
        new.rename(folder)
    finally:
        prepare_folder(folder)


def _beside(folder: Path, state: str) -> Path:
    return folder.with_name(f".{folder.name}.{state}")
