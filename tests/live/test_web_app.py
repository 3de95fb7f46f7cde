"""Deploys to a Web App for Containers: the real Azure CLI, the endpoint of the tests of Container Apps, and azurite.

The tests of this file are one story and build on one another, in their order. A deploy that is killed is left out:
what goes on from there is the same for all roads, and in memory it is cut short at any step.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pytest

from tests.conftest import bake, share_environment
from tests.live.app_service import Slot
from tests.live.azure import Cloud
from tests.live.road_story import DestroyStory, RoadStory, Stage
from tests.live.workbench import Workbench

APP = "mlops-template-tests-web"
SETTINGS = {
    "NAMESPACE": APP,
    # Container Apps have their files in another one.
    "STORAGE_CONTAINER": "oncology-web-files",
    # Seconds after which a slot that does not answer has failed.
    "ROLLOUT_TIMEOUT": "30",
}


@dataclass(kw_only=True)
class Subscription(Stage):
    """The project on Azure."""

    cloud: Cloud

    CRASHED = "staging is not ready after"
    EVIDENCE = "$ az webapp show --slot staging"
    ROLLS_BACK_WITH: ClassVar[dict[str, str]] = {"DOCKER": "no-engine"}

    def slot(self, name: str = "production") -> Slot:
        return self.cloud.azure.sites.slots[f"{APP}/{name}"]

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.slot().proxies[1].port}"

    def replicas(self) -> list[str]:
        return list(self.slot().content.containers)

    def setting(self, name: str) -> str:
        return self.slot().content.settings[name]

    def left(self) -> list[str]:
        return [*self.cloud.azure.sites.slots, *(line.version for line in self.workbench.history())]


@pytest.fixture(scope="module")
def stage(
    project: Path,
    azure_cloud: Cloud,
    azure_settings: dict[str, str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Subscription:
    folder = share_environment(bake(tmp_path_factory.mktemp("azure"), platform="azure-web-app"), project)
    own = {f"MLOPS_{name}": value for name, value in SETTINGS.items()}
    return Subscription(Workbench(folder, azure_settings | own), cloud=azure_cloud)


def test_the_infrastructure_has_a_plan_with_slots(stage: Subscription) -> None:
    result = stage.workbench.make("infrastructure")

    assert result.returncode == 0, result.stdout + result.stderr
    plan = stage.cloud.azure.find("serverfarms/oncology")
    assert (plan["sku"]["name"], plan["sku"]["capacity"], plan["properties"]["reserved"]) == ("S1", 2, True)
    made = ("storage", "container", "create", "--name", SETTINGS["STORAGE_CONTAINER"], "--auth-mode", "login")
    stage.cloud.run(*made)


class TestRoad(RoadStory):
    pass


def test_a_rollback_swaps_back_what_stands_by(stage: Subscription) -> None:
    # Given the version that the last rollback has left, which stands by in the staging slot
    version = stage.workbench.history()[1].version
    standing_by, swaps = list(stage.slot("staging").content.containers), stage.cloud.azure.sites.swaps

    # When somebody goes to it
    with stage.load() as load:
        result = stage.workbench.make("rollback", TO=version, **stage.ROLLS_BACK_WITH)

    # Then the same containers have the traffic, after one swap
    assert result.returncode == 0, result.stdout + result.stderr
    assert load.lost == []
    stage.running = version
    stage.assert_runs()
    assert stage.replicas() == standing_by
    assert stage.cloud.azure.sites.swaps == swaps + 1


class TestDestroy(DestroyStory):
    pass
