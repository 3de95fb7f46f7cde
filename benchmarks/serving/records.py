"""Run in the environment of a project: its model as scikit-learn made it, and records with the answers to them.

Usage: records.py DATA SEED TEST_SHARE BUDGET FOLDER. Writes estimator.pickle and records.json into the folder:
the golden records of the artefact with the probabilities that they must get, then the held-out rows with
those that the estimator gives them. The model is trained again; that this led to the same model is checked
with the golden records.
"""

import json
import pickle
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from mlops_runtime.model.golden import GOLDEN_TOLERANCE
from mlops_runtime.training import train
from mlops_runtime.training.export import onnx_files
from mlops_runtime.training.run import FittedModel, Settings
from mlops_runtime.training.split import split_table
from mlops_runtime.training.table import read_table
from oncology_model.classifier import load
from oncology_model.datamodel import CONTRACT
from sklearn.pipeline import Pipeline


def trained_again(data: Path, seed: int, test_share: float, budget: float) -> FittedModel:
    """Return the fitted model of a training run whose artefact is thrown away."""
    kept: list[FittedModel] = []

    def export(model: FittedModel) -> Mapping[str, bytes]:
        kept.append(model)
        return onnx_files(model)

    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(
            data=data,
            artefact=Path(folder, "artefact"),
            report=Path(folder, "report.html"),
            metrics=Path(folder, "metrics.json"),
            lock=Path("Pipfile.lock"),
            floors={},
            seed=seed,
            test_share=test_share,
            budget=budget,
            version="benchmark",
            commit="none",
        )
        train(CONTRACT, settings, export=export)
    return kept[0]


def main(data: str, seed: str, test_share: str, budget: str, folder: str) -> None:
    """Write both files."""
    model = trained_again(Path(data), int(seed), float(test_share), float(budget))
    if not isinstance(model.estimator, Pipeline):
        sys.exit("the model is a blend of two; mlflow's scikit-learn flavour takes one pipeline")
    _, held_out = split_table(read_table(CONTRACT, Path(data)), int(seed), float(test_share), len(CONTRACT.labels))
    golden = load().golden_records
    outputs = model.outputs(CONTRACT.encode([one.record for one in golden]))
    expected = np.array([[one.prediction.probabilities[label] for label in CONTRACT.labels] for one in golden])
    if np.abs(outputs - expected).max() > GOLDEN_TOLERANCE:
        sys.exit("training it again led to another model than the artefact holds")
    records = [one.record.model_dump(mode="json") for one in golden]
    rows = held_out.features.numbers.tolist()
    records += [
        {name: None if value != value else value for name, value in zip(CONTRACT.features, row, strict=True)}
        for row in rows
    ]
    answers = [*expected.tolist(), *model.outputs(held_out.features).tolist()]
    content = {"golden": len(golden), "labels": list(CONTRACT.labels), "records": records, "answers": answers}
    (Path(folder) / "records.json").write_text(json.dumps(content))
    (Path(folder) / "estimator.pickle").write_bytes(pickle.dumps(model.estimator))


if __name__ == "__main__":
    main(*sys.argv[1:])
