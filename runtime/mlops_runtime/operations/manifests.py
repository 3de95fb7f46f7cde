"""Write the kustomization that completes the manifests in k8s/ with the settings of the project.

The manifests name no project, image or setting. `python -m mlops_runtime.operations.manifests COMPONENT` writes
build/k8s/COMPONENT/kustomization.yaml, which adds them, beside it optional.yaml with the objects that a setting turns
on or a schedule needs, if any, and build/k8s/COMPONENT.json, a list of the objects that kustomize makes of all that.
The values come from the environment, where make puts those of project.mk.
"""

import argparse
import json
import os
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from mlops_runtime.operations.dashboard import dashboard_key
from mlops_runtime.operations.errors import ManifestError
from mlops_runtime.operations.manifest_options import deployment_patches, optional_objects
from mlops_runtime.operations.monitoring import monitoring_objects
from mlops_runtime.operations.releases import champion_name
from mlops_runtime.serving.settings import Settings, SettingsError
from mlops_runtime.tables.recorded import sha256_of
from mlops_runtime.tables.source import SourceError, open_source

if TYPE_CHECKING:
    from mlops_runtime.operations.job_memory import JobMemory

COMPONENTS = ("webservice", "trainer", "schedule", "namespace", "rbac", "dashboard")

OPTIONAL = "optional.yaml"
"""Name of the file with the objects that a setting turns on, or a schedule needs."""

RULES = "docs/alerts.yaml"
"""File with the rules for Prometheus."""

FIXED_SETTINGS = frozenset(
    {"host", "port", "version", "api_keys", "reload", "prometheus_multiproc_dir", "drain_marker"}
)
"""Settings of the service that its image or its manifests give."""

TRAINER = "trainer"
"""Name of the Job, and of its container."""

NO_JOB = f"k8s/trainer has no Job {TRAINER} with a container {TRAINER}: put them back"

TRAINER_SETTINGS = (
    "DATA", "SEED", "TEST_SHARE", "MAX_ROWS", "BUDGET", "FLOORS", "VERSION", "COMMIT", "BUCKET", "AWS_DEFAULT_REGION",
    "MARGIN",
)  # fmt: skip


RBAC: dict[str, Any] = {
    "resources": ["../../../infrastructure"],
    # Groups, the Secret and the Lease are not among the manifests: kustomize cannot add the prefix to their names.
    "replacements": [
        {
            "source": {"kind": "Role", "name": "viewer", "fieldPath": "metadata.labels.app"},
            "targets": [
                {
                    "select": {"kind": "RoleBinding"},
                    "fieldPaths": ["subjects.*.name"],
                    "options": {"delimiter": ":"},
                },
                {
                    "select": {"kind": "Role", "name": "viewer"},
                    "fieldPaths": ["rules.0.resourceNames.0"],
                    "options": {"delimiter": "-"},
                },
                {
                    "select": {"kind": "Role", "name": "operator"},
                    "fieldPaths": ["rules.0.resourceNames.0", "rules.1.resourceNames.0"],
                    "options": {"delimiter": "-"},
                },
            ],
        }
    ],
}
"""What the kustomization of the rights has beside names, labels and namespace."""


def kustomization(component: str, environment: Mapping[str, str], root: Path) -> tuple[dict[str, Any], list[Any]]:
    """Return the kustomization of a component, and the objects of `OPTIONAL`, which it names if there are any.

    Args:
        component: one of `COMPONENTS`.
        environment: with the settings of the project.
        root: folder of the project.

    Raises:
        ManifestError: if a setting is missing or cannot be used.
    """
    project, team, namespace = (_setting(environment, name) for name in ("PROJECT", "TEAM", "NAMESPACE"))
    objects: list[Any] = []
    match component:
        case "webservice":
            parts, objects = _webservice(environment, root)
        case "trainer":
            parts = _trainer(environment, root)
        case "schedule":
            parts, objects = _schedule(environment, root)
        case "rbac":
            parts = RBAC
        case "dashboard":
            parts = _dashboard(project)
        case _:
            parts = {"resources": [f"../../../k8s/{component}"]}
    if objects:
        parts["resources"].append(OPTIONAL)
    content = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "namespace": namespace,
        "namePrefix": f"{project}-",
        "labels": [
            {"pairs": {"app": project}, "includeSelectors": True},
            # No selector: a Deployment that exists cannot change its own.
            {"pairs": {"team": team}, "includeTemplates": True},
        ],
        "images": _images(TRAINER if component == "schedule" else component, root),
        **parts,
    }
    return content, objects


