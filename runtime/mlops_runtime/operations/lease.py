"""The lock of a project's deploys: a Lease of coordination.k8s.io that its holder renews.

A holder that ends without a word is taken for dead when its Lease has not changed for `DURATION` seconds of the
observer's own clock, as in client-go's leader election: clocks of different machines are never compared.
"""

import json
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import uuid4

from mlops_runtime.operations.errors import LockError
from mlops_runtime.operations.kubectl import CHECKED_BY_SERVER, ClusterError, ConflictError, Kubectl, Object

DURATION = 30
"""Seconds without a renewal after which a lock may be taken over."""
RENEW_INTERVAL = 10.0
"""Seconds between two renewals."""
TRUSTED_FOR = DURATION / 2
"""Seconds after a renewal in which the lock is held for certain: whoever waits for it waits for longer."""
POLL_INTERVAL = 2.0
"""Seconds between two polls of a lock that somebody else holds."""


def clock() -> float:
    """Return the seconds of a clock that goes on while the machine sleeps; `time.monotonic` does not everywhere."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


@dataclass
class Lock:
    """The lock, while this process holds it.

    Attributes:
        kubectl: for the namespace of the Lease.
        name: of the Lease.
        holder: who holds it, with a part that no other process has.
        now: clock.
    """

    kubectl: Kubectl
    name: str
    holder: str
    now: Callable[[], float] = clock
    _renewed: float = float("-inf")

    def check(self) -> None:
        """Check that this process still holds the lock; the API server is asked if the last renewal is too long ago.

        Raises:
            LockError: if somebody else has taken it over: nothing may be changed any more.
            ClusterError: if the API server cannot be reached.
        """
        if self.now() - self._renewed > TRUSTED_FOR:
            self._own_lease()

    def renew(self) -> None:
        """Say that the holder lives.

        Raises:
            LockError: if somebody else has taken the lock over.
            ClusterError: if the API server cannot be reached.
        """
        self.replace(self._own_lease(), self.holder)

    def _own_lease(self) -> Object:
        lease = self.kubectl.get("lease", self.name)
        if holder_of(lease) != self.holder:
            self._renewed = float("-inf")
            raise LockError(f"{shown(holder_of(lease)) or 'somebody'} has taken over the lock {self.name}")
        return lease

    def release(self) -> None:
        """Give the lock back, if this process still holds it."""
        lease = self.kubectl.get("lease", self.name)
        if holder_of(lease) == self.holder:
            self.replace(lease, "")

    def replace(self, lease: Object, holder: str) -> None:
        """Write a holder into the Lease that was read.

        Raises:
            ConflictError: if it has changed since.
        """
        asked = self.now()
        # The resource version in the object makes the server refuse this if somebody else was faster.
        lease["spec"] |= {"holderIdentity": holder, "leaseDurationSeconds": DURATION, "renewTime": timestamp()}
        self.kubectl.run("replace", CHECKED_BY_SERVER, "--filename", "-", stdin=json.dumps(lease))
        self._renewed = asked if holder else float("-inf")


def timestamp() -> str:
    """Return the time in the form of Kubernetes' MicroTime."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def holder_of(lease: Object) -> str:
    """Return who holds a Lease; empty if nobody does."""
    return str(lease.get("spec", {}).get("holderIdentity") or "")


def shown(holder: str) -> str:
    """Return a holder without the part that makes it unique."""
    return holder.partition("#")[0]


def acquire(kubectl: Kubectl, name: str, who: str, wait: float, now: Callable[[], float] = clock) -> Lock:
    """Return the lock; wait for another holder.

    Args:
        kubectl: for the namespace of the Lease.
        name: of the Lease.
        who: wants it.
        wait: seconds to wait for another holder.
        now: clock.

    Raises:
        LockError: if somebody else still holds it after that time.
        ClusterError: if the Lease cannot be written.
    """
    lock = Lock(kubectl, name, f"{who}#{uuid4().hex[:12]}", now)
    started, seen, since, waited = now(), "", now(), False
    looked = started
    while True:
        lease = kubectl.get("lease", name)
        version = str(lease.get("metadata", {}).get("resourceVersion", ""))
        # While the API server is away the holder cannot renew: only time in which it could counts.
        if version != seen or now() - looked > DURATION / 2:
            seen, since = version, now()
        looked = now()
        holder = holder_of(lease)
        if not holder or holder == lock.holder or now() - since > DURATION:
            if _take(lock, lease):
                return lock
            continue
        if now() - started >= wait:
            raise LockError(
                f"{shown(holder)} holds the lock {name}: wait for it to finish, or set WAIT to more seconds;"
                f" if it is dead for certain, an administrator can run kubectl delete lease {name}"
            )
        if not waited:
            kubectl.say(f"waiting for {shown(holder)} to finish (at most {wait:g} s)")
            waited = True
        kubectl.sleep(POLL_INTERVAL)


def _take(lock: Lock, lease: Object) -> bool:
    """Return whether the lock could be taken from the state that was read."""
    try:
        if lease:
            lock.replace(lease, lock.holder)
        else:
            spec = {"holderIdentity": lock.holder, "leaseDurationSeconds": DURATION, "renewTime": timestamp()}
            new = {
                "apiVersion": "coordination.k8s.io/v1",
                "kind": "Lease",
                "metadata": {"name": lock.name},
                "spec": spec,
            }
            lock.kubectl.run("create", "--filename", "-", stdin=json.dumps(new))
    except ConflictError:
        return False
    return True


def block_stop_signals() -> None:
    """Leave stop signals to the main thread, which could miss one that the kernel hands to this thread."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})


@contextmanager
def locked(kubectl: Kubectl, name: str, who: str, wait: float) -> Iterator[Lock]:
    """Yield the lock, and renew it in the background until the block ends.

    Raises:
        LockError, ClusterError: as `acquire`.
    """
    lock = acquire(kubectl, name, who, wait)
    stop = threading.Event()

    def renew() -> None:
        block_stop_signals()
        while not stop.wait(RENEW_INTERVAL):
            try:
                lock.renew()
            except (LockError, ClusterError):
                continue  # the next change of the cluster finds out, and says so

    thread = threading.Thread(target=renew, daemon=True)
    thread.start()
    try:
        yield lock
    finally:
        stop.set()
        thread.join(timeout=RENEW_INTERVAL)
        try:
            lock.release()
        except ClusterError as error:
            kubectl.say(f"the lock {name} ends by itself in {DURATION} s: {error}")
