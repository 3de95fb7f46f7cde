"""`make train.job` on a real cluster, with the rights of a deployer and an image that only pretends to train."""

import hashlib
import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import share_environment
from tests.live.site import remove_namespace
from tests.live.workbench import Workbench, one_error_line

pytestmark = pytest.mark.cluster

NAMESPACE = "mlops-template-job"
JOB = "oncology-trainer"
# The image counts as up to date, whatever it is made from.
TRAIN = ("--old-file=build/trainer.image", "train.job")
DEPLOYER = "kubectl --as tester --as-group oncology:deployer"
PYTHON_IMAGE = os.environ.get("PYTHON_IMAGE", "python:3.11-slim-bookworm")
# Takes BUDGET seconds, and fails with a seed of 1.
PRETENDER = """\
import os, signal, sys, time
signal.signal(signal.SIGTERM, signal.default_int_handler)
print("Read 699 rows", flush=True)
print("compared with", os.environ.get("CHAMPION", "nothing"))
time.sleep(float(os.environ["BUDGET"]))
sys.exit("the gate refuses the model" if os.environ["SEED"] == "1" else 0)
"""


def kubectl(*arguments: str, stdin: str | None = None) -> str:
    command = ["kubectl", "--namespace", NAMESPACE, *arguments]
    return subprocess.run(command, input=stdin, check=True, capture_output=True, text=True).stdout


def job() -> dict[str, Any]:
    """Return the Job; empty if there is none."""
    text = kubectl("get", "job", JOB, "--ignore-not-found", "--output", "json")
    content: dict[str, Any] = json.loads(text) if text else {}
    return content


def objects(site: Workbench, *arguments: str) -> str:
    """Run a command of `aws s3`, and return what it prints."""
    command = [*site.aws, "--region", "eu-central-1", "s3", *arguments]
    environment = os.environ | site.environment
    return subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout


def memory_of_the_job() -> dict[str, str]:
    (container,) = job()["spec"]["template"]["spec"]["containers"]
    return {kind: amount["memory"] for kind, amount in container["resources"].items()}


