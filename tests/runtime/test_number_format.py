import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_runtime.number_format import exact, percent, ratio, readable, rounded, whole_percent

numbers = st.floats(allow_nan=False, allow_infinity=False)


@pytest.mark.parametrize(
    ("value", "text"), [(5.0, "5"), (-3.0, "-3"), (0.1, "0.1"), (1e-7, "1e-07"), (1e300, "1e+300"), (-0.0, "0")]
)
def test_an_exact_integer_has_no_decimal_point(value: float, text: str) -> None:
    assert exact(value) == text


@given(value=numbers)
def test_an_exact_number_can_be_parsed_again(value: float) -> None:
    assert float(exact(value)) == value


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (41.5, "41.5"),
        (1 / 3, "0.333333"),
        (1234567.8, "1234568"),
        (-1234567.8, "-1234568"),
        (1e20, "1e+20"),
        (0.0, "0"),
        (1e-9, "1e-09"),
    ],
)
def test_a_readable_number_has_six_significant_digits(value: float, text: str) -> None:
    assert readable(value) == text


@pytest.mark.parametrize(
    ("value", "text"), [(39123.4, "39123"), (-1234567.8, "-1234568"), (0.12345, "0.1235"), (1.0, "1")]
)
def test_a_readable_number_of_fewer_digits_has_all_before_the_point(value: float, text: str) -> None:
    assert readable(value, 4) == text


@pytest.mark.parametrize(
    ("value", "spread", "text"),
    [
        pytest.param(17_943.6789, 3_000, "17,944", id="wide"),
        pytest.param(17_943.6789, 3, "17,943.7", id="narrow"),
        pytest.param(0.123456, 0.02, "0.123", id="small"),
        pytest.param(-0.001, 3, "0.0", id="no minus zero"),
        pytest.param(5.0, 0, "5", id="no uncertainty"),
        pytest.param(5.0, math.inf, "5", id="infinite uncertainty"),
        pytest.param(1e29, 1e28, "1e+29", id="huge"),
        pytest.param(1.0, 1e-300, "1", id="more decimals than a double has"),
    ],
)
def test_a_number_is_rounded_as_its_uncertainty_allows(value: float, spread: float, text: str) -> None:
    assert rounded(value, spread) == text


@given(value=numbers, spread=st.floats(0))
def test_rounding_is_finer_than_the_uncertainty(value: float, spread: float) -> None:
    text = rounded(value, spread)

    assert len(text) < 40
    if 1e-9 < spread < 1e12 and abs(value) < 1e12:
        assert abs(float(text.replace(",", "")) - value) <= spread / 10


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (1.0, "100.0 %"),
        (0.9995, "over 99.9 %"),
        (0.9, "90.0 %"),
        (0.0004, "under 0.1 %"),
        (0.0, "0.0 %"),
    ],
)
def test_percent_has_one_decimal(share: float, text: str) -> None:
    assert percent(share) == text


@pytest.mark.parametrize(
    ("share", "text"), [(0.9, "9 of 10"), (0.8, "8 of 10"), (0.95, "19 of 20"), (0.99, "99 of 100"), (0.5, "5 of 10")]
)
def test_a_share_as_a_ratio(share: float, text: str) -> None:
    assert ratio(share) == text


@pytest.mark.parametrize(
    ("share", "text"),
    [(1.0, "100 %"), (0.995, "over 99 %"), (0.934, "93 %"), (0.004, "under 1 %"), (0.0, "0 %")],
)
def test_whole_percent_has_no_decimal(share: float, text: str) -> None:
    assert whole_percent(share) == text
