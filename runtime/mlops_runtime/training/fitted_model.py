"""A fitted estimator with all that turns features into its outputs."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlops_runtime.contract import Contract, Features
from mlops_runtime.model.encoding import Encoding


@dataclass(frozen=True, slots=True)
class FittedModel:
    """What training hands to an export: the estimator and what its matrix is made by.

    Attributes:
        contract: of the records.
        encoding: features as the matrix that the estimator takes.
        estimator: fitted, scikit-learn-compatible.
    """

    contract: Contract
    encoding: Encoding
    estimator: Any

    def outputs(self, features: Features) -> NDArray[np.float64]:
        """Return the output of the estimator for each row, shape (rows, labels) or (rows, 1)."""
        return outputs_of(self.estimator, self.encoding.matrix(features), len(self.contract.labels))


def outputs_of(estimator: Any, matrix: NDArray[np.float64], labels: int) -> NDArray[np.float64]:
    """Return the output of a fitted estimator for each row of its matrix.

    Returns:
        Shape (rows, labels), 0 for a label that the estimator has not seen; or shape (rows, 1).
    """
    if not labels:
        return np.asarray(estimator.predict(matrix), dtype=np.float64).reshape(-1, 1)
    outputs = np.zeros((len(matrix), labels))
    outputs[:, estimator.classes_] = estimator.predict_proba(matrix)
    return outputs
