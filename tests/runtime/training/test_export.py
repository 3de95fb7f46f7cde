from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.pipeline import Pipeline

from mlops_runtime.contract import Category, Features, Kind, Layout, RecordModel, Task, Text, field_specs
from mlops_runtime.contract.features import MAX_MAGNITUDE
from mlops_runtime.model.encoding import Encoding
from mlops_runtime.testing import synthetic as orders
from mlops_runtime.testing.synthetic import CONTRACTS, LABELS, LAYOUT, targets
from mlops_runtime.training.candidates import Candidate, LearningProblem, default_candidates
from mlops_runtime.training.export import onnx_files, onnx_model
from mlops_runtime.training.fitted_model import FittedModel, outputs_of
from mlops_runtime.training.search import select_estimator
from tests.runtime.training.conftest import Exported

ROWS = 250
ORDERS = orders.some_orders(ROWS)
FEATURES = LAYOUT.encode(ORDERS)
ENCODING = Encoding.fitted(FEATURES)
MATRIX = ENCODING.matrix(FEATURES)
CANDIDATES = [
    pytest.param(task, candidate, id=f"{task}-{candidate.name}")
    for task, contract in CONTRACTS.items()
    for candidate in default_candidates(contract)
]
KINDS = [
    pytest.param(task, candidate, id=f"{task}-{candidate.kind}")
    for task, contract in CONTRACTS.items()
    for candidate in default_candidates(contract)[:2]
]
"""The first candidate of each kind for each task."""


def fitted(task: Task, candidate: Candidate) -> Pipeline:
    problem = LearningProblem(ENCODING.columns, len(LABELS[task]))
    return candidate.build(problem, 0).fit(MATRIX, targets(ORDERS, task))


def default_candidate(labels: int, index: int) -> Candidate:
    """Return a default candidate for a number of labels: index 0 is linear, index 1 is a booster."""
    return default_candidates(CONTRACTS[Task.MULTICLASS if labels else Task.REGRESSION])[index]


