"""Ask a revision, a slot, or the whole service, at its address on the internet."""

from urllib.error import HTTPError

from mlops_runtime.operations.azure.image_files import ModelFiles
from mlops_runtime.operations.golden import (
    ServiceError,
    WrongPredictionError,
    check_predictions,
    check_version,
    running_version,
)
from mlops_runtime.operations.replicas import Clock, Verified

GRACE = 60.0
"""Seconds in which the traffic must have moved, before the time to watch begins."""
IN_A_ROW = 10
"""Answers of the new version in a row after which the traffic counts as moved."""
INTERVAL = 0.1
"""Seconds between two requests."""


class Address:
    """Asks a service at an address."""

    def verify(self, url: str, version: str, key: str, files: ModelFiles, replicas: int) -> Verified:
        """Verify version and golden predictions at an address, often enough to meet each replica behind it.

        Raises:
            WrongPredictionError: if an answer is wrong.
            ServiceError: if there is none.
        """
        for _ in range(2 * replicas):
            check_version(url, version, key)
            check_predictions(url, files.golden_records, key)
        return Verified(len(files.golden_records), files.artefact)

    def trouble(self, url: str, version: str, key: str, times: int) -> str:
        """Return why a service does not answer as a version yet; empty if it does, a number of times in a row.

        Args:
            url: of the service.
            version: empty if any will do.
            key: API key.
            times: to ask.
        """
        try:
            for _ in range(times):
                actual = self._version_unless_busy(url, key)
                if version and actual not in (version, ""):
                    return f"{url} runs version {actual}, not {version}"
        except ServiceError as error:
            return str(error)
        return ""

    def watch(self, url: str, version: str, key: str, seconds: float, clock: Clock) -> None:
        """Ask the service until its traffic has moved to a version, and for some seconds more.

        A busy service says when to try again, which is no failure.

        Raises:
            WrongPredictionError: if another version still answers afterwards.
            ServiceError: if a request gets no answer, or the traffic does not move.
        """
        began, moved, in_a_row = clock.now(), False, 0
        while not moved or clock.now() - began < seconds:
            actual = self._version_unless_busy(url, key)
            in_a_row = in_a_row + 1 if actual == version else 0
            late = not moved and clock.now() - began > GRACE
            if late or (moved and actual not in (version, "")):
                raise WrongPredictionError(f"{url} runs version {actual or 'unknown, as it is busy'}, not {version}")
            if not moved and in_a_row == IN_A_ROW:
                moved, began = True, clock.now()
            clock.sleep(INTERVAL)

    def _version_unless_busy(self, url: str, key: str) -> str:
        try:
            return running_version(url, key)
        except ServiceError as error:
            if is_busy(error):
                return ""
            raise

    def version(self, url: str, key: str) -> str:
        """Return the version that the service reports.

        Raises:
            ServiceError: if it reports none.
        """
        return running_version(url, key)


def is_busy(error: ServiceError) -> bool:
    """Return whether the service has asked to try again later."""
    return isinstance(error.__cause__, HTTPError) and bool(error.__cause__.headers.get("Retry-After"))
