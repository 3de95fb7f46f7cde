"""Which libraries an import loads."""

import os
import subprocess
import sys
from collections.abc import Sequence

import pytest

import mlops_runtime.model
import mlops_runtime.training

SHARED = (
    "mlops_runtime.contract",
    "mlops_runtime.model",
    "mlops_runtime.serving",
    "mlops_runtime.serving.server",
    "mlops_runtime.training.command_line",
    "mlops_runtime.training.held_out",
)
"""Modules that every kind of model uses."""


def loaded(modules: Sequence[str], library: str) -> bool:
    """Return whether importing modules loads a library."""
    code = f"import sys, {', '.join(modules)}; sys.exit({library!r} in sys.modules)"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.run([sys.executable, "-c", code], env=environment, check=False).returncode == 1


def test_what_every_kind_of_model_uses_loads_no_onnx_runtime() -> None:
    assert not loaded(SHARED, "onnxruntime")


def test_the_predictor_of_onnx_models_loads_onnx_runtime() -> None:
    assert loaded(["mlops_runtime.model.onnx_predictor"], "onnxruntime")


@pytest.mark.parametrize("package", [mlops_runtime.model, mlops_runtime.training], ids=lambda package: package.__name__)
def test_each_public_name_is_there(package: object) -> None:
    for name in package.__all__:
        assert getattr(package, name).__module__.startswith(package.__name__)
    with pytest.raises(AttributeError, match="has no attribute nothing"):
        package.nothing  # noqa: B018
