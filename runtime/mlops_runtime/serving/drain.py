"""Draining: a service that is about to stop says goodbye to its clients first.

A server that stops closes the connections that wait for their next request. A client that sends
one at that moment gets no answer. So, before the stop, a marker file is put up: while it stands,
each answer carries `Connection: close`, and the client opens its next connection elsewhere.

`python -m mlops_runtime.serving.drain` puts the marker up and waits. It is the preStop hook of the pod, and
meant only for a service that stops afterwards.
"""

import sys
import time
from pathlib import Path

from mlops_runtime.serving.settings import Settings, SettingsError

LAST_ANSWER = ("Connection", "close")
"""Header of the last answer on a connection. PEP 3333 leaves it to the server: granian takes it from the application,
passes it on, and closes the connection after the answer."""

LOOK_EVERY = 0.2
"""Seconds for which the marker is taken to be as it was seen: a look at it costs more than a prediction."""


class Marker:
    """The file that stands while the service drains."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stands = False
        self._looked = float("-inf")

    def stands(self) -> bool:
        """Return whether the service drains, as seen within the last moments."""
        now = time.monotonic()
        # Threads that look at the same time see the same: no lock is needed.
        if now - self._looked > LOOK_EVERY:
            self._stands = self._path.exists()
            self._looked = now
        return self._stands

    def put(self) -> None:
        """Put the marker up.

        Raises:
            OSError: if the folder cannot be written to.
        """
        self._path.touch()

    def remove(self) -> None:
        """Take away a marker that an earlier process left."""
        self._path.unlink(missing_ok=True)


def main() -> int:
    """Put the marker up, wait until the clients have gone; return the exit status."""
    try:
        settings = Settings.from_environment()
        Marker(settings.marker).put()
    except (SettingsError, OSError) as error:
        print(f"drain: {error}", file=sys.stderr)
        return 1
    time.sleep(settings.drain_seconds)
    return 0


if __name__ == "__main__":
    sys.exit(main())
