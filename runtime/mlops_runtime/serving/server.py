"""The server: granian, set up from the environment."""

import gc
import logging
import logging.config
import os
import resource
import signal
import socket
import sys
import threading
from functools import partial
from multiprocessing import get_context
from multiprocessing.util import Finalize
from tempfile import TemporaryDirectory
from types import FrameType
from typing import TYPE_CHECKING, Any

from granian import Granian
from granian.constants import HTTPModes, Interfaces
from granian.http import HTTP1Settings
from granian.log import LogLevels
from granian.server.common import AbstractServer
from werkzeug.utils import import_string

from mlops_runtime.model import ArtefactError
from mlops_runtime.serving import drain
from mlops_runtime.serving.front.rsgi import Front
from mlops_runtime.serving.middleware.keys import put_operator_key
from mlops_runtime.serving.service import EXTENSION, Service
from mlops_runtime.serving.settings import Settings, SettingsError
from mlops_runtime.serving.telemetry import logs
from mlops_runtime.serving.telemetry.log_output import STANDARD_OUTPUT

if TYPE_CHECKING:
    from flask import Flask

METRICS_FOLDER = "PROMETHEUS_MULTIPROC_DIR"
"""Variable with the folder of the metrics that the processes share."""
FACTORY = "webservice.app:create_app"
"""Name of the function that makes a project's application."""

BACKLOG = 1024
"""Connections that may wait to be accepted."""
MAX_FILES = 16_384
"""Files that a process may open, connections included, where the system allows that many."""
OWN_FILES = 64
"""Files that a process has open besides its connections."""
KEEP_ALIVE = 75
"""Seconds after which an idle connection is closed: more than the 60 of AWS's load balancers, which would otherwise
send a request into a connection that is being closed."""
STOP_TIMEOUT = 30
"""Seconds that requests in flight have to finish after a SIGTERM."""
GC_THRESHOLD = 20_000
"""Objects allocated and not freed before a run of the garbage collector."""
SWITCH_INTERVAL = 0.001
"""Seconds after which a thread that computes lets another one run: large requests give way to short ones."""
DRAIN_BEFORE_STOP = 0.5
"""Seconds of draining before a stop without a drain hook, as of a container that is stopped by hand."""

logger = logging.getLogger("webservice")


def main(factory: str = FACTORY) -> int:
    """Serve until a SIGTERM or Ctrl-C, then answer the requests in flight; return the exit status.

    A service that cannot start logs one line with the reason and returns 1. Kubernetes then shows the
    pod as crashing instead of as running but never ready.

    Args:
        factory: name of the function that returns the Flask application, as `module:function`.
    """
    logging.config.dictConfig(logs.configuration("info"))
    try:
        settings = Settings.from_environment()
        marker = drain.Marker(settings.marker)
        marker.remove()
        address = free_address(settings.host, settings.port)
        if settings.api_keys:
            put_operator_key(settings.operator_key)
        metrics = TemporaryDirectory(prefix="webservice-")
    except (SettingsError, OSError) as error:
        logger.critical("cannot start: %s", error)
        return 1
    with metrics as folder:
        # Workers read it, each for itself; prometheus_client reads it when it is imported.
        os.environ[METRICS_FOLDER] = str(settings.prometheus_multiproc_dir or folder)
        try:
            if not can_start(factory):
                return 1
            server = granian_server(settings, address)
            server.on_startup(partial(drain_before_stop, marker))
            # granian accepts objects with `__rsgi__`, which its types leave out.
            loader: Any = partial(worker, factory)
            server.serve(target_loader=loader, wrap_loader=False)
        finally:
            marker.remove()
            settings.operator_key.unlink(missing_ok=True)
    return 0


def can_start(factory: str) -> bool:
    """Return whether an application can be made; log the reason if not.

    It is made in a process of its own, so that nothing of it is left in the one that all workers are forked from.
    """
    # Imported once, before the workers are forked.
    import_string(factory)
    process = get_context("fork").Process(target=make_application, args=(factory,))
    process.start()
    process.join()
    return process.exitcode == 0


