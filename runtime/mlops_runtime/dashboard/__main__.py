"""Ask the service, as `python -m mlops_runtime.dashboard`: prints its version, or writes its drift into a FOLDER."""

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from mlops_runtime.dashboard.client import Client, ClientError
from mlops_runtime.dashboard.drift import drift_of, write_sample

TIMEOUT = 5.0


def main(argv: Sequence[str] | None = None) -> int:
    """Ask the service; return the exit status.

    Args:
        argv: the folder for a sample of the drift; without one, the version is printed.
    """
    folders = sys.argv[1:] if argv is None else argv
    try:
        client = replace(Client.from_environment(), timeout=TIMEOUT)
        if not folders:
            print(client.release()["version"])
        for folder in folders:
            print(write_sample(drift_of(client.metrics()), Path(folder)))
    except (ClientError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