def _webservice(environment: Mapping[str, str], root: Path) -> tuple[dict[str, Any], list[Any]]:
    overlay = _setting(environment, "ENVIRONMENT")
    overlays = sorted(path.name for path in (root / "k8s/overlays").iterdir())
    if overlay not in overlays:
        raise ManifestError(f"ENVIRONMENT={overlay} has no folder in k8s/overlays: set it to one of {overlays}")
    names = [name.upper() for name in Settings.model_fields if name not in FIXED_SETTINGS]
    settings = {name: environment[name] for name in names if environment.get(name)}
    try:
        Settings.from_environment(settings)
    except SettingsError as error:
        raise ManifestError(str(error)) from error
    # The Secret is not among the manifests, because `make key` changes it: kustomize cannot add the prefix.
    keys = {"name": "keys", "secret": {"secretName": _setting(environment, "KEYS_SECRET")}}
    deployment = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "webservice"},
        "spec": {"template": {"spec": {"volumes": [keys]}}},
    }
    replicas = _replicas(root / "k8s/overlays" / overlay) if environment.get("MAX_REPLICAS") else None
    parts = {
        "resources": [f"../../../k8s/overlays/{overlay}"],
        "configMapGenerator": [_config_map("webservice-settings", settings)],
        "patches": [{"patch": json.dumps(deployment)}, *deployment_patches(environment, replicas)],
    }
    objects = optional_objects(environment, replicas)
    if environment.get("SERVICE_MONITOR"):
        objects += monitoring_objects(environment, _rule_groups(root))
    return parts, objects


def _rule_groups(root: Path) -> list[Any]:
    """Return the groups of rules for Prometheus.

    Raises:
        ManifestError: if the file has none.
    """
    path = root / RULES
    try:
        groups: list[Any] = yaml.safe_load(path.read_text(encoding="utf-8"))["groups"]
    except (OSError, yaml.YAMLError, KeyError, TypeError) as error:
        raise ManifestError(f"{RULES} has no groups of rules for Prometheus ({error}): put them back") from error
    return groups


def _replicas(overlay: Path) -> int | None:
    """Return the number of pods in the manifest of the web-service; None without one."""
    for item in rendered(overlay):
        if (item["kind"], item["metadata"]["name"]) == ("Deployment", "webservice"):
            replicas: int | None = item["spec"].get("replicas")
            return replicas
    return None


def _trainer(environment: Mapping[str, str], root: Path) -> dict[str, Any]:
    settings = {name: _setting(environment, name) for name in TRAINER_SETTINGS}
    memory = _job_memory(settings, environment.get("JOB_MEMORY", ""), root)
    data = root / settings["DATA"]
    if not data.is_file():
        raise ManifestError(f"{data} is a folder, and the training job gets one file: name one by DATA in project.mk")
    settings["DATA_SHA256"] = sha256_of(data)
    return {
        "resources": ["../../../k8s/trainer"],
        "configMapGenerator": [_config_map("trainer-settings", settings)],
        "patches": [{"patch": json.dumps(memory.patch(TRAINER))}],
    }


def _schedule(environment: Mapping[str, str], root: Path) -> tuple[dict[str, Any], list[Any]]:
    """Return what makes a CronJob of the Job that trains, which gets the newest data instead of those here."""
    parts = _trainer(environment, root)
    schedule, project = _setting(environment, "TRAIN_SCHEDULE"), _setting(environment, "PROJECT")
    # Neither is among the manifests: deploys write one, the owner of a pipeline the other.
    sources = [
        {"configMapRef": {"name": champion_name(project), "optional": True}},
        {"secretRef": {"name": pipeline_secret(project), "optional": True}},
    ]
    objects = rendered(root / "k8s/trainer")
    for position, item in enumerate(objects):
        if item["kind"] == "Job":
            container = _training_container(item)
            container["args"] = [*container.get("args", ()), "--scheduled"]
            container["envFrom"] = [*container.get("envFrom", ()), *sources]
            objects[position] = cron_job(item, schedule)
    patch = cron_job(json.loads(parts["patches"][0]["patch"]), schedule)
    return parts | {"resources": [], "patches": [{"patch": json.dumps(patch)}]}, objects


def cron_job(job: Mapping[str, Any], schedule: str) -> dict[str, Any]:
    """Return the CronJob that creates a Job; of a patch of the Job, that of the CronJob.

    Args:
        job: the Job, or its patch.
        schedule: when it is created, as cron has it.
    """
    metadata = {key: value for key, value in job["metadata"].items() if key != "name"}
    return {
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "metadata": job["metadata"],
        "spec": {
            "schedule": schedule,
            "concurrencyPolicy": "Forbid",
            # A start that the cluster has missed by more is left out.
            "startingDeadlineSeconds": 3600,
            "jobTemplate": {"metadata": metadata, "spec": job["spec"]},
        },
    }


