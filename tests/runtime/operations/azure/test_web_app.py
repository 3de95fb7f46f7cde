"""The road to a Web App for Containers, on Azure in memory."""

import re
from collections.abc import Callable
from typing import Any

import pytest

from mlops_runtime.operations.azure.az import AzureAwayError, AzureError
from mlops_runtime.operations.azure.keys import KeySecret
from mlops_runtime.operations.azure.site import Site
from mlops_runtime.operations.azure.web_app import WebApp
from mlops_runtime.operations.errors import DeployError, RolloutError
from mlops_runtime.operations.keys import add
from mlops_runtime.operations.platforms import platform_of
from mlops_runtime.operations.releases import Release, rollback_of, rollback_target
from mlops_runtime.operations.settings import Settings
from tests.runtime.operations.azure.conftest import ENVIRONMENT, SitesInMemory, WebAppInMemory, web_app_on
from tests.runtime.operations.test_rollout import Image


def deploy(sites: SitesInMemory, image: str, **changes: Any) -> Release:
    return WebAppInMemory(sites).deploy(image, **changes)


def roll_back(sites: SitesInMemory) -> Release:
    with WebAppInMemory(sites).rollout() as (platform, rollout):
        releases = platform.releases()
        target = rollback_target(releases)
        assert target is not None
        return rollout.deploy(rollback_of(target, releases[-1].number + 1, "tester", "now"))


def test_the_version_before_stands_by_in_the_staging_slot(sites: SitesInMemory) -> None:
    deploy(sites, Image.GOOD)

    deploy(sites, Image.BETTER)

    assert [sites.image(slot) for slot in ("production", "staging")] == ["better", "good"]


def test_a_rollback_swaps_back_what_stands_by(sites: SitesInMemory) -> None:
    # Given two versions
    deploy(sites, Image.GOOD)
    deploy(sites, Image.BETTER)
    sites.restarts.clear()

    # When somebody goes back, and later forward again
    back = roll_back(sites)

    # Then the first one has the traffic, with nothing placed anew, and the platform knows it for the rollback
    platform = web_app_on(sites)
    live = platform.live()
    assert live is not None
    assert (live.release, live.image) == (back.number, "good") == (3, "good")
    assert platform.changes_by_hand(back, live) == []
    assert sites.restarts == []
    assert deploy(sites, Image.BETTER).number == 4


def test_a_rollback_to_what_stands_by_no_more_is_placed_again(sites: SitesInMemory) -> None:
    # Given a version before, which a bad version has pushed out of the staging slot
    deploy(sites, Image.GOOD)
    deploy(sites, Image.BETTER)
    with pytest.raises(DeployError):
        deploy(sites, Image.WRONG)

    # When somebody goes back
    roll_back(sites)

    # Then it runs with the settings of its release
    assert sites.image("production") == "good"
    assert sites.settings["production"]["WORKERS"] == "1"


@pytest.mark.parametrize("image", [Image.CRASHES, Image.WRONG, Image.FAILS_UNDER_TRAFFIC, Image.REFUSED])
def test_the_slot_with_the_traffic_does_not_start_anew_for_an_undo(sites: SitesInMemory, image: Image) -> None:
    # Given a version that runs
    deploy(sites, Image.GOOD)
    sites.restarts.clear()

    # When a bad one is deployed
    with pytest.raises(DeployError, match="v2 failed and was undone, v1 runs"):
        deploy(sites, image)

    # Then the first one has the traffic, as it had before, and the bad one was stopped
    assert [sites.image(slot) for slot in ("production", "staging")] == ["good", ""]
    assert "production" not in sites.restarts


def test_after_a_first_version_that_failed_another_one_is_deployed(sites: SitesInMemory) -> None:
    with pytest.raises(DeployError, match="no earlier version to go back to: its slots were stopped"):
        deploy(sites, Image.WRONG)
    assert web_app_on(sites).live() is None

    release = deploy(sites, Image.GOOD)

    assert WebAppInMemory(sites).runs(release)


def stop(sites: SitesInMemory) -> None:
    sites.slots["production"]["properties"]["state"] = "Stopped"


def delete(sites: SitesInMemory) -> None:
    sites.slots.clear()
    sites.settings.clear()


def swap(sites: SitesInMemory) -> None:
    sites.once("webapp", "deployment", "slot", "swap", timeout=0)


def change(sites: SitesInMemory) -> None:
    sites.settings["production"]["WORKERS"] = "9"


@pytest.mark.parametrize(
    ("by_hand", "said"),
    [
        (stop, None),
        (delete, None),
        (swap, ["release 1 has the traffic", "the image is good", "the app setting WORKERS is another one"]),
        (change, ["the app setting WORKERS is another one"]),
    ],
)
def test_what_was_changed_by_hand_is_named_and_repaired(
    sites: SitesInMemory, by_hand: Callable[[SitesInMemory], None], said: list[str] | None
) -> None:
    # Given a release that runs, which somebody has changed
    deploy(sites, Image.GOOD)
    release = deploy(sites, Image.BETTER)
    by_hand(sites)
    live = web_app_on(sites).live()
    assert (web_app_on(sites).changes_by_hand(release, live) if live else None) == said

    # When it is repaired
    with WebAppInMemory(sites).rollout() as (_, rollout):
        rollout.restore(release)

    # Then it runs with its settings
    assert WebAppInMemory(sites).runs(release)
    assert sites.settings["production"]["WORKERS"] == "2"


