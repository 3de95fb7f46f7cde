"""Serving: granian, set up from the environment."""

import gc
import logging
import logging.config
import os
import resource
import signal
import socket
import threading
from multiprocessing.util import Finalize
from tempfile import TemporaryDirectory
from types import FrameType
from typing import TYPE_CHECKING, Any

from granian import Granian
from granian.constants import HTTPModes, Interfaces
from granian.http import HTTP1Settings
from granian.log import LogLevels
from granian.server.common import AbstractServer

from mlops_runtime.model.artefact import ArtefactError
from mlops_runtime.model.predictor import Predictor
from mlops_runtime.serving import drain
from mlops_runtime.serving.app import create_app
from mlops_runtime.serving.middleware.guard import Guard
from mlops_runtime.serving.middleware.keys import Keys, put_operator_key
from mlops_runtime.serving.settings import Settings, SettingsError
from mlops_runtime.serving.telemetry import logs
from mlops_runtime.serving.telemetry.log_output import STANDARD_OUTPUT
from mlops_runtime.serving.telemetry.metrics import Metrics

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

BACKLOG = 1024
"""Connections that may wait to be accepted."""
MAX_FILES = 16_384
"""Files that a process may open, connections among them, where the system allows that many."""
OWN_FILES = 64
"""Files that a process has open besides its connections."""
KEEP_ALIVE = 75
"""Seconds after which an idle connection is closed: more than the 60 after which a load balancer of
AWS closes it, so that the balancer never sends a request into a connection that is being closed."""
STOP_TIMEOUT = 30
"""Seconds that requests in flight have to finish after a SIGTERM."""

GARBAGE = 20_000
"""Objects that may have been made, and not freed, before the garbage collector looks for some."""

FAREWELL = 0.5
"""Seconds of draining before a stop that no drain hook prepared, as when a container is stopped by hand."""

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
        Predictor.load()
        marker = drain.Marker(settings.marker)
        marker.remove()
        address = free_address(settings.host, settings.port)
        if settings.api_keys:
            put_operator_key(settings.operator_key)
            # Each worker reads the keys for itself as well.
            Keys(settings.api_keys, settings.operator_key)
        counts = TemporaryDirectory(prefix="webservice-")
    except (SettingsError, ArtefactError, OSError) as error:
        logger.critical("cannot start: %s", error)
        return 1
    with counts as folder:
        # Workers read their settings from the environment, each for itself.
        os.environ["METRICS_FOLDER"] = str(settings.metrics_folder or folder)
        server = granian_server(settings, address)
        server.on_startup(lambda: drain_before_stop(marker))
        try:
            server.serve()
        finally:
            marker.remove()
            settings.operator_key.unlink(missing_ok=True)
    return 0


def application() -> "WSGIApplication":
    """Return the application of a worker, under guard: granian calls this once in each."""
    settings = Settings.from_environment()
    try:
        predictor = Predictor.load()
    except ArtefactError as error:
        # It was fine when the service started: what is on the disk has changed since.
        logger.critical("cannot start a worker: %s", error)
        raise
    counts = Metrics(predictor, settings.metrics_folder, settings.version)
    guard = Guard(settings)
    app = create_app(predictor, settings, counts, guard)

    def beat(in_work: int) -> None:
        counts.in_work(in_work)
        counts.lines_dropped(STANDARD_OUTPUT.dropped_since())
        counts.flush()

    guard.start(beat)
    # Workers are processes of multiprocessing, which ends them without calling atexit.
    Finalize(None, counts.flush, exitpriority=0)
    # What is there now stays, and an answer leaves hardly anything behind: there is little garbage to look for.
    gc.freeze()
    gc.set_threshold(GARBAGE)
    return app.wsgi_app


def free_address(host: str, port: int) -> str:
    """Return the IP address of the host, on which nothing listens at the port yet.

    Granian would share the port with another service, and so the requests.

    Raises:
        OSError: if the host is unknown, not of this machine, or its port is taken.
    """
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            # Connections of a service that just stopped linger; they are in nobody's way.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        raise OSError(f"cannot listen on {host}:{port}: {error.strerror}") from error
    return str(address[0])


def drain_before_stop(marker: drain.Marker) -> None:
    """Let a SIGTERM drain the service for a moment before it stops, unless it has drained already."""
    stop = signal.getsignal(signal.SIGTERM)
    if not callable(stop):
        raise TypeError("the server handles no SIGTERM: it has not started")

    def drain_then_stop(number: int, frame: FrameType | None) -> None:
        if marker.stands():
            stop(number, frame)
            return
        try:
            marker.put()
        except OSError as error:
            logger.warning("stopping without draining: %s", error)
            stop(number, frame)
        else:
            threading.Timer(FAREWELL, stop, (number, frame)).start()

    signal.signal(signal.SIGTERM, drain_then_stop)


def connections() -> int:
    """Return how many connections a process may have open, idle ones included; raise its limit of open files first.

    One that comes when no more files can be opened waits until another one ends.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    files = MAX_FILES if hard == resource.RLIM_INFINITY else min(hard, MAX_FILES)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, files), hard))
    return max(1, files - OWN_FILES)


def granian_server(settings: Settings, address: str) -> AbstractServer[Any]:
    """Return the server for the settings, to listen on an IP address."""
    return Granian(
        "mlops_runtime.serving.server:application",
        factory=True,
        address=address,
        port=settings.port,
        interface=Interfaces.WSGI,
        http=HTTPModes.http1,
        websockets=False,
        workers=settings.workers,
        blocking_threads=settings.threads,
        backlog=BACKLOG,
        backpressure=connections(),
        http1_settings=HTTP1Settings(header_read_timeout=KEEP_ALIVE * 1000),
        respawn_failed_workers=True,
        workers_kill_timeout=STOP_TIMEOUT,
        log_level=LogLevels(settings.log_level),
        log_dictconfig=logs.configuration(settings.log_level),
    )
