"""The project that a command runs in."""

import os
from importlib import import_module

from mlops_runtime.model.artefact import Artefact, ArtefactError, read_artefact


def project_artefact() -> Artefact:
    """Return the artefact of the model package that the environment variable PACKAGE names.

    Raises:
        ArtefactError: if PACKAGE names no model package, or its artefact is missing or damaged.
    """
    package = os.environ.get("PACKAGE")
    if not package:
        raise ArtefactError("PACKAGE is not set; run this with make")
    try:
        classifier = import_module(f"{package}.classifier")
        contract = import_module(f"{package}.datamodel").CONTRACT
    except ImportError as error:
        raise ArtefactError(f"PACKAGE={package!r} names no model package: {error}; run this with make") from error
    return read_artefact(contract, classifier.ARTEFACT)
