"""Metrics: what the service counts of requests and predictions, in the form that Prometheus reads."""

import threading
from array import array
from collections.abc import Iterator, Sequence
from functools import lru_cache
from http import HTTPStatus
from pathlib import Path

import numpy as np
from flask import Blueprint, Response, request
from numpy.typing import NDArray
from prometheus_client import CollectorRegistry
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from mlops_runtime.contract.features import LABELS, LAYOUT, Features
from mlops_runtime.contract.fields import LabelPrediction, ValuePrediction
from mlops_runtime.model.predictor import Predictor
from mlops_runtime.serving.telemetry.counts import Counts
from mlops_runtime.serving.telemetry.drift import Drift

OPENMETRICS = "application/openmetrics-text"

OTHER = "other"
ROUTES = (
    "/",
    "/docs/",
    "/healthz",
    "/metrics",
    "/openapi.json",
    "/readyz",
    "/report",
    "/static/",
    "/table",
    "/v1/predictions",
    "/version",
    OTHER,
)
"""Paths that are counted by name, one that ends in a slash with all below it: whatever callers ask for, there are
no more series than these."""
METHODS = ("DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", OTHER)
STATUSES = (*(status.value for status in HTTPStatus if status >= HTTPStatus.OK), OTHER)
BUCKETS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Seconds up to which durations are counted together."""

ANSWERS_AT_ONCE = 1000
"""Answers that are gathered before they are counted."""

ROUTE_PLACES = {route: place for place, route in enumerate(ROUTES)}
FOLDERS = tuple(route for route in ROUTES if route.endswith("/") and route != "/")
METHOD_PLACES = {method: place for place, method in enumerate(METHODS)}
STATUS_PLACES: dict[int | str, int] = {status: place for place, status in enumerate(STATUSES)}

# Where the counts of requests stand among the cells.
REQUESTS_SHAPE = (len(ROUTES), len(METHODS), len(STATUSES))
DURATIONS_START = int(np.prod(REQUESTS_SHAPE))
# The buckets, one for what takes longer, and the sum of the seconds.
DURATION_CELLS = len(BUCKETS) + 2
DURATIONS_SHAPE = (len(ROUTES), DURATION_CELLS)
IN_WORK = DURATIONS_START + int(np.prod(DURATIONS_SHAPE))
STARTS, LINES_DROPPED = IN_WORK + 1, IN_WORK + 2
SIZE = LINES_DROPPED + 1


class Metrics:
    """What this process counts, and what all processes of the service have counted.

    Its methods may be called by several threads at once.
    """

    def __init__(self, predictor: Predictor, folder: Path | None, version: str) -> None:
        """Start to count.

        Args:
            predictor: whose records and predictions are counted.
            folder: that all processes of the service share; without one this process counts alone.
            version: the release.
        """
        self._lock = threading.Lock()
        self._answers = array("d")
        self._requests = Counts(folder, "requests", SIZE)
        held_out = predictor.metadata.rows["held_out"]
        self._drift = Drift(LAYOUT, LABELS, predictor.baseline, held_out, folder)
        self._build = {
            "version": version,
            "model_version": predictor.metadata.version,
            "estimator": predictor.metadata.estimator,
            "task": str(predictor.metadata.task),
        }
        # What a dead process had in work is in work no more.
        self._requests.cells[IN_WORK] = 0
        self._requests.cells[STARTS] += 1

    def answered(self, path: str, method: str, status: int, seconds: float) -> None:
        """Note an answer, to be counted with the next `flush`, or at once if many have gathered.

        Args:
            path: that was asked for, as it came.
            method: of HTTP, as it came.
            status: of the answer.
            seconds: from the request to the answer.
        """
        place = place_of(path, method, status)
        with self._lock:
            self._answers.extend((place, seconds))
            many = len(self._answers) >= 2 * ANSWERS_AT_ONCE
        if many:
            self._count_answers()

    def _count_answers(self) -> None:
        with self._lock:
            noted, self._answers = self._answers, array("d")
        if not noted:
            return
        places, seconds = np.array(noted).reshape(-1, 2).T
        places = places.astype(np.intp)
        routes = places // (len(METHODS) * len(STATUSES))
        buckets = routes * DURATION_CELLS + np.searchsorted(BUCKETS, seconds, "left")
        sums = np.bincount(routes, seconds, len(ROUTES))
        counts = np.bincount(places, minlength=DURATIONS_START)
        durations = np.bincount(buckets, minlength=IN_WORK - DURATIONS_START)
        cells = self._requests.array
        with self._lock:
            cells[:DURATIONS_START] += counts
            cells[DURATIONS_START:IN_WORK] += durations
            cells[DURATIONS_START + DURATION_CELLS - 1 : IN_WORK : DURATION_CELLS] += sums

    def in_work(self, requests: int) -> None:
        """Note how many requests this process has in work."""
        self._requests.cells[IN_WORK] = requests

    def lines_dropped(self, lines: int) -> None:
        """Count lines of the log that could not be written."""
        with self._lock:
            self._requests.cells[LINES_DROPPED] += lines

    def predicted(self, features: Features, predictions: Sequence[LabelPrediction | ValuePrediction]) -> None:
        """Note predictions, to be counted with the next `flush`, or at once if many have gathered."""
        self._drift.predicted(features, predictions)

    def flush(self) -> None:
        """Count what was noted: to be called every second, and before the process ends."""
        self._count_answers()
        self._drift.flush()

    def collect(self) -> Iterator[Metric]:
        """Yield all metrics, for the exposition."""
        self.flush()
        yield InfoMetricFamily("webservice_build", "The release and its model", self._build)
        yield from _request_metrics(self._requests.total())
        yield from self._drift.collect()


@lru_cache(maxsize=256)
def place_of(path: str, method: str, status: int) -> int:
    """Return the cell in which answers are counted."""
    place = METHOD_PLACES.get(method, len(METHODS) - 1) + ROUTE_PLACES[route_of(path)] * len(METHODS)
    return STATUS_PLACES.get(status, len(STATUSES) - 1) + place * len(STATUSES)


def route_of(path: str) -> str:
    """Return the one of `ROUTES` that a path is counted with."""
    if path in ROUTE_PLACES:
        return path
    return next((folder for folder in FOLDERS if path.startswith(folder)), OTHER)


def _request_metrics(cells: NDArray[np.float64]) -> Iterator[Metric]:
    requests = CounterMetricFamily("webservice_requests", "Answers given", labels=("route", "method", "status"))
    counts = cells[:DURATIONS_START].reshape(REQUESTS_SHAPE)
    for route, method, status in np.argwhere(counts):
        requests.add_metric((ROUTES[route], METHODS[method], str(STATUSES[status])), counts[route, method, status])
    yield requests
    durations = HistogramMetricFamily(
        "webservice_request_duration_seconds", "From the request to its answer", labels=("route",)
    )
    for route, row in zip(ROUTES, cells[DURATIONS_START:IN_WORK].reshape(DURATIONS_SHAPE), strict=True):
        counted = row[:-1].cumsum().tolist()
        if counted[-1]:
            bounds = [*map(str, BUCKETS), "+Inf"]
            durations.add_metric((route,), list(zip(bounds, counted, strict=True)), float(row[-1]))
    yield durations
    yield GaugeMetricFamily("webservice_requests_in_work", "Requests that wait for their answer", cells[IN_WORK])
    yield CounterMetricFamily("webservice_process_starts", "Processes that have started to serve", cells[STARTS])
    yield CounterMetricFamily("webservice_log_lines_dropped", "Lines that could not be logged", cells[LINES_DROPPED])


class _Collected(Collector):
    """What prometheus_client asks for metrics."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def collect(self) -> Iterator[Metric]:
        return self._metrics.collect()


def blueprint(metrics: Metrics) -> Blueprint:
    """Return the blueprint that shows the metrics of all processes."""
    routes = Blueprint("metrics", __name__)
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collected(metrics))

    @routes.get("/metrics")
    def exposed() -> Response:
        """Answer: all metrics, as OpenMetrics or as plain text, as the caller accepts."""
        # Versions are left out: prometheus_client fails at one that is no number.
        accepted = {name.split(";")[0] for name in request.accept_mimetypes.values()}
        encode, content_type = choose_encoder(OPENMETRICS if OPENMETRICS in accepted else "")
        return Response(encode(registry), content_type=content_type)

    return routes
