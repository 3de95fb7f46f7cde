"""What an application is made of, as the server needs it."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlops_runtime.model import Predictor
from mlops_runtime.serving.drain import Marker
from mlops_runtime.serving.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable

    from _typeshed.wsgi import WSGIApplication

    # prometheus_client must know the folder of its multiprocess mode when it is imported: the server sets it first.
    from mlops_runtime.serving.telemetry.metrics import Metrics

EXTENSION = "mlops_runtime"
"""Key of `app.extensions` with the `Service`."""


@dataclass(frozen=True, slots=True)
class Service:
    """What an application is made of.

    Attributes:
        predictor: that it serves.
        settings: of the service.
        metrics: of requests and predictions.
        marker: the file that exists while the service drains.
        logged: adds the request id, the default headers, the log line and the metrics to a WSGI application.
    """

    predictor: Predictor
    settings: Settings
    metrics: "Metrics"
    marker: Marker
    logged: "Callable[[WSGIApplication], WSGIApplication]"
