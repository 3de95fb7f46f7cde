"""Write the scikit-learn estimator of a project, and records with their expected answers.

Usage: records.py DATA SEED TEST_SHARE BUDGET FOLDER, in the environment of the project. Writes estimator.pickle and
records.json into the folder: the golden records of the artefact with their predictions, then the held-out rows with
the outputs of the estimator. The model is trained again, and the golden records check that it is the same model.
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
    """Return the fitted model of a training run, without its artefact."""
    models: list[FittedModel] = []

    def export(model: FittedModel) -> Mapping[str, bytes]:
        models.append(model)
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
    return models[0]


def main(data: str, seed: str, test_share: str, budget: str, folder: str) -> None:
    """Write the two files."""
    model = trained_again(Path(data), int(seed), float(test_share), float(budget))
    if not isinstance(model.estimator, Pipeline):
        sys.exit("the model is a blend; the scikit-learn flavour of mlflow needs a single pipeline")
    _, held_out = split_table(read_table(CONTRACT, Path(data)), int(seed), float(test_share), len(CONTRACT.labels))
    golden = load().golden_records
    outputs = model.outputs(CONTRACT.encode([each.record for each in golden]))
    expected = np.array([[each.prediction.probabilities[label] for label in CONTRACT.labels] for each in golden])
    if np.abs(outputs - expected).max() > GOLDEN_TOLERANCE:
        sys.exit("the retrained model differs from the artefact")
    records = [each.record.model_dump(mode="json") for each in golden]
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
