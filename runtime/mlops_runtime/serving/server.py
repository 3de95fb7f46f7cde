"""The granian server, configured by the environment."""

import gc
import logging
import logging.config
import os
import resource
import signal
import socket
import sys
import threading
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from multiprocessing import get_context
from multiprocessing.util import Finalize
from pathlib import Path
from tempfile import TemporaryDirectory
from types import FrameType
from typing import TYPE_CHECKING, Any

from granian import Granian
from granian.constants import HTTPModes, Interfaces
from granian.http import HTTP1Settings
from granian.log import LogLevels
from granian.server.common import AbstractServer
from werkzeug.utils import import_string

from mlops_runtime.model import ArtefactError, BasePredictor
from mlops_runtime.serving import drain, reload
from mlops_runtime.serving.front.pool import STOP_SIGNALS
from mlops_runtime.serving.front.rsgi import Front
from mlops_runtime.serving.middleware.keys import put_hashes, put_operator_key
from mlops_runtime.serving.project_routes import RouteError, check_routes
from mlops_runtime.serving.service import EXTENSION, Service
from mlops_runtime.serving.settings import Settings, SettingsError
from mlops_runtime.serving.telemetry import logs
from mlops_runtime.serving.telemetry.log_output import STANDARD_OUTPUT

if TYPE_CHECKING:
    from flask import Flask

METRICS_FOLDER = "PROMETHEUS_MULTIPROC_DIR"
"""Environment variable with the folder for the metrics of all processes."""
HASHES = "API_KEY_HASHES"
"""Environment variable with the hashes of the API keys, as `name:hash name:hash`, instead of a folder."""
OPERATOR_KEY = "OPERATOR_KEY"
"""Environment variable with the operator's key; without it each start makes one."""
FACTORY = "webservice.app:create_app"
"""Application factory of a project."""

BACKLOG = 1024
"""Connections that may wait to be accepted."""
MAX_FILES = 16_384
"""Maximum number of open files of a process, connections included, if the system allows it."""
OWN_FILES = 64
"""Number of open files that are not connections."""
KEEP_ALIVE = 75
"""Seconds after which an idle connection is closed. Load balancers of AWS close theirs after 60 seconds; if the
service closed first, they could send a request on a closed connection."""
STOP_TIMEOUT = 30
"""Seconds for requests in flight to finish after a SIGTERM."""
GC_THRESHOLD = 20_000
"""Number of new objects before the garbage collector runs."""
SWITCH_INTERVAL = 0.001
"""Seconds after which Python switches to another thread, so that large requests do not delay short ones."""
DRAIN_BEFORE_STOP = 0.5
"""Seconds of draining before a stop without a preStop hook, for example by `docker stop`."""

INTERRUPTED = 130
"""The status of a program that Ctrl-C ended, as shells give it."""

logger = logging.getLogger("webservice")


def main(factory: str = FACTORY) -> int:
    """Serve until SIGTERM or Ctrl-C, finish the requests in flight, and return the exit status.

    If the service cannot start, it logs the reason and returns 1. Kubernetes then reports a crashing pod, not a
    running pod that never becomes ready.

    Args:
        factory: name of the function that returns the Flask application, as `module:function`.
    """
    logging.config.dictConfig(logs.configuration("info"))
    # Until the server handles Ctrl-C.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        keys = folder_of_keys()
        settings = Settings.from_environment()
        marker = drain.Marker(settings.marker)
        marker.remove()
        address = available_address(settings.host, settings.port)
        if settings.api_keys:
            put_operator_key(settings.operator_key, os.environ.pop(OPERATOR_KEY, ""))
        metrics = TemporaryDirectory(prefix="webservice-")
    except (SettingsError, OSError) as error:
        logger.critical("cannot start: %s", error)
        return 1
    with keys, metrics as folder:
        # prometheus_client reads the variable on import, in each worker.
        os.environ[METRICS_FOLDER] = str(settings.prometheus_multiproc_dir or folder)
        try:
            if not settings.reload and not can_start(factory):
                return 1
            server = granian_server(settings, address)
            server.on_startup(partial(drain_before_stop, marker))
            server.on_startup(let_forks_end_on_sigterm)
            # granian accepts objects with `__rsgi__`, but its types do not include them.
            loader: Any = partial(worker, factory)
            if settings.reload:
                reload.reload_on_changes(server, settings.reload)
                loader = partial(reload.attempt, partial(front, factory), factory.partition(".")[0], settings.reload)
            server.serve(target_loader=loader, wrap_loader=False)
        except KeyboardInterrupt:
            return INTERRUPTED
        finally:
            marker.remove()
            settings.operator_key.unlink(missing_ok=True)
    return 0


def folder_of_keys() -> AbstractContextManager[object]:
    """Return the folder with the keys of API_KEY_HASHES, and point API_KEYS at it; nothing without that variable.

    Platforms that mount no folder of keys give them as a variable.

    Raises:
        OSError: if the folder cannot be made.
    """
    if HASHES not in os.environ:
        return nullcontext()
    folder = TemporaryDirectory(prefix="webservice-keys-")
    put_hashes(Path(folder.name), os.environ[HASHES])
    os.environ["API_KEYS"] = folder.name
    return folder


