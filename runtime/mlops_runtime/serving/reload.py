"""Processes of the service that are replaced when a file of the project changes, for `make dev`."""

import logging
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from granian.server.common import AbstractServer
from werkzeug.utils import ImportStringError, import_string

from mlops_runtime.model import ArtefactError
from mlops_runtime.serving.front.pool import STOP_SIGNALS
from mlops_runtime.serving.project_routes import RouteError
from mlops_runtime.serving.settings import SettingsError

INTERVAL = 0.1
"""Seconds between two looks at the files."""
STOP_TIMEOUT = 2
"""Seconds for requests in flight to finish before their process is replaced."""
LIBRARY = "mlops_runtime.serving:create_app"
"""What the main process imports, so that a new process imports the project alone."""

logger = logging.getLogger("webservice")

Files = dict[Path, tuple[int, int, int]]
"""Time of the last change, size and inode of each file."""


class Failure:
    """An RSGI application that answers each request with the reason why there is no other one."""

    def __init__(self, reason: str) -> None:
        self._reason = reason

    async def __rsgi__(self, _scope: Any, protocol: Any) -> None:
        """Answer a request."""
        headers = [("content-type", "text/plain; charset=utf-8"), ("cache-control", "no-store")]
        protocol.response_str(503, headers, self._reason)


def reload_on_changes(server: AbstractServer[Any], folder: Path) -> None:
    """Let a server replace its processes whenever a file below a folder changes; requests wait meanwhile.

    Args:
        server: before it serves.
        folder: with the modules, the templates and the artefact of the project.
    """
    server.workers_kill_timeout = STOP_TIMEOUT
    server.respawn_interval = 0
    import_string(LIBRARY)
    server.on_startup(partial(keep_socket, server))
    server.on_startup(log_warnings_of_granian)
    server.on_startup(threading.Thread(target=watch, args=(folder, files_of(folder)), daemon=True).start)
    server.on_reload(partial(stop_workers, server))


def keep_socket(server: Any) -> None:
    """Let the main process keep the listening socket, in which requests wait while there is no other process.

    On Linux, granian opens a socket in each process, which ends with it.
    """
    if server._ssp:
        server._shd, server._ssp = server._ssp.build(), None


def log_warnings_of_granian() -> None:
    """Leave out its ten lines about each replacement."""
    logging.getLogger("_granian").setLevel(logging.WARNING)


def stop_workers(server: Any) -> None:
    """Stop the processes; granian would start the new ones first, and the old ones would still answer."""
    for worker in server.wrks:
        worker.terminate()
    for worker in server.wrks:
        worker.join(STOP_TIMEOUT)
        worker.kill()
    # granian forgets a signal that arrives while it begins to replace them.
    if server.interrupt_signal or server.reload_signal:
        server.main_loop_interrupt.set()


def watch(folder: Path, files: Files) -> None:
    """Make granian replace its processes whenever the files below a folder are others than before."""
    signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
    main = threading.main_thread().ident
    while main:
        time.sleep(INTERVAL)
        before, files = files, files_of(folder)
        if changed := sorted(path for path, _ in before.items() ^ files.items()):
            logger.info("%s changed", changed[0])
            signal.pthread_kill(main, signal.SIGHUP)


def files_of(folder: Path) -> Files:
    """Return the files below a folder, without hidden ones and compiled modules."""
    files: Files = {}
    for root, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if name != "__pycache__" and not name.startswith(".")]
        for path in (Path(root, name) for name in names if not name.startswith(".")):
            # It may be gone already.
            with suppress(FileNotFoundError):
                stat = path.stat()
                files[path] = (stat.st_mtime_ns, stat.st_size, stat.st_ino)
    return files


def attempt(load: Callable[[], Any], package: str, folder: Path) -> Any:
    """Return the RSGI application of a new process, or one that says why there is none.

    Args:
        load: makes the application.
        package: of the project, which the main process has imported already.
        folder: with the modules of the project.
    """
    # Two edits of one second can have the same size: a compiled module would be taken for that of the other.
    sys.dont_write_bytecode = True
    sys.modules.pop(package, None)
    log_warnings_of_granian()
    try:
        return load()
    except (SettingsError, ArtefactError, RouteError) as error:
        reason = f"{error}\n"
    except (Exception, SystemExit) as error:  # the code of a project can raise any
        reason = short_traceback(error, folder)
    print(f"the service cannot start: {reason}", end="", file=sys.stderr, flush=True)
    return Failure(reason)


def short_traceback(error: BaseException, folder: Path) -> str:
    """Return the traceback of an error without the frames of other code than that below the folder."""
    if isinstance(error, ImportStringError):
        # Its message asks what the error behind it answers.
        error = error.exception
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if Path(frame.filename).is_relative_to(folder.resolve())
    ]
    return "".join([*traceback.format_list(frames), *traceback.format_exception_only(error)])
