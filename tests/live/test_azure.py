"""Deploys to Azure Container Apps: the real Azure CLI, a management endpoint of these tests, and azurite.

The tests of this file are one story and build on one another, in their order.
"""

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.conftest import bake, missing, share_environment
from tests.live.azure import ACCOUNT, CLIENT, Cloud, Revision, cloud
from tests.live.registries import TOKEN
from tests.live.site import LIES, replace_in
from tests.live.workbench import Load, Workbench, ask, one_error_line

APP = "mlops-template-tests"
DOCKERFILE = "docker/webservice.Dockerfile"
SETTINGS = {
    "ACR": "oncology",
    "LOGIN": "acr",
    "NAMESPACE": APP,
    "BUDGET": "0",
    "FLOORS": "skill=0.1",
    "SKIP_TESTS": "they run in other tests",
    "STORAGE_ACCOUNT": ACCOUNT,
    "DEPLOYER": CLIENT,
    "WATCH_SECONDS": "2",
}


def program(name: str, variable: str, how_to_get_it: str) -> Path:
    """Return the path of a program; skip the tests where there is none."""
    found = os.environ.get(variable) or shutil.which(name)
    if found is None:
        missing(name, f"{how_to_get_it}, or set {variable}")
    return Path(str(found))


@dataclass
class Site:
    """The project on Azure, the version that should be running there, and a key to it."""

    workbench: Workbench
    cloud: Cloud
    running: str = ""
    key: str = ""

    @property
    def address(self) -> str:
        """Host and port of the app, without TLS."""
        return f"127.0.0.1:{self.cloud.azure.apps[APP].proxies[1].port}"

    def active(self) -> list[Revision]:
        return [each for each in self.cloud.azure.apps[APP].revisions.values() if each.active]

    def deploy(self, expected: int = 0) -> subprocess.CompletedProcess[str]:
        result = self.workbench.make("deploy")
        assert (result.returncode == 0) is (expected == 0), result.stdout + result.stderr
        return result

    def load(self) -> Load:
        return Load(self.address, self.workbench.golden(), self.key)

    def assert_runs(self) -> None:
        """Every replica is of the version that should run, and predicts as it should."""
        one = self.workbench.golden()[0]
        for _ in range(10):
            status, content = ask(self.address, "/version", key=self.key)
            assert (status, content["version"]) == (200, self.running)
            status, prediction = ask(self.address, "/v1/predictions", one["record"], self.key)
            assert (status, prediction["label"]) == (200, one["prediction"]["label"])


@pytest.fixture(scope="module")
def site(
    project: Path, engine: str, registry_with_password: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Site]:
    az = program("az", "TEST_AZ", "pip install azure-cli in an environment of its own")
    azurite = program("azurite-blob", "TEST_AZURITE", "npm install --global azurite")
    folder = share_environment(bake(tmp_path_factory.mktemp("azure"), platform="azure-container-apps"), project)
    settings = SETTINGS | {
        "AZ": str(az),
        "DOCKER": engine,
        "REGISTRY": registry_with_password,
        "DOCKER_BUILD_FLAGS": os.environ.get("MLOPS_DOCKER_BUILD_FLAGS", "--network host"),
    }
    with cloud(tmp_path_factory.mktemp("cloud"), az, azurite, engine, dict(os.environ)) as made:
        # Azure lets the identity of the app pull; here the engine has logged in.
        home = {"HOME": str(tmp_path_factory.mktemp("home"))}
        made.azure.environment |= home
        made.azure.registry_token = TOKEN
        variables = {f"MLOPS_{name}": value for name, value in settings.items()}
        # Nothing trains on Azure: the other image is left out, to save time.
        yield Site(Workbench(folder, variables | made.own | home, {"IMAGES": "webservice"}), made)


def test_the_infrastructure_is_made_once(site: Site) -> None:
    # Given an empty subscription, in which nothing can be deployed
    status = site.workbench.make("status")
    assert "nothing is deployed" in status.stdout
    assert "run az login, then make infrastructure" in one_error_line(site.workbench.make("diff"))

    # When the infrastructure is made, twice
    for _ in range(2):
        result = site.workbench.make("infrastructure")
        assert result.returncode == 0, result.stdout + result.stderr

    # Then everything is there once, without a user of the registry and without a key of the storage account
    paths = sorted(path.partition("/providers/")[2] for path in site.cloud.azure.resources)
    assert [path for path in paths if path and "roleassignments" not in path] == [
        "microsoft.app/managedenvironments/oncology",
        "microsoft.containerregistry/registries/oncology",
        "microsoft.managedidentity/userassignedidentities/oncology",
        "microsoft.storage/storageaccounts/devstoreaccount1",
        "microsoft.storage/storageaccounts/devstoreaccount1/blobservices/default/containers/oncology-files",
    ]
    assert len([path for path in paths if "roleassignments" in path]) == 3
    assert site.cloud.azure.find("registries/oncology")["properties"]["adminUserEnabled"] is False
    assert site.cloud.azure.find("storageaccounts/devstoreaccount1")["properties"]["allowSharedKeyAccess"] is False
    site.cloud.run("storage", "container", "create", "--name", "oncology-files", "--auth-mode", "login")


def test_a_first_version_is_deployed_and_answers(site: Site) -> None:
    # When a version is deployed, and a caller gets a key
    site.running = site.workbench.commit("First version")
    result = site.deploy()
    key = site.workbench.make("key", NAME="tests")
    assert key.returncode == 0, key.stderr
    site.key = key.stdout.strip()

    # Then two replicas answer to whoever has a key
    assert "reach it: https://localhost:" in result.stdout
    site.assert_runs()
    assert ask(site.address, "/version")[0] == 401
    assert [len(revision.containers) for revision in site.active()] == [2]
    status = site.workbench.make("status")
    assert status.returncode == 0
    assert f"{APP}--r1 runs {site.running}" in status.stdout
    assert "not verified" not in status.stdout


