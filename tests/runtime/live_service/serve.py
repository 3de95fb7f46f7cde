"""The command that serves the project of the live tests, like a project's `python -m webservice`."""

import os
import sys

from mlops_runtime.serving.server import main

APPLICATION = "APPLICATION"
"""Variable with the module of another project."""

if __name__ == "__main__":
    sys.exit(main(f"tests.runtime.live_service.{os.environ.get(APPLICATION, 'project')}:create_app"))
