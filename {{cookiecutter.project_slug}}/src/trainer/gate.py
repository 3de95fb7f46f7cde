"""The gate: what a model must reach on the held-out rows before it may be exported."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from trainer.evaluation import LOWER_IS_BETTER, METRICS

from {{cookiecutter.__package}}_model.metadata import Estimate

DEFAULT_FLOORS: Mapping[str, float] = {"accuracy": 0.93, "recall": 0.90, "roc_auc": 0.98}
"""The gate is never without a floor: these hold where none are given."""


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


def check_floors(metrics: Mapping[str, Estimate], floors: Mapping[str, float]) -> tuple[Check, ...]:
    """Return a check for each floor."""
    return tuple(Check(name, metrics[name].value, floor) for name, floor in floors.items())


def parse_floor(text: str) -> tuple[str, float]:
    """Return the metric and the floor in `name=value`.

    Raises:
        ValueError: if there is no such metric, it has no floor, or the value is not from 0 to 1.
    """
    name, _, number = text.partition("=")
    usable = [metric for metric in METRICS if metric not in LOWER_IS_BETTER]
    if name not in usable:
        raise ValueError(f"{name!r} is no metric that has a floor; those are {', '.join(usable)}")
    try:
        floor = float(number)
    except ValueError:
        floor = math.nan
    if not 0 <= floor <= 1:
        raise ValueError(f"{number!r} is no floor for {name}: give a number from 0 to 1, as in {name}=0.9")
    return name, floor
