"""Run in the environment of a project: its model as scikit-learn made it, and records with the answers to them.

Usage: records.py DATA SEED TEST_SHARE BUDGET FOLDER. Writes estimator.pickle and records.json into the folder:
the golden records of the artefact with the probabilities that they must get, then the held-out rows with
those that the estimator gives them. The training is done again, step by step as the trainer does it; that it
led to the same model is checked with the golden records.
"""

import json
import pickle
import sys
from pathlib import Path

import numpy as np
from oncology_model.classifier import GOLDEN_TOLERANCE, Classifier
from oncology_model.features import FIELDS, LABELS, features_of
from sklearn.pipeline import Pipeline
from threadpoolctl import threadpool_limits
from trainer.encoding import Encoding
from trainer.estimators import LearningProblem, outputs_of, select_estimator
from trainer.split import split_table
from trainer.table import read_table


def main(data: str, seed: str, test_share: str, budget: str, folder: str) -> None:
    """Write both files."""
    training, held_out = split_table(read_table(Path(data)), int(seed), float(test_share), len(LABELS))
    encoding = Encoding.fitted(training.features)
    problem = LearningProblem(encoding.columns, len(LABELS), len(training))
    with threadpool_limits(limits=1):
        matrix = encoding.matrix(training.features)
        estimator = select_estimator(matrix, training.target, problem, int(seed), float(budget)).estimator
    if not isinstance(estimator, Pipeline):
        sys.exit("the model is a blend of two; mlflow's scikit-learn flavour takes one pipeline")
    golden = Classifier.load().golden_records
    outputs = outputs_of(estimator, encoding.matrix(features_of([one.record for one in golden])), len(LABELS))
    expected = np.array([[one.prediction.probabilities[label] for label in LABELS] for one in golden])
    if np.abs(outputs - expected).max() > GOLDEN_TOLERANCE:
        sys.exit("training it again led to another model than the artefact holds")
    records = [one.record.model_dump(mode="json") for one in golden]
    names = [field.name for field in FIELDS]
    rows = held_out.features.numbers.tolist()
    records += [
        {name: None if value != value else value for name, value in zip(names, row, strict=True)} for row in rows
    ]
    answers = [*expected.tolist(), *outputs_of(estimator, encoding.matrix(held_out.features), len(LABELS)).tolist()]
    content = {"golden": len(golden), "labels": list(LABELS), "records": records, "answers": answers}
    (Path(folder) / "records.json").write_text(json.dumps(content))
    (Path(folder) / "estimator.pickle").write_bytes(pickle.dumps(estimator))


if __name__ == "__main__":
    main(*sys.argv[1:])
