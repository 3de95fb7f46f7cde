"""The commands of make that change or show what runs on a platform: deploy, rollback, repair, status, history, diff.

The command champion prints the path of the held-out predictions of the model that was verified last, for make compare.

Everything that they know is on the platform, so that they work in a fresh clone. They need the standard library and
the platform's own command alone. Settings come from the environment, where make puts those of project.mk.
"""

import argparse
import getpass
import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import FrameType

from mlops_runtime.operations import champion, release_list
from mlops_runtime.operations.compatibility import breaking_changes
from mlops_runtime.operations.errors import (
    DeployError,
    InterruptedRolloutError,
    LockError,
    RoadError,
    RolloutError,
)
from mlops_runtime.operations.golden import ServiceError
from mlops_runtime.operations.keys import KeysError
from mlops_runtime.operations.kubectl import Object
from mlops_runtime.operations.platforms import platform_of
from mlops_runtime.operations.releases import Release, last_verified, now, rollback_of, rollback_target
from mlops_runtime.operations.road import Platform, Snapshot
from mlops_runtime.operations.rollout import Rollout
from mlops_runtime.operations.settings import Settings, printable, say
from mlops_runtime.operations.store import Store, StoreError
from mlops_runtime.operations.verify import ARTEFACT_METADATA, artefact_hash

LOG = Path("build/rollout.log")
IMAGE = Path("build/webservice.image")
CONTRACT = Path("build/contract.json")
HELD_OUT = Path("build/held-out.json")

COMMIT = re.compile("[0-9a-f]{7,64}")
ARTEFACT = re.compile("[0-9a-f]{64}")

WHERE_TO_GO_ON = "`make status` shows what runs, `make repair` brings back the last verified version"


