import math

import pytest

from mlops_runtime.contract.fields import Task
from mlops_runtime.testing.synthetic import TASKS
from mlops_runtime.training.evaluation import LOWER_IS_BETTER, METRICS
from mlops_runtime.training.gate import (
    CROSS_VALIDATED_SKILL,
    DEFAULT_FLOORS,
    Check,
    check_floors,
    floored_metrics,
    parse_floor,
)


@pytest.mark.parametrize(
    ("value", "passed"),
    [
        pytest.param(0.95, True, id="above"),
        pytest.param(0.9, True, id="equal"),
        pytest.param(math.nextafter(0.9, 0), False, id="just-below"),
        pytest.param(math.nan, False, id="nan"),
    ],
)
def test_a_value_passes_if_it_is_at_least_the_floor(value: float, passed: bool) -> None:
    assert Check("recall", value, 0.9).passed is passed


def test_each_floor_is_checked_against_the_value_of_its_metric() -> None:
    values = {"accuracy": 0.9, "recall": 0.5, "cross_validated_skill": -0.2}
    checks = check_floors(values, {"accuracy": 0.8, "recall": 0.55, "cross_validated_skill": 0})
    assert [(check.metric, check.passed) for check in checks] == [
        ("accuracy", True),
        ("recall", False),
        ("cross_validated_skill", False),
    ]
    assert str(checks[1]) == "recall is 0.5000, its floor is 0.5500"


def test_a_floor_for_a_metric_without_a_value_is_refused() -> None:
    with pytest.raises(KeyError, match="recall"):
        check_floors({"accuracy": 0.9}, {"recall": 0.5})


@pytest.mark.parametrize("task", TASKS)
def test_the_default_floors_require_more_than_the_baseline(task: Task) -> None:
    assert DEFAULT_FLOORS
    assert all(parse_floor(f"{name}={floor}", task) == (name, floor) for name, floor in DEFAULT_FLOORS.items())
    assert DEFAULT_FLOORS["skill"] > 0


@pytest.mark.parametrize("task", TASKS)
def test_metrics_may_have_a_floor_if_higher_is_better(task: Task) -> None:
    assert set(METRICS[task]) - set(floored_metrics(task)) == set(METRICS[task]) & set(LOWER_IS_BETTER)
    assert CROSS_VALIDATED_SKILL in floored_metrics(task)


@pytest.mark.parametrize(
    ("text", "task"),
    [
        ("recall=0", Task.BINARY),
        ("recall=0.5", Task.BINARY),
        ("roc_auc=1", Task.BINARY),
        ("skill=-0.5", Task.BINARY),
        ("macro_f1=0.7", Task.MULTICLASS),
        ("coverage=0.8", Task.REGRESSION),
        ("r2=-1000", Task.REGRESSION),
        ("r2=1", Task.REGRESSION),
        ("cross_validated_skill=-3", Task.REGRESSION),
    ],
)
def test_valid_floors_are_accepted(text: str, task: Task) -> None:
    name, floor = parse_floor(text, task)
    assert f"{name}={floor:g}" == text


@pytest.mark.parametrize(
    "text",
    [
        *("recal=0.9", "=0.9", "", "recall", "recall=", "recall=high", "recall=nan", "recall=1.1", "recall=-1"),
        *("skill=1.01", "skill=nan", "skill=-inf", "skill=", "log_loss=0.2", "r2=0.5"),
    ],
)
def test_invalid_floors_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"cannot (have a floor|be the floor)"):
        parse_floor(text, Task.BINARY)


@pytest.mark.parametrize("task", TASKS)
def test_the_message_about_an_unknown_metric_lists_the_known_metrics(task: Task) -> None:
    with pytest.raises(ValueError, match="recal") as caught:
        parse_floor("recal=0.9", task)
    assert all(name in str(caught.value) for name in floored_metrics(task))
