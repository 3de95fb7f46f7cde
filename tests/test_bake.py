"""Properties of a new project, for any answers."""

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from mlops_runtime.operations.template_changes import changed_files
from mlops_runtime.operations.template_choices import FOLDERS
from mlops_runtime.serving.settings import Settings
from tests.conftest import TEMPLATE, Bakery, bake, share_environment
from tests.custom_kinds import assert_valid

QUESTIONS = json.loads((TEMPLATE / "cookiecutter.json").read_text())
PROMPTS = [name for name in QUESTIONS if not name.startswith("_")]
TEMPLATE_FOLDER = TEMPLATE / "{{cookiecutter.project_slug}}"

EXTREMES = [
    pytest.param({}, id="defaults"),
    pytest.param({"project_slug": "ab"}, id="shortest slug"),
    pytest.param({"project_slug": "a-very-long-slug-of-exactly-40-character"}, id="longest slug"),
    pytest.param({"project_slug": "zebra"}, id="slug that sorts last"),
    pytest.param({"project_name": "Früherkennung im Alltag", "__author": "Zoë O'Brien"}, id="umlaut and apostrophe"),
    pytest.param({"project_name": "腫瘍学", "project_slug": "tumour", "description": "良性か"}, id="another script"),
    pytest.param({"team": "no", "project_slug": "yes"}, id="words that YAML reads as booleans"),
    pytest.param({"description": "x" * 200, "__author": "y" * 80, "project_name": "z" * 38}, id="longest texts"),
]


DASHBOARD = {"dashboard": "streamlit"}
CHOICES = [
    pytest.param({"kind": kind, "platform": platform, "dashboard": dashboard}, id=f"{kind}, {platform}, {dashboard}")
    for kind in QUESTIONS["kind"]
    for platform in QUESTIONS["platform"]
    for dashboard in QUESTIONS["dashboard"]
    # The sliders of a dashboard need the fields of a table.
    if kind == "table" or dashboard == "none"
]
"""Every combination of the answers to questions with choices that is possible."""
PROJECTS = [*EXTREMES, *CHOICES[1:]]
"""Answers of projects of every kind; manifests are those of the first platform alone."""


def text_files(project: Path) -> list[Path]:
    """Return the text files that git tracks in the project, without the runtime."""
    names = git(project, "ls-files", "-z", "--", ".", ":!vendor").split("\0")
    return [project / name for name in names if name and not name.endswith((".png", ".ico"))]


def git(folder: Path, *arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=folder, check=True, capture_output=True, text=True).stdout


def test_at_most_thirteen_questions_each_explained() -> None:
    assert len(PROMPTS) <= 13
    assert set(QUESTIONS["__prompts__"]) == set(PROMPTS)


@pytest.mark.parametrize("question", PROMPTS)
def test_every_answer_is_used(question: str) -> None:
    if question in FOLDERS:
        assert "for question in FOLDERS" in (TEMPLATE / "hooks/post_gen_project.py").read_text()
        assert (TEMPLATE_FOLDER / FOLDERS[question] / "files.json").is_file()
        return
    used = {
        "project_slug": r"cookiecutter\.(project_slug|__package)\b",
        # The answers about the table are used by these derived answers.
        "dataset": r"cookiecutter\.__data\b",
        "target": r"cookiecutter\.__floors\b",
        "task": r"cookiecutter\.__floors\b",
        "missing": r"cookiecutter\.__floors\b",
    }.get(question, rf"cookiecutter\.{question}\b")
    files = [path for path in TEMPLATE_FOLDER.rglob("*") if path.is_file() and path.suffix != ".pyc"]

    assert any(re.search(used, path.read_text(errors="ignore")) for path in files)


