import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from numpy.typing import NDArray

from mlops_runtime.serving.telemetry.psi import ALERT, NOTICE, min_records, stability_indices

DRAWS = 2000

counts = st.lists(st.integers(0, 1000), min_size=2, max_size=12).filter(any)
pairs = counts.flatmap(
    lambda one: st.tuples(st.just(one), st.lists(st.integers(0, 1000), min_size=len(one), max_size=len(one)))
).filter(lambda pair: any(pair[1]))

SHARES = [
    pytest.param([0.7, 0.3], id="two-labels"),
    pytest.param([0.98, 0.02], id="seldom-missing"),
    pytest.param([0.1] * 10, id="groups-of-the-same-size"),
    pytest.param([0.55, 0.2, 0.1, 0.05, 0.04, 0.03, 0.01, 0.01, 0.005, 0.005], id="many-rare"),
]


def index(one: list[float], other: list[float]) -> float:
    """Return the index of two distributions."""
    (result,) = stability_indices(np.array(one, dtype=float), np.array(other, dtype=float), np.array([0]))
    return float(result)


def drawn(shares: list[float], size: int, seed: int) -> NDArray[np.float64]:
    """Return the counts of many samples, one after the other."""
    return np.random.default_rng(seed).multinomial(size, shares, DRAWS).ravel().astype(float)


def indices(live: list[float], training: list[float], records: int, rows: int) -> NDArray[np.float64]:
    """Return the indices of many samples from two populations."""
    starts = np.arange(DRAWS) * len(live)
    return stability_indices(drawn(live, records, 1), drawn(training, rows, 2), starts)


def test_the_index_is_a_sum_over_the_bins() -> None:
    # Given two distributions of so many records that half a one does not matter
    one, other = [0.2e9, 0.8e9], [0.5e9, 0.5e9]
    # Then each bin adds (p - q) ln(p / q)
    assert index(one, other) == pytest.approx(-0.3 * math.log(0.2 / 0.5) + 0.3 * math.log(0.8 / 0.5))


@given(counts, st.integers(1, 50))
def test_equal_shares_have_an_index_of_0(one: list[float], times: int) -> None:
    assert index(one, [count * times for count in one]) == pytest.approx(0, abs=1e-12)


@given(pairs)
def test_the_index_is_symmetric_and_never_negative(pair: tuple[list[float], list[float]]) -> None:
    one, other = pair
    assert index(one, other) == pytest.approx(index(other, one))
    assert index(one, other) >= 0
    assert math.isfinite(index(one, other))


@given(st.integers(100, 10_000), st.integers(1, 49), st.integers(1, 49))
def test_the_index_grows_with_the_shift(records: int, less: int, more: int) -> None:
    # Given records of which some, and then more, moved from one of two bins to the other
    assume(less < more)
    half = records / 2
    moved = [
        index([half, half], [half - share / 100 * records, half + share / 100 * records]) for share in (less, more)
    ]
    assert moved[0] < moved[1]


def test_a_value_missing_from_training_raises_an_alert() -> None:
    assert index([500, 500, 0], [400, 400, 200]) > ALERT


def test_each_field_has_its_own_index() -> None:
    # Given the counts of three fields, of which the last has none
    one = np.array([5.0, 5.0, 10.0, 20.0, 30.0, 0.0, 0.0])
    other = np.array([5.0, 5.0, 30.0, 20.0, 10.0, 7.0, 7.0])
    # When
    same, changed, unknown = stability_indices(one, other, np.array([0, 2, 5]))
    # Then
    assert same == 0
    assert changed == pytest.approx(index([10, 20, 30], [30, 20, 10]))
    assert math.isnan(unknown)


@pytest.mark.parametrize("shares", SHARES)
@pytest.mark.parametrize("rows", [150, 500, 10_000])
def test_chance_rarely_exceeds_the_alert_threshold_with_enough_records(shares: list[float], rows: int) -> None:
    # Given the minimum number of records, from the population of the training rows
    records = int(min_records(len(shares), rows))
    # Then few of many samples exceed the alert threshold
    assert np.mean(indices(shares, shares, records, rows) >= ALERT) <= 0.005


@pytest.mark.parametrize("shares", SHARES)
def test_chance_rarely_exceeds_the_notice_threshold_with_1000_records(shares: list[float]) -> None:
    assert np.mean(indices(shares, shares, 1000, 500) >= NOTICE) <= 0.01


@pytest.mark.parametrize("shares", SHARES)
def test_a_shift_is_detected_with_enough_records(shares: list[float]) -> None:
    # Given a population of which two thirds moved to the last bin
    moved = [share / 3 for share in shares[:-1]]
    moved.append(1 - sum(moved))
    records = int(min_records(len(shares), 500))
    # Then nearly every sample shows it
    assert np.mean(indices(moved, shares, records, 500) >= ALERT) >= 0.99


@pytest.mark.parametrize("rows", [500, 10_000])
@pytest.mark.parametrize(
    ("bins", "quantile"),
    # Of chi-squared with a degree of freedom less than there are bins, from a table.
    [
        pytest.param(2, 10.828, id="2-bins"),
        pytest.param(10, 27.877, id="10-bins"),
        pytest.param(20, 43.820, id="20-bins"),
    ],
)
def test_the_minimum_of_records_matches_the_chi_squared_quantile(bins: int, quantile: float, rows: int) -> None:
    assert ALERT / (1 / min_records(bins, rows) + 1 / rows) == pytest.approx(quantile, rel=0.06)


@pytest.mark.parametrize(("bins", "rows"), [(10, 100), (2, 20), (1, 0)])
def test_few_training_rows_require_infinitely_many_records(bins: int, rows: int) -> None:
    assert min_records(bins, rows) == math.inf