def let_forks_end_on_sigterm() -> None:
    """Let a process that is forked from here on end on SIGTERM until it handles signals itself, and ignore Ctrl-C.

    It would inherit handlers that only its parent can act on, and Python forgets a signal that arrives during the
    fork. A stop while a worker starts would last until the parent kills the worker. Ctrl-C reaches the parent too.
    """
    masks: list[set[int]] = []

    def block() -> None:
        masks.append(signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS))

    def unblock() -> None:
        signal.pthread_sigmask(signal.SIG_SETMASK, masks.pop())

    def reset() -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        unblock()

    os.register_at_fork(before=block, after_in_parent=unblock, after_in_child=reset)


def can_start(factory: str) -> bool:
    """Return whether the factory can make an application; log the reason if it cannot.

    The factory runs in a child process, so that the application takes no memory in the parent of the workers.
    """
    try:
        # Imports modules once, before the workers are forked.
        import_string(factory)
    except Exception as error:  # the code of a project can raise any
        log_failure(factory, error)
        return False
    process = get_context("fork").Process(target=try_application, args=(factory,))
    process.start()
    process.join()
    return process.exitcode == 0


def try_application(factory: str) -> None:
    """Make an application without using it; exit with status 1 if that fails."""
    # Its parent handles Ctrl-C.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with TemporaryDirectory(prefix="webservice-") as folder:
        os.environ[METRICS_FOLDER] = folder
        try:
            load_application(factory)
        except (SettingsError, ArtefactError, RouteError) as error:
            logger.critical("cannot start: %s", error)
            sys.exit(1)
        except (Exception, SystemExit) as error:  # the code of a project can raise any
            log_failure(factory, error)
            sys.exit(1)


def log_failure(factory: str, error: BaseException) -> None:
    """Log that the code of the project failed, with the traceback."""
    logger.critical(
        "cannot start: %s failed with %s: %s; correct the line at the end of the traceback",
        factory,
        type(error).__name__,
        error,
        exc_info=error,
    )


def load_application(factory: str) -> "Flask":
    """Return the application of a factory.

    Args:
        factory: name of a function without arguments, as `module:function`.

    Raises:
        ArtefactError: if the model cannot be used.
        RouteError: if a route of the project repeats another one.
        SettingsError: if a setting cannot be used.
    """
    app: Flask = import_string(factory)()
    check_routes(app)
    return app


def worker(factory: str) -> Front:
    """Return the RSGI application of a worker process, in which granian calls this once."""
    try:
        return front(factory)
    except ArtefactError as error:
        # The artefact was valid when the service started, so its files have changed since.
        logger.critical("cannot start a worker: %s", error)
        raise


def front(factory: str) -> Front:
    """Return the RSGI application with the application of a factory."""
    app = load_application(factory)
    service: Service = app.extensions[EXTENSION]

    def report(in_work: int) -> None:
        service.metrics.set_requests_in_work(in_work)
        service.metrics.add_dropped_lines(STANDARD_OUTPUT.take_dropped())
        service.metrics.flush()

    # multiprocessing does not call atexit handlers in workers.
    Finalize(None, service.metrics.flush, exitpriority=0)
    # Existing objects stay until the process ends, and a request leaves little cyclic garbage.
    gc.freeze()
    gc.set_threshold(GC_THRESHOLD)
    sys.setswitchinterval(SWITCH_INTERVAL)
    quick = may_run_on_event_loop(service.predictor)
    return Front(app.wsgi_app, service.settings, service.with_access_log, report, quick=quick)


def may_run_on_event_loop(predictor: BasePredictor) -> bool:
    """Return whether predictions may run on the event loop: those of a project's own predictor may block it."""
    return predictor.returns_quickly()


def available_address(host: str, port: int) -> str:
    """Return the IP address of a host, after checking that its port is free.

    granian would share a port with another service, and each would get a part of the requests.

    Raises:
        OSError: if the host is unknown or belongs to another machine, or its port is in use.
    """
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            # Connections in TIME_WAIT of a service that has just stopped do not matter.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        raise OSError(f"cannot listen on {host}:{port}: {error.strerror}") from error
    return str(address[0])


def drain_before_stop(marker: drain.Marker) -> None:
    """On SIGTERM, drain before the stop, unless the service already drains."""
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
    """Raise the limit of open files, and return the maximum number of open connections, idle ones included.

    Further connections wait in the backlog until another connection is closed.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    files = MAX_FILES if hard == resource.RLIM_INFINITY else min(hard, MAX_FILES)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, files), hard))
    return max(1, files - OWN_FILES)


def granian_server(settings: Settings, address: str) -> AbstractServer[Any]:
    """Return the server for the settings, to listen on an IP address."""
    return Granian(
        # Used in messages only: `serve` gets the loader of the application.
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
