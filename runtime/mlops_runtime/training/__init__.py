"""The trainer: read, check, fit, evaluate, gate, export, report. Run it with `python -m trainer`."""

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

# On a busy machine, OpenMP threads that spin while they wait slow a booster down many times. OpenMP reads
# this variable when scikit-learn loads it, so it must be set before scikit-learn is imported.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

if TYPE_CHECKING:
    from mlops_runtime.training.candidates import Candidate, Preparation, default_candidates
    from mlops_runtime.training.fitted_model import FittedModel
    from mlops_runtime.training.run import train
    from mlops_runtime.training.settings import Settings

__all__ = ["Candidate", "FittedModel", "Preparation", "Settings", "default_candidates", "train"]

MODULES = {
    "Candidate": "candidates",
    "FittedModel": "fitted_model",
    "Preparation": "candidates",
    "Settings": "settings",
    "default_candidates": "candidates",
    "train": "run",
}
"""Module of each public name."""


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used: another kind of model shares modules, and needs no scikit-learn."""
    if name in MODULES:
        return getattr(import_module(f"mlops_runtime.training.{MODULES[name]}"), name)
    raise AttributeError(f"module {__name__} has no attribute {name}")
