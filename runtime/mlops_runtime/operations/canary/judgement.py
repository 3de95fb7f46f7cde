"""Judge a canary by what its pods and the old ones have counted in the same time.

Four figures are compared, each as a share of observations: server errors and refused requests of each route, requests
that take longer than the 99th percentile of the old pods, and predictions of each label or range of values. A canary is
worse in one of them if its share

- is above that of the old pods by more than chance explains (`significance`), divided by the number of comparisons;
- is above it by more than a margin, because with many requests any difference is significant;
- is above that of each old pod, because requests are not independent: a client that keeps its connection stays with one
  pod, and what it asks must not count against the canary if an old pod has such a client as well.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import reduce

from mlops_runtime.operations.canary.counts import Counts
from mlops_runtime.operations.canary.significance import Share, p_value

ALPHA = 0.001
"""Probability that a canary as good as the old pods is found worse, over all comparisons: one deploy in 1,000."""
MIN_REQUESTS = 200
"""Requests to the canary from which on it counts as judged: of one that fails each tenth of them, 99 % are found."""
MIN_POD = 30
"""Observations of an old pod from which on its own share is compared: of fewer, one bad request is a large share."""

ERROR_MARGIN = 0.001
"""Difference of the shares of server errors that does not matter."""
REFUSED_MARGIN = 0.02
"""Difference of the shares of refused requests that does not matter: callers differ in their mistakes."""
SLOW_MARGIN = 0.02
"""Difference of the shares of slow requests that does not matter: a new pod has cold caches."""
PREDICTION_MARGIN = 0.1
"""Difference of the shares of predictions that does not matter: a better model may predict otherwise."""

PERCENTILE = 0.99
UNLIMITED = "+Inf"
"""Bound of the bucket that holds every request."""

RESPONSES, DURATIONS, PREDICTIONS = "responses", "durations", "predictions"
"""What is counted: `counts.Counts`."""
PROBES = ("/healthz", "/metrics", "/readyz")
"""Routes that the cluster and this comparison call, not the users."""


@dataclass(frozen=True)
class Figure:
    """A share of observations, of a canary and of the old pods.

    Attributes:
        name: of what has the property.
        canary: share of the canary's pods together.
        old: share of each old pod.
        margin: difference that does not matter.
    """

    name: str
    canary: Share
    old: Sequence[Share]
    margin: float

    @property
    def of_old(self) -> Share:
        """Share of the old pods together."""
        return reduce(Share.__add__, self.old, Share(0, 0))

    @property
    def difference(self) -> float:
        """How much higher the share of the canary is."""
        return self.canary.value - self.of_old.value

    def is_worse(self, alpha: float) -> bool:
        """Return whether the share of the canary is too high.

        Args:
            alpha: level of significance of this one comparison.
        """
        highest = max((share.value for share in self.old if share.whole >= MIN_POD), default=0.0)
        above = self.difference > self.margin and self.canary.value > highest
        return above and p_value(self.canary, self.of_old) < alpha

    def __str__(self) -> str:
        own, old = self.canary, self.of_old
        return f"{self.name}: {own.value:.1%} of {own.whole} with the canary, {old.value:.1%} of {old.whole} without"


@dataclass(frozen=True)
class Judgement:
    """How a canary compares with the old pods.

    Attributes:
        figures: that were compared.
        worse: those in which the canary is worse.
        requests: that the canary has answered.
        old_requests: that the old pods have answered.
        other_bins: whether its predictions cannot be compared, because they have other labels or ranges.
    """

    figures: Sequence[Figure]
    worse: Sequence[Figure]
    requests: int
    old_requests: int
    other_bins: bool = False

    def findings(self) -> str:
        """Return how a canary did that is not worse."""
        if self.requests < MIN_REQUESTS or not self.figures:
            return (
                f"{self.requests} requests beside {self.old_requests} of the old pods are too few to judge by"
                f" ({MIN_REQUESTS} needed): promoted on its verification"
            )
        greatest = max(self.figures, key=lambda figure: figure.difference / figure.margin)
        note = "; its predictions have other labels or ranges, and were not compared" if self.other_bins else ""
        return (
            f"not worse in {self.requests} requests beside {self.old_requests} of the old pods;"
            f" nearest to the limit: {greatest}{note}"
        )


def judge(canary: Sequence[Counts], old: Sequence[Counts], alpha: float = ALPHA) -> Judgement:
    """Compare a canary with the old pods.

    Args:
        canary: what each pod of it has counted.
        old: what each old pod has counted in the same time.
        alpha: probability that a canary as good as the old pods is found worse.
    """
    own = Counter[tuple[str, ...]]()
    for pod in canary:
        own.update(pod)
    requests, predictions = [*_responses(own, old), *_durations(own, old)], list(_predictions(own, old))
    # Predictions are compared in both directions.
    each = alpha / max(len(requests) + 2 * len(predictions), 1)
    figures = [*requests, *predictions]
    return Judgement(
        figures=figures,
        worse=[figure for figure in figures if figure.is_worse(each)],
        requests=_responses_of(own).whole,
        old_requests=sum(_responses_of(pod).whole for pod in old),
        other_bins=bool(old) and _bins(own) != set().union(*map(_bins, old)),
    )


def _responses(own: Counts, old: Sequence[Counts]) -> Iterator[Figure]:
    """Yield server errors and refused requests, of all routes and of each."""
    # All together: a route that the canary has not shows as another one there.
    routes = sorted({key[1:3] for key in own if key[0] == RESPONSES and key[1] not in PROBES})
    for what, digit, margin in (("server errors", "5", ERROR_MARGIN), ("refused requests", "4", REFUSED_MARGIN)):
        for route in ((), *routes):
            name = f"{what} of {route[1]} {route[0]}" if route else f"{what} of all routes"
            of_old = [_responses_of(pod, route, digit) for pod in old]
            if any(share.whole for share in of_old):
                yield Figure(name, _responses_of(own, route, digit), of_old, margin)


def _responses_of(counts: Counts, route: tuple[str, ...] = (), digit: str = "") -> Share:
    """Return how many responses have a status that begins with a digit.

    Args:
        counts: of pods.
        route: with the method; empty for all.
        digit: of the status.
    """
    of_route = {
        key: count
        for key, count in counts.items()
        if key[0] == RESPONSES and key[1] not in PROBES and key[1 : 1 + len(route)] == route
    }
    return Share(sum(count for key, count in of_route.items() if key[3].startswith(digit)), sum(of_route.values()))


def _durations(own: Counts, old: Sequence[Counts]) -> Iterator[Figure]:
    """Yield requests that take longer than the 99th percentile of the old pods, of each route."""
    for route in sorted({key[1] for key in own if key[0] == DURATIONS and key[1] not in PROBES}):
        limit = _percentile([*old], route)
        if limit != UNLIMITED:
            name = (
                f"requests to {route} beyond {_seconds(limit)}, the p99 of the old pods"
                f" (p99 of the canary: {_seconds(_percentile([own], route))})"
            )
            yield Figure(name, _slower(own, route, limit), [_slower(pod, route, limit) for pod in old], SLOW_MARGIN)


def _percentile(pods: Sequence[Counts], route: str) -> str:
    """Return the upper bound of the bucket that holds the 99th percentile; that of the last one without requests."""
    bounds = {key[2] for pod in pods for key in pod if key[:2] == (DURATIONS, route)}
    for bound in sorted(bounds, key=float):
        slower = reduce(Share.__add__, (_slower(pod, route, bound) for pod in pods), Share(0, 0))
        if slower.whole and slower.value <= 1 - PERCENTILE:
            return bound
    return UNLIMITED


def _slower(counts: Counts, route: str, bound: str) -> Share:
    """Return how many requests took longer than the bound of a bucket."""
    whole = counts.get((DURATIONS, route, UNLIMITED), 0)
    return Share(whole - counts.get((DURATIONS, route, bound), 0), whole)


def _seconds(bound: str) -> str:
    """Return the bound of a bucket as text."""
    return "beyond all buckets" if bound == UNLIMITED else f"{float(bound) * 1000:g} ms"


def _predictions(own: Counts, old: Sequence[Counts]) -> Iterator[Figure]:
    """Yield predictions of each label or range, or those of others, whichever the canary has more of."""
    bins = _bins(own)
    if not all(_bins(pod) <= bins for pod in old):
        return
    for bin_ in sorted(bins):
        canary, of_old = _predicted(own, bin_), [_predicted(pod, bin_) for pod in old]
        more = Figure(f"predictions of {bin_}", canary, of_old, PREDICTION_MARGIN)
        if not more.of_old.whole or not canary.whole:
            continue
        if more.difference >= 0:
            yield more
        elif len(bins) > 2:  # of two, the other one says the same
            others = [share.complement for share in of_old]
            yield Figure(f"predictions other than {bin_}", canary.complement, others, PREDICTION_MARGIN)


def _bins(counts: Counts) -> set[str]:
    return {key[1] for key in counts if key[0] == PREDICTIONS}


def _predicted(counts: Counts, bin_: str) -> Share:
    """Return how many predictions are in a bin, as if each request had one.

    The records of a request are of one caller, and more alike than those of many.
    """
    records = sum(count for key, count in counts.items() if key[0] == PREDICTIONS)
    requests = sum(
        count for key, count in counts.items() if key[0] == RESPONSES and key[2] == "POST" and key[3] == "200"
    )
    weight = min(1.0, requests / records) if records else 0.0
    return Share(round(counts.get((PREDICTIONS, bin_), 0) * weight), round(records * weight))
