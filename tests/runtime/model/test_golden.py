import math

import pytest

from mlops_runtime.contract import LabelPrediction, ValuePrediction
from mlops_runtime.model.golden import GOLDEN_TOLERANCE, agrees


def label_prediction(label: str, probability: float) -> LabelPrediction:
    return LabelPrediction(label=label, probability=0.5, probabilities={"a": probability, "b": 1 - probability})


@pytest.mark.parametrize(
    ("label", "difference", "same"),
    [
        pytest.param("a", 0.0, True, id="equal"),
        pytest.param("a", GOLDEN_TOLERANCE / 2, True, id="rounded"),
        pytest.param("a", GOLDEN_TOLERANCE * 2, False, id="other-probability"),
        pytest.param("b", 0.0, False, id="other-label"),
    ],
)
def test_labels_agree_up_to_rounding(label: str, difference: float, same: bool) -> None:
    assert agrees(label_prediction(label, 0.5 + difference), label_prediction("a", 0.5)) is same


def test_probabilities_of_other_labels_do_not_agree() -> None:
    other = LabelPrediction(label="a", probability=0.5, probabilities={"a": 0.5, "c": 0.5})
    assert not agrees(other, label_prediction("a", 0.5))


@pytest.mark.parametrize(
    ("changes", "same"),
    [
        pytest.param({}, True, id="equal"),
        pytest.param({"value": 1000.0005}, True, id="rounded"),
        pytest.param({"value": 1000.002}, False, id="other-value"),
        pytest.param({"low": 989.99}, False, id="other-low"),
        pytest.param({"high": 1010.01}, False, id="other-high"),
        pytest.param({"value": math.nan}, False, id="no-number"),
    ],
)
def test_values_agree_within_a_relative_tolerance(changes: dict[str, float], same: bool) -> None:
    golden = ValuePrediction(value=1000, low=990, high=1010)
    assert agrees(golden.model_copy(update=changes), golden) is same


def test_the_tolerance_of_zero_is_relative_to_its_interval() -> None:
    golden = ValuePrediction(value=0, low=-10, high=10)
    assert agrees(golden.model_copy(update={"value": 1e-5}), golden)
    assert not agrees(golden.model_copy(update={"value": 1e-4}), golden)


def test_a_label_and_a_value_do_not_agree() -> None:
    assert not agrees(label_prediction("a", 0.5), ValuePrediction(value=0, low=0, high=0))
