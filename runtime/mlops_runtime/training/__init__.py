"""The trainer: read, check, fit, evaluate, gate, export, report. Run it with `python -m trainer`."""

import os

# On a busy machine, OpenMP threads that spin while they wait slow a booster down many times. OpenMP reads
# this variable when scikit-learn loads it, so it must be set before scikit-learn is imported.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

from mlops_runtime.training.candidates import Candidate, Preparation, default_candidates
from mlops_runtime.training.fitted_model import FittedModel
from mlops_runtime.training.run import Settings, train

__all__ = ["Candidate", "FittedModel", "Preparation", "Settings", "default_candidates", "train"]
