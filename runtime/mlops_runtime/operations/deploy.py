"""The commands of make that change or show what runs on the cluster: deploy, rollback, repair, status, history, diff.

The command champion prints the path of the held-out predictions of the model that was verified last, for make compare.

Everything that they know is on the cluster, so that they work in a fresh clone. They need the standard library and
kubectl alone. Settings come from the environment, where make puts those of project.mk.
"""

import argparse
import getpass
import json
import math
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import FrameType

from mlops_runtime.operations import champion
from mlops_runtime.operations.cluster import (
    ProjectCluster,
    RolloutError,
    Snapshot,
    image_of,
    is_deployment,
    replicas_of,
)
from mlops_runtime.operations.compatibility import breaking_changes
from mlops_runtime.operations.golden import ServiceError
from mlops_runtime.operations.keys import KeysError, Secret
from mlops_runtime.operations.kubectl import ClusterError, ForbiddenError, Kubectl, Object
from mlops_runtime.operations.lease import LockError, holder_of, locked, shown
from mlops_runtime.operations.releases import Release, State, last_verified, now, rollback_of, rollback_target
from mlops_runtime.operations.rollout import DeployError, InterruptedRolloutError, Rollout
from mlops_runtime.operations.verify import ARTEFACT_METADATA, artefact_hash, version_of

LOG = Path("build/rollout.log")
RENDERED = Path("build/k8s/webservice.json")
IMAGE = Path("build/webservice.image")
CONTRACT = Path("build/contract.json")
HELD_OUT = Path("build/held-out.json")

COMMIT = re.compile("[0-9a-f]{7,64}")
ARTEFACT = re.compile("[0-9a-f]{64}")

WHERE_TO_GO_ON = "`make status` shows what runs, `make repair` brings back the last verified version"


def say(line: str) -> None:
    """Print a line at once, also when the output is a pipe."""
    print(printable(line), flush=True)


def printable(line: str) -> str:
    """Return a line with its control characters escaped: what the cluster says must not control the terminal."""
    return "".join(character if character.isprintable() else repr(character)[1:-1] for character in line)


