"""What every training run writes: artefact, report, metrics and held-out predictions."""

import json
import platform
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from mlops_runtime.contract import Contract
from mlops_runtime.model import artefact
from mlops_runtime.model.artefact import Artefact, ArtefactError
from mlops_runtime.model.golden import golden_records_adapter
from mlops_runtime.model.metadata import Metadata
from mlops_runtime.model.predictor import BasePredictor
from mlops_runtime.training.artefact_folder import replace_folder
from mlops_runtime.training.gate import Check, GateError
from mlops_runtime.training.settings import Settings

ORIGIN = frozenset(
    ("version", "git_commit", "trained_at", "data_sha256", "task", "estimator", "rows", "metrics", "floors")
)
"""Metadata that the metrics have as well."""


def origin(contract: Contract, settings: Settings, lock_sha256: str, libraries: Sequence[str]) -> dict[str, Any]:
    """Return the metadata that do not depend on the kind of model; the hashes of the files are empty.

    Args:
        contract: contract of the project.
        settings: settings of the run.
        lock_sha256: hash of the lock file.
        libraries: names of the distributions to record the versions of.
    """
    return {
        "version": settings.version,
        "git_commit": settings.commit,
        "trained_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "lock_sha256": lock_sha256,
        "seed": settings.seed,
        "task": contract.task,
        "target": contract.target,
        "contract": contract.sha256,
        "features": contract.features,
        "labels": contract.labels,
        "floors": settings.floors,
        "libraries": {"python": platform.python_version()} | {name: version(name) for name in libraries},
        "files": {},
    }


def check_names(files: Mapping[str, bytes]) -> None:
    """Check the names of the files of a model.

    Raises:
        ArtefactError: if a name is that of a file that every artefact has, or has a folder.
    """
    for name in sorted(files):
        if name in artefact.RESERVED_FILES:
            raise ArtefactError(f"the export returns a file named {name}, which every artefact has: rename it")
        if Path(name).name != name:
            raise ArtefactError(f"the export returns a file named {name!r}: use a name without a folder")


def write_results(
    settings: Settings,
    draft: Artefact,
    checks: Sequence[Check],
    report: str,
    metrics: str,
    load: Callable[[Path], BasePredictor],
) -> Metadata:
    """Write report and metrics, and the artefact if the model passes the gate; return its metadata.

    Args:
        settings: settings of the run.
        draft: artefact without the hashes of its files.
        checks: of the gate.
        report: an HTML document.
        metrics: a JSON document.
        load: function from a folder to the predictor of its artefact.

    Raises:
        GateError: if a metric is below its floor; the report and the metrics were written.
        ArtefactError: if the artefact cannot be written, or does not reproduce its golden predictions.
        OSError: if a file cannot be written.
    """
    metadata = draft.metadata
    failed = [check for check in checks if not check.passed]
    if not failed:
        contents = dict(draft.model_files) | {
            artefact.GOLDEN_FILE: golden_records_adapter(draft.contract).dump_json(draft.golden_records, indent=2),
            artefact.BASELINE_FILE: draft.baseline.model_dump_json(indent=2).encode(),
            artefact.REPORT_FILE: report.encode(),
        }
        hashes = {name: artefact.sha256(content) for name, content in contents.items()}
        metadata = metadata.model_copy(update={"files": hashes})
        contents[artefact.METADATA_FILE] = metadata.model_dump_json(indent=2).encode()
        replace_folder(settings.artefact, contents, load)
    write_text(settings.metrics, metrics)
    write_text(settings.report, report)
    if failed:
        raise GateError(failed)
    return metadata


def metrics_json(metadata: Metadata, further: Mapping[str, Any]) -> str:
    """Return the metrics of a run, the origin of its model, and what else its kind measures, as JSON."""
    content = metadata.model_dump(mode="json", include=set(ORIGIN)) | dict(further)
    return json.dumps(content, indent=2, allow_nan=False) + "\n"


def write_text(path: Path, text: str) -> None:
    """Write a file, and make its folder if there is none."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
