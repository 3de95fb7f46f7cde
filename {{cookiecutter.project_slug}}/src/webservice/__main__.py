"""The command `python -m webservice`."""

import sys

from mlops_runtime.serving.server import main

if __name__ == "__main__":
    sys.exit(main("webservice.app:create_app"))
