"""The project that a command runs in. `python -m mlops_runtime.operations.project` prints its contract as JSON."""

import json
import os
import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

from mlops_runtime.contract import Contract, contract_json
from mlops_runtime.model.artefact import Artefact, ArtefactError, read_artefact
from mlops_runtime.model.predictor import BasePredictor

PREDICTORS = {"classifier": "Classifier", "recognizer": "Recognizer"}
"""Class of the predictor, by the module of a model package that has it."""


def project_contract() -> Contract:
    """Return the contract of the model package that PACKAGE names.

    Raises:
        ArtefactError: if the environment variable PACKAGE names no model package.
    """
    contract: Contract = _module("datamodel").CONTRACT
    return contract


def project_model() -> tuple[Contract, type[BasePredictor], Path]:
    """Return contract, predictor and folder of the artefact of the model package that PACKAGE names.

    Raises:
        ArtefactError: if the environment variable PACKAGE names no model package.
    """
    contract = project_contract()
    module = next(filter(None, map(_module_if_any, PREDICTORS)), None)
    if module is None:
        names = " or ".join(PREDICTORS)
        raise ArtefactError(f"PACKAGE={os.environ['PACKAGE']!r} names no model package: it has no module {names}")
    name = module.__name__.rpartition(".")[2]
    return contract, getattr(module, PREDICTORS[name]), module.ARTEFACT


def _module_if_any(name: str) -> ModuleType | None:
    """Return a module of the model package, or None if it has none of that name."""
    return _module(name) if find_spec(f"{os.environ['PACKAGE']}.{name}") else None


def _module(name: str) -> ModuleType:
    package = os.environ.get("PACKAGE")
    if not package:
        raise ArtefactError("PACKAGE is not set; run this with make")
    try:
        return import_module(f"{package}.{name}")
    except ImportError as error:
        raise ArtefactError(f"PACKAGE={package!r} names no model package: {error}; run this with make") from error


def project_artefact() -> Artefact:
    """Return the artefact of the model package that the environment variable PACKAGE names.

    Raises:
        ArtefactError: if PACKAGE names no model package, or its artefact is missing or damaged.
    """
    contract, _, folder = project_model()
    return read_artefact(contract, folder)


def main() -> int:
    """Print the contract as JSON; return the exit status."""
    try:
        contract = project_contract()
    except ArtefactError as error:
        print(f"contract: {error}", file=sys.stderr)
        return 1
    print(json.dumps(contract_json(contract)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
