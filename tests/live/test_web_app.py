"""Deploys to a Web App for Containers: the real Azure CLI, the endpoint of the tests of Container Apps, and azurite.

The tests of this file are one story and build on one another, in their order.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pytest

from tests.conftest import bake, share_environment
from tests.live.app_service import Slot
from tests.live.azure import Cloud
from tests.live.road_story import DestroyStory, KilledDeployStory, RoadStory, Stage
from tests.live.workbench import Workbench

APP = "mlops-template-tests-web"
SETTINGS = {
    "NAMESPACE": APP,
    # Container Apps have their files in another one.
    "STORAGE_CONTAINER": "oncology-web-files",
    "ROLLOUT_TIMEOUT": "60",
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
    return Subscription(Workbench(folder, azure_settings | own, {"IMAGES": "webservice"}), cloud=azure_cloud)


def test_the_infrastructure_has_a_plan_with_slots(stage: Subscription) -> None:
    result = stage.workbench.make("infrastructure")

    assert result.returncode == 0, result.stdout + result.stderr
    plan = stage.cloud.azure.find("serverfarms/oncology")
    assert (plan["sku"]["name"], plan["sku"]["capacity"], plan["properties"]["reserved"]) == ("S1", 2, True)
    made = ("storage", "container", "create", "--name", SETTINGS["STORAGE_CONTAINER"], "--auth-mode", "login")
    stage.cloud.run(*made)


class TestRoad(RoadStory):
    def test_a_rollback_from_a_clone_brings_back_version_and_settings(self, stage: Stage, tmp_path: Path) -> None:
        # Given the version before, which stands by in the staging slot
        assert isinstance(stage, Subscription)
        standing_by, swaps = list(stage.slot("staging").content.containers), stage.cloud.azure.sites.swaps

        # When somebody goes back to it
        super().test_a_rollback_from_a_clone_brings_back_version_and_settings(stage, tmp_path)

        # Then the same containers have the traffic, after one swap
        assert stage.replicas() == standing_by
        assert stage.cloud.azure.sites.swaps == swaps + 1

    # After the rollback, because a version that fails takes the place of the one that stands by.
    test_a_bad_version_is_undone = RoadStory.test_a_bad_version_is_undone


class TestKilledDeploy(KilledDeployStory):
    pass


class TestDestroy(DestroyStory):
    pass
