"""The trainer: read, check, fit, evaluate, gate, export, report. Run it with `python -m trainer`."""

import os

# Threads of a booster that wait for one another by spinning make it many times as slow on a busy
# machine. OpenMP reads this when scikit-learn loads it, so it stands before any import of that.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

from mlops_runtime.training.candidates import Candidate, Preparation, default_candidates
from mlops_runtime.training.fitted_model import FittedModel
from mlops_runtime.training.run import Settings, train

__all__ = ["Candidate", "FittedModel", "Preparation", "Settings", "default_candidates", "train"]
