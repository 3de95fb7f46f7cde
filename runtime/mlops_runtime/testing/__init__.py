"""Tools for the tests of a project: records of a contract, a model trained in seconds, a running service."""

from mlops_runtime.testing.project import project_setting, quick_predictor, running_service
from mlops_runtime.testing.strategies import valid_records

__all__ = ["project_setting", "quick_predictor", "running_service", "valid_records"]
