from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from mlops_runtime.contract.features import Features
from mlops_runtime.contract.fields import Kind, Task
from mlops_runtime.model.encoding import Encoding
from mlops_runtime.model.golden import GOLDEN_TOLERANCE
from mlops_runtime.model.onnx_predictor import OnnxPredictor
from mlops_runtime.testing import synthetic as orders
from mlops_runtime.testing.synthetic import LAYOUT, targets
from mlops_runtime.training import parity
from mlops_runtime.training.candidates import LearningProblem, default_candidates
from mlops_runtime.training.export import onnx_model
from mlops_runtime.training.fitted_model import outputs_of
from mlops_runtime.training.parity import DRAWN_ROWS, MARGIN, UNSEEN, ParityError, check_parity, drawn_features
from tests.runtime.training.conftest import Exported

ROWS = 150
FEATURES = orders.features(ROWS)


def constant(*outputs: float) -> Any:
    """Return a model with constant outputs."""
    return SimpleNamespace(outputs=lambda rows: np.tile(outputs, (len(rows), 1)))


def compared(actual: list[float], expected: list[float], scale: float = 1) -> float:
    return check_parity(constant(*actual), constant(*expected).outputs, FEATURES, scale)


@pytest.fixture(scope="module")
def drawn() -> Features:
    return drawn_features(FEATURES, seed=0)


@pytest.mark.parametrize("task", orders.TASKS)
@pytest.mark.parametrize("index", [0, 1], ids=["linear", "boosting"])
def test_an_exported_model_equals_the_estimator_on_synthetic_rows(task: Task, index: int, drawn: Features) -> None:
    # given
    encoding, target = Encoding.fitted(FEATURES), targets(orders.some_orders(ROWS), task)
    problem = LearningProblem(encoding.columns, len(orders.LABELS[task]))
    candidate = default_candidates(orders.CONTRACTS[task])[index]
    estimator = candidate.build(problem, 0).fit(encoding.matrix(FEATURES), target)
    exported: Any = Exported(onnx_model(encoding, estimator, problem.labels))
    # when
    difference = check_parity(
        exported, lambda rows: outputs_of(estimator, encoding.matrix(rows), problem.labels), drawn, 1
    )
    # then
    assert difference < 1e-9
    assert len(drawn) == DRAWN_ROWS


def test_another_estimator_is_refused() -> None:
    # given: an exported model, and an estimator fitted on the opposite labels
    encoding, target = Encoding.fitted(FEATURES), targets(orders.some_orders(ROWS), Task.BINARY)
    problem = LearningProblem(encoding.columns, 2)
    matrix = encoding.matrix(FEATURES)
    candidate = default_candidates(orders.CONTRACTS[Task.BINARY])[0]
    model, opposite = (candidate.build(problem, 0).fit(matrix, labels) for labels in (target, 1 - target))
    exported: Any = Exported(onnx_model(encoding, model, 2))
    # then
    with pytest.raises(ParityError, match=rf"{ROWS} of {ROWS} labels.*nothing was written"):
        check_parity(exported, lambda rows: outputs_of(opposite, encoding.matrix(rows), 2), FEATURES, 1)


@pytest.mark.parametrize(
    ("actual", "expected", "scale"),
    [
        pytest.param([0.5, 0.5], [0.5, 0.5], 1, id="equal"),
        pytest.param([0.5 + 4e-7, 0.5 - 4e-7], [0.5 - 4e-7, 0.5 + 4e-7], 1, id="label-within-tolerance"),
        pytest.param([1000.0005], [1000.0], 1000, id="relative-difference-of-values"),
    ],
)
def test_differences_within_the_tolerance_are_accepted(
    actual: list[float], expected: list[float], scale: float
) -> None:
    assert compared(actual, expected, scale) == pytest.approx(abs(actual[0] - expected[0]) / scale)