@pytest.mark.parametrize("answers", PROJECTS)
def test_no_template_syntax_is_left(bakery: Bakery, answers: dict[str, str]) -> None:
    project = bakery.project(**answers)

    for path in text_files(project):
        # The README contains a Jinja template of a page.
        text = re.sub(r"^```html\n.*?^```", "", path.read_text(), flags=re.MULTILINE | re.DOTALL)
        assert "cookiecutter." not in text, path
        assert "{{" not in str(path.relative_to(project))
        # These contain Go templates for the container engine, and expressions of a pipeline.
        if path.name not in ("image.mk", "pipeline.yml"):
            assert "{{" not in text, path
            assert "{%" not in text, path


@pytest.mark.parametrize("answers", PROJECTS)
def test_ruff_finds_no_problems(bakery: Bakery, project: Path, answers: dict[str, str]) -> None:
    baked = bakery.project(**answers)
    python = str(project / ".venv/bin/python")

    for command in (("ruff", "check", "--no-cache"), ("ruff", "format", "--no-cache", "--check")):
        result = subprocess.run([python, "-m", *command], cwd=baked, capture_output=True, text=True, check=False)
        assert result.returncode == 0, f"{' '.join(command)}: {result.stdout}{result.stderr}"


@pytest.mark.parametrize("answers", PROJECTS)
def test_answers_are_unchanged_in_make(bakery: Bakery, answers: dict[str, str]) -> None:
    project = bakery.project(**answers)
    questions = {"TITLE": "project_name", "PROJECT": "project_slug", "DESCRIPTION": "description", "AUTHOR": "__author"}
    print_all = "\n".join(f"\t@printf '%s\\n' \"$({name})\"" for name in questions)

    result = subprocess.run(
        ["make", "-f", "project.mk", "-f", "-", "print-all"],
        cwd=project,
        input=f"print-all:\n{print_all}\n",
        capture_output=True,
        text=True,
        check=True,
    )

    given = bakery.answers(**answers)
    assert result.stdout.splitlines() == [given[question] for question in questions.values()]