def assert_same_outputs(encoding: Encoding, estimator: Pipeline, labels: int, features: Features) -> None:
    """Assert that the exported model has the same outputs up to rounding in double precision."""
    outputs = Exported(onnx_model(encoding, estimator, labels)).outputs(features)
    expected = outputs_of(estimator, encoding.matrix(features), labels)
    assert outputs.dtype == np.float64
    assert np.isfinite(outputs).all()
    np.testing.assert_allclose(outputs, expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(("task", "candidate"), CANDIDATES)
def test_every_exported_default_candidate_has_the_same_outputs(task: Task, candidate: Candidate) -> None:
    # given
    estimator = fitted(task, candidate)
    # then: on training rows and on other rows
    assert_same_outputs(ENCODING, estimator, len(LABELS[task]), FEATURES)
    assert_same_outputs(ENCODING, estimator, len(LABELS[task]), orders.features(500, seed=1))


@pytest.mark.parametrize(("task", "candidate"), KINDS)
def test_the_same_rows_give_the_same_bytes(task: Task, candidate: Candidate) -> None:
    first, second = (onnx_model(ENCODING, fitted(task, candidate), len(LABELS[task])) for _ in range(2))
    assert first == second


@pytest.mark.parametrize(("task", "candidate"), KINDS)
def test_the_model_is_valid_onnx(task: Task, candidate: Candidate) -> None:
    # given
    model = onnx.load_from_string(onnx_model(ENCODING, fitted(task, candidate), len(LABELS[task])))
    # then
    onnx.checker.check_model(model, full_check=True)
    (output,) = model.graph.output
    assert output.type.tensor_type.elem_type == onnx.TensorProto.DOUBLE
    assert [node.name for node in model.graph.input] == ["numbers", "categories", "text_0"]


def odd_numbers(kind: Kind) -> st.SearchStrategy[float]:
    if kind is Kind.CHOICE:
        return st.integers(-1, len(orders.Size) - 1).map(float)
    return st.sampled_from([np.nan, 0.0, 1.0, MAX_MAGNITUDE, -MAX_MAGNITUDE, 1e-300]) | st.floats(
        -MAX_MAGNITUDE, MAX_MAGNITUDE
    )


@st.composite
def odd_features(draw: Callable[..., Any]) -> Features:
    """Return rows with extreme numbers, missing values in all columns, and unknown strings."""
    rows = draw(st.integers(1, 6))
    texts = st.text(st.characters(codec="utf-8"), max_size=20)
    strings = {
        "categories": [st.sampled_from([*orders.COURIERS, *orders.CITIES, ""]) | texts for _ in LAYOUT.categories],
        "texts": [st.lists(st.sampled_from(orders.WORDS) | texts, max_size=6).map(" ".join) for _ in LAYOUT.texts],
    }
    numbers = [odd_numbers(number.field.kind) for number in LAYOUT.numbers]

    def array(columns: list[st.SearchStrategy[Any]], kind: Any) -> Any:
        return np.array(draw(st.lists(st.tuples(*columns), min_size=rows, max_size=rows)), dtype=kind)

    return Features(
        LAYOUT,
        array(numbers, np.float64),
        array(strings["categories"], np.object_),
        array(strings["texts"], np.object_),
    )


@pytest.fixture(scope="module", params=[pytest.param(kind.values, id=kind.id) for kind in KINDS])
def exported(request: pytest.FixtureRequest) -> tuple[Exported, Pipeline, int]:
    """An exported model of each kind for each task, its estimator and its number of labels."""
    task, candidate = request.param
    estimator, labels = fitted(task, candidate), len(LABELS[task])
    return Exported(onnx_model(ENCODING, estimator, labels)), estimator, labels


@settings(max_examples=25)
@given(features=odd_features())
def test_extreme_rows_have_the_same_outputs(features: Features, exported: tuple[Exported, Pipeline, int]) -> None:
    # given
    model, estimator, labels = exported
    # when
    outputs = model.outputs(features)
    # then: up to rounding, which depends on the magnitude of the summands
    expected = outputs_of(estimator, ENCODING.matrix(features), labels)
    magnitude = 1 if labels else max(1, float(np.nan_to_num(np.abs(features.numbers)).max()))
    assert np.isfinite(outputs).all()
    np.testing.assert_allclose(outputs, expected, rtol=1e-9, atol=1e-9 * magnitude)


@pytest.mark.parametrize(("task", "candidate"), KINDS)
def test_values_without_training_rows_have_the_same_outputs(task: Task, candidate: Candidate) -> None:
    # given: an encoding with more cities than the training rows, and a column without values
    problem = LearningProblem(ENCODING.columns, len(LABELS[task]))
    few, target = MATRIX[:60].copy(), targets(ORDERS, task)[:60]
    few[:, 1] = np.nan
    estimator = select_estimator(few, target, problem, 0, 1000, [candidate]).estimator
    # then
    assert_same_outputs(ENCODING, estimator, problem.labels, orders.features(300, seed=2))


@pytest.mark.parametrize("index", [0, 1], ids=["linear", "boosting"])
@pytest.mark.parametrize("labels", [[1, 3], [0, 1, 2]], ids=["two-of-four", "three-of-four"])
def test_a_label_without_training_rows_has_probability_0(index: int, labels: list[int]) -> None:
    # given
    problem = LearningProblem(ENCODING.columns, 4)
    target = np.array(labels)[np.arange(ROWS) % len(labels)]
    estimator = default_candidate(problem.labels, index).build(problem, 0).fit(MATRIX, target)
    # when
    outputs = Exported(onnx_model(ENCODING, estimator, 4)).outputs(FEATURES)
    # then
    absent = [label for label in range(4) if label not in labels]
    assert (outputs[:, absent] == 0).all()
    assert outputs.sum(axis=1) == pytest.approx(np.ones(ROWS))
    assert_same_outputs(ENCODING, estimator, 4, FEATURES)


@pytest.mark.parametrize("target", [np.full(12, 5.0), np.arange(12.0)], ids=["constant", "too-few-rows-to-split"])
def test_trees_with_a_single_leaf_are_exported(target: NDArray[np.float64]) -> None:
    # given
    problem = LearningProblem(ENCODING.columns, 0)
    estimator = default_candidate(0, 1).build(problem, 0).fit(MATRIX[:12], target)
    assert all(len(trees[0].nodes) == 1 for trees in estimator["estimator"]._predictors)
    # then
    assert_same_outputs(ENCODING, estimator, 0, FEATURES)


class Widths(RecordModel):
    """A contract with a required number."""

    width: float


class Words(RecordModel):
    """A contract with texts only."""

    title: Text
    body: Text | None = None


class Places(RecordModel):
    """A contract with a category only."""

    place: Category | None = None


@pytest.mark.parametrize("index", [0, 1], ids=["linear", "boosting"])
@pytest.mark.parametrize(
    "records",
    [
        pytest.param([Widths(width=float(number)) for number in range(54)], id="number"),
        pytest.param([Words(title=f"{word} word", body=None) for word in orders.WORDS * 9], id="texts"),
        pytest.param([Places(place=city) for city in orders.CITIES[:9] * 6], id="category"),
        pytest.param([Places(place=f"{number}") for number in range(54)], id="category-without-known-values"),
    ],
)
def test_a_contract_with_fields_of_a_single_kind_is_exported(index: int, records: list[RecordModel]) -> None:
    # given
    features = Layout(field_specs(type(records[0]))).encode(records)
    encoding = Encoding.fitted(features)
    problem = LearningProblem(encoding.columns, 2)
    estimator = (
        default_candidate(problem.labels, index).build(problem, 0).fit(encoding.matrix(features), np.arange(54) % 2)
    )
    # then
    assert_same_outputs(encoding, estimator, 2, features)


def test_a_model_has_a_single_file() -> None:
    # given
    estimator = fitted(Task.BINARY, default_candidates(CONTRACTS[Task.BINARY])[0])
    model = FittedModel(CONTRACTS[Task.BINARY], ENCODING, estimator)
    # then
    assert onnx_files(model) == {"model.onnx": onnx_model(ENCODING, estimator, 2)}
