"""The runtime of a project made from cookiecutter-mlops-eks: contract, training, serving, operations."""

import signal
import sys

__version__ = "1.0.0"

# A command, `python -m mlops_runtime.…`: Ctrl-C ends it without a traceback, during its imports as well. Those that
# have to clean up handle the signal in `main`.
if sys.argv[:1] == ["-m"]:
    signal.signal(signal.SIGINT, signal.SIG_DFL)