@pytest.fixture(scope="session")
def deployable(bakery: Bakery, project: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """A function that returns the project with these answers and an environment, whose manifests can be rendered."""

    @cache
    def copied(**answers: str) -> Path:
        baked = share_environment(bakery.copy(tmp_path_factory.mktemp("deployable"), **answers), project)
        (baked / "build").mkdir()
        for image in ("webservice", "trainer", "dashboard"):
            (baked / f"build/{image}.image").write_text(f"registry.example/{image}@sha256:{'0' * 64}\n")
        return baked

    return copied


def manifests(baked: Path, *arguments: str) -> list[dict[str, Any]]:
    """Render the manifests of a project that can be deployed."""
    if shutil.which("kubectl") is None:
        pytest.skip("no kubectl: install it to have the manifests rendered")
    import yaml

    # Uses the environment of the tests, because installing the project's own takes a minute.
    command = ["make", "--silent", *arguments, "BUCKET=bucket", "ENV=", f"PYTHON={sys.executable}"]
    rendered = subprocess.run(command, cwd=baked, capture_output=True, text=True, check=True).stdout
    return list(yaml.safe_load_all(rendered))


@pytest.mark.parametrize("answers", EXTREMES)
@pytest.mark.parametrize("target", ["webservice", "trainer", "schedule", "rbac"])
def test_manifests_are_valid(deployable: Callable[..., Path], answers: dict[str, str], target: str) -> None:
    from kubernetes_validate import validate

    # When make renders the manifests
    documents = manifests(deployable(**answers), f"manifests.{target}")

    # Then each is valid in a current version of Kubernetes, and labels are strings
    assert documents
    for document in documents:
        validate(document, "1.34", strict=True)
        assert all(isinstance(value, str) for value in document["metadata"]["labels"].values())


def test_a_schedule_creates_the_training_job(deployable: Callable[..., Path]) -> None:
    baked = deployable(project_slug="zebra")

    named = {each["kind"]: each for each in manifests(baked, "manifests.schedule", "TRAIN_SCHEDULE=5 4 * * *")}
    (job,) = (each for each in manifests(baked, "manifests.trainer") if each["kind"] == "Job")

    # The Job is that of `make train.job`, but gets the newest data, what to compare its model with, and the call of a
    # pipeline
    cron_job = named["CronJob"]
    assert (cron_job["metadata"]["name"], cron_job["spec"]["schedule"]) == ("zebra-trainer", "5 4 * * *")
    template = cron_job["spec"]["jobTemplate"]
    assert template["metadata"] == {
        key: value for key, value in job["metadata"].items() if key not in ("name", "namespace")
    }
    (container,) = template["spec"]["template"]["spec"]["containers"]
    assert container["args"].pop() == "--scheduled"
    assert [container["envFrom"].pop() for _ in range(2)] == [
        {"secretRef": {"name": "zebra-pipeline", "optional": True}},
        {"configMapRef": {"name": "zebra-champion", "optional": True}},
    ]
    assert template["spec"] == job["spec"]


ALL_OPTIONS = (
    "MAX_REPLICAS=8", "PRIORITY_CLASS=serving", "ALLOW_FROM=ingress 10.0.0.0/16", "INGRESS_CLASS=alb",
    "ALB_SCHEME=internal", "CERTIFICATE=arn:aws:acm:x", "PUBLIC_HOST=models.example.org", "GATEWAY=gateways/public",
    "SERVICE_MONITOR=1", "MONITOR_LABELS=release=prometheus",
)  # fmt: skip
CUSTOM_KINDS = {"HTTPRoute", "PrometheusRule", "ServiceMonitor"}
"""Kinds that Kubernetes itself does not define."""


def test_settings_turn_on_what_production_needs(deployable: Callable[..., Path]) -> None:
    from kubernetes_validate import validate

    # When make renders the manifests with every option
    documents = manifests(deployable(project_slug="zebra"), "manifests.webservice", *ALL_OPTIONS)

    # Then each is valid in a current version of Kubernetes
    named = {(document["kind"], document["metadata"]["name"]): document for document in documents}
    for kind, document in ((document["kind"], document) for document in documents):
        if kind not in CUSTOM_KINDS:
            validate(document, "1.34", strict=True)
    # And they refer to the objects of the project
    deployment = named["Deployment", "zebra-webservice"]["spec"]
    assert "replicas" not in deployment
    assert deployment["template"]["spec"]["priorityClassName"] == "serving"
    scaled = named["HorizontalPodAutoscaler", "zebra-webservice"]["spec"]
    assert scaled["scaleTargetRef"]["name"] == "zebra-webservice"
    assert scaled["minReplicas"] == 2
    service, trainer = (named["NetworkPolicy", f"zebra-{name}"]["spec"] for name in ("webservice", "trainer"))
    assert service["podSelector"]["matchLabels"] == {"app": "zebra", "component": "webservice"}
    assert trainer["podSelector"]["matchLabels"] == {"app": "zebra", "component": "trainer"}
    assert service["ingress"][0]["from"][:2] == [
        {"podSelector": {"matchLabels": {"app": "zebra", "component": "dashboard"}}},
        {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "ingress"}}},
    ]
    (path,) = named["Ingress", "zebra-webservice"]["spec"]["rules"][0]["http"]["paths"]
    assert path["backend"]["service"]["name"] == "zebra-webservice"
    (rule,) = named["HTTPRoute", "zebra-webservice"]["spec"]["rules"]
    assert rule["backendRefs"][0]["name"] == "zebra-webservice"
    # And Prometheus finds the port of the Service, and has rules of the project
    monitor = named["ServiceMonitor", "zebra-webservice"]
    assert {"app": "zebra", "release": "prometheus"}.items() <= monitor["metadata"]["labels"].items()
    service_object = named["Service", "zebra-webservice"]
    assert monitor["spec"]["selector"]["matchLabels"].items() <= service_object["metadata"]["labels"].items()
    assert monitor["spec"]["endpoints"][0]["port"] == service_object["spec"]["ports"][0]["name"]
    assert ("PrometheusRule", "zebra-webservice") in named