def make_application(factory: str) -> None:
    """Make an application that nobody uses; exit with status 1 if that is not possible."""
    with TemporaryDirectory(prefix="webservice-") as folder:
        os.environ[METRICS_FOLDER] = folder
        try:
            application_of(factory)
        except (SettingsError, ArtefactError) as error:
            logger.critical("cannot start: %s", error)
            sys.exit(1)


def application_of(factory: str) -> "Flask":
    """Return the application that a factory makes.

    Args:
        factory: name of a function without arguments, as `module:function`.

    Raises:
        ArtefactError: if the model cannot be used.
        SettingsError: if a setting cannot be used.
    """
    app: Flask = import_string(factory)()
    return app


def worker(factory: str) -> Front:
    """Return the RSGI application of a worker process, in which granian calls this once."""
    try:
        app = application_of(factory)
    except ArtefactError as error:
        # It was usable when the service started: the files have changed since.
        logger.critical("cannot start a worker: %s", error)
        raise
    service: Service = app.extensions[EXTENSION]

    def report(in_work: int) -> None:
        service.metrics.in_work(in_work)
        service.metrics.lines_dropped(STANDARD_OUTPUT.dropped_since())
        service.metrics.flush()

    # multiprocessing ends workers without calling atexit.
    Finalize(None, service.metrics.flush, exitpriority=0)
    # What exists now stays, and a request leaves little behind: there is little garbage to look for.
    gc.freeze()
    gc.set_threshold(GC_THRESHOLD)
    sys.setswitchinterval(SWITCH_INTERVAL)
    return Front(app.wsgi_app, service.settings, service.logged, report)


def free_address(host: str, port: int) -> str:
    """Return the IP address of a host, after a check that nothing listens at the port.

    granian would share the port with another service, and so its requests.

    Raises:
        OSError: if the host is unknown or not of this machine, or its port is taken.
    """
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            # Lingering connections of a service that has just stopped are no obstacle.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        raise OSError(f"cannot listen on {host}:{port}: {error.strerror}") from error
    return str(address[0])


def drain_before_stop(marker: drain.Marker) -> None:
    """On SIGTERM, drain for a moment before the stop, unless the service drains already."""
    stop = signal.getsignal(signal.SIGTERM)
    if not callable(stop):
        raise TypeError("the server handles no SIGTERM: it has not started")

    def drain_then_stop(number: int, frame: FrameType | None) -> None:
        if marker.exists():
            stop(number, frame)
            return
        try:
            marker.create()
        except OSError as error:
            logger.warning("stopping without draining: %s", error)
            stop(number, frame)
        else:
            threading.Timer(DRAIN_BEFORE_STOP, stop, (number, frame)).start()

    signal.signal(signal.SIGTERM, drain_then_stop)


def max_connections() -> int:
    """Return how many connections a process may have open, idle ones included, after raising its limit of open files.

    A connection that comes when no more files can be opened waits until another one ends.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    files = MAX_FILES if hard == resource.RLIM_INFINITY else min(hard, MAX_FILES)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, files), hard))
    return max(1, files - OWN_FILES)


def granian_server(settings: Settings, address: str) -> AbstractServer[Any]:
    """Return the server for the settings, to listen on an IP address."""
    return Granian(
        # Named in messages alone: `serve` is given the function that makes the application.
        __name__,
        address=address,
        port=settings.port,
        interface=Interfaces.RSGI,
        http=HTTPModes.http1,
        websockets=False,
        workers=settings.workers,
        backlog=BACKLOG,
        backpressure=max_connections(),
        http1_settings=HTTP1Settings(header_read_timeout=KEEP_ALIVE * 1000),
        respawn_failed_workers=True,
        workers_kill_timeout=STOP_TIMEOUT,
        log_level=LogLevels(settings.log_level),
        log_dictconfig=logs.configuration(settings.log_level),
    )
