"""The application: that of the runtime, with this project's title, pages and routes."""

from pathlib import Path

import mlops_runtime.serving
from flask import Flask
from mlops_runtime.model import BasePredictor

from {{cookiecutter.__package}}_model.{{cookiecutter.__predictor}} import load

TITLE = "{{cookiecutter.project_name}}"
TEMPLATES = Path(__file__).parent / "templates"
"""Pages in this folder replace those of the runtime by name."""


def create_app(predictor: BasePredictor | None = None) -> Flask:
    """Return the application, ready to answer; by default with the model that `make train` made."""
    app = mlops_runtime.serving.create_app(predictor or load(), title=TITLE, templates=TEMPLATES)
    # Routes of your own: @app.get("/…"); see "Change it" in README.md.
    return app  # noqa: RET504
