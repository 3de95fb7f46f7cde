import math

import pytest

from trainer.evaluation import LOWER_IS_BETTER, METRICS
from trainer.gate import DEFAULT_FLOORS, Check, check_floors, parse_floor

from {{cookiecutter.__package}}_model.metadata import Estimate


@pytest.mark.parametrize(
    ("value", "passed"),
    [
        pytest.param(0.95, True, id="above"),
        pytest.param(0.9, True, id="equal"),
        pytest.param(math.nextafter(0.9, 0), False, id="just-below"),
        pytest.param(math.nan, False, id="no-number"),
    ],
)
def test_a_floor_is_the_least_value_that_passes(value: float, passed: bool) -> None:
    assert Check("recall", value, 0.9).passed is passed


def test_each_floor_is_checked_against_the_value_of_its_metric() -> None:
    metrics = {"accuracy": Estimate(value=0.9, low=0.1, high=0.95), "recall": Estimate(value=0.5, low=0.4, high=0.6)}
    checks = check_floors(metrics, {"accuracy": 0.8, "recall": 0.55})
    assert [(check.metric, check.passed) for check in checks] == [("accuracy", True), ("recall", False)]
    assert str(checks[1]) == "recall is 0.5000, its floor 0.5500"


def test_the_gate_is_on_by_default() -> None:
    assert DEFAULT_FLOORS
    assert all(parse_floor(f"{name}={floor}") == (name, floor) for name, floor in DEFAULT_FLOORS.items())
    assert all(floor > 0.5 for floor in DEFAULT_FLOORS.values())


@pytest.mark.parametrize("text", ["recall=0", "recall=0.5", "roc_auc=1"])
def test_floors_from_0_to_1_are_taken(text: str) -> None:
    name, floor = parse_floor(text)
    assert f"{name}={floor:g}" == text


@pytest.mark.parametrize(
    "text", ["recal=0.9", "=0.9", "", "recall", "recall=", "recall=high", "recall=nan", "recall=1.1", "recall=-1"]
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"is no (metric|floor)"):
        parse_floor(text)


def test_an_unknown_metric_is_refused_with_those_known() -> None:
    with pytest.raises(ValueError, match="recal") as caught:
        parse_floor("recal=0.9")
    assert all((name in str(caught.value)) is (name not in LOWER_IS_BETTER) for name in METRICS)
