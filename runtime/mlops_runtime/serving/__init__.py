"""Serving: predictions over HTTP, a form for people, and health checks for the cluster."""

from typing import TYPE_CHECKING, Any

from mlops_runtime.serving.api.operation import operation
from mlops_runtime.serving.settings import Settings, SettingsError

if TYPE_CHECKING:
    from mlops_runtime.serving.app import create_app

__all__ = ["Settings", "SettingsError", "create_app", "operation"]


def __getattr__(name: str) -> Any:
    """Import the application when it is first used: the drain hook of a pod starts without Flask and the model."""
    if name == "create_app":
        from mlops_runtime.serving.app import create_app

        return create_app
    raise AttributeError(f"module {__name__} has no attribute {name}")
