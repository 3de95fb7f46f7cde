"""What pods have counted while they were watched, from readings of their metrics."""

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

Counts = Mapping[tuple[str, ...], int]
"""Counts by what is counted and the values of its labels, as `inside` prints them: `("responses", route, method,
status)`, `("durations", route, upper bound)`, which is cumulative, `("predictions", bin)`, `("starts",)`."""

STARTS = ("starts",)


def parsed(text: str) -> Counts:
    """Return the counts that `inside` has printed.

    Raises:
        ValueError: if the text holds something else.
    """
    try:
        return {tuple(map(str, key)): int(count) for *key, count in json.loads(text)}
    except (TypeError, ValueError) as error:
        raise ValueError(f"these are no counts of a pod ({error}): {text[:80]!r}") from error


@dataclass
class WatchedPod:
    """What a pod has counted since its first reading.

    Attributes:
        increase: of each count.
        restarts: number of times that the service, or a process of it, was found to have started again.
        readings: number of readings.
    """

    increase: Counter[tuple[str, ...]] = field(default_factory=Counter)
    restarts: int = 0
    readings: int = 0
    _last: Counts | None = None

    def read(self, counts: Counts) -> None:
        """Add a reading."""
        before, self._last = self._last, counts
        self.readings += 1
        if before is None:
            return
        # Counters fall when a container starts again; then all that they hold is new.
        fell = any(counts.get(key, 0) < count for key, count in before.items())
        self.restarts += fell or counts.get(STARTS, 0) > before.get(STARTS, 0)
        for key, count in counts.items():
            self.increase[key] += count if fell else count - before.get(key, 0)


@dataclass
class WatchedPods:
    """What some pods have counted since the first reading of each."""

    pods: dict[str, WatchedPod] = field(default_factory=dict)

    def read(self, readings: Mapping[str, Counts]) -> None:
        """Add a reading of some pods, by a key that no other pod ever has."""
        for key, counts in readings.items():
            self.pods.setdefault(key, WatchedPod()).read(counts)

    @property
    def increases(self) -> list[Counts]:
        """What each pod has counted."""
        return [pod.increase for pod in self.pods.values()]

    @property
    def restarts(self) -> int:
        """Number of restarts in all pods."""
        return sum(pod.restarts for pod in self.pods.values())

    @property
    def compared(self) -> bool:
        """Whether a pod was read more than once."""
        return any(pod.readings > 1 for pod in self.pods.values())
