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
    """Return a model that gives the same outputs for each row."""
    return SimpleNamespace(outputs=lambda rows: np.tile(outputs, (len(rows), 1)))


def compared(actual: list[float], expected: list[float], scale: float = 1) -> float:
    return check_parity(constant(*actual), constant(*expected).outputs, FEATURES, scale)


@pytest.fixture(scope="module")
def drawn() -> Features:
    return drawn_features(FEATURES, seed=0)


@pytest.mark.parametrize("task", Task)
@pytest.mark.parametrize("place", [0, 1], ids=["linear", "boosting"])
def test_an_exported_model_is_the_estimator_on_rows_that_are_drawn(task: Task, place: int, drawn: Features) -> None:
    # given
    encoding, target = Encoding.fitted(FEATURES), targets(orders.some_orders(ROWS), task)
    problem = LearningProblem(encoding.columns, len(orders.LABELS[task]))
    candidate = default_candidates(orders.CONTRACTS[task])[place]
    estimator = candidate.build(problem, 0).fit(encoding.matrix(FEATURES), target)
    exported: Any = Exported(onnx_model(encoding, estimator, problem.labels))
    # when
    largest = check_parity(
        exported, lambda rows: outputs_of(estimator, encoding.matrix(rows), problem.labels), drawn, 1
    )
    # then
    assert largest < 1e-9
    assert len(drawn) == DRAWN_ROWS


def test_another_estimator_is_refused() -> None:
    # given: an export, and an estimator that learned the opposite
    encoding, target = Encoding.fitted(FEATURES), targets(orders.some_orders(ROWS), Task.BINARY)
    problem = LearningProblem(encoding.columns, 2)
    matrix = encoding.matrix(FEATURES)
    candidate = default_candidates(orders.CONTRACTS[Task.BINARY])[0]
    model, opposite = (candidate.build(problem, 0).fit(matrix, each) for each in (target, 1 - target))
    exported: Any = Exported(onnx_model(encoding, model, 2))
    # then
    with pytest.raises(ParityError, match=rf"{ROWS} of {ROWS} labels.*nothing was written"):
        check_parity(exported, lambda rows: outputs_of(opposite, encoding.matrix(rows), 2), FEATURES, 1)


@pytest.mark.parametrize(
    ("found", "expected", "scale"),
    [
        pytest.param([0.5, 0.5], [0.5, 0.5], 1, id="equal"),
        pytest.param([0.5 + 4e-7, 0.5 - 4e-7], [0.5 - 4e-7, 0.5 + 4e-7], 1, id="as-good-as-equal-labels"),
        pytest.param([1000.0005], [1000.0], 1000, id="value-in-proportion"),
    ],
)
def test_rounding_is_no_difference(found: list[float], expected: list[float], scale: float) -> None:
    assert compared(found, expected, scale) == pytest.approx(abs(found[0] - expected[0]) / scale)


@pytest.mark.parametrize(
    ("found", "expected", "message"),
    [
        pytest.param([0.7, 0.3], [0.7 + 2 * GOLDEN_TOLERANCE, 0.3], f"0 of {ROWS} labels", id="probability"),
        pytest.param([0.7, 0.3], [0.3, 0.7], f"{ROWS} of {ROWS} labels", id="label"),
        pytest.param(
            [0.5 - 6e-7, 0.5 + 6e-7], [0.5 - 4e-7, 0.5 + 4e-7], f"{ROWS} of {ROWS} labels", id="label-by-a-hair"
        ),
        pytest.param([np.nan, 0.3], [0.7, 0.3], "up to inf", id="no-number"),
        pytest.param([np.nan], [np.nan], "up to inf", id="no-number-on-either-side"),
        pytest.param([np.inf], [1.0], "up to inf", id="infinite"),
        pytest.param([1.0], [2.0], f"0 of {ROWS} labels", id="value"),
    ],
)
def test_any_other_difference_is_refused(found: list[float], expected: list[float], message: str) -> None:
    with pytest.raises(ParityError, match=message):
        compared(found, expected)


def test_many_rows_are_compared_part_by_part(monkeypatch: pytest.MonkeyPatch) -> None:
    # given: a model that is wrong on the last row alone
    monkeypatch.setattr(parity, "CHUNK", 7)
    seen: list[int] = []

    def wrong_at_the_end(part: Features) -> NDArray[np.float64]:
        seen.append(len(part))
        outputs = np.zeros((len(part), 1))
        outputs[-1] = sum(seen) == ROWS
        return outputs

    # when
    with pytest.raises(ParityError):
        check_parity(constant(0.0), wrong_at_the_end, FEATURES, 1)
    # then
    assert (max(seen), sum(seen)) == (7, ROWS)


def columns(kept: Callable[[Kind], bool]) -> list[int]:
    return [place for place, number in enumerate(LAYOUT.numbers) if kept(number.field.kind)]


def test_drawn_numbers_lie_in_the_range_of_the_rows_and_a_little_beyond(drawn: Features) -> None:
    for place in columns(lambda kind: kind not in (Kind.CHOICE, Kind.BOOLEAN)):
        seen, found = FEATURES.numbers[:, place], drawn.numbers[:, place]
        low, high = np.nanmin(seen), np.nanmax(seen)
        margin = MARGIN * (high - low)
        assert low - margin <= np.nanmin(found) < low
        assert high < np.nanmax(found) <= high + margin
        assert np.isin(found, seen).mean() > 0.4


def test_drawn_choices_and_flags_are_those_of_the_rows(drawn: Features) -> None:
    for place in columns(lambda kind: kind in (Kind.CHOICE, Kind.BOOLEAN)):
        np.testing.assert_array_equal(np.unique(drawn.numbers[:, place]), np.unique(FEATURES.numbers[:, place]))


def test_drawn_values_are_missing_where_the_contract_allows_it(drawn: Features) -> None:
    for place, number in enumerate(LAYOUT.numbers):
        missing = (
            drawn.numbers[:, place] == -1 if number.field.kind is Kind.CHOICE else np.isnan(drawn.numbers[:, place])
        )
        assert missing.any() == number.field.optional


def test_drawn_strings_are_those_of_the_rows_one_that_is_new_and_none(drawn: Features) -> None:
    for seen, found in ((FEATURES.categories, drawn.categories), (FEATURES.texts, drawn.texts)):
        for column in range(seen.shape[1]):
            assert set(found[:, column]) == {*seen[:, column], UNSEEN, ""}


def test_a_field_that_no_row_has_stays_missing() -> None:
    empty = FEATURES.numbers.copy()
    place = next(place for place, number in enumerate(LAYOUT.numbers) if number.field.attribute == "margin")
    empty[:, place] = np.nan
    drawn = drawn_features(Features(LAYOUT, empty, FEATURES.categories, FEATURES.texts), 0)
    assert np.isnan(drawn.numbers[:, place]).all()


def test_the_seed_decides_what_is_drawn(drawn: Features) -> None:
    again, other = drawn_features(FEATURES, 0), drawn_features(FEATURES, 1)
    np.testing.assert_array_equal(again.numbers, drawn.numbers)
    assert again.texts.tolist() == drawn.texts.tolist()
    assert other.texts.tolist() != drawn.texts.tolist()


def test_of_a_wide_table_fewer_rows_are_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parity, "MAX_CELLS", 10 * len(LAYOUT.numbers))
    assert len(drawn_features(FEATURES, 0)) == 10