def test_kinds_that_kubernetes_does_not_have_are_as_their_projects_define_them(
    deployable: Callable[..., Path],
) -> None:
    documents = manifests(deployable(project_slug="zebra"), "manifests.webservice", *ALL_OPTIONS)

    custom = [document for document in documents if document["kind"] in CUSTOM_KINDS]
    assert {document["kind"] for document in custom} == CUSTOM_KINDS
    assert_valid(custom)


@pytest.mark.parametrize("answers", EXTREMES)
def test_rights_name_the_objects_and_groups_of_the_project(
    deployable: Callable[..., Path], answers: dict[str, str]
) -> None:
    baked = deployable(**answers)

    documents = manifests(baked, "manifests.rbac")

    rules = [rule for document in documents for rule in document.get("rules", [])]
    names = {name for rule in rules for name in rule.get("resourceNames", [])}
    assert names == {f"{baked.name}-webservice-keys", f"{baked.name}-deploy"}
    groups = {subject["name"] for document in documents for subject in document.get("subjects", [])}
    assert groups == {f"{baked.name}:{role}" for role in ("viewer", "operator", "deployer")}


def test_the_dashboard_has_the_rights_of_the_service_and_a_key_of_its_own(deployable: Callable[..., Path]) -> None:
    from kubernetes_validate import validate

    baked = deployable(project_slug="zebra", **DASHBOARD)

    documents = manifests(baked, "manifests.dashboard")

    for document in documents:
        validate(document, "1.34", strict=True)
    (pod,) = (each["spec"]["template"]["spec"] for each in documents if each["kind"] == "Deployment")
    service = (baked / "k8s/base/deployment.yaml").read_text()
    import yaml

    own = yaml.safe_load(service)["spec"]["template"]["spec"]
    assert pod["securityContext"] == own["securityContext"]
    assert pod["automountServiceAccountToken"] is False
    (container,) = pod["containers"]
    assert container["securityContext"] == own["containers"][0]["securityContext"]
    assert container["image"] == f"registry.example/dashboard@sha256:{'0' * 64}"
    secret = {"secretKeyRef": {"name": "zebra-dashboard-key", "key": "key"}}
    assert container["env"] == [{"name": "SERVICE_KEY", "valueFrom": secret}]
    (settings,) = (each["data"] for each in documents if each["kind"] == "ConfigMap")
    assert settings == {"SERVICE_URL": "http://zebra-webservice"}


