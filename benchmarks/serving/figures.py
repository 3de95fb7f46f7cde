"""Figures out of rounds: medians with their spread, and ratios of what was measured in the same round."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

Round = Mapping[str, Any]
Measure = Callable[[Round], float]


@dataclass(frozen=True, slots=True)
class Figure:
    """A median over rounds, with the least and the greatest value."""

    value: float
    low: float
    high: float

    def text(self, form: str = ",.0f") -> str:
        """Return it for people, the spread in brackets."""
        value, low, high = (format(number, form) for number in (self.value, self.low, self.high))
        return value if low == high else f"{value} ({low} to {high})"


def figure(values: Iterable[float]) -> Figure | None:
    """Return the figure of some values; None if there are none."""
    found = list(values)
    return Figure(median(found), min(found), max(found)) if found else None


def of(rounds: Sequence[Round], measure: Measure) -> Figure | None:
    """Return the figure of a measure over rounds."""
    return figure(map(measure, rounds))


def ratio(rounds: Sequence[Round], others: Sequence[Round], measure: Measure) -> Figure | None:
    """Return the figure of a measure divided by that of another server in the same round."""
    found = {other["round"]: measure(other) for other in others}
    return figure(measure(one) / found[one["round"]] for one in rounds if found.get(one["round"]))


def rate(load: str) -> Measure:
    """Return the measure of right answers a second."""
    return lambda one: float(one["load"][load]["right"])


def percentile(load: str, name: str) -> Measure:
    """Return the measure of a latency in milliseconds."""
    return lambda one: float(one["load"][load][name]) * 1000


def rows(one: Round) -> float:
    """Return the rows a second in batches."""
    return float(one["load"]["batch"]["rows"])


def start(one: Round) -> float:
    """Return the seconds from start to the first right answer."""
    return float(one["start"])


def worker_memory(one: Round, kind: str = "pss") -> float:
    """Return the MB of the largest process beside the main one, or of that if it is alone."""
    workers = [process[kind] for process in one["memory"] if not process["main"]]
    return float(max(workers, default=one["memory"][0][kind])) / 1e6


def main_memory(one: Round) -> float:
    """Return the MB of the main process."""
    return float(one["memory"][0]["pss"]) / 1e6


def whole_memory(one: Round) -> float:
    """Return the MB of all processes."""
    return sum(float(process["pss"]) for process in one["memory"]) / 1e6


def processes(one: Round) -> int:
    """Return how many processes there are."""
    return len(one["memory"])


def processor_time(one: Round) -> float:
    """Return the microseconds of processor time that the server spends on a request, at 16 connections."""
    return float(one["load"]["16"]["cpu"]) * 1e6
