"""The steps of two pipelines: read from their files, and run in order on a fresh clone, as their vendors do."""

import os
import re
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from secrets import token_hex

import pytest

from tests.conftest import bake, share_environment
from tests.live.conftest import SKIPPED
from tests.live.site import IMAGES, fit_to_server, remove_namespace
from tests.live.workbench import GIT, Workbench
from tests.test_pipelines import commands, content, token_endpoint

pytestmark = pytest.mark.cluster

ROLE = "arn:aws:iam::123456789012:role/pipeline"
RUNS = {ci: token_hex(4) for ci in ("github", "bitbucket")}
"""Number of the run by vendor: a registry may keep what earlier runs have published."""
BARE_MACHINE = re.compile(r"apt-get .*|python -m pip install pipenv==.*")
"""Commands for a machine without tools: that of these tests has them."""


def shells(ci: str, job: str) -> list[str]:
    """Return what each shell of a job runs: GitHub has one for each step, Bitbucket one for the whole script."""
    lines = [line for line in commands(ci, "eks")[job] if not BARE_MACHINE.fullmatch(line)]
    return lines if ci == "github" else ["\n".join(lines)]


def variables(ci: str, job: str) -> dict[str, str]:
    """Return the variables that a file and its vendor set in a job that a schedule has started."""
    if ci == "bitbucket":
        return {"AWS_ROLE_ARN": ROLE, "BITBUCKET_BUILD_NUMBER": RUNS[ci], "RETRAIN": "yes"}
    model, schedule = "github.event.client_payload.model", "github.event_name == 'schedule'"
    run = f"{schedule} && format('retrained-{{0}}', github.run_number) || {model}"
    known = {"vars.AWS_ROLE_ARN": ROLE, run: f"retrained-{RUNS[ci]}", model: ""}
    found = content(ci)
    declared: dict[str, str] = found["env"] | found["jobs"][job].get("env", {})
    return {name: re.sub(r"\$\{\{ (.*?) \}\}", lambda each: known[each[1]], value) for name, value in declared.items()}


def ask_aws(workbench: Workbench, *command: str) -> str:
    """Return what the AWS CLI prints, with the keys of the account."""
    environment = workbench.environment | {"AWS_DEFAULT_REGION": "eu-central-1", "PATH": os.environ["PATH"]}
    result = subprocess.run([*workbench.aws, *command], env=environment, capture_output=True, text=True, check=False)
    return result.stdout


@pytest.fixture(scope="module")
def account(workbench: Workbench, cluster: str) -> Workbench:
    """An account that has the cluster, and the environment of a pipeline that has no key of it."""
    network = ("--resources-vpc-config", "subnetIds=a,b")
    ask_aws(workbench, "eks", "create-cluster", "--name", cluster, "--role-arn", ROLE, *network)
    settings = {
        "MLOPS_CLUSTER": cluster,
        # make pipeline.login sets the configuration of kubectl to the cluster that AWS names, which is no real one.
        "MLOPS_KUBECTL": f"kubectl --kubeconfig {os.environ['KUBECONFIG']}",
        "MLOPS_LOGIN": "none",
        "MLOPS_ROLLOUT_TIMEOUT": "60s",
    }
    keyless = {name: value for name, value in workbench.environment.items() if "KEY" not in name}
    return replace(workbench, environment=keyless | settings)


@pytest.fixture
def namespaces(ci: str) -> Iterator[dict[str, str]]:
    """Namespaces by environment."""
    names = {name: f"mlops-template-{ci}-{name}" for name in ("staging", "production")}
    for name in names.values():
        remove_namespace(name)
    yield names
    for name in names.values():
        remove_namespace(name, wait=False)


def image(namespace: str) -> str:
    """Return the image that a namespace runs."""
    command = ["kubectl", "--namespace", namespace, "get", "deployments", "--output", f"jsonpath={IMAGES}"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


@pytest.mark.parametrize("ci", RUNS)
def test_a_pipeline_takes_a_fresh_clone_to_production(
    ci: str,
    workbench: Workbench,
    account: Workbench,
    namespaces: dict[str, str],
    tmp_path: Path,
    project: Path,
) -> None:
    # Given a fresh clone of a project, on a machine where nobody has logged in
    source = bake(tmp_path / "source", ci=ci)
    fit_to_server(source)
    subprocess.run([*GIT, "commit", "--quiet", "--all", "--allow-empty", "--message", "Fit"], cwd=source, check=True)
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "--quiet", source, clone], check=True)
    share_environment(clone, project)
    bucket = f"oncology-{ci}-{RUNS[ci]}"
    ask_aws(workbench, "s3", "mb", f"s3://{bucket}")
    own = {"HOME": str(tmp_path), "KUBECONFIG": str(tmp_path / "kubeconfig"), "MLOPS_BUCKET": bucket}

    # When the jobs of its pipeline run, one after another
    with token_endpoint() as endpoint:
        given = endpoint if ci == "github" else {"BITBUCKET_STEP_OIDC_TOKEN": "signed"}
        for job in ("test", "staging", "production"):
            deploys = {"MLOPS_NAMESPACE": namespaces[job], "MLOPS_SKIP_TESTS": SKIPPED} if job in namespaces else {}
            environment = os.environ | account.environment | own | given | variables(ci, job) | deploys
            for shell in shells(ci, job):
                result = subprocess.run(
                    ["bash", "-e", "-c", shell], cwd=clone, env=environment, capture_output=True, text=True, check=False
                )
                assert result.returncode == 0, f"{shell}\n{result.stdout}\n{result.stderr}"

    # Then production runs the very image that was verified in staging, of the version that the schedule names
    assert image(namespaces["production"]) == image(namespaces["staging"]) != ""
    result = replace(account, folder=clone, environment=account.environment | own).make(
        "status", NAMESPACE=namespaces["production"]
    )
    assert f"retrained-{RUNS[ci]}" in result.stdout
    # And the role alone has kept its held-out predictions, with which the next deploy compares its model
    kept = ask_aws(workbench, "s3", "ls", "--recursive", f"s3://{bucket}/champion/")
    assert all(f"champion/{environment}/" in kept for environment in namespaces)
    # And both deploys, for the trend
    listed = ask_aws(workbench, "s3", "ls", f"s3://{bucket}/webservice/deploys/")
    assert all(f" {environment}-" in listed for environment in namespaces)
