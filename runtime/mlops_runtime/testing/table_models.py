"""Models of tables that are trained in seconds."""

from collections.abc import Sequence
from pathlib import Path

from mlops_runtime.contract import Contract
from mlops_runtime.model import OnnxPredictor, Predictor
from mlops_runtime.testing.quick_settings import quick_settings
from mlops_runtime.training.candidates import Candidate
from mlops_runtime.training.export import onnx_files
from mlops_runtime.training.run import Export, train

MAX_ROWS = 2_000
"""Maximum number of rows to train a model for tests on, evenly spaced."""


def quick_predictor(
    contract: Contract,
    table: Path,
    folder: Path,
    candidates: Sequence[Candidate] | None = None,
    predictor: type[Predictor] = OnnxPredictor,
    export: Export = onnx_files,
) -> Predictor:
    """Return a predictor trained on some rows with the first candidate, and without a gate.

    Args:
        contract: contract of the project.
        table: path of the training table.
        folder: folder to write the artefact, the report and the metrics to.
        candidates: estimators, the first of which is fitted; by default those for the task.
        predictor: class that loads the exported model.
        export: function that returns the files for the predictor.
    """
    settings = quick_settings(table, folder, MAX_ROWS)
    train(contract, settings, candidates and candidates[:1], predictor, export)
    return predictor.load(contract, settings.artefact)
