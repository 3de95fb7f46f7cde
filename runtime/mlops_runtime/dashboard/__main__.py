"""Check that the service answers, as `python -m mlops_runtime.dashboard`: prints its version."""

import sys
from dataclasses import replace

from mlops_runtime.dashboard.client import Client, ClientError

TIMEOUT = 5.0


def main() -> int:
    """Ask the service for its version; return the exit status."""
    try:
        print(replace(Client.from_environment(), timeout=TIMEOUT).release()["version"])
    except ClientError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
