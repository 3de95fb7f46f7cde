"""The command `python -m webservice`."""

import signal
import sys

if __name__ == "__main__":
    # Until the server handles Ctrl-C, it ends the process without a traceback.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    from mlops_runtime.serving.server import main

    sys.exit(main("webservice.app:create_app"))
