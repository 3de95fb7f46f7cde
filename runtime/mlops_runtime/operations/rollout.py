"""The state machine of a release: locked, applied, rolled out, verified, recorded; or undone and recorded.

The state is on the cluster. Each step can be repeated, and whoever comes next goes on from whatever state an
interruption left. docs/deploys.md draws the states.
"""

from collections.abc import Callable, Sequence
from typing import NoReturn, Protocol

from mlops_runtime.operations.cluster import Live, RolloutError
from mlops_runtime.operations.kubectl import ClusterError, ConflictError, UnauthorizedError, UnreachableError
from mlops_runtime.operations.releases import Release, State, last_verified


class InterruptedRolloutError(RuntimeError):
    """Somebody asked this process to stop."""


class DeployError(RuntimeError):
    """A release was not deployed; the message says what runs now and what to do."""


class Cluster(Protocol):
    """What the state machine needs of a cluster; `cluster.ProjectCluster` is one."""

    def releases(self) -> list[Release]:
        """Return the releases, ascending."""

    def live(self) -> Live | None:
        """Return the Deployment as it is."""

    def save(self, release: Release) -> None:
        """Write the record of a release."""

    def apply(self, release: Release, base: Release | None) -> None:
        """Change every object to that of a release."""

    def wait(self) -> None:
        """Wait until every pod is new and available."""

    def verify(self, version: str) -> tuple[str, str]:
        """Verify every pod; return what was verified, and the hash of the artefact."""

    def mark_verified(self, release: Release) -> None:
        """Say on the Deployment how a release was verified."""

    def remove(self, old: Release, new: Release) -> None:
        """Remove the objects that only the old release had."""

    def remove_replica_set(self, image: str) -> None:
        """Remove the ReplicaSets of a failed release."""

    def stop(self) -> None:
        """Stop every pod."""

    def forget(self, releases: Sequence[Release]) -> None:
        """Remove the records of the oldest releases."""


class Rollout:
    """Moves a project on the cluster from one release to another, while it holds the lock.

    Attributes:
        cluster: to change.
        check_lock: raises if this process does not hold the lock any more.
        say: receives a line about each step.
        explain: writes down what is known about a failure, before it is undone, and returns where.
        shield: keeps the first signal to stop from ending an undo.
    """

    def __init__(
        self,
        cluster: Cluster,
        check_lock: Callable[[], None],
        say: Callable[[str], None],
        explain: Callable[[], str],
        shield: Callable[[], None] = lambda: None,
    ) -> None:
        self.cluster = cluster
        self.check_lock = check_lock
        self.say = say
        self.explain = explain
        self.shield = shield

    def deploy(self, candidate: Release) -> Release:
        """Deploy a release and return it verified; if that fails, undo it.

        Raises:
            DeployError: if it was not deployed.
            LockError: if somebody else has taken over the lock: nothing is undone then.
            ClusterError: if the cluster cannot be reached: the next command goes on from there.
        """
        self.recover(going_on=True)
        base = last_verified(self.cluster.releases())
        self._save(candidate)
        self.say(f"deploying {candidate.version} as release {candidate.number}")
        try:
            release = self._bring_up(candidate, base)
        except (RolloutError, InterruptedRolloutError) as error:
            self._undo(candidate, base, str(error))
        if base is not None:
            if candidate.origin:
                self._save(base.to(State.ROLLED_BACK, f"left by release {candidate.number}"))
            self.check_lock()
            self.cluster.remove(base, release)
        self.cluster.forget(self.cluster.releases())
        return release

    def recover(self, *, going_on: bool = False) -> bool:
        """Restore the last verified release if a deploy was interrupted; return whether there was anything to do.

        Args:
            going_on: whether another release follows, which must not be held up if this one cannot be restored.

        Raises:
            DeployError: if it cannot be restored.
            LockError, ClusterError: as `deploy`.
        """
        releases = self.cluster.releases()
        interrupted = [release for release in releases if not release.state.final]
        if not interrupted:
            return False
        base = last_verified(releases)
        for release in interrupted:
            self.say(f"the deploy of {release.version} by {release.who} was interrupted ({release.state})")
        state = State.FAILED
        if base is None:
            self.check_lock()
            self.cluster.stop()
        else:
            try:
                self.restore(base)
                state = State.UNDONE
            except DeployError as error:
                if not going_on:
                    raise
                self.say(f"{error}; going on")
        for release in interrupted:
            if base is not None and state is State.UNDONE:
                self.check_lock()
                self.cluster.remove(release, base)
                if release.image != base.image:
                    self.cluster.remove_replica_set(release.image)
            self._save(release.to(state, "interrupted"))
        return True

    def restore(self, release: Release) -> None:
        """Bring back a release that was verified before, and verify it again.

        Raises:
            DeployError: if it does not come back.
            LockError, ClusterError: as `deploy`.
        """
        try:
            self.check_lock()
            self.cluster.apply(release, release)
            self.cluster.wait()
            outcome, _ = self.cluster.verify(release.version)
        except RolloutError as error:
            raise DeployError(
                f"{release.version} was verified before, and cannot be brought back: {error}{self.explain()};"
                " `make repair` tries again, `make rollback TO=version` goes to another version"
            ) from error
        self.cluster.mark_verified(release)
        self.say(f"{release.version} runs: {outcome}")

    def _bring_up(self, candidate: Release, base: Release | None) -> Release:
        """Take a release through every state until it is verified.

        Raises:
            RolloutError, InterruptedRolloutError: if it is to be undone.
            LockError, ClusterError: as `deploy`.
        """
        self.check_lock()
        try:
            self.cluster.apply(candidate, base)
        except ClusterError as error:
            if isinstance(error, (UnreachableError, UnauthorizedError, ConflictError)):
                raise
            raise RolloutError(str(error)) from error  # the server refuses a manifest
        self._save(candidate.to(State.APPLIED))
        self.cluster.wait()
        self._save(candidate.to(State.ROLLED_OUT))
        self.say("  verifying version and golden predictions of each pod")
        outcome, artefact = self.cluster.verify(candidate.version)
        release = candidate.to(State.VERIFIED, outcome, artefact)
        self._save(release)
        self.cluster.mark_verified(release)
        return release

    def _undo(self, failed: Release, base: Release | None, reason: str) -> NoReturn:
        """Go back to the last verified release, if the cluster is still at the failed one.

        Raises:
            DeployError: always; the message says what runs now.
        """
        self.shield()
        self.say(f"{failed.version} failed: {reason}")
        where = self.explain()
        self.check_lock()
        if base is None:
            self.cluster.stop()
            self._save(failed.to(State.FAILED, reason))
            raise DeployError(
                f"{failed.version} failed and there is no earlier version to go back to: its pods were stopped;"
                f" {reason}{where}"
            )
        live = self.cluster.live()
        if live is not None and live.release not in (failed.number, base.number):
            self._save(failed.to(State.FAILED, reason))
            raise DeployError(
                f"{failed.version} failed and was not undone, because release {live.release} of somebody else runs:"
                f" {reason}{where}"
            )
        self.say(f"going back to {base.version}")
        self.restore(base)
        self.cluster.remove(failed, base)
        if failed.image != base.image:
            self.cluster.remove_replica_set(failed.image)
        self._save(failed.to(State.UNDONE, reason))
        raise DeployError(f"{failed.version} failed and was undone, {base.version} runs: {reason}{where}")

    def _save(self, release: Release) -> None:
        self.check_lock()
        self.cluster.save(release)
