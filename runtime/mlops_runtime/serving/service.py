"""The objects of an application that the server uses."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlops_runtime.model import BasePredictor
from mlops_runtime.serving.drain import Marker
from mlops_runtime.serving.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable

    from _typeshed.wsgi import WSGIApplication

    # The server must set the folder of the multiprocess mode before prometheus_client is imported.
    from mlops_runtime.serving.telemetry.metrics import Metrics

EXTENSION = "mlops_runtime"
"""Key of `app.extensions` with the `Service`."""


@dataclass(frozen=True, slots=True)
class Service:
    """The objects of an application, which the server reads from `app.extensions`.

    Attributes:
        predictor: the served model.
        settings: of the service.
        metrics: of requests and predictions.
        marker: the file that exists while the service drains.
        with_access_log: adds the request id, the default headers, the log line and the metrics to a WSGI application.
    """

    predictor: BasePredictor
    settings: Settings
    metrics: "Metrics"
    marker: Marker
    with_access_log: "Callable[[WSGIApplication], WSGIApplication]"
