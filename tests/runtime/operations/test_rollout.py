"""The state machine of a release, driven against a cluster in memory with interruptions at any step."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from enum import StrEnum

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_runtime.operations.errors import DeployError, InterruptedRolloutError, LockError, RolloutError
from mlops_runtime.operations.kubectl import ClusterError, UnreachableError
from mlops_runtime.operations.releases import Release, State, last_verified, rollback_of, rollback_target
from mlops_runtime.operations.road import Live
from mlops_runtime.operations.rollout import Rollout


class Image(StrEnum):
    """Images, by what happens when one is rolled out."""

    GOOD = "good"
    BETTER = "better"
    CRASHES = "crashes"
    WRONG = "wrong"
    FAILS_UNDER_TRAFFIC = "fails under traffic"
    REFUSED = "refused"


WORKING = (Image.GOOD, Image.BETTER)


class Killed(BaseException):
    """The process is gone: nothing that comes after runs."""


@dataclass
class CanaryInMemory:
    """Pods of a release beside the Deployment, which must not change meanwhile."""

    before_step: Callable[[], None]
    while_waiting: Callable[[], None]
    enabled: bool = False
    image: str = ""
    objects: list[int] = field(default_factory=list)
    tried_out: list[str] = field(default_factory=list)

    def try_out(self, release: Release, base: Release) -> str:
        assert base.state is State.VERIFIED
        self.before_step()
        if release.image == Image.REFUSED:
            raise ClusterError("the server refuses a manifest")
        self.image = release.image
        self.objects.append(release.number)
        self.before_step()
        self.while_waiting()
        if release.image in (Image.CRASHES, Image.WRONG):
            raise RolloutError("server errors: 50.0% of 20 with the canary, 0.0% of 40 without")
        self.tried_out.append(release.version)
        return "not worse"

    def remove(self) -> None:
        self.before_step()
        self.image = ""

    def discard(self, failed: Release, base: Release) -> None:
        assert failed.number != base.number
        self.remove()
        self.objects = [number for number in self.objects if number != failed.number]


@dataclass
class ClusterInMemory:
    """A cluster that keeps releases and a Deployment, and calls `before_step` before and after each change."""

    unit = "pod"

    records: dict[int, Release] = field(default_factory=dict)
    manifests: list[str] = field(default_factory=list)
    image: str = ""
    release: int = 0
    paused: bool = False
    stopped: bool = False
    before_step: Callable[[], None] = lambda: None
    while_waiting: Callable[[], None] = lambda: None
    with_canary: bool = False
    canary: CanaryInMemory | None = None

    def __post_init__(self) -> None:
        if self.with_canary and self.canary is None:
            self.canary = CanaryInMemory(lambda: self.before_step(), lambda: self.while_waiting(), enabled=True)

    def releases(self) -> list[Release]:
        return [self.records[number] for number in sorted(self.records)]

    def live(self) -> Live | None:
        return Live(self.release, self.image, self.paused, 0 if self.stopped else 2, {}, "") if self.image else None

    def save(self, release: Release) -> None:
        self.before_step()
        self.records[release.number] = release
        self.before_step()

    def apply(self, release: Release, base: Release | None) -> None:
        del base
        self.before_step()
        assert self.records[release.number].state is not State.CANARY, "a canary touches no old pod"
        self.manifests = [str(item) for item in release.manifests]
        self.paused = True
        self.image = self.image or release.image
        self.before_step()
        if release.image == Image.REFUSED:
            raise ClusterError("the server refuses a manifest")
        self.image = release.image
        self.before_step()
        self.release, self.paused, self.stopped = release.number, False, False
        self.before_step()

    def wait(self) -> None:
        self.before_step()
        self.while_waiting()
        if self.image == Image.CRASHES:
            raise RolloutError("0 of 2 new pods ready")

    def verify(self, version: str) -> tuple[str, str]:
        self.before_step()
        self.while_waiting()
        del version
        if self.image == Image.WRONG:
            raise RolloutError("pod a predicts wrongly")
        return "2 pods", "hash"

    def mark_verified(self, release: Release) -> None:
        del release
        self.before_step()

    def remove(self, old: Release, new: Release) -> None:
        del old, new
        self.before_step()

    def move(self, release: Release) -> None:
        self.before_step()
        assert release.number == self.release, "the traffic goes to what was verified"
        self.while_waiting()
        if self.image == Image.FAILS_UNDER_TRAFFIC:
            raise RolloutError("pod a answers with status 500")

    def discard(self, failed: Release, base: Release) -> None:
        self.before_step()
        assert failed.number != self.release == base.number, "what runs must stay"

    def stop(self) -> None:
        self.before_step()
        self.stopped, self.paused = True, False

    def forget(self, releases: Sequence[Release]) -> None:
        del releases
        self.before_step()

    def runs(self, release: Release) -> bool:
        """Return whether the Deployment is that of a release, in full."""
        return (self.image, self.manifests, self.paused, self.stopped) == (
            release.image,
            [str(item) for item in release.manifests],
            False,
            False,
        )


def rollout_on(cluster: ClusterInMemory, check_lock: Callable[[], None] = lambda: None) -> Rollout:
    return Rollout(cluster, check_lock, say=lambda _: None, explain=lambda: "")


def candidate_for(cluster: ClusterInMemory, image: str) -> Release:
    """Return the next release of an image, with manifests of its own."""
    number = max(cluster.records, default=0) + 1
    return Release(
        number=number, version=f"v{number}", commit="", image=image, environment="production",
        manifests=[{"number": number}], contract={},
    )  # fmt: skip


def steps(interruption: type[BaseException] | None, at: int) -> Callable[[], None]:
    """Return what raises an exception the `at`-th time that it is called."""
    count = 0

    def step() -> None:
        nonlocal count
        count += 1
        if interruption is not None and count == at:
            raise interruption("interrupted")

    return step


def has_canary(cluster: ClusterInMemory) -> bool:
    return cluster.canary is not None and cluster.canary.image != ""


def deploy(cluster: ClusterInMemory, image: str) -> Release:
    """Deploy an image without an interruption."""
    cluster.before_step = lambda: None
    return rollout_on(cluster).deploy(candidate_for(cluster, image))


def assert_sound(cluster: ClusterInMemory) -> None:
    """No release was recorded as verified that does not work."""
    verified = [release for release in cluster.releases() if release.state in (State.VERIFIED, State.ROLLED_BACK)]
    assert all(release.image in WORKING for release in verified)


ENDS = (DeployError, InterruptedRolloutError, ClusterError, LockError, Killed)
"""How a deploy that does not succeed ends."""

interruptions = st.tuples(
    st.sampled_from(list(Image)),
    st.sampled_from([None, Killed, InterruptedRolloutError, UnreachableError, LockError]),
    st.integers(1, 16),
)


@given(st.lists(interruptions, max_size=5), st.sampled_from(list(Image)), st.booleans())
def test_after_any_interruptions_the_next_deploy_goes_on_rightly(
    actions: list[tuple[Image, type[BaseException] | None, int]], image: Image, with_canary: bool
) -> None:
    # Given deploys of good and bad images, with or without a canary, each of which may be cut short at any step
    cluster = ClusterInMemory(with_canary=with_canary)
    for attempted, interruption, at in actions:
        cluster.before_step = steps(interruption, at)
        with suppress(*ENDS):
            rollout_on(cluster).deploy(candidate_for(cluster, attempted))
        assert_sound(cluster)

    # When a deploy is left alone
    before = last_verified(cluster.releases())
    try:
        release: Release | None = deploy(cluster, image)
    except DeployError:
        release = None

    # Then a good image runs and is recorded; after a bad one the last verified release runs, or nothing
    assert_sound(cluster)
    assert all(record.state.final for record in cluster.releases())
    assert not has_canary(cluster)
    after = last_verified(cluster.releases())
    if image in WORKING:
        assert release is not None
        assert after == release
        assert cluster.runs(release)
    else:
        assert release is None
        assert after == before
        assert cluster.runs(after) if after else cluster.stopped


@given(st.lists(interruptions, min_size=1, max_size=4), st.booleans())
def test_after_any_interruptions_a_repair_brings_back_the_last_verified_release(
    actions: list[tuple[Image, type[BaseException] | None, int]], with_canary: bool
) -> None:
    # Given a verified release, and deploys that may be cut short
    cluster = ClusterInMemory(with_canary=with_canary)
    deploy(cluster, Image.GOOD)
    for attempted, interruption, at in actions:
        cluster.before_step = steps(interruption, at)
        with suppress(*ENDS):
            rollout_on(cluster).deploy(candidate_for(cluster, attempted))

    # When it is repaired
    cluster.before_step = lambda: None
    rollout_on(cluster).recover()

    # Then the last verified release runs
    base = last_verified(cluster.releases())
    assert base is not None
    assert cluster.runs(base)
    assert not has_canary(cluster)
    assert all(record.state.final for record in cluster.releases())


@given(st.sampled_from(list(Image)), st.sampled_from(WORKING), st.integers(1, 16), st.booleans())
def test_a_deploy_that_has_lost_the_lock_changes_nothing_more(
    image: Image, other: Image, at: int, with_canary: bool
) -> None:
    # Given a deploy that is suspended while it waits, or before it checks the lock
    cluster = ClusterInMemory(with_canary=with_canary)
    deploy(cluster, Image.GOOD)
    after_takeover: list[ClusterInMemory] = []
    countdown = steps(Killed, at)

    def pause() -> None:
        # When somebody else takes over the lock meanwhile, and deploys
        try:
            countdown()
        except Killed:
            cluster.while_waiting = lambda: None
            deploy(cluster, other)
            canary = cluster.canary and replace(cluster.canary)
            after_takeover.append(replace(cluster, records=dict(cluster.records), canary=canary))

    def check_lock() -> None:
        pause()
        if after_takeover:
            raise LockError("somebody has taken over the lock")

    cluster.while_waiting = pause
    with suppress(LockError, DeployError):
        rollout_on(cluster, check_lock).deploy(candidate_for(cluster, image))

    # Then records and Deployment are as the other one left them
    assert after_takeover in ([], [cluster])


def test_a_release_that_cannot_be_restored_does_not_hold_up_the_next() -> None:
    # Given a verified release whose image does not work any more, and a deploy that was killed
    cluster = ClusterInMemory()
    old = deploy(cluster, Image.GOOD)
    cluster.records[old.number] = replace(old, image=Image.CRASHES)
    cluster.before_step = steps(Killed, 4)
    with suppress(Killed):
        rollout_on(cluster).deploy(candidate_for(cluster, Image.WRONG))

    # When a repair is tried, then it fails; when a working image is deployed, then that runs
    cluster.before_step = lambda: None
    with pytest.raises(DeployError, match="cannot be brought back"):
        rollout_on(cluster).recover()
    assert cluster.runs(deploy(cluster, Image.BETTER))


def test_a_rollback_goes_to_the_version_before_and_leaves_the_other_out() -> None:
    # Given three verified releases
    cluster = ClusterInMemory()
    first, second, third = (deploy(cluster, image) for image in (Image.GOOD, Image.BETTER, Image.GOOD))

    # When two rollbacks follow one another
    for expected in (second, first):
        target = rollback_target(cluster.releases())
        assert target is not None
        assert target.number == expected.number
        rollout_on(cluster).deploy(rollback_of(target, max(cluster.records) + 1, "tester", ""))

        # Then each goes one version further back
        current = last_verified(cluster.releases())
        assert current is not None
        assert (current.version, current.image) == (expected.version, expected.image)
    assert cluster.records[third.number].state is State.ROLLED_BACK


def test_a_rollback_that_fails_is_undone() -> None:
    # Given a release that worked once, and does not any more
    cluster = ClusterInMemory()
    old, new = deploy(cluster, Image.GOOD), deploy(cluster, Image.BETTER)
    broken = rollback_of(old, 3, "tester", "")

    # When a rollback to it fails
    with pytest.raises(DeployError, match="v1 failed and was undone, v2 runs"):
        rollout_on(cluster).deploy(replace(broken, image=Image.CRASHES))

    # Then the version before runs, and is still the last verified one
    assert last_verified(cluster.releases()) == new
    assert cluster.runs(new)


def test_a_canary_that_is_not_worse_is_promoted_and_removed() -> None:
    # Given a version that runs, and deploys that begin with a canary
    cluster = ClusterInMemory(with_canary=True)
    deploy(cluster, Image.GOOD)

    # When a good version is deployed
    release = deploy(cluster, Image.BETTER)

    # Then it was tried out, which its record says, and the canary is gone
    assert cluster.canary is not None
    assert cluster.canary.tried_out == ["v2"]
    assert cluster.runs(release)
    assert release.notes == ["canary: not worse"]
    assert not has_canary(cluster)


def test_a_first_version_and_a_rollback_have_no_canary() -> None:
    cluster = ClusterInMemory(with_canary=True)
    old, _ = deploy(cluster, Image.GOOD), deploy(cluster, Image.BETTER)

    rollout_on(cluster).deploy(rollback_of(old, 3, "tester", ""))

    assert cluster.canary is not None
    assert cluster.canary.tried_out == ["v2"]


@pytest.mark.parametrize("image", [Image.CRASHES, Image.WRONG, Image.REFUSED])
def test_a_canary_that_fails_leaves_what_runs_alone(image: Image) -> None:
    # Given a version that runs, with a Deployment that counts its changes
    cluster = ClusterInMemory(with_canary=True)
    before = deploy(cluster, Image.GOOD)
    cluster.paused = True  # which any change of the Deployment would end

    # When a bad version is deployed
    with pytest.raises(DeployError, match="the canary of v2 failed and was removed, v1 runs as before: "):
        deploy(cluster, image)

    # Then it is gone with its objects, and nothing else has changed
    assert cluster.canary is not None
    assert (cluster.canary.image, cluster.canary.objects) == ("", [])
    assert (cluster.release, cluster.paused) == (before.number, True)
    assert cluster.releases()[-1].state is State.UNDONE
    assert cluster.releases()[-1].outcome.startswith("canary: ")


def test_a_canary_whose_deploy_was_stopped_is_removed() -> None:
    # Given a version that runs
    cluster = ClusterInMemory(with_canary=True)
    deploy(cluster, Image.GOOD)

    # When somebody stops a deploy while its canary is compared
    cluster.while_waiting = steps(InterruptedRolloutError, 1)
    with pytest.raises(DeployError, match="the canary of v2 failed and was removed, v1 runs as before: interrupted"):
        rollout_on(cluster).deploy(candidate_for(cluster, Image.BETTER))

    # Then it is gone
    assert not has_canary(cluster)


@pytest.mark.parametrize("next_has_canary", [True, False], ids=["with a canary", "without"])
def test_a_canary_whose_deploy_was_killed_is_removed_by_the_next(next_has_canary: bool) -> None:
    # Given a deploy that was killed while its canary was compared
    cluster = ClusterInMemory(with_canary=True)
    deploy(cluster, Image.GOOD)
    cluster.while_waiting = steps(Killed, 1)
    with suppress(Killed):
        rollout_on(cluster).deploy(candidate_for(cluster, Image.BETTER))
    cluster.while_waiting = lambda: None
    assert cluster.canary is not None
    assert has_canary(cluster)
    assert cluster.releases()[-1].state is State.CANARY

    # When the next is deployed, which restores nothing, as nothing but the canary was placed
    cluster.canary.enabled = next_has_canary
    said: list[str] = []
    rollout = Rollout(cluster, lambda: None, said.append, explain=lambda: "")
    release = rollout.deploy(candidate_for(cluster, Image.GOOD))

    # Then the canary of the first is gone with its objects
    assert cluster.runs(release)
    assert not has_canary(cluster)
    assert 2 not in cluster.canary.objects
    assert [record.state for record in cluster.releases()] == [State.VERIFIED, State.UNDONE, State.VERIFIED]
    assert not any("v1 runs: " in line for line in said)
