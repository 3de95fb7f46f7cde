"""The gate: what a model must reach before it may be exported."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from mlops_runtime.contract.fields import Task
from mlops_runtime.training.evaluation import LOWER_IS_BETTER, METRICS

CROSS_VALIDATED_SKILL = "cross_validated_skill"
"""Skill on the training rows: for tables so small that few rows are held out."""

UP_TO_1 = ("skill", "r2", CROSS_VALIDATED_SKILL)
"""These are 0 for a model that is as good as none, and less for a worse one; the others go from 0 to 1."""

DEFAULT_FLOORS: Mapping[str, float] = {"skill": 0.02}
"""The gate is never without a floor: by default a model must save 2 % of the loss of one that ignores the features."""


@dataclass(frozen=True, slots=True)
class Check:
    """A metric beside its floor.

    The value itself is compared, not the lower bound of its interval: with a few hundred
    held-out rows a bound would refuse many a good model by chance.
    """

    metric: str
    value: float
    floor: float

    @property
    def passed(self) -> bool:
        """Whether the metric reaches its floor; a value that is no number does not."""
        return self.value >= self.floor

    def __str__(self) -> str:
        # Four places, or a value just below its floor would look equal to it.
        return f"{self.metric} is {self.value:.4f}, its floor {self.floor:.4f}"


def check_floors(values: Mapping[str, float], floors: Mapping[str, float]) -> tuple[Check, ...]:
    """Return a check for each floor.

    Raises:
        KeyError: if a floor is for a metric that has no value.
    """
    return tuple(Check(name, values[name], floor) for name, floor in floors.items())


def floored_metrics(task: Task) -> tuple[str, ...]:
    """Return the names of the metrics that may have a floor: those of the task of which more is better."""
    return (*(name for name in METRICS[task] if name not in LOWER_IS_BETTER), CROSS_VALIDATED_SKILL)


def parse_floor(text: str, task: Task) -> tuple[str, float]:
    """Return the metric and the floor in `name=value`.

    Raises:
        ValueError: if the task has no such metric, it has no floor, or the metric can't have this value.
    """
    name, _, number = text.partition("=")
    usable = floored_metrics(task)
    if name not in usable:
        raise ValueError(f"{name!r} is no metric of a {task} model that has a floor; those are {', '.join(usable)}")
    try:
        floor = float(number)
    except ValueError:
        floor = math.nan
    if name in UP_TO_1 and not (math.isfinite(floor) and floor <= 1):
        raise ValueError(f"{number!r} is no floor for {name}: give a number up to 1, as in {name}=0.2")
    if name not in UP_TO_1 and not 0 <= floor <= 1:
        raise ValueError(f"{number!r} is no floor for {name}: give a number from 0 to 1, as in {name}=0.9")
    return name, floor
