"""The interface of a road: how a release gets to a platform, and how the commands of make see that platform.

Every road has the same steps: place the new version, without traffic where the platform allows that; wait until it is
up; verify version and golden predictions; move the traffic and watch; otherwise undo. `Road` has these steps, and
`rollout.Rollout` takes a release through them. `Platform` adds what the commands of `deploy.Commands` need.
The template's docs/roads.md explains both.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from mlops_runtime.operations.kubectl import Object
from mlops_runtime.operations.releases import Release


@dataclass(frozen=True)
class Live:
    """What has the traffic.

    Attributes:
        release: number of the release; 0 if no release of ours made it.
        image: of the web-service.
        paused: whether somebody has paused its rollout.
        replicas: number of replicas that it asks for.
        labels: of the project that made it, among them its team.
        environment: of the project that made it.
    """

    release: int
    image: str
    paused: bool
    replicas: int
    labels: Mapping[str, str]
    environment: str


@dataclass(frozen=True)
class Progress:
    """How far the rollout of a release is.

    Attributes:
        complete: whether every replica is new and available.
        pods: new replicas that are ready, and that there should be, as text.
        ready: names of the new replicas that are ready, by a key that no other replica ever has.
        failure: why it cannot succeed any more; empty while it can.
        trouble: what keeps it from success for now, as far as the platform says.
    """

    complete: bool
    pods: str
    ready: Mapping[str, str]
    failure: str
    trouble: str


@dataclass(frozen=True)
class Snapshot:
    """What is known of a project at one moment: what has the traffic, how far that is, and its releases, ascending."""

    live: Live | None
    progress: Progress
    releases: Sequence[Release]


class Canary(Protocol):
    """A release on a few replicas beside those that run, which stay as they are. Errors are those of `Road`."""

    @property
    def enabled(self) -> bool:
        """Whether a deploy begins with a canary."""

    def try_out(self, release: Release, base: Release) -> str:
        """Run a canary, verify it and compare it with the replicas that run; return how it did, as a sentence.

        Args:
            release: to try out.
            base: release that runs.
        """

    def remove(self) -> None:
        """Remove the replicas of a canary, if there are any."""

    def discard(self, failed: Release, base: Release) -> None:
        """Remove the replicas of a canary, and all else that it was given."""


class Road(Protocol):
    """The steps of a road. Each may be repeated, and may meet the state that an interruption left.

    Every step raises `RoadError` if the platform refuses it, and `AwayError` if the platform cannot be asked. The steps
    that judge a release raise `RolloutError` if it has failed.
    """

    unit: str
    """What a replica is called on this platform."""

    canary: Canary | None
    """How a release is tried out before it is placed; None where the platform has no such step."""

    def releases(self) -> list[Release]:
        """Return the releases, ascending."""

    def live(self) -> Live | None:
        """Return what has the traffic; None if nothing does."""

    def save(self, release: Release) -> None:
        """Write the record of a release."""

    def apply(self, release: Release, base: Release | None) -> None:
        """Place a release beside the one that runs; traffic comes to it as soon as the platform lets it, or in `move`.

        Args:
            release: to place.
            base: release that runs, if there is one; the release itself when it is to be restored.
        """

    def wait(self) -> None:
        """Wait until every replica is new and available."""

    def verify(self, version: str) -> tuple[str, str]:
        """Verify each replica at its own address; return what was verified, and the hash of the artefact."""

    def move(self, release: Release) -> None:
        """Move the traffic to a verified release, and watch it."""

    def mark_verified(self, release: Release) -> None:
        """Say on the platform how a release was verified, if it has a place for that beside the record."""

    def remove(self, old: Release, new: Release) -> None:
        """Remove what only the old release had: it has no traffic any more."""

    def discard(self, failed: Release, base: Release) -> None:
        """Remove what a failed release has left: its predecessor runs again."""

    def stop(self) -> None:
        """Stop every replica."""

    def forget(self, releases: Sequence[Release]) -> None:
        """Remove the records of the oldest releases."""


class Platform(Road, Protocol):
    """A platform, as the commands see it."""

    @property
    def service(self) -> str:
        """Name of the service on the platform."""

    @property
    def place(self) -> str:
        """Where it runs: `namespace x`."""

    @property
    def kept(self) -> str:
        """What `destroy` leaves."""

    def check_access(self) -> None:
        """Check that the commands reach the platform of the project, and no other."""

    def check_options(self) -> None:
        """Check that the platform has what the settings of the project turn on."""

    def snapshot(self) -> Snapshot:
        """Return all that is known of the project."""

    def locked(self, who: str, wait: float) -> AbstractContextManager[Callable[[], None]]:
        """Hold the lock of the project's deploys; yield what raises `LockError` once somebody else has taken it.

        Args:
            who: wants it.
            wait: seconds to wait for another holder.
        """

    def lock_holder(self) -> str:
        """Return who holds the lock; empty if nobody does."""

    def manifests(self) -> list[Object]:
        """Return what a deploy of this folder would put on the platform, beside the image."""

    def prepare(self, manifests: Sequence[Object]) -> None:
        """Check that the platform would accept manifests, and make what they need and no release has."""

    def ensure_keys(self) -> bool:
        """Make a first API key if there is none; return whether one was made."""

    def adopt(self, who: str) -> Release | None:
        """Return what runs as a release, if it was deployed before releases were recorded."""

    def verify(self, version: str, progress: Progress | None = None) -> tuple[str, str]:
        """Verify as `Road.verify`; the progress may have just been read."""

    def version_of(self, replica: str) -> str:
        """Return the version that a replica reports."""

    def changes_by_hand(self, base: Release, live: Live) -> list[str]:
        """Return where the platform differs from a release, a line for each difference that a deploy sets again."""

    def foreign_fields(self) -> list[str]:
        """Return what others have set and a deploy keeps, a line each."""

    def preview(self, manifests: Sequence[Object], base: Release | None, live: Live) -> list[str]:
        """Return what a deploy of manifests would change, a line each."""

    def diagnosis(self) -> str:
        """Return what is known about a failure: states, events and logs of the replicas."""

    def how_to_reach(self) -> str:
        """Return a line that says how to send the service a request."""

    def destroy(self, who: str) -> list[str]:
        """Remove all that deploys have made on the platform, under the lock; return what was removed, a line each."""