def test_a_new_key_is_in_both_slots(sites: SitesInMemory) -> None:
    # Given two versions
    deploy(sites, Image.GOOD)
    deploy(sites, Image.BETTER)

    # When a caller gets a key, and somebody goes back
    add(KeySecret(Site(sites, "x", "x-app")), "hospital")
    roll_back(sites)

    # Then the version before knows the key
    assert "hospital:" in sites.settings["production"]["API_KEY_HASHES"]
    assert sites.settings["production"]["WORKERS"] == "1"


def test_no_setting_without_a_value_is_set(sites: SitesInMemory) -> None:
    deploy(sites, Image.GOOD)

    assert sites.settings["production"].keys() == {"WORKERS", "MLOPS_RELEASE", "API_KEY_HASHES", "OPERATOR_KEY"}


def test_slots_that_are_not_swapped_are_held_against_the_version(sites: SitesInMemory) -> None:
    deploy(sites, Image.GOOD)
    sites.failures["webapp deployment slot swap"] = AzureError("az webapp: no http ping", "ExpectationFailed")

    with pytest.raises(
        DeployError, match="v2 failed and was undone, v1 runs: the slots were not swapped: az webapp: no"
    ):
        deploy(sites, Image.BETTER)


def test_a_swap_without_an_answer_is_not_repeated(sites: SitesInMemory) -> None:
    # Given Azure that goes away in a swap
    deploy(sites, Image.GOOD)
    sites.failures["webapp deployment slot swap"] = AzureAwayError("Azure does not answer")
    with pytest.raises(AzureAwayError):
        deploy(sites, Image.BETTER)
    assert sites.commands.count("webapp deployment slot swap") == 1

    # When the next version is deployed
    sites.failures.clear()
    release = deploy(sites, Image.BETTER)

    # Then it runs
    assert WebAppInMemory(sites).runs(release)


def test_a_slot_that_azure_changes_is_waited_for(sites: SitesInMemory) -> None:
    # Given a swap that is under way
    deploy(sites, Image.GOOD)
    properties = sites.slots["production"]["properties"]
    properties["inProgressOperationId"] = "swap"
    app = Site(sites, "x", "x-app", timeout=4)

    # When it lasts too long, then that is said
    with pytest.raises(AzureAwayError, match="x-app is still being changed after 4 s"):
        app.find()

    # When it ends, then the app is found
    app.az.sleep = lambda _: properties.pop("inProgressOperationId", None)
    assert app.find() is not None


@pytest.mark.parametrize(
    ("tier", "message"),
    [
        pytest.param("", "there is no plan plan: run make infrastructure; nothing was changed", id="no plan"),
        pytest.param(
            "Basic", "a plan in the tier Basic have no slots: az appservice plan update .*--sku S1", id="Basic"
        ),
    ],
)
def test_without_a_plan_that_has_slots_nothing_is_changed(sites: SitesInMemory, tier: str, message: str) -> None:
    sites.tier = tier

    with pytest.raises(AzureError, match=message):
        web_app_on(sites).prepare(WebAppInMemory(sites).manifests(1))
    assert sites.slots == {}


def test_a_version_that_fails_under_traffic_says_how(sites: SitesInMemory) -> None:
    platform, project = web_app_on(sites), WebAppInMemory(sites)
    release = project.candidate(platform, Image.FAILS_UNDER_TRAFFIC)
    platform.apply(release, None)

    with pytest.raises(RolloutError, match="https://production returned status 500"):
        platform.move(release)


def test_a_preview_shows_what_differs(sites: SitesInMemory) -> None:
    release = deploy(sites, Image.GOOD)
    platform = web_app_on(sites)
    live = platform.live()
    assert live is not None

    lines = platform.preview(WebAppInMemory(sites).manifests(2), release, live)

    assert [re.sub(" +", " ", line.strip()) for line in lines if line[0] in "+-"] == [
        "--- release 1", "+++ webapp.yaml", '- "value": "1"', '+ "value": "2"',
    ]  # fmt: skip


def test_diagnosis_has_the_log_of_each_slot(sites: SitesInMemory) -> None:
    deploy(sites, Image.GOOD)
    deploy(sites, Image.BETTER)

    text = web_app_on(sites).diagnosis()

    assert "log of production" in text
    assert "log of staging" in text
    assert "OPERATOR_KEY" not in text


def test_nothing_is_made_by_reading(sites: SitesInMemory) -> None:
    assert web_app_on(sites).snapshot().live is None
    assert (sites.slots, sites.blobs) == ({}, {})


def test_status_says_what_each_slot_runs(sites: SitesInMemory) -> None:
    deploy(sites, Image.GOOD)
    platform = web_app_on(sites)

    progress = platform.snapshot().progress

    assert (progress.pods, dict(progress.ready)) == ("production is ready", {"production": "production"})
    assert platform.version_of("production") == "version at https://production"
    assert platform.how_to_reach() == "reach it: https://production"


def test_destroy_deletes_slots_and_records(sites: SitesInMemory) -> None:
    deploy(sites, Image.GOOD)
    deploy(sites, Image.BETTER)

    assert web_app_on(sites).destroy("tester") == ["app x-app, with its keys", "records of 2 releases"]
    assert sites.slots == {}
    assert web_app_on(sites).releases() == []


@pytest.mark.parametrize("name", ["x_y", "x" * 51, "-x", "x"])
def test_a_name_that_no_host_may_have_is_refused(name: str) -> None:
    environment = ENVIRONMENT | {"PLATFORM": "azure-web-app", "NAMESPACE": name}

    with pytest.raises(DeployError, match="cannot name a web app: 2 to 50 lower-case letters, digits and -"):
        platform_of(Settings(environment), environment)


def test_the_platform_is_found_by_its_name() -> None:
    environment = ENVIRONMENT | {"PLATFORM": "azure-web-app"}

    assert isinstance(platform_of(Settings(environment), environment), WebApp)
