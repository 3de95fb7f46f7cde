"""The road to Azure Container Apps, on Azure in memory; the state machine is interrupted at any step."""

import re
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlops_runtime.operations.azure.az import AzureAwayError, AzureError
from mlops_runtime.operations.azure.container_apps import ContainerApps, progress_of, release_of
from mlops_runtime.operations.errors import DeployError
from mlops_runtime.operations.releases import MAX_RELEASES, Release, State, last_verified
from mlops_runtime.operations.rollout import Rollout
from tests.runtime.operations.azure.conftest import AzInMemory, image_in, in_memory, platform_on
from tests.runtime.operations.test_rollout import ENDS, WORKING, Image, interruptions, steps

NEVER_WITH_TRAFFIC = (Image.CRASHES, Image.WRONG)


def manifests(number: int) -> list[dict[str, Any]]:
    container = {"name": "webservice", "env": [{"name": "WORKERS", "value": str(number)}]}
    template = {"containers": [container], "scale": {"minReplicas": 2}}
    properties = {"environmentId": "/env", "configuration": {"ingress": {"external": True}}, "template": template}
    return [{"kind": "ContainerApp", "metadata": {"name": "x-app"}, "resource": {"properties": properties}}]


def candidate_for(platform: ContainerApps, image: str) -> Release:
    number = max((release.number for release in platform.releases()), default=0) + 1
    return Release(
        number=number, version=f"v{number}", commit="", image=image, environment="production",
        manifests=manifests(number), contract={},
    )  # fmt: skip


def deploy(az: AzInMemory, image: str, **changes: Any) -> Release:
    platform = platform_on(az)
    with platform.locked("tester", 0) as check:
        rollout = Rollout(platform, check, say=lambda _: None, explain=lambda: "")
        platform.ensure_keys()
        return rollout.deploy(replace(candidate_for(platform, image), **changes))


def attempt(az: AzInMemory, image: str, interruption: type[BaseException] | None, at: int) -> None:
    """Deploy an image, cut short at a step; no version has traffic before it is verified, unless it is the first."""
    interrupt = steps(interruption, at)

    def step() -> None:
        if any(release.state is State.VERIFIED for release in platform_on(az).releases()):
            assert not [item for item in az.serving if image_in(item) in NEVER_WITH_TRAFFIC]
        interrupt()

    az.before_step = step
    with suppress(*ENDS):
        deploy(az, image)
    az.before_step = lambda: None
    for blob in az.blobs.values():
        blob.lease = ""  # it ends by itself


def runs(az: AzInMemory, release: Release) -> bool:
    """Return whether the revision of a release has the traffic, and no other one is active."""
    names = [item["name"] for item in az.serving]
    return [release_of(name) for name in names] == [release.number] and az.active == names


@settings(max_examples=50)
@given(st.lists(interruptions, max_size=5), st.sampled_from(list(Image)))
def test_after_any_interruptions_the_next_deploy_goes_on_rightly(
    actions: list[tuple[Image, type[BaseException] | None, int]], image: Image
) -> None:
    # Given deploys of good and bad images, each of which may be cut short at any step
    az = in_memory()
    for attempted, interruption, at in actions:
        attempt(az, attempted, interruption, at)

    # When a deploy is left alone
    before = last_verified(platform_on(az).releases())
    try:
        release: Release | None = deploy(az, image)
    except DeployError:
        release = None

    # Then a good image has the traffic; after a bad one the last verified release has it, or nothing runs
    records = platform_on(az).releases()
    assert all(record.state.final for record in records)
    assert all(record.image in WORKING for record in records if record.state is State.VERIFIED)
    after = last_verified(records)
    if image in WORKING:
        assert release is not None
        assert after is not None
        assert after.number == release.number
        assert runs(az, release)
    else:
        assert release is None
        assert after == before
        assert runs(az, after) if after else not az.serving


@pytest.mark.parametrize("image", [Image.CRASHES, Image.WRONG, Image.FAILS_UNDER_TRAFFIC, Image.REFUSED])
def test_the_revision_before_is_not_touched_by_an_undo(az: AzInMemory, image: Image) -> None:
    # Given a version that runs
    deploy(az, Image.GOOD)
    az.commands.clear()

    # When a bad one is deployed
    with pytest.raises(DeployError, match="v2 failed and was undone, v1 runs"):
        deploy(az, image)

    # Then the first revision has the traffic, and was never stopped
    assert az.active == ["x-app--r1"]
    assert not [command for command in az.commands if "x-app--r1/" in command and "replicas" not in command]


def test_a_rollback_is_a_revision_with_the_settings_of_its_release(az: AzInMemory) -> None:
    deploy(az, Image.GOOD)
    deploy(az, Image.BETTER)

    deploy(az, Image.GOOD, manifests=manifests(1))

    (revision,) = az.serving
    assert revision["name"] == "x-app--r3"
    assert revision["properties"]["template"]["containers"][0]["env"] == [{"name": "WORKERS", "value": "1"}]


