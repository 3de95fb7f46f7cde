import threading
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_runtime.operations import lease
from mlops_runtime.operations.errors import LockError
from mlops_runtime.operations.kubectl import ClusterError, ConflictError, Object
from mlops_runtime.operations.lease import DURATION, RENEW_INTERVAL, TRUSTED_FOR, Lock, acquire, holder_of, locked
from tests.runtime.operations.conftest import Clock, KubectlInMemory

NAME = "x-deploy"


def put_lease(kubectl: KubectlInMemory, holder: str, renewed: datetime | None = None) -> None:
    """Put a Lease on the cluster."""
    time = (renewed or datetime.now(UTC)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    spec = {"holderIdentity": holder, "leaseDurationSeconds": DURATION, "renewTime": time}
    kubectl.put({"kind": "Lease", "metadata": {"name": NAME}, "spec": spec})


def holder_on(kubectl: KubectlInMemory) -> str:
    return holder_of(kubectl.objects["lease", NAME])


def test_a_missing_lease_is_created(kubectl: KubectlInMemory, clock: Clock) -> None:
    lock = acquire(kubectl, NAME, "me@here", 0, clock)

    assert holder_on(kubectl) == lock.holder
    assert lock.holder.startswith("me@here#")
    lock.check()


def test_a_free_lease_is_taken(kubectl: KubectlInMemory, clock: Clock) -> None:
    put_lease(kubectl, "")

    lock = acquire(kubectl, NAME, "me@here", 0, clock)

    assert holder_on(kubectl) == lock.holder


def test_a_held_lease_is_not_taken(kubectl: KubectlInMemory, clock: Clock) -> None:
    # Given a holder that renews while the other waits
    put_lease(kubectl, "somebody@there#1")

    def sleep(seconds: float) -> None:
        clock.sleep(seconds)
        put_lease(kubectl, "somebody@there#1")

    waiting = KubectlInMemory(objects=kubectl.objects, sleep=sleep, say=kubectl.say)

    # When the time to wait is over, then the error names the holder and what to do
    with pytest.raises(LockError, match=r"^somebody@there holds the lock x-deploy: wait for it to finish, or set WAIT"):
        acquire(waiting, NAME, "me@here", 100, clock)
    assert holder_on(kubectl) == "somebody@there#1"
    assert kubectl.said == ["waiting for somebody@there to finish (at most 100 s)"]


def test_a_lease_that_is_given_back_is_taken(kubectl: KubectlInMemory, clock: Clock) -> None:
    put_lease(kubectl, "somebody@there#1")

    def sleep(seconds: float) -> None:
        clock.sleep(seconds)
        put_lease(kubectl, "")

    waiting = KubectlInMemory(objects=kubectl.objects, sleep=sleep, say=kubectl.say)

    lock = acquire(waiting, NAME, "me@here", 100, clock)

    assert holder_on(kubectl) == lock.holder


@pytest.mark.parametrize("hours", [-1, 0, 1], ids=["an hour behind", "right", "an hour ahead"])
def test_only_the_clock_of_the_observer_counts(kubectl: KubectlInMemory, clock: Clock, hours: int) -> None:
    # Given a holder that has died, whose clock may have been wrong
    put_lease(kubectl, "dead@there#1", datetime.now(UTC) + timedelta(hours=hours))
    before = clock()

    # When another one waits
    lock = acquire(kubectl, NAME, "me@here", 600, clock)

    # Then it takes over once it has seen no renewal for the duration of the Lease
    assert holder_on(kubectl) == lock.holder
    assert DURATION < clock() - before < DURATION + RENEW_INTERVAL


def test_a_silence_in_which_the_observer_could_not_look_does_not_count(kubectl: KubectlInMemory, clock: Clock) -> None:
    # Given an API server that is away for longer than the duration of the Lease after the first look
    put_lease(kubectl, "somebody@there#1")
    pauses = iter([DURATION + 10.0])

    def sleep(seconds: float) -> None:
        clock.sleep(next(pauses, seconds))

    waiting = KubectlInMemory(objects=kubectl.objects, sleep=sleep)

    # When it is back, then the holder has the whole duration to renew
    with pytest.raises(LockError):
        acquire(waiting, NAME, "me@here", DURATION + 10 + DURATION - 5, clock)
    assert holder_on(kubectl) == "somebody@there#1"


@pytest.mark.parametrize("lease_exists", [True, False], ids=["free", "missing"])
def test_who_is_slower_waits(kubectl: KubectlInMemory, clock: Clock, lease_exists: bool) -> None:
    # Given another one that takes the Lease between the look and the change
    if lease_exists:
        put_lease(kubectl, "")
    kubectl.failures.extend([None, ConflictError("changed")])

    # When the change is refused, then it looks again
    lock = acquire(kubectl, NAME, "me@here", 0, clock)
    assert [command[0] for command in kubectl.commands] == [
        "get", "replace" if lease_exists else "create", "get", "replace" if lease_exists else "create",
    ]  # fmt: skip
    assert holder_on(kubectl) == lock.holder


def test_a_stale_lease_cannot_be_replaced(kubectl: KubectlInMemory) -> None:
    put_lease(kubectl, "")
    stale = kubectl.get("lease", NAME)
    put_lease(kubectl, "somebody@there#1")

    with pytest.raises(ConflictError):
        Lock(kubectl, NAME, "me@here#2").replace(stale, "me@here#2")
    assert holder_on(kubectl) == "somebody@there#1"


@pytest.mark.parametrize("holder", ["somebody@there#1", "me@here#other", ""], ids=["other", "same name", "nobody"])
@pytest.mark.parametrize("action", [Lock.check, Lock.renew], ids=["check", "renew"])
def test_a_lost_lock_is_noticed(
    kubectl: KubectlInMemory, clock: Clock, holder: str, action: Callable[[Lock], None]
) -> None:
    lock = acquire(kubectl, NAME, "me@here", 0, clock)
    clock.sleep(TRUSTED_FOR + 1)
    put_lease(kubectl, holder)

    with pytest.raises(LockError, match=f"{holder.partition('#')[0] or 'somebody'} has taken over the lock x-deploy"):
        action(lock)
    assert holder_on(kubectl) == holder


def test_a_lock_that_somebody_deleted_is_lost(kubectl: KubectlInMemory, clock: Clock) -> None:
    lock = acquire(kubectl, NAME, "me@here", 0, clock)
    kubectl.objects.clear()

    # A renewal notices that, and each check after it
    for action in (lock.renew, lock.check, lock.check):
        with pytest.raises(LockError):
            action()


def test_who_was_suspended_finds_that_somebody_else_has_the_lock(kubectl: KubectlInMemory, clock: Clock) -> None:
    # Given a holder that renews once, and somebody who takes over as soon as may be
    lock = acquire(kubectl, NAME, "me@here", 0, clock)
    lock.renew()
    acquire(kubectl, NAME, "somebody@there", 600, clock)

    # When it goes on, then it changes nothing
    with pytest.raises(LockError, match="somebody@there has taken over"):
        lock.check()


def test_the_server_is_asked_once_the_last_renewal_is_too_long_ago(kubectl: KubectlInMemory, clock: Clock) -> None:
    # Given a lock that was renewed a while after it was taken
    lock = acquire(kubectl, NAME, "me@here", 0, clock)
    clock.sleep(RENEW_INTERVAL)
    lock.renew()
    kubectl.commands.clear()

    # When it is checked, then nobody is asked as long as nobody can have taken it over
    clock.sleep(TRUSTED_FOR)
    lock.check()
    assert kubectl.commands == []

    # And the server is asked when the renewals have stopped
    clock.sleep(1)
    lock.check()
    assert [command[0] for command in kubectl.commands] == ["get"]


def test_a_renewal_changes_the_lease(kubectl: KubectlInMemory, clock: Clock) -> None:
    lock = acquire(kubectl, NAME, "me@here", 0, clock)
    before = kubectl.objects["lease", NAME]

    lock.renew()

    assert holder_on(kubectl) == lock.holder
    assert kubectl.objects["lease", NAME]["metadata"] != before["metadata"]


def test_only_a_lock_that_is_held_is_given_back(kubectl: KubectlInMemory, clock: Clock) -> None:
    lock = acquire(kubectl, NAME, "me@here", 0, clock)
    lock.release()
    assert holder_on(kubectl) == ""
    with pytest.raises(LockError):
        lock.check()

    put_lease(kubectl, "somebody@there#1")
    lock.release()
    assert holder_on(kubectl) == "somebody@there#1"


def test_the_lock_is_renewed_in_the_background_and_given_back(
    kubectl: KubectlInMemory, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given renewals that follow one another at once
    monkeypatch.setattr(lease, "RENEW_INTERVAL", 0.001)
    renewed = threading.Event()
    monkeypatch.setattr(Lock, "renew", lambda _: renewed.set())

    # When a block holds the lock, then it is renewed meanwhile, and free afterwards
    with locked(kubectl, NAME, "me@here", 0) as lock:
        assert renewed.wait(30)
        assert holder_on(kubectl) == lock.holder
    assert holder_on(kubectl) == ""


def test_a_lock_that_cannot_be_given_back_ends_by_itself(kubectl: KubectlInMemory) -> None:
    with locked(kubectl, NAME, "me@here", 0):
        kubectl.failures.append(ClusterError("no right"))

    assert kubectl.said == [f"the lock x-deploy ends by itself in {DURATION} s: no right"]


@dataclass(frozen=True)
class Takeover:
    """A change of the holder on the cluster, and the seconds since the one before was heard of."""

    before: str
    after: str
    silence: float


@dataclass
class LeaseServer:
    """An API server with a Lease that lets the contenders go on one request at a time, in the order that a test sets.

    Attributes:
        clock: of the server.
        takeovers: every change of the holder.
    """

    clock: Clock = field(default_factory=Clock)
    takeovers: list[Takeover] = field(default_factory=list)
    changed: float = 0.0

    def record(self, before: Object | None, after: Object) -> None:
        """Remember a change of the Lease."""
        old, new = holder_of(before or {}), holder_of(after)
        if old != new:
            self.takeovers.append(Takeover(old, new, self.clock() - self.changed))
        self.changed = self.clock()


@dataclass(frozen=True)
class ContenderKubectl(KubectlInMemory):
    """kubectl of a contender, which waits for its turn before each request."""

    server: LeaseServer = field(default_factory=LeaseServer)
    turn: Callable[[], None] = lambda: None

    def once(self, *arguments: str, stdin: str | None = None) -> str:
        self.turn()
        before = self.objects.get(("lease", NAME))
        output = super().once(*arguments, stdin=stdin)
        after = self.objects.get(("lease", NAME))
        if after is not None and after is not before:
            self.server.record(before, after)
        return output


class Ended(BaseException):
    """The test is over."""


class Contender:
    """A thread that acquires the lock, renews and checks it, and gives it back, again and again."""

    def __init__(self, number: int, server: LeaseServer, objects: dict[tuple[str, str], Object]) -> None:
        self.holds: Lock | None = None
        self._go, self._done = threading.Semaphore(0), threading.Semaphore(0)
        self._over = False
        self.kubectl = ContenderKubectl(
            objects=objects, server=server, turn=self._turn, sleep=lambda _: None, say=lambda _: None
        )
        # Clocks of different machines have nothing to do with one another.
        self.now = lambda: server.clock() + number * 12345.6
        self.error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        self._done.acquire()

    def _turn(self) -> None:
        self._done.release()
        self._go.acquire()
        if self._over:
            raise Ended

    def _run(self) -> None:
        try:
            while True:
                lock = acquire(self.kubectl, NAME, "me", float("inf"), self.now)
                self.holds = lock
                try:
                    self._check(lock)
                    lock.renew()
                    self._check(lock)
                    lock.release()
                except (LockError, ConflictError):
                    pass  # lost: it may change nothing more
                self.holds = None
        except Ended:
            pass
        except BaseException as error:
            self.error = error
        finally:
            self._done.release()

    def _check(self, lock: Lock) -> None:
        self._turn()
        lock.check()
        # Nobody else has made a request since, so what the check has said must be so.
        assert holder_of(self.kubectl.objects["lease", NAME]) == lock.holder

    def step(self) -> None:
        """Let it make one request, and go on until the next one."""
        self._go.release()
        self._done.acquire()
        if self.error:
            raise self.error

    def end(self) -> None:
        self._over = True
        self._go.release()
        self._thread.join()


steps = st.lists(
    st.tuples(st.integers(0, 2), st.sampled_from([0.0, 0.5, 2.0, 7.0, 9.0, 35.0])), min_size=20, max_size=80
)


@given(st.integers(2, 3), steps)
def test_at_most_one_contender_holds_the_lock(count: int, schedule: list[tuple[int, float]]) -> None:
    # Given contenders, each of which may be suspended between any two requests
    server, objects = LeaseServer(), dict[tuple[str, str], Object]()
    with ExitStack() as running:
        contenders = []
        for number in range(count):
            contender = Contender(number, server, objects)
            running.callback(contender.end)
            contenders.append(contender)

        # When their requests are interleaved
        for number, seconds in schedule:
            server.clock.sleep(seconds)
            contenders[number % count].step()

            # Then a lock passes from one to another only if it was given back, or after a long silence
            assert all(
                not change.before or not change.after or change.silence > DURATION for change in server.takeovers
            )
            # And at most one contender that believes that it holds the lock is confirmed by a check
            believers = [contender.holds for contender in contenders if contender.holds]
            holder = holder_of(objects.get(("lease", NAME), {}))
            assert sum(lock.holder == holder for lock in believers) <= 1
            # And without a silence nobody else believes it at all
            if all(change.silence <= DURATION or not change.before for change in server.takeovers):
                assert len(believers) <= 1