class Commands:
    """The commands, for one project on one platform."""

    def __init__(self, settings: Settings, platform: Platform) -> None:
        self.settings = settings
        self.platform = platform
        self.who = f"{os.environ.get('GITHUB_ACTOR') or getpass.getuser()}@{socket.gethostname()}"

    # Commands

    def context(self) -> None:
        """Check that the commands reach the platform of the project.

        Raises:
            RoadError: if they reach none, or another one.
        """
        self.platform.check_access()

    def check(self) -> None:
        """Check, before anything is tested or built, that a deploy can start.

        Raises:
            DeployError, RoadError: if it cannot.
        """
        snapshot = self._check_target()
        self.platform.check_options()
        for release in snapshot.releases:
            if not release.state.final:
                say(f"the deploy of {release.version} by {release.who} is under way or was interrupted")

    def deploy(self) -> None:
        """Deploy the published image with the manifests of this project.

        Raises:
            DeployError, LockError, RoadError, KeysError: if it was not deployed.
        """
        snapshot = self._check_target()
        manifests = self.platform.manifests()
        before = last_verified(snapshot.releases)
        if self._runs(self._candidate(snapshot.releases, manifests), before, snapshot):
            return
        self.platform.prepare(manifests)
        with self._rollout() as rollout:
            self._adopt()
            rollout.recover(going_on=True)
            snapshot = self.platform.snapshot()
            base = last_verified(snapshot.releases)
            candidate = self._candidate(snapshot.releases, manifests)
            if self._runs(candidate, base, snapshot):
                return
            self._check_order(candidate, base, meanwhile=base != before)
            candidate = self._with_notes(candidate, base)
            created = self.platform.ensure_keys()
            self._say_changes_by_hand(base)
            release = rollout.deploy(candidate)
            say(f"{release.version} runs: {release.outcome}")
            self._keep_held_out(release)
            self._keep_releases()
            if base is None:
                self._say_how_to_use(created)

    def rollback(self) -> None:
        """Go back to the last verified version before the one that runs, or to the version TO.

        Raises:
            DeployError, LockError, RoadError: if that version does not run.
        """
        self._check_target()
        with self._rollout() as rollout:
            rollout.recover(going_on=True)
            releases = self.platform.releases()
            current, wanted = last_verified(releases), self.settings.optional("TO")
            target = rollback_target(releases, wanted)
            if current is None or target is None:
                what = f"no release of {wanted} was verified" if wanted else "no other version was verified before"
                raise DeployError(f"{what}: nothing was changed; see make history")
            say(f"going back from {current.version} to {target.version} of {target.started}, deployed by {target.who}")
            release = rollout.deploy(rollback_of(target, releases[-1].number + 1, self.who, now()))
            say(f"{release.version} runs: {release.outcome}")

    def repair(self) -> None:
        """Make the last verified release run again, whatever has happened to it.

        Raises:
            DeployError, LockError, RoadError: if it does not run.
        """
        self._check_target(paused=True)
        with self._rollout() as rollout:
            if rollout.recover():
                return
            base = last_verified(self.platform.releases())
            if base is None:
                raise DeployError("no release was verified: run make deploy")
            self._say_changes_by_hand(base)
            rollout.restore(base)

    def status(self) -> None:
        """Show what runs, and whether it is what was verified.

        Raises:
            DeployError, RoadError: if the platform cannot be read.
        """
        self.platform.check_access()
        snapshot = self.platform.snapshot()
        live, progress, releases = snapshot.live, snapshot.progress, snapshot.releases
        if live is None:
            say(f"nothing is deployed in {self.platform.place}: run make deploy")
            return
        base = last_verified(releases)
        say(f"{self.platform.service}, {self.settings.environment}, {self.platform.place}")
        say(f"image     {live.image}")
        say(
            f"{self.platform.unit}s".ljust(9) + f" {progress.pods}{f': {progress.trouble}' if progress.trouble else ''}"
        )
        for replica in progress.ready.values():
            try:
                say(f"  {replica} runs {self.platform.version_of(replica)}")
            except (ServiceError, RoadError) as error:
                say(f"  {replica} cannot be asked for its version: {error}")
        say(self.platform.how_to_reach())
        if base is not None:
            say(f"verified  {base.version} (release {base.number}) at {base.ended} by {base.who}: {base.outcome}")
        for release in releases:
            if not release.state.final:
                holder = self.platform.lock_holder() or "nobody"
                say(
                    f"deploying {release.version}, {release.state}, by {release.who} since {release.started};"
                    f" the lock is held by {holder}"
                )
        if base is None or live.release != base.number or live.image != base.image:
            say(f"what runs was not verified: {WHERE_TO_GO_ON}")
        if live.paused:
            say("the rollout is paused: make repair resumes it")
        for line in self.platform.foreign_fields():
            say(f"by hand   {line}")

    def history(self) -> None:
        """List the releases: time, version, who, outcome.

        Raises:
            DeployError, RoadError: if the platform cannot be read.
        """
        self.platform.check_access()
        for release in self.platform.releases():
            kind = f"rollback to release {release.origin}" if release.origin else ""
            details = "; ".join(filter(None, [kind, release.outcome, *release.notes]))
            columns = (f"{release.number:>4}", release.started, f"{release.state:<11}", release.version, release.who)
            say("  ".join([*columns, details]))

    def diff(self) -> None:
        """Show what a deploy would change.

        Raises:
            DeployError, RoadError: if that cannot be found out.
        """
        self.platform.check_access()
        live = self.platform.live()
        if live is None:
            say("nothing is deployed yet: make deploy would create everything")
            return
        manifests = self.platform.manifests()
        base = last_verified(self.platform.releases())
        for line in self.platform.preview(manifests, base, live):
            say(line)

    def champion(self) -> None:
        """Print the path of the held-out predictions of the model that was verified last; empty without one.

        Raises:
            RoadError, ChampionError: if the platform, or the bucket, cannot be read.
        """
        self.platform.check_access()
        base = last_verified(self.platform.releases())
        path = None
        # The hash was read from the platform: a path must not be made of anything else.
        if base and ARTEFACT.fullmatch(base.artefact):
            bucket = self.settings.optional("CHAMPION_BUCKET")
            path = champion.fetch(bucket, self.settings.environment, base.artefact)
        if base and path is None:
            print(printable(f"no held-out predictions of {base.version} were kept: not compared"), file=sys.stderr)
        print(path or "")

    def verify(self) -> None:
        """Verify the version that should run.

        Raises:
            DeployError, RolloutError, RoadError: if it does not.
        """
        self.platform.check_access()
        base = last_verified(self.platform.releases())
        if base is None:
            raise DeployError("no release was verified: run make deploy")
        outcome, _ = self.platform.verify(base.version)
        say(f"{base.version} runs: {outcome}")

    def destroy(self) -> None:
        """Remove all that deploys have made, if somebody types the name of the project.

        Raises:
            DeployError, LockError, RoadError: if nothing, or not everything, was removed.
        """
        self._check_target(paused=True)
        project = self.settings.project
        answer = self.settings.optional("CONFIRM")
        if not answer and sys.stdin.isatty():
            answer = input(
                f"This removes {self.platform.service} in {self.platform.place}, with its history and keys."
                f" Type {project} to go on: "
            ).strip()
        if answer != project:
            raise DeployError(f"nothing was removed: type {project}, or set CONFIRM={project}")
        for line in self.platform.destroy(self.who):
            say(f"removed {line}")
        say(f"kept: {self.platform.kept}")

    # Parts

    @contextmanager
    def _rollout(self) -> Iterator[Rollout]:
        """Yield what changes the platform, while this process holds the lock."""
        with stop_signals() as shield, self.platform.locked(self.who, self.settings.wait) as check_lock:
            yield Rollout(self.platform, check_lock, say, self._explain, shield)

    def _explain(self) -> str:
        try:
            LOG.parent.mkdir(parents=True, exist_ok=True)
            LOG.write_text(self.platform.diagnosis(), encoding="utf-8")
        except OSError as error:
            return f"; {LOG} cannot be written: {error.strerror}"
        return f"; {LOG} has the events and logs of the {self.platform.unit}s"

    def _check_target(self, *, paused: bool = False) -> Snapshot:
        """Check that what runs is that of this project, team and environment."""
        self.platform.check_access()
        snapshot = self.platform.snapshot()
        live = snapshot.live
        if live is None:
            return snapshot
        where = f"{self.platform.service} in {self.platform.place}"
        team = live.labels.get("team", self.settings.team)
        if team != self.settings.team:
            raise DeployError(
                f"{where} belongs to the team {team}, not to {self.settings.team}: check TEAM and NAMESPACE"
            )
        if live.environment and live.environment != self.settings.environment:
            raise DeployError(
                f"{where} is the environment {live.environment}, not {self.settings.environment}:"
                " check ENVIRONMENT and NAMESPACE"
            )
        if live.paused and not paused and all(release.state.final for release in snapshot.releases):
            raise DeployError(
                f"somebody has paused the rollout of {where}: make repair resumes it at the last verified version"
            )
        return snapshot

    def _candidate(self, releases: Sequence[Release], manifests: Sequence[Object]) -> Release:
        return Release(
            number=(releases[-1].number if releases else 0) + 1,
            version=self.settings.required("VERSION"),
            commit=self.settings.required("COMMIT"),
            image=IMAGE.read_text(encoding="utf-8").strip(),
            environment=self.settings.environment,
            manifests=manifests,
            contract=json.loads(CONTRACT.read_text(encoding="utf-8")),
            who=self.who,
            started=now(),
        )

    def _adopt(self) -> None:
        """Record what runs as a release, if it was deployed before releases were recorded."""
        release = self.platform.adopt(self.who)
        if release is not None:
            self.platform.save(release)
            self.platform.mark_verified(release)

    def _check_order(self, candidate: Release, base: Release | None, *, meanwhile: bool) -> None:
        """Check that the candidate is not older than what runs."""
        if base is None or candidate.commit == base.commit:
            return
        if is_ancestor(candidate.commit, base.commit) and not self.settings.optional("ALLOW_OLDER"):
            raise DeployError(
                f"{base.version} runs and is newer than {candidate.version}: make rollback goes back;"
                " ALLOW_OLDER=1 deploys it all the same"
            )
        if COMMIT.fullmatch(base.commit) and not knows(base.commit) and not self.settings.optional("ALLOW_OLDER"):
            raise DeployError(
                f"{base.version} runs, and this clone does not have its commit: run git pull, then deploy again;"
                " ALLOW_OLDER=1 deploys all the same"
            )
        if meanwhile and not is_ancestor(base.commit, candidate.commit):
            raise DeployError(
                f"{base.version} was deployed by {base.who} meanwhile, and {candidate.version} does not contain it:"
                " pull, then deploy again"
            )

    def _with_notes(self, candidate: Release, base: Release | None) -> Release:
        """Return the candidate with the checks that were overruled; refuse a contract that breaks callers."""
        notes = []
        if reason := self.settings.optional("SKIP_TESTS"):
            notes.append(f"tests skipped: {reason}")
        if reason := self.settings.optional("OVERRULE"):
            notes.append(f"comparison overruled: {reason}")
        changes = breaking_changes(base.contract, candidate.contract) if base else []
        if changes:
            for change in changes:
                say(f"  {change}")
            if self.settings.optional("CONTRACT") != "breaking":
                raise DeployError(
                    f"callers would notice these {len(changes)} changes of the contract: nothing was deployed;"
                    " CONTRACT=breaking deploys them"
                )
            notes.append(f"breaking contract: {len(changes)} changes")
        return replace(candidate, notes=notes)

    def _runs(self, candidate: Release, base: Release | None, snapshot: Snapshot) -> bool:
        """Return whether the platform runs the candidate already, differs from it in nothing, and is right."""
        live = snapshot.live
        if base is None or live is None:
            return False
        runs = (
            candidate.same(base)
            and (live.release, live.image) == (base.number, base.image)
            and all(release.state.final for release in snapshot.releases)
            and snapshot.progress.complete
            and not self.platform.changes_by_hand(base, live)
        )
        if runs:
            outcome, _ = self.platform.verify(base.version, snapshot.progress)
            say(f"{base.version} runs already: {outcome}")
        return runs

    def _say_changes_by_hand(self, base: Release | None) -> None:
        live = self.platform.live()
        if base is None or live is None:
            return
        for line in self.platform.changes_by_hand(base, live):
            say(f"changed by hand since release {base.number}, set by this project again: {line}")
        for line in self.platform.foreign_fields():
            say(f"set by hand, kept: {line}")

    def _keep_held_out(self, release: Release) -> None:
        """Keep the held-out predictions of the model that was deployed, for the next one to be compared with."""
        metadata = next(Path("src").glob(ARTEFACT_METADATA), None)
        if not HELD_OUT.exists() or metadata is None:
            return
        if artefact_hash(metadata.read_text(encoding="utf-8")) != release.artefact:
            say("the image has the model of another training run: the next model cannot be compared with it")
            return
        try:
            bucket = self.settings.optional("CHAMPION_BUCKET")
            champion.keep(bucket, self.settings.environment, release.artefact, HELD_OUT)
        except champion.ChampionError as error:
            say(f"the next model cannot be compared with this one: {error}")

    def _keep_releases(self) -> None:
        """Keep what the platform knows of its releases, for make report.trend: it forgets old ones."""
        bucket = self.settings.optional("CHAMPION_BUCKET")
        if not bucket:
            return
        try:
            release_list.keep(Store(bucket), self.platform.releases())
        except (StoreError, RoadError, OSError) as error:
            say(f"make report.trend will show this deploy after the next one: {error}")

    def _say_how_to_use(self, key_created: bool) -> None:
        say(self.platform.how_to_reach())
        if key_created:
            say("create an API key: make key NAME=caller")


