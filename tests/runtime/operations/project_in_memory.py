"""What tests do with a platform in memory, whichever it is: deploy to it, and cut deploys short."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Any, ClassVar

from mlops_runtime.operations.releases import Release, State
from mlops_runtime.operations.road import Platform
from mlops_runtime.operations.rollout import Rollout
from tests.runtime.operations.test_rollout import ENDS, Image, steps

NEVER_WITH_TRAFFIC = (Image.CRASHES, Image.WRONG)


class ProjectInMemory(ABC):
    """A project on a platform in memory."""

    FIRST_HAS_TRAFFIC: ClassVar[bool]
    """Whether the first version has the traffic before it is verified."""

    @abstractmethod
    def platform(self) -> Platform:
        """Return the platform of a process."""

    @abstractmethod
    def manifests(self, number: int) -> list[dict[str, Any]]:
        """Return the manifests of a release."""

    @abstractmethod
    def images_with_traffic(self) -> list[str]:
        """Return the image of each replica that has traffic."""

    @abstractmethod
    def runs(self, release: Release) -> bool:
        """Return whether a release has the traffic, in full, and nothing is left of another one that should not be."""

    @abstractmethod
    def call_at_changes(self, step: Callable[[], None]) -> None:
        """Call something before and after each change of the platform."""

    @contextmanager
    def rollout(self) -> Iterator[tuple[Platform, Rollout]]:
        """Hold the lock of the project."""
        platform = self.platform()
        with platform.locked("tester", 0) as check:
            yield platform, Rollout(platform, check, say=lambda _: None, explain=lambda: "")

    @abstractmethod
    def end_locks(self) -> None:
        """End the locks of processes that are gone."""

    def candidate(self, platform: Platform, image: str, **changes: Any) -> Release:
        """Return the next release of an image."""
        number = max((release.number for release in platform.releases()), default=0) + 1
        release = Release(
            number=number, version=f"v{number}", commit="", image=image, environment="production",
            manifests=self.manifests(number), contract={},
        )  # fmt: skip
        return replace(release, **changes)

    def deploy(self, image: str, **changes: Any) -> Release:
        """Deploy an image."""
        with self.rollout() as (platform, rollout):
            platform.ensure_keys()
            return rollout.deploy(self.candidate(platform, image, **changes))

    def attempt(self, image: str, interruption: type[BaseException] | None, at: int) -> None:
        """Deploy an image, cut short at a step; a bad version has traffic at no step, unless it is the first."""
        interrupt = steps(interruption, at)

        def step() -> None:
            if any(image in NEVER_WITH_TRAFFIC for image in self.images_with_traffic()):
                assert self.FIRST_HAS_TRAFFIC
                assert all(release.state is not State.VERIFIED for release in self.platform().releases())
            interrupt()

        self.call_at_changes(step)
        with suppress(*ENDS):
            self.deploy(image)
        self.call_at_changes(lambda: None)
        self.end_locks()
