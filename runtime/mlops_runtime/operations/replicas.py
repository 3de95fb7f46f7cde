"""Wait for the replicas of a release, and verify each: the same on every platform."""

import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from mlops_runtime.operations.errors import RoadError, RolloutError
from mlops_runtime.operations.golden import ServiceError, WrongPredictionError
from mlops_runtime.operations.lease import block_stop_signals
from mlops_runtime.operations.road import Progress

POLL_INTERVAL = 2.0
"""Seconds between two polls of a rollout."""
PROGRESS_INTERVAL = 10.0
"""Seconds after which a line is printed even if nothing has changed."""
MAX_FAILURES = 3
"""Attempts to verify a replica that stays ready, after which the release counts as failed."""


@dataclass(frozen=True)
class Clock:
    """How to wait.

    Attributes:
        now: returns the time in seconds.
        sleep: waits for a number of seconds.
        say: receives a line about the wait.
    """

    now: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    say: Callable[[str], None] = print


@dataclass(frozen=True)
class Verified:
    """What a verified replica was compared with.

    Attributes:
        records: number of golden records.
        artefact: SHA-256 of the metadata, which hold the hash of every other file of the artefact.
    """

    records: int
    artefact: str


def wait_until_complete(progress_of: Callable[[], Progress], timeout: float, clock: Clock) -> None:
    """Wait until every replica is new and available, with a line for each change.

    Args:
        progress_of: returns how far the rollout is.
        timeout: seconds to wait.
        clock: by which to wait.

    Raises:
        RolloutError: if that cannot succeed, or takes longer.
        RoadError: if the platform cannot be asked.
    """
    started = clock.now()
    said, said_at = "", started
    while True:
        progress = progress_of()
        seconds = clock.now() - started
        if progress.complete:
            return
        if progress.failure:
            raise RolloutError(progress.failure)
        if seconds > timeout:
            reason = f": {progress.trouble}" if progress.trouble else ""
            raise RolloutError(f"{progress.pods} after {seconds:.0f} s{reason}")
        line = progress.pods + (f" ({progress.trouble})" if progress.trouble else "")
        if line != said or clock.now() - said_at > PROGRESS_INTERVAL:
            clock.say(f"  {line}, {seconds:.0f} s")
            said, said_at = line, clock.now()
        clock.sleep(POLL_INTERVAL)


def verify_replicas(
    unit: str,
    progress_of: Callable[[], Progress],
    verify: Callable[[str], Verified],
    timeout: float,
    clock: Clock,
) -> tuple[str, str]:
    """Verify every ready replica of the new version while replicas come and go.

    Args:
        unit: what a replica is called.
        progress_of: returns how far the rollout is.
        verify: verifies the replica of a name.
        timeout: seconds in which they must be verified.
        clock: by which to wait.

    Returns:
        What was verified, and the hash of the artefact.

    Raises:
        RolloutError: if a replica is wrong, or none could be verified in time.
        RoadError: if the replicas cannot be listed.
    """

    def result(replica: str) -> Verified | str:
        try:
            return verify(replica)
        except WrongPredictionError as error:
            raise RolloutError(str(error)) from error
        except (ServiceError, RoadError) as error:
            return str(error)

    started = clock.now()
    verified: dict[str, Verified] = {}
    failures: Counter[str] = Counter()
    trouble = f"no {unit} is ready"
    while True:
        progress = progress_of()
        missing = {key: name for key, name in progress.ready.items() if key not in verified}
        with ThreadPoolExecutor(max_workers=8, initializer=block_stop_signals) as pool:
            for key, found in zip(missing, pool.map(result, missing.values()), strict=True):
                if isinstance(found, Verified):
                    verified[key] = found
                else:
                    failures[key] += 1
                    trouble = found
        if progress.complete and progress.ready and verified.keys() >= progress.ready.keys():
            break
        if clock.now() - started > timeout:
            # A replica that came late is no fault of the version; one that stays ready and does not answer is.
            silent = any(failures[key] >= MAX_FAILURES for key in progress.ready.keys() - verified.keys())
            if silent or not verified:
                raise RolloutError(f"a {unit} could not be verified in {timeout:g} s: {trouble}")
            break
        clock.sleep(POLL_INTERVAL)
    one = next(iter(verified.values()))
    done = sum(key in verified for key in progress.ready)
    units = f"{done} of {len(progress.ready)} ready {unit}s" if done < len(progress.ready) else counted(done, unit)
    return f"{units}, {one.records} golden predictions each", one.artefact


def counted(number: int, unit: str) -> str:
    """Return a number of replicas as text."""
    return f"{number} {unit}" if number == 1 else f"{number} {unit}s"
