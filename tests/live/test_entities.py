"""A project that finds entities in texts: its images, its pods on a real cluster, and its training job.

The tests of this file are one story and build on one another, in their order.
"""

import os
import re
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.conftest import bake, share_environment
from tests.live.site import NAMESPACE, fit_to_server, remove_namespace
from tests.live.test_images import train_as_the_job_does
from tests.live.workbench import Workbench

pytestmark = [pytest.mark.engine, pytest.mark.cluster]

# Short, because another test trains to the end; a busy machine does few passes in this time.
TRAINING = {"MLOPS_BUDGET": "20", "MLOPS_FLOORS": "f1=0"}


@pytest.fixture(scope="module")
def bench(
    project_of_entities: Path, workbench: Workbench, cluster: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Workbench]:
    folder = share_environment(bake(tmp_path_factory.mktemp("texts"), kind="entities"), project_of_entities)
    settings = {
        "MLOPS_ENVIRONMENT": "local",
        "MLOPS_CLUSTER": cluster,
        "MLOPS_NAMESPACE": NAMESPACE,
        "MLOPS_SKIP_TESTS": "they run in other tests",
    }
    remove_namespace(NAMESPACE)
    fit_to_server(folder)
    yield replace(workbench, folder=folder, environment=workbench.environment | settings | TRAINING)
    remove_namespace(NAMESPACE, wait=False)


def test_a_version_is_deployed_and_its_pods_find_the_golden_entities(bench: Workbench) -> None:
    version = bench.commit("First version")

    result = bench.make("deploy")

    assert result.returncode == 0, result.stdout + result.stderr
    assert re.search(rf"^{re.escape(version)} runs: 1 pod, \d+ golden predictions each$", result.stdout, re.MULTILINE)


def test_the_image_of_the_service_has_no_onnx_runtime(bench: Workbench, engine: str) -> None:
    image = f"{bench.folder.name}/webservice:{bench.version()}"
    program = "import importlib.util, sys; sys.exit(importlib.util.find_spec('onnxruntime') is not None)"

    result = subprocess.run([engine, "run", "--rm", image, "python", "-c", program], capture_output=True, check=False)

    assert result.returncode == 0, result.stderr


def test_the_training_job_trains_on_texts_and_uploads(bench: Workbench, engine: str, tmp_path: Path) -> None:
    made_bucket = ["s3", "mb", "s3://texts"]
    environment = bench.environment | {"AWS_DEFAULT_REGION": "eu-central-1", "PATH": os.environ["PATH"]}
    subprocess.run([*bench.aws, *made_bucket], env=environment, check=True, capture_output=True)
    settings = {"DATA": "data/messages.jsonl", "BUDGET": "10", "FLOORS": "f1=0", "BUCKET": "texts"}

    result = train_as_the_job_does(
        engine, f"{bench.folder.name}/trainer:{bench.version()}", bench, tmp_path, **settings
    )

    assert result.returncode == 0, result.stderr
    assert "Uploaded artefact, report and metrics to s3://texts/trainer/1.0.0/" in result.stdout
