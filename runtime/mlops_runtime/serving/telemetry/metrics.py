"""Prometheus metrics of requests and predictions.

The metrics of several processes are added by the multiprocess mode of `prometheus_client`: set
PROMETHEUS_MULTIPROC_DIR to an empty folder before this module is imported.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from http import HTTPStatus
from pathlib import Path

from flask import Blueprint, Response, request
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics, values
from prometheus_client.core import InfoMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
from prometheus_client.registry import Collector

from mlops_runtime.contract import Features, PredictionModel
from mlops_runtime.model import BasePredictor
from mlops_runtime.serving.routes import OTHER
from mlops_runtime.serving.telemetry.drift import Drift

OPENMETRICS = "application/openmetrics-text"

METHODS = frozenset({"DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"})
STATUSES = frozenset(HTTPStatus)
BUCKETS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper bounds of the buckets for durations, in seconds."""
LIVE_GAUGES = "gauge_livesum_"
"""Prefix of files with the gauges of a live process."""

# No additional series with the creation time of each counter.
disable_created_metrics()  # type: ignore[no-untyped-call]


class Metrics:
    """Counts requests and predictions of this process, and collects the metrics of all processes.

    The methods are thread-safe.
    """

    def __init__(self, predictor: BasePredictor, folder: Path | None, version: str) -> None:
        """Create the metrics.

        Args:
            predictor: the served model.
            folder: PROMETHEUS_MULTIPROC_DIR; None counts this process only.
            version: of the release.

        Raises:
            RuntimeError: if prometheus_client was imported before PROMETHEUS_MULTIPROC_DIR was set.
        """
        if folder and values.ValueClass is values.MutexValue:
            raise RuntimeError("set PROMETHEUS_MULTIPROC_DIR before the process starts")
        self._folder = folder
        self._registry = CollectorRegistry(auto_describe=False)
        self._requests = Counter(
            "webservice_requests", "Responses", ("route", "method", "status"), registry=self._registry
        )
        self._durations = Histogram(
            "webservice_request_duration_seconds",
            "Time from the request to its response",
            ("route",),
            buckets=BUCKETS,
            registry=self._registry,
        )
        self._in_work = Gauge(
            "webservice_requests_in_work",
            "Requests without a response yet",
            multiprocess_mode="livesum",
            registry=self._registry,
        )
        self._lines_dropped = Counter(
            "webservice_log_lines_dropped", "Log lines that could not be written", registry=self._registry
        )
        Counter("webservice_process_starts", "Processes that started to serve", registry=self._registry).inc()
        # Looking up a metric by its labels takes longer than counting.
        self._observers: dict[tuple[str, str, int], tuple[Callable[[], None], Callable[[float], None]]] = {}
        contract, metadata = predictor.contract, predictor.metadata
        held_out = metadata.rows["held_out"]
        self._drift = Drift(contract.layout, contract.prediction, predictor.baseline, held_out, folder)
        self._build = {
            "version": version,
            "model_version": metadata.version,
            "estimator": metadata.estimator,
            "task": str(metadata.task),
        }

    def observe_response(self, route: str, method: str, status: int, seconds: float) -> None:
        """Count a response and its duration.

        Args:
            route: path in the table of routes, URL rule of a route of the project, or `OTHER`.
            method: of the request.
            status: of the response.
            seconds: from the request to the response.
        """
        count, observe = self._observers.get((route, method, status)) or self._observer(route, method, status)
        count()
        observe(seconds)

    def _observer(self, route: str, method: str, status: int) -> tuple[Callable[[], None], Callable[[float], None]]:
        known_method = method if method in METHODS else OTHER
        known_status = str(int(status)) if status in STATUSES else OTHER
        observer = (
            self._requests.labels(route, known_method, known_status).inc,
            self._durations.labels(route).observe,
        )
        # Callers choose the method, so unknown methods must not fill the dictionary.
        if OTHER not in (known_method, known_status):
            self._observers[route, method, status] = observer
        return observer

    def set_requests_in_work(self, requests: int) -> None:
        """Set the number of requests in work in this process."""
        self._in_work.set(requests)

    def add_dropped_lines(self, lines: int) -> None:
        """Count log lines that were dropped."""
        self._lines_dropped.inc(lines)

    def add_predictions(self, features: Features, predictions: Sequence[PredictionModel]) -> None:
        """Buffer predictions until the next `flush`; a full buffer is counted immediately."""
        self._drift.add(features, predictions)

    def flush(self) -> None:
        """Count the buffered predictions; call this every second and before the process ends."""
        self._drift.flush()

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics of all processes."""
        self.flush()
        yield InfoMetricFamily("webservice_build", "The release and its model", self._build)
        if self._folder is None:
            yield from self._registry.collect()
        else:
            remove_dead_processes(self._folder)
            yield from MultiProcessCollector(None, str(self._folder)).collect()  # type: ignore[no-untyped-call]
        yield from self._drift.collect()


def remove_dead_processes(folder: Path) -> None:
    """Remove the gauges of dead processes, whose requests are no longer in work."""
    for path in folder.glob(f"{LIVE_GAUGES}*.db"):
        pid = int(path.stem.removeprefix(LIVE_GAUGES))
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            mark_process_dead(pid, str(folder))  # type: ignore[no-untyped-call]


class _MetricsCollector(Collector):
    """Adapter for the registry of prometheus_client."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def collect(self) -> Iterator[Metric]:
        return self._metrics.collect()


def exposition(metrics: Metrics, accepted: Sequence[str]) -> tuple[bytes, str]:
    """Return the metrics of all processes as text, and the content type.

    Args:
        metrics: of this process.
        accepted: media types in the Accept header.
    """
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_MetricsCollector(metrics))
    # prometheus_client fails if a version is not a number, so versions are removed.
    names = {name.split(";")[0] for name in accepted}
    encode, content_type = choose_encoder(OPENMETRICS if OPENMETRICS in names else "")
    return encode(registry), content_type


def blueprint(metrics: Metrics) -> Blueprint:
    """Return the blueprint that exposes the metrics of all processes."""
    routes = Blueprint("metrics", __name__)

    @routes.get("/metrics")
    def exposed() -> Response:
        """Return all metrics as OpenMetrics or plain text, according to the Accept header."""
        content, content_type = exposition(metrics, list(request.accept_mimetypes.values()))
        return Response(content, content_type=content_type)

    return routes
