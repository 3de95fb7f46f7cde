"""Draining: clients close their connections before the service stops.

A server that stops closes idle connections. A client that sends a request at that moment gets no response. So the
service drains first: while a marker file exists, each response has the header `Connection: close`, and the client
opens its next connection to another pod.

`python -m mlops_runtime.serving.drain` creates the marker and waits. It is the preStop hook of the pod.
"""

import sys
import time
from pathlib import Path

from mlops_runtime.serving.settings import Settings, SettingsError

CLOSE = ("Connection", "close")
"""Header of the last response on a connection: granian closes the connection after it."""

CHECK_INTERVAL = 0.2
"""Seconds between two checks of the file; a check takes longer than a prediction."""


class Marker:
    """The file that exists while the service drains."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._exists = False
        self._checked = float("-inf")

    def exists(self) -> bool:
        """Return whether the service drains, according to the last check."""
        now = time.monotonic()
        # Concurrent checks have the same result, so no lock is needed.
        if now - self._checked > CHECK_INTERVAL:
            self._exists = self._path.exists()
            self._checked = now
        return self._exists

    def create(self) -> None:
        """Create the marker.

        Raises:
            OSError: if the folder cannot be written to.
        """
        self._path.touch()

    def remove(self) -> None:
        """Remove the marker, if there is one."""
        self._path.unlink(missing_ok=True)


def main() -> int:
    """Create the marker, wait `DRAIN_SECONDS` and return the exit status."""
    try:
        settings = Settings.from_environment()
        Marker(settings.marker).create()
    except (SettingsError, OSError) as error:
        print(f"drain: {error}", file=sys.stderr)
        return 1
    time.sleep(settings.drain_seconds)
    return 0


if __name__ == "__main__":
    sys.exit(main())
