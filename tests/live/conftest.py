"""Real parts for the tests in this folder: a workbench to deploy from, AWS, a registry, a cluster."""

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import pytest

from tests.conftest import bake, program, share_environment
from tests.live.azure import ACCOUNT, CLIENT, Cloud, cloud
from tests.live.registries import TOKEN, limited_registry, registry_of_accounts
from tests.live.site import NAMESPACE, Site, fit_to_server, remove_namespace
from tests.live.workbench import Workbench

REGISTRY = os.environ.get("TEST_REGISTRY", "127.0.0.1:5000")
QUICK_TRAINING = {"BUDGET": "0", "FLOORS": "skill=0.1"}
SKIPPED = "they run in other tests"
AZURE_SETTINGS = QUICK_TRAINING | {
    "ACR": "oncology",
    "LOGIN": "acr",
    "SKIP_TESTS": SKIPPED,
    "STORAGE_ACCOUNT": ACCOUNT,
    "DEPLOYER": CLIENT,
    "WATCH_SECONDS": "2",
}


@pytest.fixture(scope="session")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Environment that points the AWS CLI at a moto server of our own."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    log = tmp_path_factory.mktemp("moto") / "log"
    command = [str(Path(sys.executable).with_name("moto_server")), "-H", "127.0.0.1", "-p", str(port)]
    # It writes down each request, for the test of the rights that the commands need.
    recording = {"MOTO_ENABLE_RECORDING": "1", "MOTO_RECORDER_FILEPATH": str(log.with_name("recording"))}
    with (
        log.open("wb") as output,
        subprocess.Popen(command, stdout=output, stderr=output, env=os.environ | recording) as server,
    ):
        try:
            for _ in range(200):
                try:
                    urlopen(url, timeout=1).close()
                except OSError:
                    time.sleep(0.1)
                else:
                    break
            else:
                pytest.fail(f"moto_server did not start: {log.read_text()}")
            yield {
                "AWS_ENDPOINT_URL": url,
                "AWS_ACCESS_KEY_ID": "testing",
                "AWS_SECRET_ACCESS_KEY": "testing",
                "AWS_EC2_METADATA_DISABLED": "true",
            }
        finally:
            server.terminate()


@pytest.fixture(scope="session")
def registry(engine: str) -> str:
    """Host and port of a registry that engine and cluster can reach."""
    try:
        urlopen(f"http://{REGISTRY}/v2/", timeout=5).close()
    except URLError as error:
        pytest.fail(
            f"no registry answers at {REGISTRY} ({error}): start one, for example with "
            f"`{engine} run --detach --publish {REGISTRY}:5000 registry:2`, or set TEST_REGISTRY"
        )
    return REGISTRY


@pytest.fixture(scope="session")
def workbench(
    project: Path, aws: dict[str, str], engine: str, registry: str, tmp_path_factory: pytest.TempPathFactory
) -> Workbench:
    """A copy of the baked project, free to be changed, committed to and published."""
    folder = tmp_path_factory.mktemp("workbench") / project.name
    shutil.copytree(project, folder, symlinks=True, ignore=shutil.ignore_patterns(".venv"))
    share_environment(folder, project)
    home = tmp_path_factory.mktemp("home")
    return Workbench(
        folder,
        {
            **aws,
            "HOME": str(home),
            "MLOPS_DOCKER": engine,
            "MLOPS_REGISTRY": registry,
            **{f"MLOPS_{name}": value for name, value in QUICK_TRAINING.items()},
            # The engine's own network may not reach the package index of the machine.
            "MLOPS_DOCKER_BUILD_FLAGS": os.environ.get("MLOPS_DOCKER_BUILD_FLAGS", "--network host"),
        },
    )


@pytest.fixture(scope="module")
def bare_workbench(cluster: str, tmp_path_factory: pytest.TempPathFactory) -> Workbench:
    """A baked project that has installed nothing: its commands run in the environment of these tests."""
    variables = {"CLUSTER": cluster, "ENV": "", "PYTHON": sys.executable}
    return Workbench(bake(tmp_path_factory.mktemp("bare")), {}, variables)


@pytest.fixture(scope="session")
def registry_with_password(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Host and port of a registry that has an account, and another password for AWS than the one AWS hands out."""
    with registry_of_accounts(tmp_path_factory.mktemp("registry")) as address:
        yield address


@pytest.fixture(scope="session")
def azure_cloud(engine: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    """A cloud of its own, with the Azure CLI logged in."""
    az = program("az", "TEST_AZ", "pip install azure-cli in an environment of its own")
    azurite = program("azurite-blob", "TEST_AZURITE", "npm install --global azurite")
    with cloud(tmp_path_factory.mktemp("cloud"), az, azurite, engine, dict(os.environ)) as made:
        # Azure lets the identity of the app pull; here the engine has logged in.
        made.azure.environment |= {"HOME": str(tmp_path_factory.mktemp("home"))}
        made.azure.registry_token = TOKEN
        yield made


@pytest.fixture(scope="session")
def azure_settings(azure_cloud: Cloud, engine: str, registry_with_password: str) -> dict[str, str]:
    """Environment of a project that is deployed to this cloud."""
    settings = AZURE_SETTINGS | {
        "AZ": str(azure_cloud.az),
        "DOCKER": engine,
        "REGISTRY": registry_with_password,
        "DOCKER_BUILD_FLAGS": os.environ.get("MLOPS_DOCKER_BUILD_FLAGS", "--network host"),
    }
    home = {"HOME": azure_cloud.azure.environment["HOME"]}
    return {f"MLOPS_{name}": value for name, value in settings.items()} | azure_cloud.own | home


@pytest.fixture(scope="session")
def registry_at_its_limit() -> Iterator[str]:
    """Host and port of a registry that answers each request for an image as Docker Hub does when the limit is met."""
    with limited_registry() as address:
        yield address


@pytest.fixture(scope="module")
def site(workbench: Workbench, cluster: str) -> Iterator[Site]:
    settings = {
        "MLOPS_CLUSTER": cluster,
        "MLOPS_NAMESPACE": NAMESPACE,
        "MLOPS_ROLLOUT_TIMEOUT": "60s",
        "MLOPS_KUBECTL": "kubectl",
        "MLOPS_LOGIN": "ecr",
    }
    remove_namespace(NAMESPACE)
    fit_to_server(workbench.folder)
    environment = workbench.environment | {"AWS_DEFAULT_REGION": "eu-central-1", "PATH": os.environ["PATH"]}
    bucket = ["s3", "mb", "s3://oncology-123456789012"]
    subprocess.run([*workbench.aws, *bucket], env=environment, capture_output=True, check=False)
    yield Site(replace(workbench, environment=workbench.environment | settings, variables={}))
    remove_namespace(NAMESPACE, wait=False)
