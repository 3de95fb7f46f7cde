"""The copy of a dataset in a project: JSON Lines with texts and entities alone.

An export may name its annotators: the copy does not have what training does not read.
"""

import json
import re
from pathlib import Path

from mlops_runtime.entities.documents import Documents

SUFFIX = ".jsonl"


def copy_name(path: Path) -> str:
    """Return a file name for the copy of a dataset that needs no quoting in makefiles, shells and git."""
    stem = re.sub(r"[^A-Za-z0-9_-]+", "_", path.name.split(".")[0]).strip("_-") or "texts"
    return f"{stem}{SUFFIX}"


def write_copy(documents: Documents, copy: Path) -> None:
    """Write annotated texts to a file.

    Raises:
        OSError: if the file cannot be written.
    """
    with copy.open("w", newline="\n", encoding="utf-8") as file:
        for document in documents.texts:
            entities = [{"start": span.start, "end": span.end, "label": span.label} for span in document.spans]
            file.write(json.dumps({"text": document.text, "entities": entities}, ensure_ascii=False) + "\n")
