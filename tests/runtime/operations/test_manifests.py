import hashlib
import json
import re
import shutil
import sys
from pathlib import Path
from shlex import quote
from stat import S_IXUSR
from typing import Any

import pytest
import yaml

from mlops_runtime.contract import Contract
from mlops_runtime.memory import MEGABYTE, estimated_memory
from mlops_runtime.operations.manifests import COMPONENTS, FIXED_SETTINGS, RULES, main
from mlops_runtime.serving.settings import Settings

TEMPLATE = Path(__file__).parents[3]
PROJECT_MK = "".join(
    (TEMPLATE / "{{cookiecutter.project_slug}}" / name).read_text()
    for name in ("project.mk", "platforms/eks/settings.mk")
)
SETTINGS_OF_PROJECT = dict(re.findall(r"^(\w+) \?= ?(.*)$", PROJECT_MK, flags=re.MULTILINE))
ENVIRONMENT = {
    "PROJECT": "oncology",
    "TITLE": "Oncology",
    "PACKAGE": "ordering_model",
    "TEAM": "no",
    "NAMESPACE": "1234",
    "ENVIRONMENT": "staging",
    "KEYS_SECRET": "oncology-webservice-keys",
    "DATA": "data/a table.csv",
    "SEED": "0",
    "TEST_SHARE": "0.25",
    "MAX_ROWS": "1000",
    "BUDGET": "120",
    "FLOORS": "accuracy=0.9 roc_auc=0.8",
    "MARGIN": "0.02",
    "VERSION": "1.0.0",
    "COMMIT": "0" * 40,
    "BUCKET": "bucket",
    "JOB_MEMORY": "",
    "AWS_DEFAULT_REGION": "eu-central-1",
    "TRAIN_SCHEDULE": "17 3 * * 1",
    "MAX_RECORDS": "500",
    "RATE_LIMIT": "",
}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a project, with its settings in the environment, where commands run."""
    for overlay in ("production", "staging"):
        (tmp_path / "k8s/overlays" / overlay).mkdir(parents=True)
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    (tmp_path / "data").mkdir()
    (tmp_path / ENVIRONMENT["DATA"]).write_text("items\n" + "1\n" * 5000)
    package = tmp_path / "src/ordering_model"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "datamodel.py").write_text(DATAMODEL)
    monkeypatch.syspath_prepend(tmp_path / "src")
    monkeypatch.setattr(sys, "modules", sys.modules.copy())
    kubectl(tmp_path, RENDERED)
    monkeypatch.setenv("KUBECTL", quote(str(tmp_path / "kubectl")))
    monkeypatch.chdir(tmp_path)
    return tmp_path


DATAMODEL = """
from mlops_runtime.contract import Task
from mlops_runtime.testing.synthetic import CONTRACTS
CONTRACT = CONTRACTS[Task.BINARY]
"""
RENDERED = """\
cat <<END
kind: Namespace
metadata: {name: "1234"}
---
---
kind: Deployment
metadata: {name: $1 $2}
---
kind: Job
metadata: {name: trainer}
spec: {template: {spec: {containers: [{name: proxy}, {name: trainer, resources: {limits: {memory: 2Gi}}}]}}}
END"""


def kubectl(project: Path, script: str) -> None:
    """Write a stub of kubectl."""
    program = project / "kubectl"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(program.stat().st_mode | S_IXUSR)


def written(project: Path, component: str) -> Any:
    """Return the kustomization as a YAML parser reads it."""
    return yaml.safe_load((project / f"build/k8s/{component}/kustomization.yaml").read_text())


def config_map(content: Any) -> dict[str, str]:
    """Return the settings of the only ConfigMap."""
    (generator,) = content["configMapGenerator"]
    return dict(literal.split("=", 1) for literal in generator["literals"])


@pytest.mark.parametrize("component", COMPONENTS)
def test_names_labels_and_namespace_are_text(project: Path, component: str) -> None:
    # Given names that YAML would read as a number or a truth value, were they not quoted
    assert main([component]) == 0

    content = written(project, component)
    assert content["namespace"] == "1234"
    assert content["namePrefix"] == "oncology-"
    assert [labels["pairs"] for labels in content["labels"]] == [{"app": "oncology"}, {"team": "no"}]


@pytest.mark.parametrize("component", COMPONENTS)
def test_the_image_is_the_published_one(project: Path, component: str) -> None:
    # Given an image that has been published
    name = "trainer" if component == "schedule" else component
    (project / "build").mkdir()
    (project / f"build/{name}.image").write_text(f"127.0.0.1:5000/oncology/{name}@sha256:{'0' * 64}\n")

    assert main([component]) == 0

    (image,) = written(project, component)["images"]
    assert image == {"name": name, "newName": f"127.0.0.1:5000/oncology/{name}", "digest": f"sha256:{'0' * 64}"}


@pytest.mark.parametrize("component", COMPONENTS)
def test_manifests_can_be_read_before_an_image_is_published(project: Path, component: str) -> None:
    assert main([component]) == 0

    assert written(project, component)["images"] == []


@pytest.mark.parametrize("component", sorted({*COMPONENTS} - {"schedule"}))
def test_the_manifests_are_folders_of_the_project(project: Path, component: str) -> None:
    assert main([component]) == 0

    for resource in written(project, component)["resources"]:
        path = (TEMPLATE / "{{cookiecutter.project_slug}}" / "build/k8s" / component / resource).resolve()
        assert (path / "kustomization.yaml").exists()


def test_the_service_gets_its_settings_and_the_overlay(project: Path) -> None:
    assert main(["webservice"]) == 0

    # An empty setting is left out, so that the default holds
    content = written(project, "webservice")
    assert content["resources"] == ["../../../k8s/overlays/staging"]
    assert config_map(content) == {"MAX_RECORDS": "500"}


def test_the_pods_mount_the_secret_with_the_keys(project: Path) -> None:
    assert main(["webservice"]) == 0

    (patch,) = written(project, "webservice")["patches"]
    (volume,) = json.loads(patch["patch"])["spec"]["template"]["spec"]["volumes"]
    assert volume == {"name": "keys", "secret": {"secretName": "oncology-webservice-keys"}}


def test_prometheus_gets_the_rules_of_the_project(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (project / "docs").mkdir()
    shutil.copy(TEMPLATE / "{{cookiecutter.project_slug}}" / RULES, project / RULES)
    monkeypatch.setenv("SERVICE_MONITOR", "1")

    assert main(["webservice"]) == 0

    assert "optional.yaml" in written(project, "webservice")["resources"]
    objects = list(yaml.safe_load_all((project / "build/k8s/webservice/optional.yaml").read_text()))
    assert [item["kind"] for item in objects] == ["ServiceMonitor", "PrometheusRule", "ConfigMap"]


@pytest.mark.parametrize(
    "content", [None, "groups: [", "rules: []", "- a"], ids=["none", "no YAML", "no groups", "a list"]
)
def test_rules_that_cannot_be_read_are_named(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], content: str | None
) -> None:
    (project / "docs").mkdir()
    if content is not None:
        (project / RULES).write_text(content)
    monkeypatch.setenv("SERVICE_MONITOR", "1")

    assert main(["webservice"]) == 1
    assert "docs/alerts.yaml has no groups of rules for Prometheus" in capsys.readouterr().err


def test_the_trainer_gets_its_settings(project: Path) -> None:
    assert main(["trainer"]) == 0

    settings = config_map(written(project, "trainer"))
    # It gets the data from the bucket by their hash
    assert settings.pop("DATA_SHA256") == hashlib.sha256((project / ENVIRONMENT["DATA"]).read_bytes()).hexdigest()
    assert settings == {name: ENVIRONMENT[name] for name in settings}
    assert {"DATA", "FLOORS", "BUCKET", "VERSION"} <= set(settings)


def test_a_schedule_makes_a_cron_job_of_the_job(project: Path) -> None:
    assert main(["schedule"]) == 0

    # The rest of the manifests is as it was
    content = written(project, "schedule")
    assert content["resources"] == ["optional.yaml"]
    *others, cron_job = yaml.safe_load_all((project / "build/k8s/schedule/optional.yaml").read_text())
    assert [item["kind"] for item in others] == ["Namespace", "Deployment"]
    # The CronJob creates that Job, and its container alone gets newest data, champion and the call of a pipeline
    assert (cron_job["apiVersion"], cron_job["kind"], cron_job["metadata"]) == (
        "batch/v1",
        "CronJob",
        {"name": "trainer"},
    )
    assert (cron_job["spec"]["schedule"], cron_job["spec"]["concurrencyPolicy"]) == ("17 3 * * 1", "Forbid")
    proxy, trainer = cron_job["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"]
    assert proxy == {"name": "proxy"}
    assert trainer["args"] == ["--scheduled"]
    assert trainer["envFrom"] == [
        {"configMapRef": {"name": "oncology-champion", "optional": True}},
        {"secretRef": {"name": "oncology-pipeline", "optional": True}},
    ]
    # And the memory that the table needs, as the Job does
    assert main(["trainer"]) == 0
    (patch,), (of_job,) = content["patches"], written(project, "trainer")["patches"]
    assert json.loads(patch["patch"])["kind"] == "CronJob"
    assert json.loads(patch["patch"])["spec"]["jobTemplate"]["spec"] == json.loads(of_job["patch"])["spec"]
    assert config_map(content) == config_map(written(project, "trainer"))


def memory_of_job(project: Path) -> dict[str, str]:
    """Return request and limit of the memory of the trainer."""
    (patch,) = written(project, "trainer")["patches"]
    (container,) = json.loads(patch["patch"])["spec"]["template"]["spec"]["containers"]
    assert container["name"] == "trainer"
    return {kind: amount["memory"] for kind, amount in container["resources"].items()}


@pytest.mark.parametrize("max_rows", [1_000, 1_000_000], ids=["fewer rows than the table", "more rows"])
def test_the_trainer_gets_the_memory_that_its_rows_need(
    project: Path, contract: Contract, monkeypatch: pytest.MonkeyPatch, max_rows: int
) -> None:
    # Given a table that needs more memory than the manifest reserves
    rows = 200_000
    (project / ENVIRONMENT["DATA"]).write_text("items\n" + "1\n" * rows)
    monkeypatch.setenv("MAX_ROWS", str(max_rows))

    assert main(["trainer"]) == 0

    mebibytes = -(-estimated_memory(contract, min(rows, max_rows)) // MEGABYTE)
    assert memory_of_job(project) == {"requests": f"{mebibytes}Mi", "limits": "2Gi"}


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        pytest.param("JOB_MEMORY", "4GB", "4GB is no amount of memory", id="an unknown unit"),
        pytest.param("MAX_ROWS", "all", "MAX_ROWS=all is not usable", id="no number of rows"),
        pytest.param("DATA", "none.csv", "none.csv does not exist: check the path", id="no table"),
        pytest.param("PACKAGE", "none", "PACKAGE='none' names no model package", id="no contract"),
    ],
)
def test_without_an_estimate_the_trainer_has_no_manifests(
    project: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    name: str,
    value: str,
    message: str,
) -> None:
    monkeypatch.setenv(name, value)

    assert main(["trainer"]) == 1
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not (project / "build/k8s").exists()


def test_manifests_without_the_job_are_refused(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kubectl(project, "echo '{kind: Job, metadata: {name: other}}'")

    assert main(["trainer"]) == 1
    assert "k8s/trainer has no Job trainer" in capsys.readouterr().err


@pytest.mark.parametrize("component", COMPONENTS)
def test_the_objects_that_kustomize_makes_are_written_as_json(project: Path, component: str) -> None:
    assert main([component]) == 0

    # Empty documents are left out, and quoted text stays text
    assert json.loads((project / f"build/k8s/{component}.json").read_text())[:2] == [
        {"kind": "Namespace", "metadata": {"name": "1234"}},
        {"kind": "Deployment", "metadata": {"name": f"kustomize build/k8s/{component}"}},
    ]


def test_manifests_that_cannot_be_rendered_leave_no_objects(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kubectl(project, "echo 'no such resource' >&2; exit 1")

    assert main(["webservice"]) == 1
    assert capsys.readouterr().err == "manifests: kubectl cannot render the manifests: no such resource\n"
    assert not (project / "build/k8s/webservice.json").exists()


@pytest.mark.parametrize(
    ("component", "name", "value", "message"),
    [
        pytest.param("webservice", "PROJECT", None, "PROJECT is not set: run this with make", id="not run by make"),
        pytest.param("trainer", "BUCKET", "", "BUCKET is not set", id="no bucket"),
        pytest.param("webservice", "MAX_RECORDS", "many", "MAX_RECORDS=many is not usable", id="an invalid setting"),
        pytest.param("webservice", "ENVIRONMENT", "x", "set it to one of ['production', 'staging']", id="no overlay"),
    ],
)
def test_a_wrong_setting_writes_nothing(
    project: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    component: str,
    name: str,
    value: str | None,
    message: str,
) -> None:
    if value is None:
        monkeypatch.delenv(name)
    else:
        monkeypatch.setenv(name, value)

    assert main([component]) == 1
    errors = capsys.readouterr().err
    assert message in errors
    assert errors.count("\n") == 1
    assert not (project / "build/k8s").exists()


# The template asks for it by the kind of project, which `tests/test_entities.py` tests.
OF_THE_KIND = "max_content_length"


@pytest.mark.parametrize("name", [name for name in Settings.model_fields if name not in {*FIXED_SETTINGS, OF_THE_KIND}])
def test_project_mk_has_each_setting_of_the_service_with_its_default(name: str) -> None:
    default = Settings.model_fields[name].default

    assert name.upper() in SETTINGS_OF_PROJECT, f"project.mk has no line `{name.upper()} ?= …`"
    given = Settings.from_environment({name.upper(): SETTINGS_OF_PROJECT[name.upper()]})
    assert getattr(given, name) == default


def test_project_mk_has_the_settings_of_a_local_service() -> None:
    assert SETTINGS_OF_PROJECT["HOST"] == Settings().host
    assert SETTINGS_OF_PROJECT["PORT"] == str(Settings().port)
