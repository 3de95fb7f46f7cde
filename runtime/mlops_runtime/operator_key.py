"""The operator's key: who may run commands in a pod may read the key in it, and use the service there."""

from pathlib import Path

OPERATOR = "operator"
"""Name of the caller with the operator's key."""


def operator_key_file(folder: Path, port: int) -> Path:
    """Return the file in a folder for temporary files that holds the operator's key of the service at a port."""
    return folder / f"webservice-{port}.key"
