"""A project of entities: the service that the live tests of texts start."""

import os
from pathlib import Path

from flask import Flask

from mlops_runtime.serving import create_app as create_runtime_app
from tests.runtime.live_service.project import ARTEFACT
from tests.runtime.lookup_model import CONTRACT, LookupPredictor


def create_app() -> Flask:
    """Return the application."""
    return create_runtime_app(LookupPredictor.load(CONTRACT, Path(os.environ[ARTEFACT])), title="Names in messages")
