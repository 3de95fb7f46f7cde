"""Platforms with records of their own, in memory; the state machine is interrupted at any step."""

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlops_runtime.operations.errors import DeployError
from mlops_runtime.operations.releases import MAX_RELEASES, Release, last_verified
from tests.runtime.operations.azure.conftest import ContainerAppsInMemory, WebAppInMemory
from tests.runtime.operations.docker_host.conftest import MachineInMemory
from tests.runtime.operations.project_in_memory import ProjectInMemory
from tests.runtime.operations.test_rollout import WORKING, Image, interruptions

Attempt = tuple[Image, type[BaseException] | None, int]

each_platform = pytest.mark.parametrize(
    "make_project",
    [MachineInMemory, ContainerAppsInMemory, WebAppInMemory],
    ids=["docker-host", "azure-container-apps", "azure-web-app"],
)


@each_platform
@settings(max_examples=30)
@given(actions=st.lists(interruptions, max_size=5), image=st.sampled_from(list(Image)))
def test_after_any_interruptions_the_next_deploy_goes_on_rightly(
    make_project: Callable[[], ProjectInMemory], actions: list[Attempt], image: Image
) -> None:
    # Given deploys of good and bad images, each of which may be cut short at any step
    project = make_project()
    for attempted, interruption, at in actions:
        project.attempt(attempted, interruption, at)

    # When a deploy is left alone
    before = last_verified(project.platform().releases())
    try:
        release: Release | None = project.deploy(image)
    except DeployError:
        release = None

    # Then a good image has the traffic; after a bad one the last verified release has it, or nothing runs
    records = project.platform().releases()
    assert all(record.state.final for record in records)
    after = last_verified(records)
    if image in WORKING:
        assert release is not None
        assert after is not None
        assert after.number == release.number
        assert project.runs(release)
    else:
        assert release is None
        assert after == before
        assert project.runs(after) if after else not project.images_with_traffic()


@each_platform
@settings(max_examples=30)
@given(actions=st.lists(interruptions, min_size=1, max_size=4))
def test_after_any_interruptions_a_repair_brings_back_the_last_verified_release(
    make_project: Callable[[], ProjectInMemory], actions: list[Attempt]
) -> None:
    # Given a verified release, and deploys that may be cut short
    project = make_project()
    project.deploy(Image.GOOD)
    for attempted, interruption, at in actions:
        project.attempt(attempted, interruption, at)

    # When it is repaired
    with project.rollout() as (platform, rollout):
        rollout.recover()
        releases = platform.releases()

    # Then the last verified release has the traffic
    base = last_verified(releases)
    assert base is not None
    assert all(record.state.final for record in releases)
    assert all(record.image in WORKING for record in releases if record == base)
    assert set(project.images_with_traffic()) == {base.image}


@each_platform
def test_only_twenty_releases_are_kept(make_project: Callable[[], ProjectInMemory]) -> None:
    project = make_project()
    for _ in range(MAX_RELEASES + 3):
        project.deploy(Image.GOOD)

    assert len(project.platform().releases()) == MAX_RELEASES


@each_platform
def test_the_state_is_read_without_the_lock(make_project: Callable[[], ProjectInMemory]) -> None:
    # Given a release that runs
    project = make_project()
    release = project.deploy(Image.GOOD)

    # When the state is read
    snapshot = project.platform().snapshot()

    # Then it is that of the release, of this team and environment
    assert [each.number for each in snapshot.releases] == [release.number]
    assert snapshot.progress.complete
    assert snapshot.live is not None
    assert (snapshot.live.release, snapshot.live.environment, snapshot.live.labels) == (
        1, "production", {"team": "ward"},
    )  # fmt: skip


@each_platform
def test_a_change_by_nobody_is_none(make_project: Callable[[], ProjectInMemory]) -> None:
    project = make_project()
    project.deploy(Image.GOOD)
    release = project.deploy(Image.BETTER)
    platform = project.platform()
    live = platform.live()

    assert live is not None
    assert platform.changes_by_hand(release, live) == []
    assert platform.foreign_fields() == []