@pytest.mark.parametrize(
    ("actual", "expected", "message"),
    [
        pytest.param([0.7, 0.3], [0.7 + 2 * GOLDEN_TOLERANCE, 0.3], f"0 of {ROWS} labels", id="probability"),
        pytest.param([0.7, 0.3], [0.3, 0.7], f"{ROWS} of {ROWS} labels", id="label"),
        pytest.param(
            [0.5 - 6e-7, 0.5 + 6e-7],
            [0.5 - 4e-7, 0.5 + 4e-7],
            f"{ROWS} of {ROWS} labels",
            id="label-beyond-tolerance",
        ),
        pytest.param([np.nan, 0.3], [0.7, 0.3], "up to inf", id="nan"),
        pytest.param([np.nan], [np.nan], "up to inf", id="both-nan"),
        pytest.param([np.inf], [1.0], "up to inf", id="infinite"),
        pytest.param([1.0], [2.0], f"0 of {ROWS} labels", id="value"),
    ],
)
def test_greater_differences_are_refused(actual: list[float], expected: list[float], message: str) -> None:
    with pytest.raises(ParityError, match=message):
        compared(actual, expected)


def test_a_graph_that_differs_may_be_served_otherwise(predictor: OnnxPredictor) -> None:
    with pytest.raises(ParityError, match=r"remove this candidate, or serve it with a Predictor of your own$"):
        check_parity(predictor, constant(0.5, 0.5).outputs, FEATURES, 1)


def test_rows_are_compared_in_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    # given: a model that is wrong only on the last row
    monkeypatch.setattr(parity, "CHUNK", 7)
    sizes: list[int] = []

    def wrong_at_the_end(part: Features) -> NDArray[np.float64]:
        sizes.append(len(part))
        outputs = np.zeros((len(part), 1))
        outputs[-1] = sum(sizes) == ROWS
        return outputs

    # when
    with pytest.raises(ParityError):
        check_parity(constant(0.0), wrong_at_the_end, FEATURES, 1)
    # then
    assert (max(sizes), sum(sizes)) == (7, ROWS)


def columns(kept: Callable[[Kind], bool]) -> list[int]:
    return [index for index, number in enumerate(LAYOUT.numbers) if kept(number.field.kind)]


def test_drawn_numbers_span_the_range_of_the_column_and_a_margin(drawn: Features) -> None:
    for index in columns(lambda kind: kind not in (Kind.CHOICE, Kind.BOOLEAN)):
        values, actual = FEATURES.numbers[:, index], drawn.numbers[:, index]
        low, high = np.nanmin(values), np.nanmax(values)
        margin = MARGIN * (high - low)
        assert low - margin <= np.nanmin(actual) < low
        assert high < np.nanmax(actual) <= high + margin
        assert np.isin(actual, values).mean() > 0.4


def test_drawn_choices_and_booleans_are_those_of_the_rows(drawn: Features) -> None:
    for index in columns(lambda kind: kind in (Kind.CHOICE, Kind.BOOLEAN)):
        np.testing.assert_array_equal(np.unique(drawn.numbers[:, index]), np.unique(FEATURES.numbers[:, index]))


def test_drawn_values_are_missing_where_the_contract_allows_it(drawn: Features) -> None:
    for index, number in enumerate(LAYOUT.numbers):
        missing = (
            drawn.numbers[:, index] == -1 if number.field.kind is Kind.CHOICE else np.isnan(drawn.numbers[:, index])
        )
        assert missing.any() == number.field.optional


def test_drawn_strings_are_those_of_the_rows_an_unseen_string_and_the_empty_string(drawn: Features) -> None:
    for strings, actual in ((FEATURES.categories, drawn.categories), (FEATURES.texts, drawn.texts)):
        for column in range(strings.shape[1]):
            assert set(actual[:, column]) == {*strings[:, column], UNSEEN, ""}


def test_a_field_without_values_stays_missing() -> None:
    empty = FEATURES.numbers.copy()
    index = next(index for index, number in enumerate(LAYOUT.numbers) if number.field.attribute == "margin")
    empty[:, index] = np.nan
    drawn = drawn_features(Features(LAYOUT, empty, FEATURES.categories, FEATURES.texts), 0)
    assert np.isnan(drawn.numbers[:, index]).all()


def test_the_seed_determines_the_drawn_rows(drawn: Features) -> None:
    again, other = drawn_features(FEATURES, 0), drawn_features(FEATURES, 1)
    np.testing.assert_array_equal(again.numbers, drawn.numbers)
    assert again.texts.tolist() == drawn.texts.tolist()
    assert other.texts.tolist() != drawn.texts.tolist()


def test_fewer_rows_are_drawn_for_a_wide_table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parity, "MAX_CELLS", 10 * len(LAYOUT.numbers))
    assert len(drawn_features(FEATURES, 0)) == 10
