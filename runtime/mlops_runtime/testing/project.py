"""A project under test: settings, and the service as a thread or a process."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any

from flask import Flask
from werkzeug.serving import make_server

from mlops_runtime.operations.predict import local_service

if TYPE_CHECKING:
    from mlops_runtime.testing.table_models import quick_predictor as quick_predictor


def __getattr__(name: str) -> Any:
    """Import what needs the packages of tables when it is first used: a project of another kind has them not."""
    if name == "quick_predictor":
        from mlops_runtime.testing import table_models

        return table_models.quick_predictor
    raise AttributeError(f"module {__name__} has no attribute {name}")


def project_setting(project: Path, name: str) -> str:
    """Return a setting from the environment, to which make exports it, or from project.mk.

    Raises:
        KeyError: if project.mk has no such setting.
    """
    if name in os.environ:
        return os.environ[name]
    text = (project / "project.mk").read_text(encoding="utf-8")
    match = re.search(rf"^{name} \?= *(.*)$", text, re.MULTILINE)
    if match is None:
        raise KeyError(f"project.mk has no line `{name} ?= …`")
    return match[1]


@contextmanager
def served(app: Flask) -> Iterator[str]:
    """Serve an application from a thread of this process, and yield its URL."""
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def running_service(**environment: str) -> Iterator[str]:
    """Run the service of the project as a process and yield its URL.

    Args:
        environment: settings of the service.
    """
    with local_service(environment) as url:
        yield url
