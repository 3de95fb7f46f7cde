"""The command that serves the project of the live tests, like a project's `python -m webservice`."""

import sys

from mlops_runtime.serving.server import main

if __name__ == "__main__":
    sys.exit(main("tests.runtime.live_service.project:create_app"))