def pipeline_secret(project: str) -> str:
    """Return the name of the Secret with the call that starts a pipeline."""
    return f"{project}-pipeline"


def _dashboard(project: str) -> dict[str, Any]:
    # The Secret is not among the manifests, because the first deploy makes it: kustomize cannot add the prefix.
    key = {"name": "SERVICE_KEY", "valueFrom": {"secretKeyRef": {"name": dashboard_key(project), "key": "key"}}}
    deployment = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "dashboard"},
        "spec": {"template": {"spec": {"containers": [{"name": "dashboard", "env": [key]}]}}},
    }
    return {
        "resources": ["../../../k8s/dashboard"],
        "configMapGenerator": [_config_map("dashboard-settings", {"SERVICE_URL": f"http://{project}-webservice"})],
        "patches": [{"patch": json.dumps(deployment)}],
    }


def _job_memory(settings: Mapping[str, str], given: str, root: Path) -> "JobMemory":
    """Return the memory of the Job that trains with these settings.

    Raises:
        ManifestError: if the table cannot be read, or a setting or the Job has a value that cannot be used.
    """
    # The packages of a contract take as long to load as all the others, and no other component needs it.
    from mlops_runtime.model.artefact import ArtefactError
    from mlops_runtime.operations.job_memory import job_memory
    from mlops_runtime.operations.project import project_contract

    max_rows = settings["MAX_ROWS"]
    if not max_rows.isdecimal():
        raise ManifestError(f"MAX_ROWS={max_rows} is not usable: give a whole number, as in MAX_ROWS=1000000")
    try:
        rows = min(open_source(root / settings["DATA"]).lines, int(max_rows))
        return job_memory(project_contract(), rows, _job_resources(root), given)
    except (ArtefactError, SourceError, ValueError) as error:
        raise ManifestError(str(error)) from error


def _job_resources(root: Path) -> dict[str, Any]:
    """Return the resources of the container that trains, as the project's own manifests have them.

    Raises:
        ManifestError: if they have no such container.
    """
    for item in rendered(root / "k8s/trainer"):
        if (item["kind"], item["metadata"]["name"]) == ("Job", TRAINER):
            resources: dict[str, Any] = _training_container(item).get("resources", {})
            return resources
    raise ManifestError(NO_JOB)


def _training_container(job: Mapping[str, Any]) -> dict[str, Any]:
    """Return the container of the Job that trains.

    Raises:
        ManifestError: if it has none.
    """
    containers: list[dict[str, Any]] = job["spec"]["template"]["spec"]["containers"]
    for container in containers:
        if container["name"] == TRAINER:
            return container
    raise ManifestError(NO_JOB)


def _setting(environment: Mapping[str, str], name: str) -> str:
    value = environment.get(name)
    if not value:
        raise ManifestError(f"{name} is not set: run this with make, and see project.mk")
    return value


def _config_map(name: str, settings: Mapping[str, str]) -> dict[str, Any]:
    return {"name": name, "literals": [f"{setting}={value}" for setting, value in settings.items()]}


def _images(component: str, root: Path) -> list[dict[str, str]]:
    """Return the image that was published, by digest; nothing before the first one was."""
    path = root / f"build/{component}.image"
    if not path.exists():
        return []
    name, _, digest = path.read_text(encoding="utf-8").strip().partition("@")
    return [{"name": component, "newName": name, "digest": digest}]


def rendered(folder: Path) -> list[Any]:
    """Return the objects that kustomize makes of a folder.

    Raises:
        ManifestError: if it cannot.
    """
    command = [*shlex.split(os.environ.get("KUBECTL") or "kubectl"), "kustomize", str(folder)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode != 0:
        raise ManifestError(f"kubectl cannot render the manifests: {result.stderr.strip()}")
    return [item for item in yaml.safe_load_all(result.stdout) if item]


def main(argv: Sequence[str] | None = None) -> int:
    """Write the kustomization of a component in the current folder; return the exit status."""
    parser = argparse.ArgumentParser(prog="mlops_runtime.operations.manifests", description=__doc__)
    parser.add_argument("component", choices=COMPONENTS)
    component = parser.parse_args(argv).component
    root = Path()
    try:
        content, objects = kustomization(component, os.environ, root)
        folder = root / "build/k8s" / component
        folder.mkdir(parents=True, exist_ok=True)
        if objects:
            (folder / OPTIONAL).write_text(yaml.safe_dump_all(objects, sort_keys=False), encoding="utf-8")
        (folder / "kustomization.yaml").write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
        folder.with_suffix(".json").write_text(json.dumps(rendered(folder)), encoding="utf-8")
    except (ManifestError, OSError) as error:
        print(f"manifests: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
