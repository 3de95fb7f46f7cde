"""The pipelines of a project: their steps, their order, and the tools that check them."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import yaml

from mlops_runtime.operations.template_choices import choices_of
from tests.conftest import TEMPLATE, Bakery
from tests.test_bake import QUESTIONS, text_files

FOLDER = TEMPLATE / "{{cookiecutter.project_slug}}"
PLATFORMS = QUESTIONS["platform"]

STEPS = {
    "test": ["install", "lint", "type-check", "unittest", "train", "test"],
    "staging": ["pipeline.login", "publish", "deploy"],
    "production": ["pipeline.login", "deploy"],
}
"""Targets of make, in the order of each job."""
WORKFLOW = ".github/workflows/pipeline.yml"

GITHUB_LOGINS: dict[str, tuple[dict[str, str], set[str]]] = {
    "eks": ({"id-token": "write"}, {"AWS_ROLE_ARN"}),
    "docker-host": ({"packages": "write"}, {"DEPLOY_HOST_KEYS", "DEPLOY_KEY", "REGISTRY_TOKEN"}),
    "azure-container-apps": ({"id-token": "write"}, {"AZURE_CLIENT_ID", "AZURE_TENANT_ID"}),
    "azure-web-app": ({"id-token": "write"}, {"AZURE_CLIENT_ID", "AZURE_TENANT_ID"}),
}
"""Rights of a deploy and the variables that it logs in with, by platform."""


def workflow(project: Path) -> dict[str, Any]:
    content = yaml.safe_load((project / WORKFLOW).read_text())
    # YAML 1.1 reads the word as a boolean.
    content["on"] = content.pop(True)
    assert isinstance(content, dict)
    return content


def commands(job: dict[str, Any]) -> list[str]:
    """Return the commands of a job on GitHub."""
    return [step["run"] for step in job["steps"] if "run" in step]


def targets(lines: list[str]) -> list[str]:
    """Return the targets of commands, each of which must call one, once pipenv is there."""
    (version,) = re.findall(r"pipenv==([\d.]+)", (FOLDER / "docker/webservice.Dockerfile").read_text())
    assert lines[0] == f"python -m pip install pipenv=={version}"
    found = [re.fullmatch(r"make ([\w.-]+)", line) for line in lines[1:]]
    assert all(found), lines
    return [match[1] for match in found if match]


def test_github_calls_the_targets_in_order(bakery: Bakery) -> None:
    jobs = workflow(bakery.project())["jobs"]

    assert {name: targets(commands(job)) for name, job in jobs.items()} == STEPS


@pytest.mark.parametrize("platform", PLATFORMS)
def test_every_target_of_a_pipeline_is_there(bakery: Bakery, platform: str) -> None:
    baked = bakery.project(platform=platform)

    rules = "\n".join(path.read_text() for path in baked.glob("make/*.mk"))
    for target in {each for job in STEPS.values() for each in job}:
        assert len(re.findall(rf"^\.PHONY: {re.escape(target)}$", rules, flags=re.MULTILINE)) == 1, target


def test_the_order_of_jobs_on_github(bakery: Bakery) -> None:
    content = workflow(bakery.project())
    test, staging, production = content["jobs"].values()

    # Every push is tested, with no right but to read
    assert content["on"]["push"] is None
    assert content["permissions"] == {}
    assert test["permissions"] == {"contents": "read"}
    assert not {"if", "environment", "needs"} & set(test)
    # main goes to staging, then to production, where the environment asks for approval
    assert (staging["needs"], production["needs"]) == ("test", "staging")
    assert staging["if"] == "github.ref == 'refs/heads/main'"
    assert "if" not in production
    for name, job in (("staging", staging), ("production", production)):
        assert job["environment"] == job["env"]["MLOPS_ENVIRONMENT"] == name
        assert job["concurrency"] == {"group": f"deploy-{name}", "cancel-in-progress": False}


def test_a_model_that_the_schedule_trains_is_a_version_of_its_own(bakery: Bakery) -> None:
    content = workflow(bakery.project())

    assert [set(each) for each in content["on"]["schedule"]] == [{"cron"}]
    expression = content["env"]["MLOPS_VERSION"]
    assert "github.event_name == 'schedule' && format('retrained-{0}', github.run_number)" in expression
    # An empty variable leaves the version to git
    for value, expected in (("retrained-7", "retrained-7"), ("", "")):
        shown = subprocess.run(
            ["make", "--silent", "--eval=print: ; @echo $(GIVEN_VERSION)", "print"],
            cwd=bakery.project(), env=os.environ | {"MLOPS_VERSION": value}, capture_output=True, text=True, check=True,
        ).stdout  # fmt: skip
        assert shown.strip() == expected


@pytest.mark.parametrize("platform", PLATFORMS)
def test_a_deploy_on_github_has_the_rights_and_variables_of_its_platform(bakery: Bakery, platform: str) -> None:
    baked = bakery.project(platform=platform)
    rights, variables = GITHUB_LOGINS[platform]

    for name in ("staging", "production"):
        job = workflow(baked)["jobs"][name]
        assert job["permissions"] == {"contents": "read"} | rights
        assert set(job["env"]) == variables | {"MLOPS_ENVIRONMENT"}
    page = (baked / "docs/pipeline.md").read_text()
    assert all(f"`{name}`" in page for name in variables - {"REGISTRY_TOKEN"})


def test_actions_are_pinned_by_commit(bakery: Bakery) -> None:
    text = (bakery.project() / WORKFLOW).read_text()

    pins = set(re.findall(r"uses: (.*)", text))
    assert len(pins) == 2
    assert all(re.fullmatch(r"actions/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", pin) for pin in pins)


@pytest.mark.parametrize(
    "command",
    [
        pytest.param(("check-jsonschema", "--builtin-schema", "vendor.github-workflows"), id="check-jsonschema"),
        pytest.param(("zizmor", "--offline", "--quiet"), id="zizmor"),
    ],
)
def test_a_checker_finds_nothing_in_the_workflow_of_any_platform(bakery: Bakery, command: tuple[str, ...]) -> None:
    files = [str(bakery.project(platform=platform) / WORKFLOW) for platform in PLATFORMS]

    check(*command, *files)


def check(program: str, *arguments: str) -> None:
    """Run a program that checks pipelines, and fail if it finds something; skip the test without the program."""
    beside = Path(sys.executable).with_name(program)
    command = str(beside) if beside.exists() else shutil.which(program)
    if command is None:
        pytest.skip(f"no {program}: install it to have the pipelines checked")
    result = subprocess.run([command, *arguments], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr


def test_a_project_without_a_pipeline_has_no_line_of_it(bakery: Bakery) -> None:
    baked = bakery.project(ci="none")

    assert choices_of(FOLDER, baked)["ci"] == "none"
    assert choices_of(FOLDER, bakery.project())["ci"] == "github"
    for path in text_files(baked):
        assert not re.search(r"pipeline\.(login|md|yml)|@[A-Z]+@", path.read_text()), path


@contextmanager
def token_endpoint() -> Iterator[dict[str, str]]:
    """Yield the variables of a job on GitHub, for an endpoint that gives it a token."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            assert self.headers["Authorization"] == "Bearer of-the-job"
            body = json.dumps({"value": "signed"}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield {
            "ACTIONS_ID_TOKEN_REQUEST_URL": f"http://127.0.0.1:{server.server_port}/?api-version=2.0",
            "ACTIONS_ID_TOKEN_REQUEST_TOKEN": "of-the-job",
        }
        server.shutdown()


def test_a_pipeline_has_the_credentials_of_its_role(project: Path, tmp_path: Path) -> None:
    """The real AWS CLI exchanges the token; nothing but the token is in a file of the project."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    own = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    aws = f"http://{host}:{port}"
    role = "arn:aws:iam::123456789012:role/pipeline"

    def run(*command: str, **more: str) -> str:
        # That of the environment may be the one with which other tests reach a cluster.
        changed = {"HOME": str(tmp_path), "AWS_ENDPOINT_URL": aws, "KUBECONFIG": str(tmp_path / "kubeconfig")}
        environment = own | changed | more
        result = subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True, check=False)
        assert result.returncode == 0, result.stdout + result.stderr
        return result.stdout

    try:
        # Given a cluster
        cli = (str(project / ".venv/bin/python"), "-m", "awscli", "--region", "eu-central-1")
        root = {"AWS_ACCESS_KEY_ID": "root", "AWS_SECRET_ACCESS_KEY": "root"}
        network = ("--resources-vpc-config", "subnetIds=a,b")
        run(*cli, "eks", "create-cluster", "--name", "oncology", "--role-arn", role, *network, **root)

        # When a job without any key logs in
        with token_endpoint() as github:
            run("make", "pipeline.login", f"KUBECTL={sys.executable}", AWS_ROLE_ARN=role, **github)

        # Then the next step is that role, and kubectl is set to the cluster
        who = json.loads(run(*cli, "sts", "get-caller-identity"))
        assert who["Arn"].startswith("arn:aws:sts::123456789012:assumed-role/pipeline/")
        assert "cluster/oncology" in (tmp_path / "kubeconfig").read_text()
        assert (project / "build/oidc-token").read_text() == "signed"
    finally:
        server.stop()
        (project / "build/oidc-token").unlink(missing_ok=True)
