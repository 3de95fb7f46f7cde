"""Serving: granian, set up from the environment."""

import logging
import logging.config
import multiprocessing
from typing import Any

from granian import Granian
from granian.constants import HTTPModes, Interfaces
from granian.http import HTTP1Settings
from granian.log import LogLevels

from webservice import drain, logs
from webservice.settings import Settings, SettingsError

from {{cookiecutter.__package}}_model.classifier import Classifier
from {{cookiecutter.__package}}_model.metadata import ArtefactError

BACKLOG = 1024
"""Connections that may wait to be accepted."""
CONNECTIONS = 960
"""Connections that a worker keeps open, idle ones included: below the usual limit of 1024 open files."""
KEEP_ALIVE = 75
"""Seconds after which an idle connection is closed: more than the 60 after which a load balancer of
AWS closes it, so that the balancer never sends a request into a connection that is being closed."""
STOP_TIMEOUT = 30
"""Seconds that requests in flight have to finish after a SIGTERM."""

logger = logging.getLogger("webservice")


def main() -> int:
    """Serve until a SIGTERM or Ctrl-C, answering requests in flight; return the exit status.

    A service that cannot serve ends at once, with one line in the log that says why, and exit
    status 1. Kubernetes then shows the pod as crashing instead of as running but never ready,
    and a rolling update leaves the old version alone either way.
    """
    logging.config.dictConfig(logs.configuration("info"))
    try:
        settings = Settings.from_environment()
        # Each worker loads the model for itself: this one only proves that they can.
        Classifier.load()
        drain.Marker(settings.marker).remove()
    except (SettingsError, ArtefactError, OSError) as error:
        logger.critical("cannot start: %s", error)
        return 1
    # ONNX Runtime starts a thread when it is imported, which a forked worker would lack.
    multiprocessing.set_start_method("spawn")
    server(settings).serve()
    return 0


def server(settings: Settings) -> Any:
    """Return the server for the settings."""
    return Granian(
        "webservice.wsgi:app",
        address=settings.host,
        port=settings.port,
        interface=Interfaces.WSGI,
        http=HTTPModes.http1,
        websockets=False,
        workers=settings.workers,
        blocking_threads=settings.threads,
        backlog=BACKLOG,
        backpressure=CONNECTIONS,
        http1_settings=HTTP1Settings(header_read_timeout=KEEP_ALIVE * 1000),
        respawn_failed_workers=True,
        workers_kill_timeout=STOP_TIMEOUT,
        log_level=LogLevels(settings.log_level),
        log_dictconfig=logs.configuration(settings.log_level),
    )
