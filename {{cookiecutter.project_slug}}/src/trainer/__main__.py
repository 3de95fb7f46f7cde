"""The command `python -m trainer`."""

import signal
import sys

if __name__ == "__main__":
    # The imports take seconds: until `main` handles Ctrl-C, it ends the process without a traceback.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    from mlops_runtime.training.command import main

    from trainer.estimators import CANDIDATES, EXPORT

    from {{cookiecutter.__package}}_model.classifier import ARTEFACT, Classifier
    from {{cookiecutter.__package}}_model.datamodel import CONTRACT

    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.exit(main(CONTRACT, ARTEFACT, candidates=CANDIDATES, predictor=Classifier, export=EXPORT))
