"""The runtime of a project made from cookiecutter-mlops-eks: contract, training, serving, operations."""

__version__ = "1.0.0"
