"""The matrix of training rows, which is sparse if the contract has texts."""

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array, hstack

from mlops_runtime.contract import Features
from mlops_runtime.model.encoding import Encoding

Matrix: TypeAlias = NDArray[np.float64] | csr_array
"""Shape (rows, columns). A text has few of the words of the vocabulary: dense, most of the matrix would be zeros."""


def training_matrix(encoding: Encoding, features: Features) -> Matrix:
    """Return the matrix of `Encoding.matrix`, sparse if it has columns for words."""
    values = encoding.values_matrix(features)
    if not any(encoding.terms):
        return values
    parts = [csr_array(values)]
    for (rows, columns, counts), terms in zip(encoding.word_counts(features), encoding.terms, strict=True):
        parts.append(csr_array((counts.astype(np.float64), (rows, columns)), shape=(len(features), len(terms))))
    return csr_array(hstack(parts, format="csr"))


def without_empty_columns(matrix: Matrix) -> Matrix:
    """Return the matrix with zeros in the columns that have no value in any row.

    Boosters fail on such a column; a constant column has the same effect and works.
    """
    if isinstance(matrix, np.ndarray):
        empty = np.isnan(matrix).all(axis=0)
        return np.where(empty, 0.0, matrix) if empty.any() else matrix
    empty = np.bincount(matrix.indices[np.isnan(matrix.data)], minlength=matrix.shape[1]) == matrix.shape[0]
    if empty.any():
        matrix = matrix.copy()
        matrix.data[empty[matrix.indices]] = 0.0
    return matrix
