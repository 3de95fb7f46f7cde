from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_runtime.profiling.columns import Column, Tally, infer_column
from mlops_runtime.profiling.ranges import add_ranges, expected_range

Bounds = tuple[float | None, float | None]


def ranged(*columns: Sequence[object], name: str = "column", sampled: bool = False) -> list[Column]:
    """Return the inferred columns with these values."""
    tallies = []
    for values in columns:
        tally = Tally(name, ".", 20_000)
        tally.add(tuple(map(str, values)))
        tallies.append(tally)
    inferred = [infer_column(tally, True, sampled) for tally in tallies]
    return list(add_ranges([column for column in inferred if isinstance(column, Column)], tallies, sampled))


def limits(values: Sequence[object], name: str = "column", sampled: bool = False) -> Bounds:
    (column,) = ranged(values, name=name, sampled=sampled)
    return column.minimum, column.maximum


IRREGULAR = [n * n % 97 for n in range(97)]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        pytest.param([1, 2, 3, 4, 5] * 10, (1, 5), id="scale-from-1"),
        pytest.param([0, 1, 2, 3, 3, 2] * 10, (0, 3), id="scale-from-0"),
        pytest.param(list(range(1, 13)) * 10, (1, 12), id="months"),
        pytest.param([0, 1], (0, 1), id="indicator"),
        pytest.param([0] * 99 + [1], (0, 1), id="rare-indicator"),
        pytest.param([1, 2, 3] * 16, (None, None), id="too-few-rows"),
        pytest.param([1, 2, 3, 5] * 15, (None, None), id="missing-value"),
        pytest.param([2, 3, 4] * 20, (None, None), id="scale-from-2"),
        pytest.param([1, 2, 3] * 20 + [4], (None, None), id="rare-end"),
        pytest.param([0, 0, 0, 1, 1, 2] * 10, (0, None), id="descending-counts"),
        pytest.param(list(range(1, 14)) * 10, (None, None), id="too-many-values"),
        pytest.param([1.5, 2, 3, 1] * 20, (None, None), id="not-integers"),
    ],
)
def test_a_rating_scale_has_limits(values: Sequence[object], expected: Bounds) -> None:
    assert limits(values) == expected


@pytest.mark.parametrize(
    ("values", "name", "expected"),
    [
        pytest.param([0, 5, *IRREGULAR], "x", (0, None), id="zeros"),
        pytest.param([0, -1, *IRREGULAR], "x", (None, None), id="negative-number"),
        pytest.param([0, *range(20, 129)], "x", (None, None), id="rare-zero"),
        pytest.param([0, 5.5, 20] * 16, "x", (None, None), id="too-few-rows"),
        pytest.param([0.01, 0.5, 0.99] * 20, "x", (0, 1), id="shares"),
        pytest.param([0.1, 0.5, 0.99] * 20, "x", (None, None), id="shares-far-from-one-end"),
        pytest.param([0.5, 50, 100] * 20, "x", (0, 100), id="up-to-100"),
        pytest.param([0.5, 50, 99.5] * 20, "x", (None, None), id="prices"),
        pytest.param([0.5, 50, 99.5] * 20, "fat percent", (0, 100), id="percent-in-the-name"),
        pytest.param([0.5, 50, 99.5] * 20, "fat (%)", (0, 100), id="percent-sign-in-the-name"),
        pytest.param([0.5, 50, 101] * 20, "fat (%)", (None, None), id="above-100"),
    ],
)
def test_a_limit_needs_evidence(values: Sequence[object], name: str, expected: Bounds) -> None:
    assert limits(values, name) == expected


def test_columns_of_the_same_range_share_a_rating_scale() -> None:
    # given: a column with all values of the scale, and one without
    complete, gaps = [1, 2, 3, 4, 5] * 20, [1, 2, 5, 1, 1] * 20
    # then
    assert [(column.minimum, column.maximum) for column in ranged(complete, gaps, gaps)] == [(1, 5)] * 3
    assert [(column.minimum, column.maximum) for column in ranged(complete, gaps)] == [(1, 5), (None, None)]
    assert [(column.minimum, column.maximum) for column in ranged(gaps, gaps, gaps)] == [(None, None)] * 3


def test_a_sample_gives_no_limits() -> None:
    assert limits([1, 2, 3, 4, 5] * 20, sampled=True) == (None, None)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        pytest.param([1, 2, 3, 4, 5] * 20, None, id="both-limits"),
        pytest.param([0, 0, 0, 1, 1, 2] * 10, (0, 3), id="one-limit"),
        pytest.param([0.2, 38.4, 7], (0, 43), id="no-limit"),
        pytest.param([-2.5, 17.5], (-5, 20), id="negative"),
    ],
)
def test_a_column_without_both_limits_has_an_expected_range(
    values: Sequence[object], expected: tuple[float, float] | None
) -> None:
    (column,) = ranged(values)
    assert column.expected == expected


@pytest.mark.parametrize(
    ("low", "high", "integer", "expected"),
    [
        pytest.param(172, 231, True, (166, 237), id="integers"),
        pytest.param(0, 3, True, (0, 4), id="integers-from-0"),
        pytest.param(1956, 2013, True, (1950, 2019), id="years"),
        pytest.param(0.00012, 0.00031, False, (0.0001, 0.00033), id="small"),
        pytest.param(1, 12_345_678, True, (0, 14_000_000), id="large"),
        pytest.param(1_600_000_000, 1_600_000_010, True, (1_599_990_000, 1_600_010_000), id="narrow-range"),
        pytest.param(-5e-324, 5e-324, False, (-1e-323, 1e-323), id="smallest-numbers"),
    ],
)
def test_an_expected_range_has_a_margin_and_few_digits(
    low: float, high: float, integer: bool, expected: tuple[float, float]
) -> None:
    assert expected_range(low, high, integer) == pytest.approx(expected)


@given(
    ends=st.lists(st.floats(-1e99, 1e99), min_size=2, max_size=2, unique=True).map(sorted),
    integer=st.booleans(),
)
def test_an_expected_range_contains_the_range_of_the_table(ends: list[float], integer: bool) -> None:
    low, high = expected_range(ends[0], ends[1], integer)
    assert low <= ends[0] <= ends[1] <= high
    assert ends[0] < 0 or low >= 0