def is_ancestor(older: str, newer: str) -> bool:
    """Return whether a commit contains another one, as far as this clone knows both."""
    # One of them was read from the platform: git must not take it for an option.
    if not (COMMIT.fullmatch(older) and COMMIT.fullmatch(newer)):
        return False
    command = ["git", "merge-base", "--is-ancestor", older, newer]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def knows(commit: str) -> bool:
    """Return whether this clone has a commit."""
    command = ["git", "cat-file", "-e", f"{commit}^{{commit}}"]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


@contextmanager
def stop_signals() -> Iterator[Callable[[], None]]:
    """Turn the first SIGINT or SIGTERM into an exception, which undoes the rollout; the third ends the process.

    Yields a function to call when an undo starts for another reason: the next signal then does not end it.
    """
    count = 0

    def stop(number: int, _: FrameType | None) -> None:
        nonlocal count
        count += 1
        if count == 1:
            raise InterruptedRolloutError(f"interrupted by {signal.Signals(number).name}")
        if count == 2:
            say("the rollout is being undone; stop once more to leave it as it is")
            return
        raise KeyboardInterrupt

    def shield() -> None:
        nonlocal count
        count = max(count, 1)

    previous = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield shield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command and return the exit status."""
    names = (
        "context",
        "check",
        "deploy",
        "rollback",
        "repair",
        "status",
        "history",
        "diff",
        "verify",
        "champion",
        "destroy",
    )
    parser = argparse.ArgumentParser(prog="mlops_runtime.operations.deploy", description=__doc__)
    parser.add_argument("command", choices=names)
    command = parser.parse_args(argv).command
    try:
        settings = Settings(os.environ)
        commands = Commands(settings, platform_of(settings, os.environ))
        run: Callable[[], None] = partial(getattr(Commands, command), commands)
        run()
    except (RoadError, KeysError) as error:
        after = f"; {WHERE_TO_GO_ON}" if command in ("deploy", "rollback", "repair") else ""
        print(printable(f"{command}: {error}{after}"), file=sys.stderr)
        return 1
    except (DeployError, RolloutError, LockError, champion.ChampionError, OSError) as error:
        print(printable(f"{command}: {error}"), file=sys.stderr)
        return 1
    except (InterruptedRolloutError, KeyboardInterrupt) as error:
        print(printable(f"{command}: {str(error) or 'stopped'}; {WHERE_TO_GO_ON}"), file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
