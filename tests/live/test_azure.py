"""Deploys to Azure Container Apps: the real Azure CLI, a management endpoint of these tests, and azurite.

The tests of this file are one story and build on one another, in their order.
"""

import json
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from tests.conftest import bake, share_environment
from tests.live.azure import CLIENT, TENANT, Cloud, Revision
from tests.live.road_story import DestroyStory, KilledDeployStory, RoadStory, Stage
from tests.live.workbench import Workbench, one_error_line
from tests.test_pipelines import token_endpoint

APP = "mlops-template-tests"


@dataclass(kw_only=True)
class Subscription(Stage):
    """The project on Azure."""

    cloud: Cloud

    CRASHED = "restarts"
    EVIDENCE = "$ az containerapp revision show"

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.cloud.azure.apps[APP].proxies[1].port}"

    def active(self) -> list[Revision]:
        return [each for each in self.cloud.azure.apps[APP].revisions.values() if each.active]

    def replicas(self) -> list[str]:
        return [name for revision in self.active() for name in revision.containers]

    def setting(self, name: str) -> str:
        (revision,) = self.active()
        variables = revision.template["containers"][0]["env"]
        return next(str(variable["value"]) for variable in variables if variable["name"] == name)

    def left(self) -> list[str]:
        return [*self.cloud.azure.apps, *(line.version for line in self.workbench.history())]


@pytest.fixture(scope="module")
def stage(
    project: Path,
    azure_cloud: Cloud,
    azure_settings: dict[str, str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Subscription:
    folder = share_environment(bake(tmp_path_factory.mktemp("azure"), platform="azure-container-apps"), project)
    bench = Workbench(folder, azure_settings | {"MLOPS_NAMESPACE": APP}, {"IMAGES": "webservice"})
    return Subscription(bench, cloud=azure_cloud)


def test_the_infrastructure_is_made_once(stage: Subscription) -> None:
    # Given an empty subscription, in which nothing can be deployed
    status = stage.workbench.make("status")
    assert "nothing is deployed" in status.stdout
    assert "run az login, then make infrastructure" in one_error_line(stage.workbench.make("diff"))

    # When the infrastructure is made, twice
    for _ in range(2):
        result = stage.workbench.make("infrastructure")
        assert result.returncode == 0, result.stdout + result.stderr

    # Then everything is there once, without a user of the registry and without a key of the storage account
    paths = sorted(path.partition("/providers/")[2] for path in stage.cloud.azure.resources)
    assert [path for path in paths if path and "roleassignments" not in path] == [
        "microsoft.app/managedenvironments/oncology",
        "microsoft.containerregistry/registries/oncology",
        "microsoft.managedidentity/userassignedidentities/oncology",
        "microsoft.storage/storageaccounts/devstoreaccount1",
        "microsoft.storage/storageaccounts/devstoreaccount1/blobservices/default/containers/oncology-files",
    ]
    assert len([path for path in paths if "roleassignments" in path]) == 3
    assert stage.cloud.azure.find("registries/oncology")["properties"]["adminUserEnabled"] is False
    assert stage.cloud.azure.find("storageaccounts/devstoreaccount1")["properties"]["allowSharedKeyAccess"] is False
    stage.cloud.run("storage", "container", "create", "--name", "oncology-files", "--auth-mode", "login")


class TestRoad(RoadStory):
    pass


class TestKilledDeploy(KilledDeployStory):
    pass


def test_files_have_the_same_names_as_on_s3(stage: Subscription) -> None:
    # When the files of a version are kept, those of the trainer included
    for command in ("upload.monitoring", "upload.model"):
        result = replace(stage.workbench, variables={}).make(command)
        assert result.returncode == 0, result.stdout + result.stderr

    # Then they are in Blob storage, beside the records of the releases and the champion's predictions
    listed = stage.cloud.run(
        "storage", "blob", "list", "--container-name", "oncology-files", "--auth-mode", "login", "--query", "[].name"
    )
    names = json.loads(listed)
    version = stage.workbench.version()
    assert f"model/{version}/report.html" in names
    assert f"webservice/unittest-coverage/unittest-coverage-{version}.json" in names
    assert "trainer/metrics/latest.json" in names
    assert "releases/production.jsonl" in names
    assert [name for name in names if name.startswith("champion/production/")]


def test_a_pipeline_logs_in_with_the_token_of_its_job(stage: Subscription) -> None:
    # Given a machine where nobody has logged in
    stage.cloud.run("logout")
    assert "az login" in one_error_line(stage.workbench.make("status"))
    application = {"AZURE_CLIENT_ID": CLIENT, "AZURE_TENANT_ID": TENANT}

    # When a job on GitHub does
    with token_endpoint() as endpoint:
        job = replace(stage.workbench, environment=stage.workbench.environment | endpoint | application)
        result = job.make("pipeline.login")

    # Then the directory has its token, and the commands that follow work
    assert result.returncode == 0, result.stdout + result.stderr
    assert stage.cloud.azure.assertions[-1] == "signed"
    assert f"verified  {stage.running}" in stage.workbench.make("status").stdout


class TestDestroy(DestroyStory):
    pass