@pytest.mark.parametrize("environment", ["production", "staging", "local"])
def test_every_environment_requires_api_keys(deployable: Callable[..., Path], environment: str) -> None:
    baked = deployable(project_slug="zebra")
    secret = subprocess.run(
        ["make", "--eval", "secret:; @echo $$KEYS_SECRET", "secret"],
        cwd=baked, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip

    # When make renders the manifests
    (deployment,) = (
        document
        for document in manifests(baked, "manifests.webservice", f"ENVIRONMENT={environment}")
        if document["kind"] == "Deployment"
    )

    # Then the pods mount the Secret that `make key` writes, and read the keys from it
    pod = deployment["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    (volume,) = (volume for volume in pod["volumes"] if volume["name"] == "keys")
    (mount,) = (mount for mount in container["volumeMounts"] if mount["name"] == "keys")
    assert volume["secret"]["secretName"] == secret.strip()
    assert {"name": "API_KEYS", "value": mount["mountPath"]} in container["env"]
    # Kubernetes does not update a volume that is mounted with subPath
    assert "subPath" not in mount


def test_the_pods_of_production_are_spread(deployable: Callable[..., Path]) -> None:
    documents = manifests(deployable(project_slug="zebra"), "manifests.webservice")

    (template,) = (each["spec"]["template"] for each in documents if each["kind"] == "Deployment")
    constraints = template["spec"]["topologySpreadConstraints"]
    keys = {each["topologyKey"] for each in constraints}
    assert keys == {"kubernetes.io/hostname", "topology.kubernetes.io/zone"}
    # Those of this project alone are counted
    for constraint in constraints:
        assert constraint["labelSelector"]["matchLabels"].items() <= template["metadata"]["labels"].items()
        assert {"app", "component"} <= constraint["labelSelector"]["matchLabels"].keys()


@pytest.mark.parametrize("answers", CHOICES)
def test_every_file_that_a_project_names_is_there(bakery: Bakery, answers: dict[str, str]) -> None:
    baked = bakery.project(**answers)
    folders = "data|docker|docs|environments|infrastructure|k8s|make|platforms|src|tests"

    for path in text_files(baked):
        # The makefile includes those files of make/ that are there.
        if path.suffix not in (".md", ".mk", ".yaml") and path.name != "Caddyfile":
            continue
        for name in re.findall(rf"(?<![\w./-])((?:{folders})/[\w./-]*\w/?)", path.read_text()):
            # Not a name but a pattern, what training makes, or a page that somebody may write.
            other = r".*[A-Z]{3}|src/\w+/(artefact|templates)/"
            there = (baked / name).exists() or re.match(other, name)
            assert there, f"{path.relative_to(baked)} names {name}"


@pytest.mark.parametrize("answers", CHOICES)
def test_an_upgrade_finds_no_other_files_in_a_new_project(bakery: Bakery, answers: dict[str, str]) -> None:
    baked = bakery.project(**answers)

    assert changed_files(TEMPLATE, baked, lambda _: None) == ""


def test_a_project_for_a_machine_with_docker_names_no_cluster(fresh_docker_host: Path) -> None:
    for path in text_files(fresh_docker_host):
        if path.suffix in (".md", ".mk", ".yaml"):
            assert not re.search(r"kubectl|k8s|kustomize|\bpods?\b|Kubernetes", path.read_text()), path


@pytest.mark.parametrize("platform", QUESTIONS["platform"])
def test_a_project_without_a_dashboard_has_no_line_of_it(bakery: Bakery, platform: str) -> None:
    baked = bakery.project(platform=platform)

    for path in text_files(baked):
        text = path.read_text()
        # Grafana has dashboards as well, and a sample of drift is made by what a dashboard reads it with.
        text = re.sub(r"(monitoring|mlops_runtime)\.dashboard", "", text)
        assert not re.search(r"streamlit|src/dashboard|^\s*\[dashboard\]|[a-z.]dashboard\b|@[A-Z]+@", text), path
        assert "dashboard" not in path.name


OF_OTHER_PLATFORMS = {
    "eks": r"docker-host|compose\.yaml|Azure|az containerapp",
    "docker-host": r"kubectl|Kubernetes|Azure|az containerapp|make infrastructure",
    "azure-container-apps": r"kubectl|Kubernetes|compose\.yaml|proxy:8081|CloudFormation|webapp",
    "azure-web-app": r"kubectl|Kubernetes|compose\.yaml|proxy:8081|CloudFormation|containerapp",
}
"""What no page of a project names, by platform."""


@pytest.mark.parametrize("platform", OF_OTHER_PLATFORMS)
def test_the_pages_of_a_project_are_about_its_platform(bakery: Bakery, platform: str) -> None:
    docs = bakery.project(platform=platform, **DASHBOARD) / "docs"

    for name in ("dashboard.md", "monitoring.md"):
        assert not re.search(OF_OTHER_PLATFORMS[platform], (docs / name).read_text()), name
    assert "## " in (docs / "dashboard.md").read_text().rpartition("## Who may open it")[2]
    assert "scrape_configs" in (docs / "monitoring.md").read_text()
    assert "Without `REGISTRY`" in (docs / "registries.md").read_text()
    # It names the storage that it has, and no other one, and so does `make`
    storage, other = ("Blob storage", "S3") if platform.startswith("azure") else ("S3", "Blob storage")
    listing = subprocess.run(["make"], cwd=docs.parent, capture_output=True, text=True, check=True).stdout
    for text in (listing, (docs.parent / "README.md").read_text()):
        assert storage in text
        assert other not in text
        assert "STORAGE" not in text.replace("STORAGE_", "")


@pytest.mark.parametrize("answers", CHOICES)
def test_make_lists_each_group_of_commands_once(bakery: Bakery, answers: dict[str, str]) -> None:
    baked = bakery.project(**answers)

    listing = subprocess.run(["make"], cwd=baked, capture_output=True, text=True, check=True).stdout

    groups = dict(group.split("\n", 1) for group in listing.strip().split("\n\n")[:-1])
    dashboard = [] if answers["dashboard"] == "none" else ["Dashboard"]
    expected = ["Environment", "Quality", "Model", "Images", "Monitoring", *dashboard, "Deploy"]
    assert list(groups)[: len(expected)] == expected


COMPOSE_VALUES = {
    "DASHBOARD_IMAGE": "image", "DASHBOARD_KEY": "", "DASHBOARD_PORT": "8501",
    "IMAGE": "image", "RELEASE": "1", "NAMESPACE": "x", "ENVIRONMENT": "production", "TEAM": "ward",
    "PROXY_IMAGE": "caddy:2", "HTTP_PORT": "127.0.0.1:8080", "HTTPS_PORT": "443",
}  # fmt: skip


@pytest.mark.parametrize("compose", ["docker compose", "docker-compose"])
@pytest.mark.parametrize("dashboard", QUESTIONS["dashboard"])
def test_the_compose_file_is_valid(bakery: Bakery, compose: str, dashboard: str) -> None:
    baked = bakery.project(platform="docker-host", dashboard=dashboard)
    command = compose.split()
    if shutil.which(command[0]) is None or subprocess.run([*command, "version"], capture_output=True).returncode:
        pytest.skip(f"no {compose}: install it to have the compose file read")

    result = subprocess.run(
        [*command, "--file", "compose.yaml", "config"],
        cwd=baked, env=os.environ | COMPOSE_VALUES, capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert result.returncode == 0, result.stderr
    assert "variable is not set" not in result.stderr


@pytest.mark.parametrize("dashboard", QUESTIONS["dashboard"])
def test_the_compose_files_keep_to_the_specification(bakery: Bakery, dashboard: str) -> None:
    baked = bakery.project(platform="docker-host", dashboard=dashboard)
    schema = ("--builtin-schema", "vendor.compose-spec")
    command = [sys.executable, "-m", "check_jsonschema", *schema, "compose.yaml", "docker/dev.yaml"]

    result = subprocess.run(command, cwd=baked, capture_output=True, text=True, check=False)

    assert result.returncode == 0, result.stdout


def test_the_compose_file_needs_no_version_of_its_format(fresh_docker_host: Path) -> None:
    import yaml

    content = yaml.safe_load((fresh_docker_host / "compose.yaml").read_text())

    assert set(content) == {"x-webservice", "services", "volumes"}
    for name in ("webservice-blue", "webservice-green"):
        service = content["services"][name]
        assert (service["scale"], service["read_only"], service["cap_drop"]) == (2, True, ["ALL"])
        assert "API_KEYS=/etc/webservice/keys" in service["environment"]
    assert all(volume["external"] for volume in content["volumes"].values())


def test_the_dashboard_on_a_machine_has_the_limits_of_the_service(bakery: Bakery) -> None:
    import yaml

    baked = bakery.project(platform="docker-host", **DASHBOARD)

    services = yaml.safe_load((baked / "compose.yaml").read_text())["services"]
    shared = {"user", "read_only", "cap_drop", "security_opt", "mem_limit", "cpus", "pids_limit", "restart", "labels"}
    for name in shared | {"logging"}:
        assert services["dashboard"][name] == services["webservice-blue"][name]
    # Nobody but the machine reaches it, since it has no login
    assert services["proxy"]["ports"][-1] == "127.0.0.1:${DASHBOARD_PORT}:8501"
    assert "ports" not in services["dashboard"]
    assert "reverse_proxy dashboard:8501" in (baked / "docker/Caddyfile").read_text()


def test_no_file_has_both_sides_of_a_conflict() -> None:
    command = ["git", "grep", "--name-only", "--extended-regexp", "^(<{7}|>{7}) "]
    found = subprocess.run(command, cwd=TEMPLATE, capture_output=True, text=True, check=False)

    assert found.stdout.splitlines() == []


def test_no_file_is_empty(fresh: Path) -> None:
    assert [path.name for path in text_files(fresh) if path.stat().st_size == 0] == []


@pytest.mark.parametrize("answers", CHOICES)
def test_a_project_is_small(bakery: Bakery, answers: dict[str, str]) -> None:
    baked = bakery.project(**answers)
    files = [path.relative_to(baked) for path in text_files(baked)]
    python = [path for path in files if path.suffix == ".py" and path.parts[0] in ("src", "tests")]
    lines = sum(len((baked / path).read_text().splitlines()) for path in python)

    print(f"{len(files)} files without vendor, {lines} lines of Python in src and tests")
    assert lines <= 600
    assert len([path for path in files if path.parts[0] != "data"]) <= 80


def test_settings_of_the_service_are_in_project_mk_with_their_defaults(fresh: Path) -> None:
    settings = dict(re.findall(r"^(\w+) \?= *(.*)$", (fresh / "project.mk").read_text(), flags=re.MULTILINE))
    # Settings of the image, the manifests and `make dev` are not in project.mk.
    fixed = {"version", "api_keys", "reload", "prometheus_multiproc_dir", "drain_marker"}

    values = Settings.from_environment(settings).model_dump()

    assert {name.upper() for name in set(Settings.model_fields) - fixed} <= set(settings)
    assert values == Settings().model_dump()


FOUND_BY_NAME = re.compile(
    r"(\.[\w-]+(\.ya?ml)?|makefile|README\.md|Pipfile.*|pyproject\.toml|kustomization\.yaml|conftest\.py|test_\w+\.py|__\w+__\.py|py\.typed)"
)
"""Files that tools and people find by their names."""


@pytest.mark.parametrize("answers", CHOICES)
def test_no_file_is_unused(bakery: Bakery, answers: dict[str, str]) -> None:
    baked = bakery.project(**answers)
    texts = {path: path.read_text() for path in text_files(baked)}

    for path in texts:
        # The makefile includes every file of make/.
        if FOUND_BY_NAME.fullmatch(path.name) or path.parent.name == "make":
            continue
        # A Python module is referred to without suffix, a Dockerfile by the name of its component.
        name = path.stem if path.suffix in (".py", ".Dockerfile") else path.name
        named_in = [
            other for other, text in texts.items() if other != path and re.search(rf"\b{re.escape(name)}\b", text)
        ]
        assert named_in, f"nothing names {path.relative_to(baked)}"


def test_jinja_in_python_is_only_in_imports_and_the_title() -> None:
    unrendered = QUESTIONS["_copy_without_render"]
    for path in TEMPLATE_FOLDER.rglob("*.py"):
        for line in path.read_text().splitlines():
            if "{{" in line:
                assert re.match(r" *(from |import )|TITLE = ", line), f"{path}: {line}"
            assert "{%" not in line, path
    assert {"makefile", "make/*.mk"} <= set(unrendered)


def test_the_first_commit_contains_all_files(fresh: Path) -> None:
    assert git(fresh, "log", "--format=%s").splitlines() == ["Start from cookiecutter-mlops-eks"]
    assert git(fresh, "status", "--porcelain", "--ignored") == ""
    assert (fresh / "Pipfile.lock").is_file()


def test_the_commit_is_made_on_a_machine_without_an_identity(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Given a home folder without settings, and a path with a space
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")

    project = bake(tmp_path / "my projects", __author="Zoë O'Brien")

    assert git(project, "log", "--format=%an").strip() == "Zoë O'Brien"


def test_a_project_inside_a_repository_has_no_repository_of_its_own(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "--quiet", str(tmp_path)], check=True)

    project = bake(tmp_path)

    assert not (project / ".git").exists()


def test_a_project_is_baked_without_git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    assert not (bake(tmp_path / "out") / ".git").exists()


def test_baking_again_over_a_project_adds_no_commit(tmp_path: Path) -> None:
    from cookiecutter.main import cookiecutter

    project = bake(tmp_path)
    cookiecutter(str(TEMPLATE), no_input=True, output_dir=str(tmp_path), overwrite_if_exists=True)

    assert git(project, "log", "--format=%s").count("\n") == 1
    assert git(project, "status", "--porcelain") == ""


@pytest.mark.parametrize("dashboard", QUESTIONS["dashboard"])
def test_the_lock_matches_the_pipfile_and_names_no_index(bakery: Bakery, dashboard: str) -> None:
    fresh = bakery.project(dashboard=dashboard)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PIP")}

    result = subprocess.run(
        ["pipenv", "verify"],
        cwd=fresh,
        env=environment | {"PIP_CONFIG_FILE": os.devnull},
        capture_output=True,
        text=True,
        check=False,
    )

    assert result.returncode == 0, result.stderr
    lock = json.loads((fresh / "Pipfile.lock").read_text())
    assert lock["_meta"]["sources"] == []
    assert all(
        package["hashes"] for category, packages in lock.items() if category != "_meta" for package in packages.values()
    )


@pytest.mark.parametrize(
    ("extras", "categories"),
    [
        pytest.param(["serving"], ["default"], id="web-service"),
        pytest.param(["training"], ["default", "trainer"], id="trainer"),
        pytest.param(["testing"], ["default", "trainer", "develop"], id="tests"),
        pytest.param(["arrow"], ["arrow"], id="arrow"),
        pytest.param(["dashboard"], ["dashboard"], id="dashboard"),
    ],
)
def test_the_lock_has_every_package_that_the_runtime_imports(
    bakery: Bakery, extras: list[str], categories: list[str]
) -> None:
    fresh = bakery.project(**DASHBOARD)
    lock = json.loads((fresh / "Pipfile.lock").read_text())
    project = tomllib.loads((fresh / "vendor/pyproject.toml").read_text())["project"]
    optional = project["optional-dependencies"]
    required = [line for extra in extras for line in optional[extra]]
    if "default" in categories:
        required += project["dependencies"]

    names = {re.split(r"[^\w.-]", line)[0] for line in required}

    assert names <= {name for category in categories for name in lock[category]}


def test_the_lock_does_not_depend_on_the_answers(fresh: Path, bakery: Bakery) -> None:
    other = bakery.project(project_name="Churn", team="growth")

    assert (other / "Pipfile.lock").read_bytes() == (fresh / "Pipfile.lock").read_bytes()


def test_each_category_of_the_lock_has_its_packages(fresh: Path) -> None:
    lock = json.loads((fresh / "Pipfile.lock").read_text())
    serving, training, testing = (set(lock[name]) for name in ("default", "trainer", "develop"))

    assert "flask" in serving
    assert {"boto3", "scikit-learn"} <= training
    # Only people and pipelines use the AWS CLI: it would add 155 MB to an image.
    assert "awscli" not in serving | training
    assert {"awscli", "pytest", "coverage"} <= testing
    assert not serving & {"scikit-learn", "scipy", "pandas", "matplotlib", "pytest"}


def test_categories_that_share_an_environment_agree(bakery: Bakery) -> None:
    lock = json.loads((bakery.project(**DASHBOARD) / "Pipfile.lock").read_text())

    versions: dict[str, set[str]] = {}
    for category in ("default", "trainer", "develop", "dashboard"):
        for name, package in lock[category].items():
            versions.setdefault(name, set()).add(package["version"])

    assert "streamlit" in versions
    assert {name: found for name, found in versions.items() if len(found) > 1} == {}