@pytest.mark.parametrize("what", ["stopped", "deleted", "traffic moved"])
def test_what_was_changed_by_hand_is_repaired(az: AzInMemory, what: str) -> None:
    # Given a release that runs, which somebody has changed
    deploy(az, Image.GOOD)
    release = deploy(az, Image.BETTER)
    match what:
        case "stopped":
            az.revisions["x-app--r2"]["properties"]["active"] = False
        case "deleted":
            az.app, az.revisions = None, {}
        case "traffic moved":
            az.revisions["x-app--r1"]["properties"]["active"] = True
            assert az.app is not None
            az.app["properties"]["configuration"]["ingress"]["traffic"] = [
                {"revisionName": "x-app--r1", "weight": 60},
                {"revisionName": "x-app--r2", "weight": 40},
            ]
            platform = platform_on(az)
            live = platform.live()
            assert live is not None
            assert platform.changes_by_hand(release, live) == [
                "traffic: 60 % to x-app--r1, 40 % to x-app--r2",
                "revision x-app--r1 of another release is active",
            ]

    # When it is repaired
    platform = platform_on(az)
    with platform.locked("tester", 0) as check:
        Rollout(platform, check, say=lambda _: None, explain=lambda: "").restore(release)

    # Then it runs
    assert [release_of(item["name"]) for item in az.serving] == [2]


def test_after_a_first_version_that_failed_another_one_is_deployed(az: AzInMemory) -> None:
    with pytest.raises(DeployError, match="no earlier version to go back to: its revisions were stopped"):
        deploy(az, Image.WRONG)
    assert az.active == []

    release = deploy(az, Image.GOOD)

    assert runs(az, release)


def test_only_twenty_releases_are_kept(az: AzInMemory) -> None:
    for _ in range(MAX_RELEASES + 3):
        deploy(az, Image.GOOD)

    assert len(platform_on(az).releases()) == MAX_RELEASES


def test_the_state_is_read_without_the_lock(az: AzInMemory) -> None:
    release = deploy(az, Image.GOOD)

    snapshot = platform_on(az).snapshot()

    assert [each.number for each in snapshot.releases] == [release.number]
    assert snapshot.progress.complete
    assert snapshot.live is not None
    assert (snapshot.live.release, snapshot.live.environment, snapshot.live.labels["team"]) == (1, "production", "ward")


def test_nothing_is_made_by_reading(az: AzInMemory) -> None:
    assert platform_on(az).snapshot().live is None
    assert (az.app, az.blobs) == (None, {})


def test_the_golden_records_are_read_once_from_each_image(az: AzInMemory) -> None:
    # Given an image that was deployed
    deploy(az, Image.GOOD)

    # When another machine, which has no image engine, goes back to it
    platform = platform_on(az)
    platform.read_image = lambda _, image: pytest.fail(f"{image} was read again")  # type: ignore[misc]

    # Then its golden records are there
    assert platform.verify("v1") == ("1 revision, 9 golden predictions each", "hash")


def test_azure_that_goes_away_is_not_held_against_a_version(az: AzInMemory) -> None:
    # Given a version that runs
    deploy(az, Image.GOOD)
    az.failures["rest get /revisions/"] = AzureAwayError("Azure does not answer")

    # When Azure goes away in the next deploy
    with pytest.raises(AzureAwayError):
        deploy(az, Image.BETTER)

    # Then nothing is undone, and the next deploy goes on
    az.failures.clear()
    assert not platform_on(az).releases()[-1].state.final
    assert runs(az, deploy(az, Image.BETTER))


def test_without_its_environment_nothing_is_changed(az: AzInMemory) -> None:
    with pytest.raises(AzureError, match="no environment env: run make infrastructure; nothing was changed"):
        platform_on(az).prepare(manifests(1))


def test_a_preview_shows_what_differs(az: AzInMemory) -> None:
    release = deploy(az, Image.GOOD)
    platform = platform_on(az)
    live = platform.live()
    assert live is not None

    lines = platform.preview(manifests(2), release, live)

    assert [re.sub(" +", " ", line.strip()) for line in lines if line[0] in "+-"] == [
        "--- release 1", "+++ containerapp.yaml", '- "value": "1"', '+ "value": "2"',
    ]  # fmt: skip


def test_destroy_deletes_app_and_records(az: AzInMemory) -> None:
    deploy(az, Image.GOOD)

    assert platform_on(az).destroy("tester") == ["app x-app, with its keys", "records of 1 releases"]
    assert az.app is None
    assert platform_on(az).releases() == []


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        pytest.param({"provisioningState": "Failed", "provisioningError": "no image"}, "no image", id="no image"),
        pytest.param({}, "", id="starting"),
    ],
)
def test_a_revision_that_cannot_start_fails_at_once(facts: dict[str, str], expected: str) -> None:
    template = {"containers": [{"image": "good"}], "scale": {"minReplicas": 2}}
    revision = {"name": "x-app--r1", "properties": {"active": True, "template": template} | facts}

    progress = progress_of(revision, [])

    assert not progress.complete
    assert progress.pods == "0 of 2 replicas ready"
    assert expected in progress.failure
    assert bool(progress.failure) is bool(expected)


@pytest.mark.parametrize(
    ("name", "number"),
    [("x--r7", 7), ("x--r7-2", 7), ("x--r7x", 0), ("x--abc", 0), ("x--r1--r2", 2)],
)
def test_the_name_of_a_revision_has_the_number_of_its_release(name: str, number: int) -> None:
    assert release_of(name) == number
