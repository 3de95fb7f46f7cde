"""The command `python -m trainer`."""

import sys

from mlops_runtime.training.command import main

from trainer.estimators import CANDIDATES, EXPORT

from {{cookiecutter.__package}}_model.classifier import ARTEFACT, Classifier
from {{cookiecutter.__package}}_model.datamodel import CONTRACT

if __name__ == "__main__":
    sys.exit(main(CONTRACT, ARTEFACT, candidates=CANDIDATES, predictor=Classifier, export=EXPORT))
