import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import fisher_exact

from mlops_runtime.operations.canary.significance import Share, p_value

shares = st.integers(1, 400).flatmap(lambda whole: st.builds(Share, st.integers(0, whole), st.just(whole)))


@given(shares, shares)
def test_the_p_value_is_that_of_scipy(one: Share, other: Share) -> None:
    table = [[one.part, one.whole - one.part], [other.part, other.whole - other.part]]
    expected = fisher_exact(table, alternative="greater").pvalue if one.value > other.value else 1.0

    assert p_value(one, other) == pytest.approx(expected, rel=1e-6, abs=1e-300)


@pytest.mark.parametrize(
    ("one", "other"),
    [(Share(5, 5), Share(0, 50)), (Share(1, 3), Share(0, 10**7)), (Share(60_000, 10**6), Share(550_000, 10**7))],
    ids=["few", "many of one", "many"],
)
def test_small_and_large_samples_are_exact(one: Share, other: Share) -> None:
    table = [[one.part, one.whole - one.part], [other.part, other.whole - other.part]]

    assert p_value(one, other) == pytest.approx(fisher_exact(table, alternative="greater").pvalue, rel=1e-4)


@pytest.mark.parametrize(("one", "other"), [(Share(0, 0), Share(0, 0)), (Share(0, 0), Share(3, 5))])
def test_without_observations_nothing_is_significant(one: Share, other: Share) -> None:
    assert p_value(one, other) == 1.0
