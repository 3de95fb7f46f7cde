"""The road to Azure Container Apps, on Azure in memory."""

import re
from typing import Any

import pytest

from mlops_runtime.operations.azure.az import AzureAwayError, AzureError
from mlops_runtime.operations.azure.container_apps import progress_of, release_of
from mlops_runtime.operations.errors import DeployError
from mlops_runtime.operations.releases import Release
from tests.runtime.operations.azure.conftest import AzInMemory, ContainerAppsInMemory, manifests, platform_on
from tests.runtime.operations.test_rollout import Image


def deploy(az: AzInMemory, image: str, **changes: Any) -> Release:
    return ContainerAppsInMemory(az).deploy(image, **changes)


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
    with ContainerAppsInMemory(az).rollout() as (_, rollout):
        rollout.restore(release)

    # Then it runs
    assert [release_of(item["name"]) for item in az.serving] == [2]


def test_after_a_first_version_that_failed_another_one_is_deployed(az: AzInMemory) -> None:
    with pytest.raises(DeployError, match="no earlier version to go back to: its revisions were stopped"):
        deploy(az, Image.WRONG)
    assert az.active == []

    release = deploy(az, Image.GOOD)

    assert ContainerAppsInMemory(az).runs(release)


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
    assert ContainerAppsInMemory(az).runs(deploy(az, Image.BETTER))


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
