"""The command `python -m trainer`."""

import signal
import sys

if __name__ == "__main__":
    # Ctrl-C ends the process without a traceback, except while `main` handles it. The imports take seconds.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    from mlops_runtime.entities.command import main

    from trainer.pipeline import PIPELINE

    from {{cookiecutter.__package}}_model.datamodel import CONTRACT
    from {{cookiecutter.__package}}_model.recognizer import ARTEFACT, Recognizer

    sys.exit(main(CONTRACT, ARTEFACT, pipeline=PIPELINE, predictor=Recognizer))