def test_a_deploy_without_a_change_changes_nothing(site: Site) -> None:
    before = [dict(revision.containers) for revision in site.active()]

    result = site.deploy()

    assert f"{site.running} runs already: 1 revision" in result.stdout
    assert [revision.containers for revision in site.active()] == before


def test_a_deploy_that_was_killed_is_repaired(site: Site) -> None:
    # Given a deploy that is killed on its way
    replace_in(site.workbench.folder / "project.mk", "MAX_RECORDS ?= 1000", "MAX_RECORDS ?= 7")
    version = site.workbench.commit("Change a setting")
    with site.workbench.start("deploy") as process:
        assert process.stdout is not None
        while "verifying version" not in (line := process.stdout.readline()):
            assert line, process.stderr and process.stderr.read()
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()

    # When somebody asks, then that is said, and nobody else may deploy until the lease has ended
    assert f"deploying {version}" in site.workbench.make("status").stdout
    assert "holds the lock" in one_error_line(site.workbench.make("repair", WAIT="0"))
    blob = ("--blob-name", "releases/production.jsonl", "--container-name", "oncology-files")
    site.cloud.run("storage", "blob", "lease", "break", *blob, "--lease-break-period", "0", "--auth-mode", "login")

    # Then a repair brings back what ran
    result = site.workbench.make("repair")
    assert result.returncode == 0, result.stdout + result.stderr
    assert f"the deploy of {version}" in result.stdout
    site.assert_runs()
    assert [revision.name for revision in site.active()] == [f"{APP}--r1"]


def test_an_update_drops_no_request(site: Site) -> None:
    # Given clients that ask without a pause
    before = site.running
    diff = site.workbench.make("diff").stdout
    with site.load() as load:
        # When another version is deployed
        site.running = site.workbench.version()
        site.deploy()

    # Then every request was answered rightly, first by one version, then by the other
    assert load.lost == []
    assert set(load.versions) == {before, site.running}
    assert '"value": "7"' in diff
    site.assert_runs()
    assert [revision.name for revision in site.active()] == [f"{APP}--r3"]


def test_a_version_that_predicts_wrongly_is_undone_and_drops_no_request(site: Site) -> None:
    # Given clients that ask without a pause
    replicas = [dict(revision.containers) for revision in site.active()]
    with site.load() as load:
        # When a version that predicts wrongly is deployed
        replace_in(site.workbench.folder / DOCKERFILE, "USER 10001:10001", LIES)
        version = site.workbench.commit("Predict wrongly")
        result = site.deploy(expected=1)
    site.workbench.restore()

    # Then it never got a request, and the replicas of the version before were not touched
    assert f"{version} failed and was undone, {site.running} runs" in one_error_line(result)
    assert "for golden record" in one_error_line(result)
    assert load.lost == []
    assert set(load.versions) == {site.running}
    assert [revision.containers for revision in site.active()] == replicas
    log = (site.workbench.folder / "build/rollout.log").read_text()
    assert "az containerapp revision show" in log
    assert "webservice" in log


def test_a_rollback_from_a_fresh_clone_brings_back_version_and_settings(site: Site, tmp_path: Path) -> None:
    # Given a clone in which nothing was installed, on a machine without an image engine
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "--quiet", site.workbench.folder, clone], check=True)
    elsewhere = Workbench(clone, site.workbench.environment | {"MLOPS_DOCKER": "no-engine"})

    # When it rolls back
    with site.load() as load:
        result = elsewhere.make("rollback")

    # Then the first version runs, with the setting that it had
    assert result.returncode == 0, result.stdout + result.stderr
    assert load.lost == []
    history = elsewhere.make("history").stdout
    site.running = history.splitlines()[0].split()[3]
    site.assert_runs()
    (revision,) = site.active()
    assert {"name": "MAX_RECORDS", "value": "1000"} in revision.template["containers"][0]["env"]
    assert "rolled back" in history
    assert not (clone / ".venv").exists()


def test_files_have_the_same_names_as_on_s3(site: Site) -> None:
    # When the files of a version are kept
    for command in ("upload.monitoring", "upload.model"):
        result = site.workbench.make(command)
        assert result.returncode == 0, result.stdout + result.stderr

    # Then they are in Blob storage, beside the records of the releases and the champion's predictions
    listed = site.cloud.run(
        "storage", "blob", "list", "--container-name", "oncology-files", "--auth-mode", "login", "--query", "[].name"
    )
    names = json.loads(listed)
    version = site.workbench.version()
    assert f"model/{version}/report.html" in names
    assert f"webservice/unittest-coverage/unittest-coverage-{version}.json" in names
    assert "trainer/metrics/latest.json" in names
    assert "releases/production.jsonl" in names
    assert [name for name in names if name.startswith("champion/production/")]


def test_destroy_deletes_the_app_once_the_name_is_typed(site: Site) -> None:
    # When nobody confirms, then nothing is removed
    refused = site.workbench.make("destroy")
    assert refused.returncode != 0
    assert "nothing was removed: type oncology, or set CONFIRM=oncology" in one_error_line(refused)
    site.assert_runs()

    # When somebody does, then there is no app, and no record
    result = site.workbench.make("destroy", CONFIRM="oncology")
    assert result.returncode == 0, result.stdout + result.stderr
    assert site.cloud.azure.apps == {}
    assert "nothing is deployed" in site.workbench.make("status").stdout
    assert site.workbench.make("history").stdout == ""
