import numpy as np
import pytest
from numpy.typing import NDArray

from mlops_runtime.model.predictor import interval_bounds
from mlops_runtime.training.interval import LEVEL, MAX_BINS, MIN_BIN_ROWS, conformal_interval

ROWS = 4000


def predicted_and_true(rows: int, seed: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return predictions, and true values whose distance from them grows with the prediction."""
    generator = np.random.default_rng(seed)
    predicted = generator.uniform(10, 100, rows)
    return predicted, predicted + predicted * generator.normal(0, 0.1, rows)


@pytest.mark.parametrize("seed", range(5))
def test_intervals_hold_the_level_of_new_values(seed: int) -> None:
    # given
    interval = conformal_interval(*predicted_and_true(ROWS, seed))
    predicted, truth = predicted_and_true(ROWS, seed + 100)
    # when
    low, high = interval_bounds(predicted, interval)
    # then: in all, and among the small as among the great
    inside = (low <= truth) & (truth <= high)
    assert inside.mean() == pytest.approx(LEVEL, abs=0.025)
    for part in (predicted < 30, predicted > 80):
        assert inside[part].mean() == pytest.approx(LEVEL, abs=0.06)


def test_intervals_are_wide_where_errors_are_large() -> None:
    interval = conformal_interval(*predicted_and_true(ROWS, 0))
    assert len(interval.half_widths) == len(interval.edges) + 1 == MAX_BINS
    assert list(interval.edges) == sorted(interval.edges)
    assert interval.half_widths[-1] > 3 * interval.half_widths[0]


@pytest.mark.parametrize(
    ("rows", "bins"), [(1, 1), (2 * MIN_BIN_ROWS - 1, 1), (2 * MIN_BIN_ROWS, 2), (100 * MIN_BIN_ROWS, MAX_BINS)]
)
def test_a_bin_has_rows_enough(rows: int, bins: int) -> None:
    interval = conformal_interval(*predicted_and_true(rows, 0))
    assert len(interval.half_widths) == bins


@pytest.mark.parametrize(
    ("rows", "place"),
    [
        pytest.param(1, 1, id="one"),
        pytest.param(8, 8, id="too-few-for-the-level"),
        pytest.param(9, 9, id="just-enough"),
        pytest.param(10, 10, id="one-more-is-not-enough"),
        pytest.param(19, 18, id="one-outside"),
        pytest.param(99, 90, id="nine-outside"),
    ],
)
def test_the_width_is_the_least_that_holds_the_level_of_one_row_more(rows: int, place: int) -> None:
    # given: residuals 1, 2, 3 and so on
    residuals = np.arange(1.0, rows + 1)
    # then
    assert conformal_interval(np.zeros(rows), residuals).half_widths == (place,)


def test_equal_predictions_are_one_bin() -> None:
    # given: so many equal predictions that no edge can part them, and a few others
    predicted = np.concatenate([np.full(900, 5.0), np.full(100, 7.0)])
    interval = conformal_interval(predicted, predicted + 1)
    # then: every bin has the width of the residuals there are, also one that no row is in
    assert set(interval.half_widths) == {1.0}
    assert len(interval.half_widths) == len(interval.edges) + 1 < MAX_BINS


@pytest.mark.parametrize(
    ("truth", "minimum"),
    [pytest.param([0.0, 3.0], 0, id="never-negative"), pytest.param([-0.1, 3.0], None, id="once-negative")],
)
def test_what_was_never_negative_gets_no_negative_interval(truth: list[float], minimum: float | None) -> None:
    assert conformal_interval(np.array([1.0, 2.0]), np.array(truth)).minimum == minimum


def test_the_coverage_is_left_to_the_evaluation() -> None:
    assert np.isnan(conformal_interval(*predicted_and_true(10, 0)).coverage.value)
