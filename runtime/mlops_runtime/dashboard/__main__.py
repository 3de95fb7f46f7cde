"""Check that the service answers, as `python -m mlops_runtime.dashboard`: prints its version."""

import sys

from mlops_runtime.dashboard.client import Client, ClientError


def main() -> int:
    """Ask the service for its version; return the exit status."""
    try:
        print(Client.from_environment().release()["version"])
    except ClientError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
