"""The command `python -m trainer`."""

import signal
import sys

if __name__ == "__main__":
    # Ctrl-C ends the process without a traceback, except while `main` handles it. The imports take seconds.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    from mlops_runtime.training.command import main

    from trainer.estimators import CANDIDATES, EXPORT

    from {{cookiecutter.__package}}_model.classifier import ARTEFACT, Classifier
    from {{cookiecutter.__package}}_model.datamodel import CONTRACT

    sys.exit(main(CONTRACT, ARTEFACT, candidates=CANDIDATES, predictor=Classifier, export=EXPORT))
