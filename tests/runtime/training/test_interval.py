import numpy as np
import pytest
from numpy.typing import NDArray

from mlops_runtime.model.predictor import interval_bounds
from mlops_runtime.training.interval import LEVEL, MAX_BINS, MIN_BIN_ROWS, conformal_interval

ROWS = 4000


def predicted_and_true(rows: int, seed: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return predictions, and true values with errors that grow with the prediction."""
    generator = np.random.default_rng(seed)
    predicted = generator.uniform(10, 100, rows)
    return predicted, predicted + predicted * generator.normal(0, 0.1, rows)


@pytest.mark.parametrize("seed", range(5))
def test_intervals_of_new_rows_have_the_nominal_coverage(seed: int) -> None:
    # given
    interval = conformal_interval(*predicted_and_true(ROWS, seed))
    predicted, truth = predicted_and_true(ROWS, seed + 100)
    # when
    low, high = interval_bounds(predicted, interval)
    # then: overall, and for small and large predictions
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
def test_a_bin_has_enough_rows(rows: int, bins: int) -> None:
    interval = conformal_interval(*predicted_and_true(rows, 0))
    assert len(interval.half_widths) == bins


@pytest.mark.parametrize(
    ("rows", "index"),
    [
        pytest.param(1, 1, id="one-row"),
        pytest.param(8, 8, id="too-few-for-the-level"),
        pytest.param(9, 9, id="enough-for-the-level"),
        pytest.param(10, 10, id="ten-rows"),
        pytest.param(19, 18, id="one-row-outside"),
        pytest.param(99, 90, id="nine-rows-outside"),
    ],
)
def test_the_width_is_the_corrected_quantile_of_the_residuals(rows: int, index: int) -> None:
    # given: the residuals 1, 2, 3, …
    residuals = np.arange(1.0, rows + 1)
    # then
    assert conformal_interval(np.zeros(rows), residuals).half_widths == (index,)


def test_equal_predictions_are_in_the_same_bin() -> None:
    # given: mostly equal predictions, so that several edges are equal
    predicted = np.concatenate([np.full(900, 5.0), np.full(100, 7.0)])
    interval = conformal_interval(predicted, predicted + 1)
    # then: an empty bin has the width of all residuals
    assert set(interval.half_widths) == {1.0}
    assert len(interval.half_widths) == len(interval.edges) + 1 < MAX_BINS


@pytest.mark.parametrize(
    ("truth", "minimum"),
    [pytest.param([0.0, 3.0], 0, id="not-negative"), pytest.param([-0.1, 3.0], None, id="negative")],
)
def test_the_minimum_is_0_if_no_target_is_negative(truth: list[float], minimum: float | None) -> None:
    assert conformal_interval(np.array([1.0, 2.0]), np.array(truth)).minimum == minimum


def test_the_coverage_is_unknown_before_the_evaluation() -> None:
    assert np.isnan(conformal_interval(*predicted_and_true(10, 0)).coverage.value)