@pytest.fixture(scope="module")
def image(engine: str, registry: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Image of the pretender, by digest."""
    folder = tmp_path_factory.mktemp("pretender")
    (folder / "train.py").write_text(PRETENDER)
    (folder / "Dockerfile").write_text(f'FROM {PYTHON_IMAGE}\nCOPY train.py /\nENTRYPOINT ["python", "/train.py"]\n')
    name = f"{registry}/pretender"
    subprocess.run([engine, "build", "--quiet", "--tag", name, str(folder)], check=True, capture_output=True)
    subprocess.run([engine, "push", "--quiet", name], check=True, capture_output=True)
    command = [engine, "image", "inspect", "--format", "{{range .RepoDigests}}{{println .}}{{end}}", name]
    digests = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    return next(digest for digest in digests if digest.startswith(f"{name}@"))


@pytest.fixture(scope="module")
def site(bare_workbench: Workbench, image: str, project: Path, aws: dict[str, str]) -> Iterator[Workbench]:
    """A project whose trainer is the pretender, on a cluster where it has its rights, with a bucket."""
    remove_namespace(NAMESPACE)
    share_environment(bare_workbench.folder, project)
    bare_workbench.environment |= aws
    bare_workbench.variables |= {"NAMESPACE": NAMESPACE, "BUCKET": "bucket", "AWS_ACCOUNT": "123456789012"}
    bare_workbench.variables["AWS"] = ".venv/bin/python -m awscli"
    objects(bare_workbench, "mb", "s3://bucket")
    result = bare_workbench.make("provision.rbac")
    assert result.returncode == 0, result.stdout + result.stderr
    (bare_workbench.folder / "build/trainer.image").write_text(f"{image}\n")
    bare_workbench.variables["KUBECTL"] = DEPLOYER
    yield bare_workbench
    remove_namespace(NAMESPACE, wait=False)


def test_a_job_is_followed_to_its_success(site: Workbench) -> None:
    result = site.make(*TRAIN, BUDGET="1", VERSION="1.0")

    assert result.returncode == 0, result.stdout + result.stderr
    assert result.stdout.count("Read 699 rows") == 1
    given = result.stdout.index("The training job gets 512Mi of memory with a limit of 2Gi")
    assert given < result.stdout.index("created the Job")
    assert memory_of_the_job() == {"requests": "512Mi", "limits": "2Gi"}
    assert result.stdout.splitlines()[-1].startswith("s3://bucket/trainer/1.0/ has the model")
    # The data are in the bucket, where the Job gets them
    (table,) = (site.folder / "data").glob("*.csv")
    sha256 = hashlib.sha256(table.read_bytes()).hexdigest()
    assert objects(site, "ls", "--recursive", "s3://bucket").split()[3:] == [f"data/{sha256}"]
    config = job()["spec"]["template"]["spec"]["containers"][0]["envFrom"][0]["configMapRef"]["name"]
    assert json.loads(kubectl("get", "configmap", config, "--output", "json"))["data"]["DATA_SHA256"] == sha256
    assert "make deploy MODEL=1.0" in result.stdout


def test_the_next_job_replaces_it_and_its_failure_is_told(site: Workbench) -> None:
    before = job()["metadata"]["uid"]

    result = site.make(*TRAIN, BUDGET="0", SEED="1", JOB_MEMORY="256Mi")

    assert result.returncode != 0
    assert "the gate refuses the model" in result.stdout
    assert "the training job failed (exit status 1): its log above says why" in one_error_line(result)
    assert job()["metadata"]["uid"] != before

    # And its memory is what the project sets, with a warning that this may be too little
    assert "MB of memory, and 256 MB are there" in result.stdout
    assert memory_of_the_job() == {"requests": "256Mi", "limits": "256Mi"}


def test_a_quota_without_room_is_said_and_the_job_deleted(site: Workbench) -> None:
    # Given a namespace in which no pod may start
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "none"}, "spec": {"hard": {"pods": "0"}}}
    kubectl("create", "--filename", "-", stdin=json.dumps(quota))

    # When a Job is to train there
    result = site.make(*TRAIN, JOB_START_TIMEOUT="10")
    kubectl("delete", "resourcequota", "none")

    # Then the reason is printed while it waits, and at the end in one line; the Job is gone
    assert result.returncode != 0
    assert "waiting for the pod to start: Error creating: pods" in result.stdout
    error = one_error_line(result)
    assert "did not start within 10 s" in error
    assert "exceeded quota: none" in error
    assert error.count("\n") == 0
    assert job() == {}


def test_an_image_that_is_not_there_is_said(site: Workbench, image: str) -> None:
    # Given a digest that the registry does not have
    path = site.folder / "build/trainer.image"
    path.write_text(f"{image.partition('@')[0]}@sha256:{'0' * 64}\n")

    # When a Job is to run it
    result = site.make(*TRAIN, JOB_START_TIMEOUT="10")
    path.write_text(f"{image}\n")

    # Then the error names it
    assert result.returncode != 0
    assert "pretender@sha256:000" in one_error_line(result)
    assert job() == {}


@pytest.mark.parametrize(
    ("number", "whole_group"),
    [pytest.param(signal.SIGINT, True, id="Ctrl-C"), pytest.param(signal.SIGTERM, False, id="SIGTERM to make")],
)
def test_whoever_stops_waiting_learns_that_the_job_goes_on(
    site: Workbench, number: signal.Signals, whole_group: bool
) -> None:
    # Given a Job that trains
    with site.start(*TRAIN, BUDGET="600") as process:
        assert process.stdout is not None
        assert any("Read 699 rows" in line for line in process.stdout)

        # When the command is stopped
        if whole_group:
            os.killpg(process.pid, number)
        else:
            process.send_signal(number)
        _, errors = process.communicate(timeout=60)

    # Then the Job still trains, and one line says how to follow and how to stop it
    assert process.returncode != 0
    (line,) = (line for line in errors.splitlines() if line.startswith("train.job:"))
    assert f"the Job {JOB} goes on; follow it: {DEPLOYER} --namespace {NAMESPACE} logs --follow job/{JOB}" in line
    assert job()["status"]["active"] == 1

    # And that is how it stops
    subprocess.run(line.rpartition("stop it: ")[2].split(), check=True, capture_output=True)
    assert job() == {}


@pytest.fixture
def kubectl_for_cron_jobs(tmp_path: Path) -> str:
    """kubectl with the rights of a deployer, which gives a server before Kubernetes 1.21 the CronJob that it knows."""
    if '"cronjobs"' in kubectl("get", "--raw", "/apis/batch/v1"):
        return DEPLOYER
    program = tmp_path / "kubectl"
    translate = 'case "$*" in *apply*build/k8s/schedule) sed -i s,batch/v1,batch/v1beta1, build/k8s/schedule/* ;; esac'
    program.write_text(f'#!/bin/sh\n{translate}\nexec {DEPLOYER} "$@"\n')
    program.chmod(0o755)
    return str(program)


def test_a_schedule_creates_jobs_that_train(site: Workbench, kubectl_for_cron_jobs: str) -> None:
    # Given a model that was deployed
    data = {"CHAMPION": "champion/production/0.json"}
    champion = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "oncology-champion"}, "data": data}
    kubectl("create", "--filename", "-", stdin=json.dumps(champion))

    # When somebody with the rights of a deployer trains on schedule
    settings = {"TRAIN_SCHEDULE": "17 3 * * 1", "BUDGET": "0", "KUBECTL": kubectl_for_cron_jobs}
    result = site.make("--old-file=build/trainer.image", "train.schedule", **settings)

    # Then the bucket names the newest data, and a Job that the schedule creates trains and knows that model
    assert result.returncode == 0, result.stdout + result.stderr
    (table,) = (site.folder / "data").glob("*.csv")
    sha256 = hashlib.sha256(table.read_bytes()).hexdigest()
    assert objects(site, "cp", f"s3://bucket/data/{table.name}.sha256", "-") == f"{sha256}  {table.name}\n"
    cron_job = json.loads(kubectl("get", "cronjob", JOB, "--output", "json"))["spec"]
    assert cron_job["schedule"] == "17 3 * * 1"
    created = cron_job["jobTemplate"] | {"apiVersion": "batch/v1", "kind": "Job"}
    created["metadata"] |= {"name": f"{JOB}-1"}
    kubectl("create", "--filename", "-", stdin=json.dumps(created))
    kubectl("wait", "--for", "condition=complete", "--timeout", "60s", f"job/{JOB}-1")
    assert "Read 699 rows\ncompared with champion/production/0.json\n" in kubectl("logs", f"job/{JOB}-1")

    # And it can be ended
    assert site.make("train.schedule.remove").returncode == 0
    assert kubectl("get", "cronjobs", "--output", "name") == ""
