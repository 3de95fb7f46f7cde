from typing import Any

import numpy as np
import pytest
from scipy.sparse import csr_array, issparse

from mlops_runtime.contract import Task
from mlops_runtime.model.encoding import Encoding
from mlops_runtime.testing import synthetic
from mlops_runtime.training.candidates import Candidate, LearningProblem, default_candidates
from mlops_runtime.training.fitted_model import outputs_of
from mlops_runtime.training.matrix import training_matrix, without_empty_columns

ROWS = 200
FEATURES = synthetic.features(ROWS)
ENCODING = Encoding.fitted(FEATURES)
DEFAULTS = [
    pytest.param(task, candidate, id=f"{task}-{candidate.kind}".replace(" ", "-"))
    for task in synthetic.TASKS
    for candidate in default_candidates(synthetic.CONTRACTS[task])[:2]
]


def test_a_matrix_with_words_is_sparse_and_equals_that_of_the_encoding() -> None:
    matrix: Any = training_matrix(ENCODING, FEATURES)
    assert issparse(matrix)
    np.testing.assert_array_equal(matrix.toarray(), ENCODING.matrix(FEATURES))


def test_a_matrix_without_words_is_dense() -> None:
    encoding = Encoding(ENCODING.layout, ENCODING.values, ((),))
    np.testing.assert_array_equal(training_matrix(encoding, FEATURES), encoding.matrix(FEATURES))


@pytest.mark.parametrize(("task", "candidate"), DEFAULTS)
def test_an_estimator_learns_the_same_of_the_sparse_matrix(task: Task, candidate: Candidate) -> None:
    # given
    sparse, dense = training_matrix(ENCODING, FEATURES), ENCODING.matrix(FEATURES)
    target = synthetic.targets(synthetic.some_orders(ROWS), task)
    labels = len(synthetic.LABELS[task])
    problem = LearningProblem(ENCODING.columns, labels, ROWS)
    # when
    of_sparse, of_dense = (candidate.build(problem, 0).fit(matrix, target) for matrix in (sparse, dense))
    # then
    expected = outputs_of(of_dense, dense, labels)
    np.testing.assert_allclose(outputs_of(of_sparse, dense, labels), expected, rtol=1e-6)
    np.testing.assert_allclose(outputs_of(of_sparse, sparse, labels), expected, rtol=1e-6)


@pytest.mark.parametrize("convert", [np.array, csr_array], ids=["dense", "sparse"])
def test_a_column_without_any_value_becomes_zeros(convert: Any) -> None:
    # given
    matrix = convert([[np.nan, np.nan, 0.0], [np.nan, 2.0, 3.0]])
    # when
    filled = without_empty_columns(matrix)
    # then
    values = filled.toarray() if issparse(filled) else filled
    np.testing.assert_array_equal(values, [[0, np.nan, 0], [0, 2, 3]])
    assert np.isnan(matrix.data if issparse(matrix) else matrix).sum() == 3
