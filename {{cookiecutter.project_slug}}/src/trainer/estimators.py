"""The estimators that training compares, and how the chosen one is stored."""

from mlops_runtime.training import default_candidates
from mlops_runtime.training.export import onnx_files

from {{cookiecutter.__package}}_model.datamodel import CONTRACT

# Add one of your own:
#     from sklearn.ensemble import RandomForestClassifier
#     from mlops_runtime.training import Candidate
#     CANDIDATES = (*default_candidates(CONTRACT), Candidate("random forest", RandomForestClassifier()))
CANDIDATES = default_candidates(CONTRACT)

EXPORT = onnx_files
"""Returns the files of the model that `Classifier.load_model` reads."""
