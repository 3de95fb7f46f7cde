"""What the platforms have in common that keep records of releases of their own, and move all traffic at once."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

from mlops_runtime.operations.errors import RolloutError
from mlops_runtime.operations.golden import ServiceError
from mlops_runtime.operations.keys import Store, ensure
from mlops_runtime.operations.kubectl import Object
from mlops_runtime.operations.releases import Release
from mlops_runtime.operations.replicas import Clock, Verified, verify_replicas, wait_until_complete
from mlops_runtime.operations.road import Canary, Live, Progress
from mlops_runtime.operations.settings import Settings


class RecordedPlatform(ABC):
    """One project on a platform on which every release was recorded.

    Attributes:
        unit: what a replica is called.
        canary: None: these platforms verify a release before it has traffic, and watch it then.
        settings: of the project.
        clock: by which it waits.
        watch_seconds: time in which a release is watched under traffic.
        keys: the API keys.
    """

    unit: str
    keys: Store
    canary: Canary | None = None

    def __init__(self, settings: Settings, clock: Clock, watch_seconds: float) -> None:
        """Read the setting `WATCH_SECONDS`, with a default.

        Raises:
            DeployError: if it is not usable.
        """
        self.settings = settings
        self.clock = clock
        self.watch_seconds = settings.seconds("WATCH_SECONDS", watch_seconds)

    @abstractmethod
    def progress(self) -> Progress:
        """Return how far the release is that was placed last by this process, or has the traffic.

        Raises:
            RoadError: if the platform refuses.
        """

    @abstractmethod
    def remove(self, old: Release, new: Release) -> None:
        """Stop what is not of the new release. Requests in flight get their answers.

        Raises:
            RoadError: if the platform refuses.
        """

    @abstractmethod
    def verify_replica(self, name: str, version: str) -> Verified:
        """Verify version and golden predictions of a replica.

        Raises:
            WrongPredictionError: if an answer is wrong.
            ServiceError, RoadError: if it cannot be asked.
        """

    @abstractmethod
    def give_traffic(self, release: Release) -> None:
        """Give a release the traffic, and watch it for `WATCH_SECONDS`.

        Raises:
            ServiceError, RolloutError: if the service does not answer rightly.
            RoadError: if the platform refuses.
        """

    @abstractmethod
    def changes(self, base: Release, manifests: Sequence[Object]) -> list[str]:
        """Return how manifests differ from those of a release, a line each."""

    def ensure_keys(self) -> bool:
        """Make a first API key if there is none; return whether one was made.

        Raises:
            RoadError: if the platform refuses.
        """
        return ensure(self.keys)

    def adopt(self, who: str) -> Release | None:
        """Return nothing: every release was recorded."""
        del who
        return None

    def wait(self) -> None:
        """Wait until every replica of the release is ready.

        Raises:
            RolloutError: if that cannot succeed, or takes longer than `ROLLOUT_TIMEOUT`.
            RoadError: if the platform cannot be asked.
        """
        wait_until_complete(self.progress, self.settings.rollout_timeout, self.clock)

    def verify(self, version: str, progress: Progress | None = None) -> tuple[str, str]:
        """Verify every replica of the release that was placed last, or has the traffic.

        Raises:
            RolloutError: if one is wrong, or none could be verified within `VERIFY_TIMEOUT`.
            RoadError: if the platform cannot be asked.
        """
        first = [progress] if progress else []
        return verify_replicas(
            self.unit,
            lambda: first.pop() if first else self.progress(),
            lambda name: self.verify_replica(name, version),
            self.settings.verify_timeout,
            self.clock,
        )

    def move(self, release: Release) -> None:
        """Give a release the traffic, and watch it for `WATCH_SECONDS`.

        Raises:
            RolloutError: if the service does not answer rightly.
            RoadError: if the platform refuses.
        """
        try:
            self.give_traffic(release)
        except ServiceError as error:
            raise RolloutError(str(error)) from error
        progress = self.progress()
        if not progress.complete:
            raise RolloutError(f"{progress.pods} under traffic{': ' if progress.trouble else ''}{progress.trouble}")

    def mark_verified(self, release: Release) -> None:
        """Do nothing: the record says it."""
        del release

    def discard(self, failed: Release, base: Release) -> None:
        """Stop what a failed release has left.

        Raises:
            RoadError: if the platform refuses.
        """
        self.remove(failed, base)

    def foreign_fields(self) -> list[str]:
        """Return nothing: no platform of this kind says who has set a field."""
        return []

    def preview(self, manifests: Sequence[Object], base: Release | None, live: Live) -> list[str]:
        """Return how manifests differ from those of the release that runs."""
        del live
        if base is None:
            return ["no release was verified: make deploy would replace what runs"]
        return self.changes(base, manifests)