class Settings:
    """The settings of a project that these commands read."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        """Read them.

        Raises:
            DeployError: if one is missing or not usable.
        """
        self._environment = environment
        self.project = self.required("PROJECT")
        self.team = self.required("TEAM")
        self.environment = self.required("ENVIRONMENT")
        self.cluster = self.required("CLUSTER")
        self.region = self.required("AWS_REGION")
        self.rollout_timeout = self.seconds("ROLLOUT_TIMEOUT", 180)
        self.verify_timeout = self.seconds("VERIFY_TIMEOUT", 60)
        self.wait = self.seconds("WAIT", 600)

    def required(self, name: str) -> str:
        """Return a setting that must not be empty.

        Raises:
            DeployError: if it is.
        """
        value = self._environment.get(name, "")
        if not value:
            raise DeployError(f"{name} is not set: run this with make, and see project.mk")
        return value

    def optional(self, name: str) -> str:
        """Return a setting that may be empty."""
        return self._environment.get(name, "").strip()

    def seconds(self, name: str, default: float) -> float:
        """Return a setting in seconds.

        Raises:
            DeployError: if it is no number.
        """
        text = self.optional(name)
        try:
            value = float(text.removesuffix("s")) if text else default
        except ValueError:
            value = math.nan
        if not 0 <= value < math.inf:
            raise DeployError(f"{name}={text} is not usable: set it to a number of seconds")
        return value


class Commands:
    """The commands, for one project on one cluster."""

    def __init__(self, settings: Settings, kubectl: Kubectl) -> None:
        self.settings = settings
        self.kubectl = kubectl
        self.cluster = ProjectCluster(
            kubectl,
            settings.project,
            rollout_timeout=settings.rollout_timeout,
            verify_timeout=settings.verify_timeout,
        )
        self.who = f"{os.environ.get('GITHUB_ACTOR') or getpass.getuser()}@{socket.gethostname()}"
        self.lock_name = f"{settings.project}-deploy"

    # Commands

    def context(self) -> None:
        """Check that kubectl is set to the cluster of the project.

        Raises:
            ClusterError: if it is set to another one.
        """
        self.kubectl.check_cluster(self.settings.cluster, self.settings.region)

    def check(self) -> None:
        """Check, before anything is tested or built, that a deploy can start.

        Raises:
            DeployError, ClusterError: if it cannot.
        """
        for release in self._check_target().releases:
            if not release.state.final:
                say(f"the deploy of {release.version} by {release.who} is under way or was interrupted")

    def deploy(self) -> None:
        """Deploy the published image with the manifests of this project.

        Raises:
            DeployError, LockError, ClusterError, KeysError: if it was not deployed.
        """
        snapshot = self._check_target()
        everything = rendered()
        manifests = without_namespace(everything)
        before = last_verified(snapshot.releases)
        if self._runs(self._candidate(snapshot.releases, manifests), before, snapshot):
            return
        self.cluster.ensure_namespace(everything)
        self.cluster.validate(manifests)
        with self._rollout() as rollout:
            self._adopt()
            rollout.recover(going_on=True)
            snapshot = self.cluster.snapshot()
            base = last_verified(snapshot.releases)
            candidate = self._candidate(snapshot.releases, manifests)
            if self._runs(candidate, base, snapshot):
                return
            self._check_order(candidate, base, meanwhile=base != before)
            candidate = self._with_notes(candidate, base)
            secret = Secret(self.kubectl, self.settings.required("KEYS_SECRET"), self.cluster.selector)
            created = secret.ensure()
            self._say_changes_by_hand(base)
            release = rollout.deploy(candidate)
            say(f"{release.version} runs: {release.outcome}")
            self._keep_held_out(release)
            if base is None:
                self._say_how_to_use(created)

    def rollback(self) -> None:
        """Go back to the last verified version before the one that runs, or to the version TO.

        Raises:
            DeployError, LockError, ClusterError: if that version does not run.
        """
        self._check_target()
        with self._rollout() as rollout:
            rollout.recover(going_on=True)
            releases = self.cluster.releases()
            current, wanted = last_verified(releases), self.settings.optional("TO")
            target = rollback_target(releases, wanted)
            if current is None or target is None:
                what = f"no release of {wanted} was verified" if wanted else "no other version was verified before"
                raise DeployError(f"{what}: nothing was changed; see make history")
            say(f"going back from {current.version} to {target.version} of {target.started}, deployed by {target.who}")
            release = rollout.deploy(rollback_of(target, releases[-1].number + 1, self.who, now()))
            say(f"{release.version} runs: {release.outcome}")

    def repair(self) -> None:
        """Make the cluster run the last verified release, whatever has happened to it.

        Raises:
            DeployError, LockError, ClusterError: if it does not run.
        """
        self._check_target(paused=True)
        with self._rollout() as rollout:
            if rollout.recover():
                return
            base = last_verified(self.cluster.releases())
            if base is None:
                raise DeployError("no release was verified: run make deploy")
            self._say_changes_by_hand(base)
            rollout.restore(base)

    def status(self) -> None:
        """Show what runs, and whether it is what was verified.

        Raises:
            DeployError, ClusterError: if the cluster cannot be read.
        """
        self.kubectl.check_cluster(self.settings.cluster, self.settings.region)
        snapshot = self.cluster.snapshot()
        live, progress, releases = snapshot.live, snapshot.progress, snapshot.releases
        if live is None:
            say(f"nothing is deployed in namespace {self.kubectl.namespace}: run make deploy")
            return
        base = last_verified(releases)
        say(f"{self.cluster.deployment}, {self.settings.environment}, namespace {self.kubectl.namespace}")
        say(f"image     {live.image}")
        say(f"pods      {progress.pods}{f': {progress.trouble}' if progress.trouble else ''}")
        for pod in progress.ready.values():
            try:
                say(f"  {pod} runs {version_of(self.kubectl, pod)}")
            except ForbiddenError:
                say(f"  {pod} runs a version that only operators may ask for")
            except (ServiceError, ClusterError) as error:
                say(f"  {pod} cannot be asked for its version: {error}")
        if base is not None:
            say(f"verified  {base.version} (release {base.number}) at {base.ended} by {base.who}: {base.outcome}")
        for release in releases:
            if not release.state.final:
                holder = shown(holder_of(self.kubectl.get("lease", self.lock_name))) or "nobody"
                say(
                    f"deploying {release.version}, {release.state}, by {release.who} since {release.started};"
                    f" the lock is held by {holder}"
                )
        if base is None or live.release != base.number or live.image != base.image:
            say(f"what runs was not verified: {WHERE_TO_GO_ON}")
        if live.paused:
            say("the rollout is paused: make repair resumes it")
        for line in self.cluster.foreign_fields():
            say(f"by hand   {line}")

    def history(self) -> None:
        """List the releases: time, version, who, outcome.

        Raises:
            DeployError, ClusterError: if the cluster cannot be read.
        """
        self.kubectl.check_cluster(self.settings.cluster, self.settings.region)
        for release in self.cluster.releases():
            kind = f"rollback to release {release.origin}" if release.origin else ""
            details = "; ".join(filter(None, [kind, release.outcome, *release.notes]))
            columns = (f"{release.number:>4}", release.started, f"{release.state:<11}", release.version, release.who)
            say("  ".join([*columns, details]))

    def diff(self) -> None:
        """Show what a deploy would change on the cluster.

        Raises:
            DeployError, ClusterError: if that cannot be found out.
        """
        self.kubectl.check_cluster(self.settings.cluster, self.settings.region)
        live = self.cluster.live()
        if live is None:
            say("nothing is deployed yet: make deploy would create every object; make manifests.webservice prints them")
            return
        manifests = without_namespace(rendered())
        base = last_verified(self.cluster.releases())
        kept = {(item["kind"], item["metadata"]["name"]) for item in manifests}
        scaled = base is not None and replicas_of(manifests) == replicas_of(base.manifests)
        replicas = None if scaled else replicas_of(manifests)
        for line in self.cluster.differences(manifests, live, image_of_manifests(manifests), replicas):
            say(line)
        for item in base.manifests if base else ():
            if (key := (item["kind"], item["metadata"]["name"])) not in kept:
                say(f"{' '.join(key)}: would be deleted")

    def champion(self) -> None:
        """Print the path of the held-out predictions of the model that was verified last; empty without one.

        Raises:
            ClusterError, ChampionError: if the cluster, or the bucket, cannot be read.
        """
        self.kubectl.check_cluster(self.settings.cluster, self.settings.region)
        base = last_verified(self.cluster.releases())
        path = None
        # The hash was read from the cluster: a path must not be made of anything else.
        if base and ARTEFACT.fullmatch(base.artefact):
            bucket = self.settings.optional("CHAMPION_BUCKET")
            path = champion.fetch(bucket, self.settings.environment, base.artefact)
        if base and path is None:
            print(printable(f"no held-out predictions of {base.version} were kept: not compared"), file=sys.stderr)
        print(path or "")

    def verify(self) -> None:
        """Verify the version that should run.

        Raises:
            DeployError, RolloutError, ClusterError: if it does not.
        """
        self.kubectl.check_cluster(self.settings.cluster, self.settings.region)
        base = last_verified(self.cluster.releases())
        if base is None:
            raise DeployError("no release was verified: run make deploy")
        outcome, _ = self.cluster.verify(base.version)
        say(f"{base.version} runs: {outcome}")

    # Parts

    @contextmanager
    def _rollout(self) -> Iterator[Rollout]:
        """Yield what changes the cluster, while this process holds the lock."""
        with (
            stop_signals() as shield,
            locked(self.kubectl, self.lock_name, self.who, self.settings.wait) as lock,
        ):
            # A command that is repeated after an outage must not meet the release of whoever has the lock by then.
            self.cluster.kubectl = replace(self.kubectl, before_retry=lock.check)
            yield Rollout(self.cluster, lock.check, say, self._explain, shield)

    def _explain(self) -> str:
        try:
            LOG.parent.mkdir(parents=True, exist_ok=True)
            LOG.write_text(self.cluster.diagnosis(), encoding="utf-8")
        except OSError as error:
            return f"; {LOG} cannot be written: {error.strerror}"
        return f"; {LOG} has the events and logs of the pods"

    def _check_target(self, *, paused: bool = False) -> Snapshot:
        """Check that the Deployment in the namespace is that of this project, team and environment."""
        self.kubectl.check_cluster(self.settings.cluster, self.settings.region)
        snapshot = self.cluster.snapshot()
        live = snapshot.live
        if live is None:
            return snapshot
        where = f"{self.cluster.deployment} in namespace {self.kubectl.namespace}"
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
        live = self.cluster.live()
        if live is None or live.release or self.cluster.releases():
            return
        pods = list(self.cluster.progress().ready.values())
        if not pods:
            return
        try:
            version = version_of(self.kubectl, pods[0])
        except ServiceError:
            return  # what cannot be asked now could not be verified after an undo either
        release = Release(
            number=1, version=version, commit="", image=live.image, environment=self.settings.environment,
            manifests=self.cluster.adopted(), contract={}, who=self.who, started=now(),
        )  # fmt: skip
        release = release.to(State.VERIFIED, "ran before releases were recorded")
        self.cluster.save(release)
        self.cluster.mark_verified(release)

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
        """Return whether the cluster runs the candidate already, differs from it in nothing, and is right."""
        live = snapshot.live
        if base is None or live is None:
            return False
        runs = (
            candidate.same(base)
            and (live.release, live.image) == (base.number, base.image)
            and all(release.state.final for release in snapshot.releases)
            and snapshot.progress.complete
            and not self.cluster.differences(base.manifests, live)
        )
        if runs:
            outcome, _ = self.cluster.verify(base.version, snapshot.progress)
            say(f"{base.version} runs already: {outcome}")
        return runs

    def _say_changes_by_hand(self, base: Release | None) -> None:
        live = self.cluster.live()
        if base is None or live is None:
            return
        for line in self.cluster.differences(base.manifests, live, base.image):
            say(f"changed by hand since release {base.number}, set by this project again: {line}")
        for line in self.cluster.foreign_fields():
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

    def _say_how_to_use(self, key_created: bool) -> None:
        kubectl = " ".join([*self.kubectl.command, "--namespace", self.kubectl.namespace])
        say(f"reach it: {kubectl} port-forward service/{self.cluster.deployment} 8000:80, then http://127.0.0.1:8000")
        if key_created:
            say("create an API key: make key NAME=caller")


def rendered() -> list[Object]:
    """Return every object of the project, as `mlops_runtime.operations.manifests` has rendered it."""
    objects: list[Object] = json.loads(RENDERED.read_text(encoding="utf-8"))
    return objects


def without_namespace(manifests: Sequence[Object]) -> list[Object]:
    """Return the manifests of the objects inside the namespace."""
    return [item for item in manifests if item["kind"] != "Namespace"]


def image_of_manifests(manifests: Sequence[Object]) -> str:
    """Return the image of the web-service in the manifests; empty without one."""
    return next((image_of(item) for item in manifests if is_deployment(item)), "")


def is_ancestor(older: str, newer: str) -> bool:
    """Return whether a commit contains another one, as far as this clone knows both."""
    # One of them was read from the cluster: git must not take it for an option.
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
    names = ("context", "check", "deploy", "rollback", "repair", "status", "history", "diff", "verify", "champion")
    parser = argparse.ArgumentParser(prog="mlops_runtime.operations.deploy", description=__doc__)
    parser.add_argument("command", choices=names)
    command = parser.parse_args(argv).command
    try:
        commands = Commands(Settings(os.environ), Kubectl.from_environment(os.environ, say))
        run: Callable[[], None] = partial(getattr(Commands, command), commands)
        run()
    except (ClusterError, KeysError) as error:
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
