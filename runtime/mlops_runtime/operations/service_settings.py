"""Check the settings of the service before a deploy changes anything; a platform without manifests needs nothing else.

The values come from the environment, where make puts those of project.mk.
"""

import os
import sys

from mlops_runtime.serving.settings import Settings, SettingsError


def main() -> int:
    """Check them; return the exit status."""
    try:
        Settings.from_environment(os.environ)
    except SettingsError as error:
        print(f"deploy: {error}: nothing was changed", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
