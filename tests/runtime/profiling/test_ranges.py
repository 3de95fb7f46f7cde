from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_runtime.profiling.columns import Column, Tally, column_of
from mlops_runtime.profiling.ranges import usual_range, with_ranges

Bounds = tuple[float | None, float | None]


def ranged(*columns: Sequence[object], name: str = "column", sampled: bool = False) -> list[Column]:
    """Return the columns of these values, with their ranges."""
    tallies = []
    for values in columns:
        tally = Tally(name, ".", 20_000)
        tally.add(tuple(map(str, values)))
        tallies.append(tally)
    found = [column_of(tally, ".", True, sampled) for tally in tallies]
    return list(with_ranges([column for column in found if isinstance(column, Column)], tallies, sampled))


def limits(values: Sequence[object], name: str = "column", sampled: bool = False) -> Bounds:
    (column,) = ranged(values, name=name, sampled=sampled)
    return column.minimum, column.maximum


ODDLY_SPREAD = [n * n % 97 for n in range(97)]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        pytest.param([1, 2, 3, 4, 5] * 10, (1, 5), id="scale-from-1"),
        pytest.param([0, 1, 2, 3, 3, 2] * 10, (0, 3), id="scale-from-0"),
        pytest.param(list(range(1, 13)) * 10, (1, 12), id="months"),
        pytest.param([0, 1], (0, 1), id="indicator"),
        pytest.param([0] * 99 + [1], (0, 1), id="rare-indicator"),
        pytest.param([1, 2, 3] * 16, (None, None), id="too-few-values"),
        pytest.param([1, 2, 3, 5] * 15, (None, None), id="a-step-is-lacking"),
        pytest.param([2, 3, 4] * 20, (None, None), id="starts-elsewhere"),
        pytest.param([1, 2, 3] * 20 + [4], (None, None), id="an-end-is-rare"),
        pytest.param([0, 0, 0, 1, 1, 2] * 10, (0, None), id="counts-fade-out"),
        pytest.param(list(range(1, 14)) * 10, (None, None), id="too-many-steps"),
        pytest.param([1.5, 2, 3, 1] * 20, (None, None), id="not-whole"),
    ],
)
def test_a_rating_scale_has_hard_ends(values: Sequence[object], expected: Bounds) -> None:
    assert limits(values) == expected


@pytest.mark.parametrize(
    ("values", "name", "expected"),
    [
        pytest.param([0, 5, *ODDLY_SPREAD], "x", (0, None), id="zeros"),
        pytest.param([0, -1, *ODDLY_SPREAD], "x", (None, None), id="a-negative"),
        pytest.param([0, *range(20, 129)], "x", (None, None), id="hardly-a-zero"),
        pytest.param([0, 5.5, 20] * 16, "x", (None, None), id="too-few-values"),
        pytest.param([0.01, 0.5, 0.99] * 20, "x", (0, 1), id="shares"),
        pytest.param([0.1, 0.5, 0.99] * 20, "x", (None, None), id="shares-off-one-end"),
        pytest.param([0.5, 50, 100] * 20, "x", (0, 100), id="up-to-100"),
        pytest.param([0.5, 50, 99.5] * 20, "x", (None, None), id="prices"),
        pytest.param([0.5, 50, 99.5] * 20, "fat percent", (0, 100), id="percent-by-name"),
        pytest.param([0.5, 50, 99.5] * 20, "fat (%)", (0, 100), id="percent-by-sign"),
        pytest.param([0.5, 50, 101] * 20, "fat (%)", (None, None), id="above-100"),
    ],
)
def test_a_limit_needs_evidence(values: Sequence[object], name: str, expected: Bounds) -> None:
    assert limits(values, name) == expected


def test_columns_between_the_same_ends_share_a_scale() -> None:
    # given: one that uses each step, and two that do not
    whole, gaps = [1, 2, 3, 4, 5] * 20, [1, 2, 5, 1, 1] * 20
    # then
    assert [(column.minimum, column.maximum) for column in ranged(whole, gaps, gaps)] == [(1, 5)] * 3
    assert [(column.minimum, column.maximum) for column in ranged(whole, gaps)] == [(1, 5), (None, None)]
    assert [(column.minimum, column.maximum) for column in ranged(gaps, gaps, gaps)] == [(None, None)] * 3


def test_a_sample_shows_no_limit() -> None:
    assert limits([1, 2, 3, 4, 5] * 20, sampled=True) == (None, None)


@pytest.mark.parametrize(
    ("values", "usual"),
    [
        pytest.param([1, 2, 3, 4, 5] * 20, None, id="both-limits"),
        pytest.param([0, 0, 0, 1, 1, 2] * 10, (0, 3), id="one-limit"),
        pytest.param([0.2, 38.4, 7], (0, 43), id="no-limit"),
        pytest.param([-2.5, 17.5], (-5, 20), id="negative"),
    ],
)
def test_what_is_usual_is_said_where_a_limit_is_lacking(
    values: Sequence[object], usual: tuple[float, float] | None
) -> None:
    (column,) = ranged(values)
    assert column.expected == usual


@pytest.mark.parametrize(
    ("low", "high", "whole", "expected"),
    [
        pytest.param(172, 231, True, (166, 237), id="whole"),
        pytest.param(0, 3, True, (0, 4), id="whole-from-0"),
        pytest.param(1956, 2013, True, (1950, 2019), id="years"),
        pytest.param(0.00012, 0.00031, False, (0.0001, 0.00033), id="small"),
        pytest.param(1, 12_345_678, True, (0, 14_000_000), id="large"),
        pytest.param(1_600_000_000, 1_600_000_010, True, (1_599_990_000, 1_600_010_000), id="few-digits-apart"),
        pytest.param(-5e-324, 5e-324, False, (-1e-323, 1e-323), id="least-of-all"),
    ],
)
def test_what_is_usual_has_headroom_and_few_digits(
    low: float, high: float, whole: bool, expected: tuple[float, float]
) -> None:
    assert usual_range(low, high, whole) == pytest.approx(expected)


@given(
    ends=st.lists(st.floats(-1e99, 1e99), min_size=2, max_size=2, unique=True).map(sorted),
    whole=st.booleans(),
)
def test_what_is_usual_holds_what_there_is(ends: list[float], whole: bool) -> None:
    low, high = usual_range(ends[0], ends[1], whole)
    assert low <= ends[0] <= ends[1] <= high
    assert ends[0] < 0 or low >= 0
