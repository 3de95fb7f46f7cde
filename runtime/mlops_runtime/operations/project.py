"""The project that a command runs in."""

import os
from importlib import import_module
from pathlib import Path

from mlops_runtime.contract import Contract
from mlops_runtime.model.artefact import Artefact, ArtefactError, read_artefact
from mlops_runtime.model.predictor import Predictor


def project_model() -> tuple[Contract, type[Predictor], Path]:
    """Return contract, predictor and folder of the artefact of the model package that PACKAGE names.

    Raises:
        ArtefactError: if the environment variable PACKAGE names no model package.
    """
    package = os.environ.get("PACKAGE")
    if not package:
        raise ArtefactError("PACKAGE is not set; run this with make")
    try:
        classifier = import_module(f"{package}.classifier")
        contract = import_module(f"{package}.datamodel").CONTRACT
    except ImportError as error:
        raise ArtefactError(f"PACKAGE={package!r} names no model package: {error}; run this with make") from error
    return contract, classifier.Classifier, classifier.ARTEFACT


def project_artefact() -> Artefact:
    """Return the artefact of the model package that the environment variable PACKAGE names.

    Raises:
        ArtefactError: if PACKAGE names no model package, or its artefact is missing or damaged.
    """
    contract, _, folder = project_model()
    return read_artefact(contract, folder)
