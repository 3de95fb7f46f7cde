"""The state machine of a release: locked, applied, rolled out, verified, recorded; or undone and recorded.

The state is on the platform. Each step can be repeated, and whoever comes next goes on from whatever state an
interruption left. A project's docs/deploys.md draws the states.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import NoReturn

from mlops_runtime.operations.errors import AwayError, DeployError, InterruptedRolloutError, RoadError, RolloutError
from mlops_runtime.operations.releases import Release, State, last_verified
from mlops_runtime.operations.road import Canary, Road


class Rollout:
    """Moves a project from one release to another, while it holds the lock.

    Attributes:
        road: to take.
        check_lock: raises if this process does not hold the lock any more.
        say: receives a line about each step.
        explain: writes down what is known about a failure, before it is undone, and returns where.
        shield: keeps the first signal to stop from ending an undo.
    """

    def __init__(
        self,
        road: Road,
        check_lock: Callable[[], None],
        say: Callable[[str], None],
        explain: Callable[[], str],
        shield: Callable[[], None] = lambda: None,
    ) -> None:
        self.road = road
        self.check_lock = check_lock
        self.say = say
        self.explain = explain
        self.shield = shield

    def deploy(self, candidate: Release) -> Release:
        """Deploy a release and return it verified; if that fails, undo it.

        Raises:
            DeployError: if it was not deployed.
            LockError: if somebody else has taken over the lock: nothing is undone then.
            RoadError: if the platform cannot be reached: the next command goes on from there.
        """
        self.recover(going_on=True)
        base = last_verified(self.road.releases())
        # The version of a rollback has had the traffic before, and is wanted soon.
        if base is not None and not candidate.origin and self.road.canary is not None and self.road.canary.enabled:
            candidate = self._try_out(candidate, base, self.road.canary)
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
            self.road.remove(base, release)
        self.road.forget(self.road.releases())
        return release

    def recover(self, *, going_on: bool = False) -> bool:
        """Restore the last verified release if a deploy was interrupted; return whether there was anything to do.

        Args:
            going_on: whether another release follows, which must not be held up if this one cannot be restored.

        Raises:
            DeployError: if it cannot be restored.
            LockError, RoadError: as `deploy`.
        """
        releases = self.road.releases()
        interrupted = [release for release in releases if not release.state.final]
        if not interrupted:
            return False
        base = last_verified(releases)
        for release in interrupted:
            self.say(f"the deploy of {release.version} by {release.who} was interrupted ({release.state})")
        self._remove_canary()
        state = State.FAILED
        if base is None:
            self.check_lock()
            self.road.stop()
        elif going_on and all(release.state is State.CANARY for release in interrupted):
            state = State.UNDONE  # what runs was not changed
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
                self._discard(release, base)
            self._save(release.to(state, "interrupted"))
        return True

    def restore(self, release: Release) -> None:
        """Bring back a release that was verified before, and verify it again.

        Raises:
            DeployError: if it does not come back.
            LockError, RoadError: as `deploy`.
        """
        try:
            self.check_lock()
            self.road.apply(release, release)
            self.road.wait()
            outcome, _ = self.road.verify(release.version)
            self.check_lock()
            self.road.move(release)
        except RolloutError as error:
            raise DeployError(
                f"{release.version} was verified before, and cannot be brought back: {error}{self.explain()};"
                " `make repair` tries again, `make rollback TO=version` goes to another version"
            ) from error
        self.road.mark_verified(release)
        self.say(f"{release.version} runs: {outcome}")

    def _try_out(self, candidate: Release, base: Release, canary: Canary) -> Release:
        """Run a release as a canary, and return it with a note on how it did; if it fails, remove it.

        Raises:
            DeployError: if it failed: what runs was not changed.
            LockError, RoadError: as `deploy`.
        """
        trial = candidate.to(State.CANARY)
        self._save(trial)
        self.say(f"trying out {trial.version} as release {trial.number} on a canary")
        try:
            findings = canary.try_out(trial, base)
        except AwayError:
            raise
        except (RoadError, RolloutError, InterruptedRolloutError) as error:
            self.shield()
            self.say(f"the canary of {trial.version} failed: {error}")
            where = self.explain()
            self._discard(trial, base)
            self._save(trial.to(State.UNDONE, f"canary: {error}"))
            raise DeployError(
                f"the canary of {trial.version} failed and was removed, {base.version} runs as before: {error}{where}"
            ) from error
        self.say(f"  canary: {findings}")
        return replace(candidate, notes=[*candidate.notes, f"canary: {findings}"])

    def _remove_canary(self) -> None:
        """Remove the replicas of a canary, if there are any.

        Raises:
            LockError, RoadError: as `deploy`.
        """
        if self.road.canary is not None:
            self.check_lock()
            self.road.canary.remove()

    def _discard(self, failed: Release, base: Release) -> None:
        """Remove what a failed release has left.

        Raises:
            LockError, RoadError: as `deploy`.
        """
        self.check_lock()
        if failed.state is State.CANARY and self.road.canary is not None:
            self.road.canary.discard(failed, base)
        else:
            self.road.discard(failed, base)

    def _bring_up(self, candidate: Release, base: Release | None) -> Release:
        """Take a release through every state until it is verified.

        Raises:
            RolloutError, InterruptedRolloutError: if it is to be undone.
            LockError, RoadError: as `deploy`.
        """
        self.check_lock()
        try:
            self.road.apply(candidate, base)
        except AwayError:
            raise
        except RoadError as error:
            raise RolloutError(str(error)) from error  # the platform refuses a manifest
        self._save(candidate.to(State.APPLIED))
        self.road.wait()
        self._save(candidate.to(State.ROLLED_OUT))
        self.say(f"  verifying version and golden predictions of each {self.road.unit}")
        outcome, artefact = self.road.verify(candidate.version)
        self.check_lock()
        self.road.move(candidate)
        self._remove_canary()
        release = candidate.to(State.VERIFIED, outcome, artefact)
        self._save(release)
        self.road.mark_verified(release)
        return release

    def _undo(self, failed: Release, base: Release | None, reason: str) -> NoReturn:
        """Go back to the last verified release, if the cluster is still at the failed one.

        Raises:
            DeployError: always; the message says what runs now.
        """
        self.shield()
        self.say(f"{failed.version} failed: {reason}")
        where = self.explain()
        self._remove_canary()
        self.check_lock()
        if base is None:
            self.road.stop()
            self._save(failed.to(State.FAILED, reason))
            raise DeployError(
                f"{failed.version} failed and there is no earlier version to go back to:"
                f" its {self.road.unit}s were stopped; {reason}{where}"
            )
        live = self.road.live()
        if live is not None and live.release not in (failed.number, base.number):
            self._save(failed.to(State.FAILED, reason))
            raise DeployError(
                f"{failed.version} failed and was not undone, because release {live.release} of somebody else runs:"
                f" {reason}{where}"
            )
        self.say(f"going back to {base.version}")
        self.restore(base)
        self._discard(failed, base)
        self._save(failed.to(State.UNDONE, reason))
        raise DeployError(f"{failed.version} failed and was undone, {base.version} runs: {reason}{where}")

    def _save(self, release: Release) -> None:
        self.check_lock()
        self.road.save(release)
