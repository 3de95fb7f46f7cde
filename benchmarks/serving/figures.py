"""Statistics over rounds: medians with their range, and ratios within rounds."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

Round = Mapping[str, Any]
Measure = Callable[[Round], float]


@dataclass(frozen=True, slots=True)
class Figure:
    """A median over rounds, with minimum and maximum."""

    value: float
    low: float
    high: float

    def text(self, form: str = ",.0f") -> str:
        """Return the median as text, with the range in brackets."""
        value, low, high = (format(number, form) for number in (self.value, self.low, self.high))
        return value if low == high else f"{value} ({low} to {high})"


def figure(values: Iterable[float]) -> Figure | None:
    """Return the figure of values, or None without values."""
    numbers = list(values)
    return Figure(median(numbers), min(numbers), max(numbers)) if numbers else None


def of(rounds: Sequence[Round], measure: Measure) -> Figure | None:
    """Return the figure of a measure over rounds."""
    return figure(map(measure, rounds))


def ratio(rounds: Sequence[Round], others: Sequence[Round], measure: Measure) -> Figure | None:
    """Return the figure of a measure divided by that of another server in the same round."""
    numbers = {other["round"]: measure(other) for other in others}
    return figure(measure(entry) / numbers[entry["round"]] for entry in rounds if numbers.get(entry["round"]))


def rate(load: str) -> Measure:
    """Return the measure of correct answers per second."""
    return lambda entry: float(entry["load"][load]["right"])


def percentile(load: str, name: str) -> Measure:
    """Return the measure of a latency in milliseconds."""
    return lambda entry: float(entry["load"][load][name]) * 1000


def rows(entry: Round) -> float:
    """Return the rows per second in batches."""
    return float(entry["load"]["batch"]["rows"])


def start(entry: Round) -> float:
    """Return the seconds from the start to the first correct answer."""
    return float(entry["start"])


def worker_memory(entry: Round, kind: str = "pss") -> float:
    """Return the MB of the largest worker process, or of the main process without workers."""
    workers = [process[kind] for process in entry["memory"] if not process["main"]]
    return float(max(workers, default=entry["memory"][0][kind])) / 1e6


def main_memory(entry: Round) -> float:
    """Return the MB of the main process."""
    return float(entry["memory"][0]["pss"]) / 1e6


def whole_memory(entry: Round) -> float:
    """Return the MB of all processes."""
    return sum(float(process["pss"]) for process in entry["memory"]) / 1e6


def processes(entry: Round) -> int:
    """Return the number of processes."""
    return len(entry["memory"])


def processor_time(entry: Round) -> float:
    """Return the processor time of a request in microseconds, at 16 connections."""
    return float(entry["load"]["16"]["cpu"]) * 1e6
