"""A fitted estimator with its encoding of features."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlops_runtime.contract import Contract, Features
from mlops_runtime.model.encoding import Encoding
from mlops_runtime.training.matrix import Matrix, training_matrix


@dataclass(frozen=True, slots=True)
class FittedModel:
    """The input of an export: a fitted estimator with its contract and encoding.

    Attributes:
        contract: contract of the records.
        encoding: encoding of features as a matrix.
        estimator: fitted, scikit-learn-compatible.
    """

    contract: Contract
    encoding: Encoding
    estimator: Any

    def outputs(self, features: Features) -> NDArray[np.float64]:
        """Return the outputs of the estimator, shape (rows, labels) or (rows, 1)."""
        labels, encoding = len(self.contract.labels), self.encoding
        parts = [
            outputs_of(self.estimator, training_matrix(encoding, part), labels)
            for part in features.parts(encoding.rows_at_once)
        ]
        return np.concatenate([np.empty((0, labels or 1)), *parts])


def outputs_of(estimator: Any, matrix: Matrix, labels: int) -> NDArray[np.float64]:
    """Return probabilities, shape (rows, labels), or predicted values, shape (rows, 1), if there are no labels.

    A label without training rows has the probability 0.
    """
    if not labels:
        return np.asarray(estimator.predict(matrix), dtype=np.float64).reshape(-1, 1)
    probabilities = estimator.predict_proba(matrix)
    outputs = np.zeros((len(probabilities), labels))
    outputs[:, estimator.classes_] = probabilities
    return outputs
