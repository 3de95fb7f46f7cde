"""The gate: a model is exported only if its metrics reach their floors."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mlops_runtime.contract.fields import Task
from mlops_runtime.training.evaluation import LOWER_IS_BETTER, METRICS, OUTCOMES

CROSS_VALIDATED_SKILL = "cross_validated_skill"
"""Skill in cross-validation on the training rows, for tables with few held-out rows."""

UP_TO_1 = ("skill", "r2", CROSS_VALIDATED_SKILL)
"""Metrics that are 0 for the baseline and negative for a worse model. All others are between 0 and 1."""

DEFAULT_FLOORS: Mapping[str, float] = {"skill": 0.02}
"""By default a model must reduce the loss of an estimator that ignores the features by 2 %."""


@dataclass(frozen=True, slots=True)
class Check:
    """The value of a metric and its floor.

    The gate compares the value, not the lower bound of its interval: with a few hundred
    held-out rows, the bound would refuse many good models by chance.
    """

    metric: str
    value: float
    floor: float

    @property
    def passed(self) -> bool:
        """Whether the metric reaches its floor; NaN does not."""
        return self.value >= self.floor

    def __str__(self) -> str:
        # Four decimals show a value just below its floor as different from it.
        return f"{self.metric} is {self.value:.4f}, its floor is {self.floor:.4f}"


class GateError(RuntimeError):
    """The gate refuses the model; has the failed checks."""

    def __init__(self, failed: Sequence[Check]) -> None:
        self.failed = tuple(failed)
        super().__init__(f"the gate refuses the model: {'; '.join(str(check) for check in failed)}")


def check_floors(values: Mapping[str, float], floors: Mapping[str, float]) -> tuple[Check, ...]:
    """Return a check for each floor.

    Raises:
        KeyError: if a floor is for a metric that has no value.
    """
    return tuple(Check(name, values[name], floor) for name, floor in floors.items())


def floored_metrics(task: Task) -> tuple[str, ...]:
    """Return the names of the metrics of a task that may have a floor: those for which higher is better."""
    names = tuple(name for name in METRICS[task] if name not in LOWER_IS_BETTER)
    return (*names, CROSS_VALIDATED_SKILL) if OUTCOMES[task].CROSS_VALIDATED else names


def parse_floor(text: str, task: Task) -> tuple[str, float]:
    """Return the metric and the floor of `name=value`.

    Raises:
        ValueError: if the task has no such metric, lower values of it are better, or the value is out of range.
    """
    name, _, number = text.partition("=")
    usable = floored_metrics(task)
    if name not in usable:
        raise ValueError(f"{name!r} cannot have a floor in a {task} task: choose from {', '.join(usable)}")
    try:
        floor = float(number)
    except ValueError:
        floor = math.nan
    if name in UP_TO_1 and not (math.isfinite(floor) and floor <= 1):
        raise ValueError(f"{number!r} cannot be the floor of {name}: give a number up to 1, as in {name}=0.2")
    if name not in UP_TO_1 and not 0 <= floor <= 1:
        raise ValueError(f"{number!r} cannot be the floor of {name}: give a number from 0 to 1, as in {name}=0.9")
    return name, floor
